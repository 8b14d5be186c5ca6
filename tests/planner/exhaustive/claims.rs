//! What a refusal claims, held against what is so.

use std::collections::{BTreeMap, BTreeSet};

use domicile::model::Bytes;
use domicile::plan::{Finding, Plan, Severity};

use super::search::{Room, Stand, World};
use super::write::{host_name, pool_text, vm_name, vm_number};
use crate::planner::fleet::GIB;

/// What a finding says of one VM that finds no room.
#[derive(Debug, Default)]
pub(super) struct Claim {
    pub(super) vm: usize,
    /// The room that is short, what is needed of it, what is left, and what to make of it.
    pub(super) short: Option<(Room, String, String, String)>,
    /// Whether it is said that there is no order, or that none was found.
    pub(super) no_order: Option<bool>,
    /// Who waits for the same, and whether for each other.
    pub(super) group: BTreeSet<usize>,
    pub(super) waits: bool,
    /// How much more of which room would do for all of them.
    pub(super) relief: Option<(String, Room)>,
}

fn room_text(room: Room) -> String {
    match room {
        Room::Memory(host) => format!("memory of {}", host_name(host)),
        Room::Vcpus(host) => format!("vCPUs of {}", host_name(host)),
        Room::Vms(host) => format!("VMs on {}", host_name(host)),
        Room::Pool(host, pool) => {
            format!("room in pool {} of {}", pool_text(pool), host_name(host))
        }
        Room::Apart(group, host) => {
            format!("the place of group {} on {}", group + 1, host_name(host))
        }
    }
}

fn amount_text(room: Room, amount: u64) -> String {
    match room {
        Room::Memory(_) | Room::Pool(..) => Bytes(amount * GIB).to_string(),
        Room::Vcpus(_) | Room::Vms(_) | Room::Apart(..) => amount.to_string(),
    }
}

fn amount_of(room: Room, text: &str) -> u64 {
    let mut amounts = 0..200;
    amounts
        .find(|amount| amount_text(room, *amount) == text)
        .unwrap()
}

/// The words between two others.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

fn claim(world: &World<'_>, finding: &Finding) -> Option<Claim> {
    let vm = vm_number(finding.vm.as_ref()?.as_str());
    let room = |text: &str| {
        let mut rooms = world.limits.keys();
        *rooms
            .find(|room| room_text(**room) == text)
            .unwrap_or_else(|| panic!("{text}"))
    };
    let (message, remedy) = (&finding.message, &finding.remedy);
    let short = between(message, " needs ", " (").map(|needs| {
        let room = room(between(message, " (", "),").unwrap());
        let left = between(message, "), and ", " are left once").unwrap();
        let more = between(remedy, "make room of ", " there").unwrap();
        (room, needs.into(), left.into(), more.into())
    });
    let no_order = if message.starts_with("there is no order") {
        Some(true)
    } else {
        message.starts_with("no order was found").then_some(false)
    };
    let waits = message.split_once("waiting for each other: ");
    let group = waits.or(message.split_once("need such room there: "));
    let group = group.map(|(_, names)| names.split(", ").map(vm_number).collect());
    let relief = between(remedy, "; ", ") would do for all").map(|text| {
        let (amount, of) = text.split_once(" more (").unwrap();
        (amount.to_owned(), room(of))
    });
    Some(Claim {
        vm,
        short,
        no_order,
        waits: waits.is_some(),
        group: group.unwrap_or_default(),
        relief,
    })
}

/// What is claimed of all that find no room.
pub(super) fn claims(world: &World<'_>, plan: &Plan) -> Vec<Claim> {
    let findings = plan.findings.iter();
    let blocking = findings.filter(|one| one.severity == Severity::Blocks);
    let of_room = blocking
        .filter(|one| one.message.contains("are left once") || one.message.contains("order"));
    of_room
        .filter_map(|finding| claim(world, finding))
        .collect()
}

/// What is wrong with claims, where these have moved and no more can.
pub(super) fn wrong(world: &World<'_>, moved: &BTreeSet<usize>, claims: &[Claim]) -> Vec<String> {
    let mut stands = world.start();
    for vm in moved {
        stands[*vm] = Stand::Goal;
    }
    let end = End {
        world,
        moved,
        stands,
    };
    let each = claims.iter().flat_map(|claim| {
        let parts = [end.short(claim), end.circle(claim), end.relief(claim)];
        parts.into_iter().flatten()
    });
    each.chain(end.remedies(claims)).collect()
}

/// The placement in which a plan leaves a fleet.
struct End<'w> {
    world: &'w World<'w>,
    moved: &'w BTreeSet<usize>,
    stands: Vec<Stand>,
}

impl End<'_> {
    /// What a VM lacks that would go straight now.
    fn lacks(&self, vm: usize) -> BTreeMap<Room, u64> {
        self.world.lacks(&self.stands, vm, Stand::Goal)
    }

    fn can_move(&self, world: &World<'_>, more: &BTreeSet<usize>) -> bool {
        world.fewest_stops(&(self.moved | more)).is_some()
    }

    fn short(&self, claim: &Claim) -> Vec<String> {
        let Some((room, needs, left, more)) = &claim.short else {
            return Vec::new();
        };
        let taken = self.world.taken(claim.vm, Stand::Home, Stand::Goal, *room);
        let used = self.world.used(*room, &self.stands);
        let is_left = self.world.limits[room].saturating_sub(used);
        let missing = self.lacks(claim.vm).get(room).copied().unwrap_or(0);
        let told = [
            ("needs", taken, needs),
            ("left", is_left, left),
            ("missing", missing, more),
        ];
        let wrong = told
            .iter()
            .filter(|(_, is, told)| amount_text(*room, *is) != **told);
        wrong
            .map(|(what, is, told)| {
                format!("{what}: {} {room:?} {is} and not {told}", vm_name(claim.vm))
            })
            .collect()
    }

    /// Whether a VM would find more room of what it lacks if another had moved.
    fn waits_for(&self, vm: usize, other: usize) -> bool {
        let mut then = self.stands.clone();
        then[other] = Stand::Goal;
        let used = |room: &Room, stands| self.world.used(*room, stands);
        let lacks = self.lacks(vm);
        let mut lacks = lacks.keys();
        lacks.any(|room| used(room, &then) < used(room, &self.stands))
    }

    fn circle(&self, claim: &Claim) -> Vec<String> {
        let mut wrong = Vec::new();
        for vm in claim.group.iter().filter(|_| claim.waits) {
            let mut others = claim.group.iter().filter(|other| *other != vm);
            if !others.clone().any(|other| self.waits_for(*vm, *other)) {
                wrong.push(format!("circle: {} waits for none", vm_name(*vm)));
            }
            if !others.any(|other| self.waits_for(*other, *vm)) {
                wrong.push(format!("circle: none waits for {}", vm_name(*vm)));
            }
        }
        wrong
    }

    /// With so much more there all of the group can move, and with less they cannot.
    fn relief(&self, claim: &Claim) -> Vec<String> {
        let Some((amount, room)) = &claim.relief else {
            return Vec::new();
        };
        let more = amount_of(*room, amount);
        let does = |more| self.can_move(&with(self.world, &[(*room, more)]), &claim.group);
        let wrong = [
            (!does(more), "would not do"),
            (does(more - 1), "is too much"),
        ];
        let wrong = wrong.into_iter().filter(|(is_so, _)| *is_so);
        wrong
            .map(|(_, what)| format!("relief: {amount} of {room:?} {what}"))
            .collect()
    }

    /// Whoever gets the room that he is said to lack can move.
    fn remedies(&self, claims: &[Claim]) -> Vec<String> {
        let mut made: BTreeMap<usize, Vec<(Room, u64)>> = BTreeMap::new();
        for claim in claims {
            let short = claim.short.iter();
            let rooms = short.map(|(room, _, _, more)| (*room, amount_of(*room, more)));
            made.entry(claim.vm).or_default().extend(rooms);
        }
        let of_some = made.into_iter().filter(|(_, rooms)| !rooms.is_empty());
        let vain = of_some
            .filter(|(vm, rooms)| !self.can_move(&with(self.world, rooms), &BTreeSet::from([*vm])));
        vain.map(|(vm, rooms)| format!("remedy: {} stays with {rooms:?}", vm_name(vm)))
            .collect()
    }
}

/// The same fleet with more room.
fn with<'a>(world: &World<'a>, rooms: &[(Room, u64)]) -> World<'a> {
    let mut larger = world.clone();
    for (room, more) in rooms {
        *larger.limits.get_mut(room).unwrap() += more;
    }
    larger
}
