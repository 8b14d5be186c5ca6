//! Intents to a plan: which way each VM goes, in which order, and what is told of those that cannot go.
//!
//! The solver sees chains of steps as jobs and knows nothing of VMs. Here its answer becomes intents again: a detour is
//! two of them, a stop another one, and what it could not place a finding. Whatever it decided is decided again by the
//! rules before it counts: a second half that they refuse closes that detour, and the solver is asked anew.

use std::collections::{BTreeMap, BTreeSet};

use super::after::after;
use super::assemble::{self, Parts};
use super::choose::{Decision, decide};
use super::derive::{Derived, derive};
use super::detour::{Detours, World, way_out, with_a_stop};
use super::difference::Index;
use super::gates;
use super::intent::{Intent, Transfer};
use super::limits;
use super::no_room::{makes_way, no_order, no_room};
use super::problem::{Numbers, begun_first, left, problem, steps_of, takes, waits_for, whole};
use super::rank::Rank;
use super::room;
use super::schedule::schedule;
use super::solver::{self, Limits, Outcome, Solution, Way};
use crate::desired;
use crate::model::{HostName, Millis, VmName};
use crate::plan::{
    Action, Capacity, Change, Detour, Finding, Half, MoveKind, Plan, Severity, Slot,
};

/// Work units of the solver for a millisecond of planning time, on a machine of 2024.
const WORK_PER_MILLISECOND: u64 = 5_000;
/// Planning time where nobody names another.
const PLAN_TIME: Millis = Millis::from_secs(5);
/// The search goes on for so much work for each pair of moves, and for each move: a few have few orders.
const WORK_PER_PAIR: u64 = 2_000;
const WORK_PER_MOVE: u64 = 40_000;
/// So many VMs are looked at for one that may be in the way of another.
const COMPETITORS_MAX: usize = 16;
/// How often the solver is asked anew because a way turned out to be closed; after that nobody takes a detour.
const ROUNDS_MAX: usize = 8;

/// What the solver is asked about.
#[derive(Clone, Copy)]
struct Question<'q> {
    derived: &'q Derived,
    capacities: &'q [Capacity],
    slots: &'q BTreeMap<Slot, u64>,
    closed: &'q BTreeSet<(VmName, HostName)>,
    detours: bool,
}

/// The solver's answer, by names.
#[derive(Debug, Default)]
struct Routes {
    via: BTreeMap<VmName, HostName>,
    stopped: BTreeSet<VmName>,
    hints: BTreeMap<Key, u64>,
}

/// What a hint is about: one job of a VM, or the chain that ends with this act.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Job(VmName, usize),
    Chain(String),
}

/// What was made of the intents so far, and why it will not do.
enum Again {
    /// These detours lead nowhere.
    Closed(Vec<(VmName, HostName)>),
    /// These VMs would be off for longer than they may.
    TooLong(BTreeMap<VmName, Finding>),
    /// These VMs find no room in any order that was tried.
    NoRoom(BTreeSet<VmName>),
}

/// Makes the plan. Moves that never find room become findings, and what depends on them goes with them.
pub(super) fn arrange<'a>(
    world: World<'a>,
    mut intents: Vec<Intent<'a>>,
    changes: &[Change],
    mut findings: Vec<Finding>,
) -> Plan {
    let capacities = room::capacities(world.desired, world.observed, &world.index.storages);
    let slots = limits::slots(world.desired, world.observed);
    let (mut closed, mut refused) = (BTreeSet::new(), BTreeSet::new());
    let mut round = 0;
    loop {
        round += 1;
        let derived = derive(&intents);
        let question = Question {
            derived: &derived,
            capacities: &capacities,
            slots: &slots,
            closed: &closed,
            detours: round <= ROUNDS_MAX,
        };
        let first = ask(world, &intents, &question, 0);
        if let Some((vm, finding)) = in_the_way(world, &intents, &question, &first) {
            findings.push(finding);
            intents = without(intents, &[vm].into(), &mut refused);
            continue;
        }
        if !first.stuck.is_empty() {
            let (stuck, told) = no_room(&intents, &question.derived.chains, &first, &capacities);
            findings.extend(told);
            intents = without(intents, &stuck, &mut refused);
            continue;
        }
        let solution = if first.is_final() {
            first
        } else {
            ask(world, &intents, &question, work(world, intents.len()))
        };
        let routes = routes(world, &question, &solution);
        let parts = Parts {
            capacities: &capacities,
            slots: &slots,
            changes,
            findings: &findings,
            calibration: world.desired.calibration,
        };
        match make(world, &intents, &routes, &parts) {
            Ok(plan) => return plan,
            Err(Again::Closed(ways)) => closed.extend(ways),
            Err(Again::TooLong(too_long)) => {
                findings.extend(too_long.values().cloned());
                let stuck = too_long.into_keys().collect();
                intents = without(intents, &stuck, &mut refused);
            }
            Err(Again::NoRoom(stuck)) => {
                findings.extend(stuck.iter().map(|vm| no_order(&intents, vm)));
                let all = intents.iter().map(|intent| intent.name.clone());
                let stuck = if stuck.is_empty() {
                    all.collect()
                } else {
                    stuck
                };
                intents = without(intents, &stuck, &mut refused);
            }
        }
    }
}

/// A VM without which one that an earlier apply has shut down would find the room to run again; where there is none,
/// one that would take of that room, which then might not be there for the next plan either.
fn in_the_way(
    world: World<'_>,
    intents: &[Intent<'_>],
    question: &Question<'_>,
    solution: &Solution,
) -> Option<(VmName, Finding)> {
    let chains = &question.derived.chains;
    let (down, resource) = waits_for(chains, solution)?;
    let resource = &question.capacities.get(resource)?.resource;
    let all = chains.iter().zip(&solution.outcomes);
    let fresh = all.filter(|(chain, _)| chain.rank == Rank::Fresh);
    let competes = fresh.filter(|(chain, _)| takes(question.derived, chain).contains(resource));
    let mut others = competes.filter_map(|(chain, outcome)| Some((chain.vm.as_ref()?, outcome)));
    let helps = |other: &VmName| {
        let fewer = intents.iter().filter(|intent| intent.name != other);
        let fewer: Vec<Intent<'_>> = fewer.cloned().collect();
        let derived = derive(&fewer);
        let without = Question {
            derived: &derived,
            ..*question
        };
        let solution = ask(world, &fewer, &without, 0);
        waits_for(&derived.chains, &solution).is_none()
    };
    let mut first = others.clone().take(COMPETITORS_MAX);
    let found = first.find(|(other, _)| helps(other));
    let is_moved = |outcome: &Outcome| matches!(outcome, Outcome::Moved { .. });
    let (found, _) = found.or_else(|| others.find(|(_, outcome)| is_moved(outcome)))?;
    let finding = makes_way(intents, found, down);
    Some((found.clone(), finding))
}

/// The intents without those of these VMs; what an earlier apply left of them is put in order all the same, unless that
/// finds no room either.
fn without<'a>(
    intents: Vec<Intent<'a>>,
    stuck: &BTreeSet<VmName>,
    refused: &mut BTreeSet<VmName>,
) -> Vec<Intent<'a>> {
    let keep = |intent: Intent<'a>| {
        if stuck.contains(intent.name) && refused.contains(intent.name) {
            None
        } else if stuck.contains(intent.name) {
            intent.finish()
        } else {
            Some(intent)
        }
    };
    let kept = intents.into_iter().filter_map(keep).collect();
    refused.extend(stuck.iter().cloned());
    kept
}

fn work(world: World<'_>, moves: usize) -> u64 {
    let time = world.desired.gates.plan_time.unwrap_or(PLAN_TIME);
    let moves = u64::try_from(moves).unwrap_or(u64::MAX);
    let pairs = moves.saturating_mul(moves).saturating_mul(WORK_PER_PAIR);
    let each = moves.saturating_mul(WORK_PER_MOVE);
    time.0
        .saturating_mul(WORK_PER_MILLISECOND)
        .min(pairs)
        .min(each)
}

/// Asks the solver. What an earlier apply began goes first where that leaves a way for everybody. Where somebody is
/// left in any case, it is rather one that nothing has been done to: a VM that was stopped must be started.
fn ask(world: World<'_>, intents: &[Intent<'_>], question: &Question<'_>, work: u64) -> Solution {
    let chains = &question.derived.chains;
    let numbers = Numbers::new(question.capacities, question.slots, chains.len());
    let mut of_vm = intents.iter();
    let items = chains.iter().map(|chain| {
        // Chains of VMs stand in the order of their intents.
        let vm = chain.vm.as_ref()?;
        let intent = of_vm.find(|intent| intent.name == vm)?;
        let job = whole(numbers.jobs(&steps_of(question.derived, chain)));
        Some((intent, job))
    });
    let ways = Detours::new(world, &numbers, items.collect(), question.closed);
    let mut problem = problem(
        question.derived,
        &numbers,
        question.capacities,
        question.slots,
    );
    let most = world.desired.gates.max_detours.filter(|_| question.detours);
    let limits = Limits {
        work,
        detours_needed: match (question.detours, most) {
            (false, _) => 0,
            (true, None) => usize::MAX,
            (true, Some(most)) => usize::try_from(most).unwrap_or(usize::MAX),
        },
        ..Limits::of(problem.items.len())
    };
    let straight = problem.precedences.clone();
    problem.precedences.extend(begun_first(question.derived));
    let solution = solver::solve(&problem, &ways, &limits);
    if solution.stuck.is_empty() || problem.precedences == straight {
        return solution;
    }
    problem.precedences = straight;
    let other = solver::solve(&problem, &ways, &limits);
    if left(question.derived, &other) < left(question.derived, &solution) {
        other
    } else {
        solution
    }
}

/// The answer by names.
fn routes(world: World<'_>, question: &Question<'_>, solution: &Solution) -> Routes {
    let mut routes = Routes::default();
    let open: Vec<&HostName> = super::detour::places(world).collect();
    for (chain, outcome) in question.derived.chains.iter().zip(&solution.outcomes) {
        let Outcome::Moved { way, jobs } = outcome else {
            continue;
        };
        let Some(vm) = &chain.vm else {
            let start = jobs.first().map_or(0, |job| job.start);
            routes.hints.insert(key(question.derived, chain), start);
            continue;
        };
        match way {
            Way::Direct => {}
            Way::Detour(place) => {
                routes.via.insert(vm.clone(), open[*place].clone());
            }
            Way::Cold => {
                routes.stopped.insert(vm.clone());
            }
        }
        let starts = jobs.iter().map(|job| job.start).enumerate();
        routes
            .hints
            .extend(starts.map(|(number, start)| (Key::Job(vm.clone(), number), start)));
    }
    routes
}

fn key(derived: &Derived, chain: &super::derive::Chain) -> Key {
    let last = chain.steps.last().map(|step| &derived.steps[*step].action);
    Key::Chain(last.map(Action::to_string).unwrap_or_default())
}

/// The hint of every step: the start of its job.
fn hints(derived: &Derived, routes: &Routes) -> Vec<u64> {
    let mut hints = vec![0; derived.steps.len()];
    let mut jobs: BTreeMap<&VmName, usize> = BTreeMap::new();
    for chain in &derived.chains {
        let Some(vm) = &chain.vm else {
            let hint = routes.hints.get(&key(derived, chain)).copied();
            for step in &chain.steps {
                hints[*step] = hint.unwrap_or(0);
            }
            continue;
        };
        for (place, step) in chain.steps.iter().enumerate() {
            let begins = place == 0 || !derived.steps[*step].takes.is_empty();
            let number = jobs.entry(vm).or_insert(0);
            *number += usize::from(begins);
            let job = Key::Job(vm.clone(), number.saturating_sub(1));
            hints[*step] = routes.hints.get(&job).copied().unwrap_or(0);
        }
    }
    hints
}

/// The plan with these routes.
fn make(
    world: World<'_>,
    intents: &[Intent<'_>],
    routes: &Routes,
    parts: &Parts<'_>,
) -> Result<Plan, Again> {
    let demands = demands(world, intents, routes);
    let firsts = firsts(world, intents, &demands);
    let outs: Vec<&Intent<'_>> = firsts
        .iter()
        .filter(|(vm, _)| routes.via.contains_key(**vm))
        .filter_map(|(_, decision)| decision.intent.as_ref())
        .collect();
    let later = (!outs.is_empty()).then(|| after(world.observed, &outs));
    let later_index = later
        .as_ref()
        .map(|observed| Index::of(world.desired, observed));
    let then = World {
        observed: later.as_ref().unwrap_or(world.observed),
        index: later_index.as_ref().unwrap_or(world.index),
        ..world
    };
    let (all, told) = all_ways(then, intents, firsts, routes)?;
    let derived = derive(&all);
    let order = hints(&derived, routes);
    let mut found = schedule(&derived, parts.capacities, parts.slots, Some(&order));
    if found.is_stuck {
        found = schedule(&derived, parts.capacities, parts.slots, None);
    }
    if found.is_stuck && routes.via.is_empty() {
        let steps = found.without_room.iter().map(|step| &derived.steps[*step]);
        let stuck: BTreeSet<VmName> = steps.flat_map(|step| step.vms.iter().cloned()).collect();
        return Err(Again::NoRoom(stuck));
    }
    if found.is_stuck {
        // The halves of detours can differ from what the solver was told of them.
        let ways = routes.via.iter();
        return Err(Again::Closed(
            ways.map(|(vm, via)| (vm.clone(), via.clone())).collect(),
        ));
    }
    let too_long = gates::too_long(&all, &derived, &found);
    if !too_long.is_empty() {
        return Err(Again::TooLong(too_long));
    }
    Ok(assemble::assemble(&all, derived, &found, parts, told))
}

/// What is decided of each VM that does not go straight, for its first move.
fn firsts<'w>(
    world: World<'w>,
    intents: &[Intent<'w>],
    demands: &'w BTreeMap<&'w VmName, desired::Vm>,
) -> BTreeMap<&'w VmName, Decision<'w>> {
    let decided = intents.iter().filter_map(|intent| {
        let there = demands.get(intent.name)?;
        let decision = decide(
            world.desired,
            world.observed,
            world.paused,
            world.index,
            intent.name,
            there,
        );
        Some((intent.name, decision))
    });
    decided.collect()
}

/// The intents of all ways, in the order of those that go straight, and what the rules say of the others.
fn all_ways<'w>(
    then: World<'w>,
    intents: &[Intent<'w>],
    mut firsts: BTreeMap<&'w VmName, Decision<'w>>,
    routes: &Routes,
) -> Result<(Vec<Intent<'w>>, Vec<Finding>), Again> {
    let (mut all, mut told, mut closed) = (Vec::new(), Vec::new(), Vec::new());
    for intent in intents {
        let Some(first) = firsts.remove(intent.name) else {
            all.push(intent.clone());
            continue;
        };
        let Some(via) = routes.via.get(intent.name) else {
            told.extend(first.findings);
            all.extend(first.intent.map(|stopped| handing_over(stopped, intent)));
            continue;
        };
        match halves(then, intent, first, via) {
            Some((halves, findings)) => {
                all.extend(halves);
                told.extend(findings);
            }
            None => closed.push((intent.name.clone(), via.clone())),
        }
    }
    if closed.is_empty() {
        Ok((all, told))
    } else {
        Err(Again::Closed(closed))
    }
}

/// What is demanded of VMs that do not go straight.
fn demands<'i>(
    world: World<'_>,
    intents: &'i [Intent<'_>],
    routes: &Routes,
) -> BTreeMap<&'i VmName, desired::Vm> {
    let demand = |intent: &'i Intent<'_>| {
        let same = |_: &Intent<'_>, there: &desired::Vm| there.clone();
        let there = match routes.via.get(intent.name) {
            Some(via) => way_out(world, intent, via, same),
            None if routes.stopped.contains(intent.name) => with_a_stop(world, intent, same),
            None => None,
        };
        Some((intent.name, there?))
    };
    intents.iter().filter_map(demand).collect()
}

/// Both halves of a detour with what the rules say of them; `None` where they refuse the second.
fn halves<'w>(
    then: World<'w>,
    straight: &Intent<'w>,
    first: Decision<'w>,
    via: &HostName,
) -> Option<([Intent<'w>; 2], Vec<Finding>)> {
    let second = decide(
        then.desired,
        then.observed,
        then.paused,
        then.index,
        straight.name,
        straight.way.wanted,
    );
    if second.is_blocked() {
        return None;
    }
    let (mut out, mut on) = (first.intent?, second.intent?);
    let goes_on = on.kind == MoveKind::Live && on.transfer == Transfer::Live;
    if !goes_on || on.way.from != via {
        return None;
    }
    let (from, to) = (straight.way.from, straight.way.to);
    let half = |half| {
        Some(Detour {
            half,
            from: from.clone(),
            to: to.clone(),
        })
    };
    (out.detour, on.detour) = (half(Half::First), half(Half::Second));
    out.reason = format!("on its way from {from} to {to} it waits on {via} for room");
    on.reason = format!("it waited on {via} on its way from {from} to {to}");
    let mut findings = first.findings;
    findings.extend(second.findings);
    findings.push(Finding {
        severity: Severity::Note,
        code: "detour".into(),
        vm: Some(straight.name.clone()),
        host: Some(via.clone()),
        message: format!(
            "it moves from {from} to {to} by way of {via}: straight it would wait for room, or others for it"
        ),
        remedy: format!(
            "make room on {to}, or forbid it: `allow_detour: false` at vms.{}.migration, `--max-detours 0`",
            straight.name
        ),
    });
    Some(([out, on], findings))
}

/// A stop because nobody could move otherwise.
fn handing_over<'w>(mut stopped: Intent<'w>, straight: &Intent<'_>) -> Intent<'w> {
    stopped.transfer = Transfer::Stream;
    stopped.hands_over = true;
    stopped.reason = format!(
        "capacity: without a stop there is no order in which it gets from {} to {}",
        straight.way.from, straight.way.to
    );
    stopped
}
