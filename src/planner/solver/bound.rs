//! What no schedule can undercut. Every figure but the direct chain holds with detours, too.

use super::problem::{ItemId, PortId, ResourceId, Time};
use super::solution::Bounds;
use super::tables::Tables;
use super::ways::{Boundless, Floor, Ways};

/// The bounds for the schedules that move these items and stop none of them.
pub(super) fn bounds(tables: &Tables, ways: &dyn Ways, moved: &[bool]) -> Bounds {
    let items = &tables.problem.items;
    let floors: Vec<Floor> = (0..items.len())
        .map(|item| {
            if moved[item] {
                floor(tables, ways, item)
            } else {
                Floor::default()
            }
        })
        .collect();
    Bounds {
        port: port_bound(tables, &floors),
        longest: floors.iter().map(|floor| floor.duration).max().unwrap_or(0),
        room: (0..tables.problem.resources.len())
            .map(|resource| room_bound(tables, &floors, moved, resource))
            .max()
            .unwrap_or(0),
        direct_chain: direct_chain(tables, moved),
    }
}

/// The caller's floor, or the direct job where there is no other way.
fn floor(tables: &Tables, ways: &dyn Ways, item: ItemId) -> Floor {
    if let Some(floor) = ways.floor(item) {
        return floor;
    }
    if !ways.places(item, &Boundless).is_empty() || ways.cold(item).is_some() {
        return Floor::default();
    }
    let job = &tables.problem.items[item].job;
    let energy = |one: &super::problem::Use| (one.port, one.energy());
    let freed = job.frees.iter().map(|free| free.at).min().unwrap_or(0);
    Floor {
        duration: job.duration,
        leave: job
            .uses
            .iter()
            .filter(|one| one.to <= freed)
            .map(energy)
            .collect(),
        enter: job.uses.iter().map(energy).collect(),
        around: job
            .uses
            .iter()
            .map(|one| (one.port, one.from, job.duration - one.to))
            .collect(),
    }
}

fn port_bound(tables: &Tables, floors: &[Floor]) -> Time {
    /// What all that uses a port has in common.
    #[derive(Clone, Copy)]
    struct Used {
        load: u64,
        before: Time,
        after: Time,
    }
    let none = Used {
        load: 0,
        before: Time::MAX,
        after: Time::MAX,
    };
    let mut ports = vec![none; tables.problem.ports.len()];
    for floor in floors {
        let left = |port: PortId| {
            let mut here = floor.leave.iter().filter(|(other, _)| *other == port);
            here.next().map_or(0, |(_, energy)| *energy)
        };
        let entering = floor.enter.iter();
        let more = entering.map(|(port, energy)| (*port, energy.saturating_sub(left(*port))));
        for (port, energy) in floor.leave.iter().copied().chain(more) {
            if energy == 0 {
                continue;
            }
            let mut around = floor.around.iter().filter(|(other, ..)| *other == port);
            let (_, before, after) = around.next().copied().unwrap_or_default();
            let used = &mut ports[port];
            used.load += energy;
            used.before = used.before.min(before);
            used.after = used.after.min(after);
        }
    }
    let limits = tables.problem.ports.iter().map(|port| port.limit.max(1));
    let used = ports.iter().zip(limits).filter(|(used, _)| used.load > 0);
    used.map(|(used, limit)| used.before + used.load.div_ceil(limit) + used.after)
        .max()
        .unwrap_or(0)
}

/// Amounts with the least energy that each costs at one port, the cheapest first: the least energy for a total
/// amount is taken from the front, the last in part.
struct Cheapest {
    /// Amount and energy.
    parts: Vec<(u64, u64)>,
    limit: u64,
}

impl Cheapest {
    fn new(mut parts: Vec<(u64, u64)>, limit: u64) -> Self {
        parts.retain(|(amount, _)| *amount > 0);
        parts.sort_by(|a, b| {
            let (left, right) = (
                u128::from(a.1) * u128::from(b.0),
                u128::from(b.1) * u128::from(a.0),
            );
            left.cmp(&right).then(a.cmp(b))
        });
        Self {
            parts,
            limit: limit.max(1),
        }
    }

    /// The least time for this amount in all.
    fn time(&self, amount: u64) -> Time {
        let (mut left, mut energy) = (amount, 0_u64);
        for (part, cost) in &self.parts {
            if left <= *part {
                let share = u128::from(*cost) * u128::from(left) / u128::from(*part);
                energy += u64::try_from(share).unwrap_or(u64::MAX);
                break;
            }
            left -= part;
            energy += cost;
        }
        energy.div_ceil(self.limit)
    }

    /// The totals at which a further part begins.
    fn totals(&self) -> impl Iterator<Item = u64> + '_ {
        self.parts.iter().scan(0_u64, |total, (part, _)| {
            *total += part;
            Some(*total)
        })
    }
}

/// The port that these floors use most, with what each costs there.
fn busiest(floors: &[(u64, &[(PortId, u64)])], tables: &Tables) -> Cheapest {
    let mut loads = std::collections::BTreeMap::new();
    for (_, uses) in floors {
        for (port, energy) in *uses {
            *loads.entry(*port).or_insert(0_u64) += energy;
        }
    }
    let limit = |port: PortId| tables.problem.ports[port].limit.max(1);
    let best = loads
        .iter()
        .max_by_key(|(port, load)| (**load / limit(**port), **port));
    let Some((port, _)) = best else {
        return Cheapest::new(floors.iter().map(|(amount, _)| (*amount, 0)).collect(), 1);
    };
    let cost = |uses: &[(PortId, u64)]| {
        let mut here = uses.iter().filter(|(other, _)| other == port);
        here.next().map_or(0, |(_, energy)| *energy)
    };
    let parts = floors.iter().map(|(amount, uses)| (*amount, cost(uses)));
    Cheapest::new(parts.collect(), limit(*port))
}

/// Until so much has left, all that entered is less than what is free plus that; the rest enters after it.
fn room_bound(tables: &Tables, floors: &[Floor], moved: &[bool], resource: ResourceId) -> Time {
    let one = tables.problem.resources[resource];
    let entrants: Vec<(u64, &[(PortId, u64)])> = tables.entrants[resource]
        .iter()
        .filter(|item| moved[**item])
        .map(|item| {
            let takes = tables.problem.items[*item].job.takes.iter();
            let amount = takes
                .filter(|take| take.resource == resource)
                .map(|take| take.amount);
            (amount.sum(), floors[*item].enter.as_slice())
        })
        .collect();
    let entering: u64 = entrants.iter().map(|(amount, _)| amount).sum();
    // What must leave before the last may enter.
    let Some(must) = (one.used + entering)
        .checked_sub(one.limit)
        .filter(|must| *must > 0)
    else {
        return 0;
    };
    if entering == 0 {
        return 0;
    }
    let leavers: Vec<(u64, &[(PortId, u64)])> = tables.leavers[resource]
        .iter()
        .map(|item| {
            let frees = tables.problem.items[*item].job.frees.iter();
            let amount = frees
                .filter(|free| free.resource == resource)
                .map(|free| free.amount);
            (amount.sum(), floors[*item].leave.as_slice())
        })
        .collect();
    let (out, into) = (busiest(&leavers, tables), busiest(&entrants, tables));
    let mut points: Vec<u64> = vec![must];
    for total in out.totals() {
        points.extend([total, total + 1]);
    }
    points.extend(into.totals().map(|total| (must + 1).saturating_sub(total)));
    points
        .into_iter()
        .filter(|left| (1..=must).contains(left))
        .map(|left| out.time(left) + into.time((must - left + 1).min(entering)))
        .max()
        .unwrap_or(0)
}

/// How often the chains are drawn out: they have an end, or else they are circles.
const ROUNDS_MAX: usize = 64;

/// The longest chain: who needs more room than there is waits for the first of those that make it.
fn direct_chain(tables: &Tables, moved: &[bool]) -> Option<Time> {
    let count = tables.items();
    let (mut heads, mut tails) = (vec![0; count], vec![0; count]);
    let in_the_end = tables.used_after(moved);
    let mut settled = false;
    for _ in 0..ROUNDS_MAX {
        let mut changed = false;
        for item in (0..count).filter(|item| moved[*item]) {
            let (head, tail) = (
                head(tables, moved, &heads, item),
                tail(tables, moved, &in_the_end, &tails, item),
            );
            changed |= head > heads[item] || tail > tails[item];
            heads[item] = head.max(heads[item]);
            tails[item] = tail.max(tails[item]);
        }
        if !changed {
            settled = true;
            break;
        }
    }
    let whole = |item: usize| heads[item] + tables.problem.items[item].job.duration + tails[item];
    let moved = (0..count).filter(|item| moved[*item]);
    settled.then(|| moved.map(whole).max().unwrap_or(0))
}

/// The earliest time at which parts that come at these times add up to what is needed; 0 where they never do.
fn reached(mut parts: Vec<(Time, u64)>, needed: u64) -> Time {
    parts.sort_unstable();
    let mut total = 0_u64;
    for (at, amount) in parts {
        total += amount;
        if total >= needed {
            return at;
        }
    }
    0
}

fn head(tables: &Tables, moved: &[bool], heads: &[Time], item: ItemId) -> Time {
    let mut head = 0;
    for take in &tables.problem.items[item].job.takes {
        let one = tables.problem.resources[take.resource];
        let needed = (one.used + take.amount).saturating_sub(one.limit);
        if needed == 0 || take.amount == 0 {
            continue;
        }
        let leavers = tables.leavers[take.resource]
            .iter()
            .filter(|other| moved[**other] && **other != item);
        let parts = leavers.flat_map(|other| {
            let frees = tables.problem.items[*other].job.frees.iter();
            let here = frees.filter(|free| free.resource == take.resource);
            here.map(|free| (heads[*other] + free.at, free.amount))
        });
        head = head.max(reached(parts.collect(), needed));
    }
    for one in tables
        .problem
        .precedences
        .iter()
        .filter(|one| one.after == item && moved[one.before])
    {
        head = head.max(heads[one.before] + tables.problem.items[one.before].job.duration);
    }
    head
}

/// From the end of an item to the end of all: who can only enter after it has left comes after it.
fn tail(tables: &Tables, moved: &[bool], in_the_end: &[u64], tails: &[Time], item: ItemId) -> Time {
    let mut tail = 0;
    let job = &tables.problem.items[item].job;
    for free in job.frees.iter().filter(|free| free.at >= job.duration) {
        let limit = tables.limit(free.resource);
        let needed = (in_the_end[free.resource] + free.amount).saturating_sub(limit);
        if needed == 0 {
            continue;
        }
        let entrants = tables.entrants[free.resource]
            .iter()
            .filter(|other| moved[**other] && **other != item);
        let parts = entrants.flat_map(|other| {
            let job = &tables.problem.items[*other].job;
            let takes = job
                .takes
                .iter()
                .filter(|take| take.resource == free.resource);
            takes.map(|take| (job.duration + tails[*other], take.amount))
        });
        tail = tail.max(reached(parts.collect(), needed));
    }
    tail
}
