//! Small random fleets, from their manifests to their plans, against a search through everything that could be done.
//!
//! `DOMICILE_FLEETS=N` tries more of them, and `DOMICILE_FLEET=N` only that one, whose plan is shown then.

#![expect(
    clippy::print_stdout,
    reason = "how often what came about, and the plan of the one fleet that is asked for"
)]

mod claims;
#[path = "../../seeds/dice.rs"]
mod dice;
mod search;
mod sketch;
mod write;

use std::collections::BTreeSet;

use domicile::plan::{MoveKind, Plan, Severity};
use domicile::render::{Style, text};

use super::carried_out::carry_out;
use claims::{Claim, claims, wrong};
use search::{Stand, World};
use sketch::{Method, Sketch};
use write::{host_number, manifest, vm_number};

/// How many fleets are tried where nobody says.
const FLEETS: u64 = 1000;

/// How often each of what can come of a fleet came of one.
#[derive(Debug, Default)]
struct Tally {
    possible: usize,
    impossible: usize,
    /// Some move and others are refused.
    partly: usize,
    detoured: usize,
    stopped: usize,
    carried_out: usize,
    /// What refusals tell: that room is short, that VMs wait for each other or for the same, how much more would do.
    short: usize,
    circles: usize,
    crowds: usize,
    relieved: usize,
}

/// What is asked for in a fleet, and what came of it.
struct Outcome<'a> {
    world: World<'a>,
    plan: Plan,
    /// Those that are not where they shall be and that no rule keeps there.
    wanted: BTreeSet<usize>,
    /// Those of them that are refused for want of room.
    stuck: BTreeSet<usize>,
}

impl Outcome<'_> {
    fn moved(&self) -> BTreeSet<usize> {
        self.wanted.difference(&self.stuck).copied().collect()
    }

    /// How many guests reboot though the manifest leaves it open how they move.
    fn stops(&self) -> usize {
        let method = |name: &str| self.world.sketch.vms[vm_number(name)].method;
        let moves = self.plan.moves.iter();
        let cold = moves.filter(|one| one.kind == MoveKind::Cold);
        cold.filter(|one| method(one.vm.as_str()) == Method::Auto)
            .count()
    }
}

/// Refused are exactly those that the manifest's rules forbid, and those that are said to find no room.
fn outcome(sketch: &Sketch) -> Outcome<'_> {
    let world = World::of(sketch);
    let plan = write::fleet(sketch).plan();
    let forbidden = world.forbidden();
    let refused = plan.refused();
    let refused: BTreeSet<usize> = refused.iter().map(|vm| vm_number(vm.as_str())).collect();
    assert!(forbidden.is_subset(&refused));
    let wanted: BTreeSet<usize> = world.wanted().difference(&forbidden).copied().collect();
    let stuck: BTreeSet<usize> = refused.difference(&forbidden).copied().collect();
    let of_room = ["capacity", "pool-space", "rule-apart"];
    let findings = plan.findings.iter();
    for finding in findings.filter(|one| one.severity == Severity::Blocks) {
        let vm = vm_number(finding.vm.as_ref().unwrap().as_str());
        assert!(forbidden.contains(&vm) || of_room.contains(&finding.code.as_str()));
    }
    Outcome {
        world,
        plan,
        wanted,
        stuck,
    }
}

/// Nobody is refused who could move, whoever else is left out of those refused; and no guest reboots that need not.
fn as_many_as_can_be_move(outcome: &Outcome<'_>, tally: &mut Tally) {
    let (world, moved) = (&outcome.world, outcome.moved());
    assert_eq!(
        world.fewest_stops(&moved),
        Some(outcome.stops()),
        "stops of {moved:?}"
    );
    let stuck: Vec<usize> = outcome.stuck.iter().copied().collect();
    for choice in 1..1_usize << stuck.len() {
        let more = stuck.iter().enumerate();
        let more = more.filter(|(bit, _)| choice >> bit & 1 == 1);
        let mut all = moved.clone();
        all.extend(more.map(|(_, vm)| *vm));
        assert_eq!(world.fewest_stops(&all), None, "{all:?} could move");
    }
    tally.possible += usize::from(stuck.is_empty() && !moved.is_empty());
    tally.impossible += usize::from(!stuck.is_empty());
    tally.partly += usize::from(!stuck.is_empty() && !moved.is_empty());
    tally.detoured += usize::from(outcome.plan.totals().detours > 0);
    tally.stopped += usize::from(outcome.stops() > 0);
}

/// What is told of each that finds no room is so.
fn refusals_are_true(outcome: &Outcome<'_>, tally: &mut Tally) {
    let claims = claims(&outcome.world, &outcome.plan);
    let told: BTreeSet<usize> = claims.iter().map(|claim| claim.vm).collect();
    assert_eq!(told, outcome.stuck);
    // So few are looked through to the end.
    assert!(claims.iter().all(|claim| claim.no_order != Some(false)));
    let wrong = wrong(&outcome.world, &outcome.moved(), &claims);
    assert_eq!(wrong, Vec::<String>::new());
    let any = |what: fn(&Claim) -> bool| usize::from(claims.iter().any(what));
    tally.short += any(|claim| claim.short.is_some());
    tally.circles += any(|claim| claim.waits);
    tally.crowds += any(|claim| !claim.waits && !claim.group.is_empty());
    tally.relieved += any(|claim| claim.relief.is_some());
}

/// Another host that would do has the room now, and one that is said to be full has not.
fn other_hosts_are_told_truly(outcome: &Outcome<'_>) {
    for (vm, others) in &outcome.plan.alternatives {
        for other in others {
            let mut sketch = outcome.world.sketch.clone();
            let vm = vm_number(vm.as_str());
            sketch.vms[vm].goal = Some(host_number(other.host.as_str()));
            let world = World::of(&sketch);
            let has_room = world.lacks(&world.start(), vm, Stand::Goal).is_empty();
            let is_full = other.why.starts_with("capacity");
            assert!(if is_full {
                !has_room
            } else {
                has_room || other.fits.is_none()
            });
        }
    }
}

/// A plan for all in which somebody goes another way than straight does on hosts in memory what it says. These take
/// nobody, not even one that is off, where more memory is given to VMs than there is.
fn unusual_plans_are_carried_out(sketch: &Sketch, outcome: &Outcome<'_>, tally: &mut Tally) {
    let totals = outcome.plan.totals();
    let is_unusual = totals.detours + totals.reboots > 0;
    if is_unusual && !outcome.plan.is_blocked() && !outcome.world.is_overfull() {
        carry_out(write::fleet(sketch));
        tally.carried_out += 1;
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap())
}

#[test]
fn small_fleets_get_the_plans_and_the_refusals_that_a_search_through_everything_proves_right() {
    let only = number("DOMICILE_FLEET");
    let seeds = match only {
        Some(seed) => seed..seed + 1,
        None => 0..number("DOMICILE_FLEETS").unwrap_or(FLEETS),
    };
    let mut tally = Tally::default();
    for seed in seeds.clone() {
        let sketch = Sketch::of(seed);
        let check = || {
            let outcome = outcome(&sketch);
            if only.is_some() {
                println!("{}", text::plan(&outcome.plan, &Style::plain(110)));
            }
            as_many_as_can_be_move(&outcome, &mut tally);
            refusals_are_true(&outcome, &mut tally);
            other_hosts_are_told_truly(&outcome);
            unusual_plans_are_carried_out(&sketch, &outcome, &mut tally);
        };
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
        assert!(
            checked.is_ok(),
            "DOMICILE_FLEET={seed}: {}\n{sketch:?}",
            manifest(&sketch)
        );
    }
    if only.is_none() {
        println!("{tally:?}");
        let tried = usize::try_from(seeds.end).unwrap();
        let enough = [
            (tally.possible, 3),
            (tally.impossible, 4),
            (tally.partly, 10),
            (tally.detoured, 25),
            (tally.stopped, 40),
            (tally.carried_out, 15),
            (tally.short, 5),
            (tally.circles, 20),
            (tally.crowds, 100),
            (tally.relieved, 20),
        ];
        let is_enough = |(count, of): &(usize, usize)| count * of >= tried;
        assert!(enough.iter().all(is_enough), "{tally:?} of {tried}");
    }
}
