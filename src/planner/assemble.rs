//! Intents to a plan: scheduled, every reason to wait an edge, steps in order of their start.

use std::collections::{BTreeMap, BTreeSet};

use super::derive::{Derived, derive};
use super::gates;
use super::intent::Intent;
use super::limits;
use super::room;
use super::schedule::{Schedule, Stuck, schedule};
use super::storages::Storages;
use super::timing;
use super::waits::wait_for_room;
use crate::definition;
use crate::desired::Desired;
use crate::model::{Bytes, Millis, VmName};
use crate::observed::Observed;
use crate::plan::{
    Action, Capacity, Change, DefinitionChange, FORMAT_VERSION, Finding, Move, Plan, Resource,
    Severity, Step, StepId,
};

/// Makes the plan. Moves that never find room become findings, and what depends on them goes with them.
pub(super) fn assemble<'a>(
    desired: &Desired,
    observed: &Observed,
    storages: &Storages<'_>,
    mut intents: Vec<Intent<'a>>,
    changes: Vec<Change>,
    mut findings: Vec<Finding>,
) -> Plan {
    let capacities = room::capacities(desired, observed, storages);
    let slots = limits::slots(desired, observed);
    let (derived, schedule) = loop {
        let derived = derive(&intents);
        let schedule = schedule(&derived, &capacities, &slots);
        let stuck = stuck_vms(&derived, &schedule);
        let too_long = gates::too_long(&intents, &derived, &schedule);
        if stuck.is_empty() && too_long.is_empty() {
            break (derived, schedule);
        }
        findings.extend(too_long.values().cloned());
        for (vm, chain) in &stuck {
            findings.extend(no_room(&intents, vm, chain));
        }
        let keep = |intent: Intent<'a>| {
            if stuck.contains_key(intent.name) || too_long.contains_key(intent.name) {
                intent.finish()
            } else {
                Some(intent)
            }
        };
        intents = intents.into_iter().filter_map(keep).collect();
    };
    let mut steps = ordered(derived, &schedule, &capacities);
    timing::hold(&mut steps, &slots);
    let moves = moves(&intents, &steps);
    findings.sort();
    findings.dedup();
    let makespan = steps.iter().map(Step::end).max();
    let bound = timing::bound(&steps, &slots);
    let used: BTreeSet<&Resource> = steps
        .iter()
        .flat_map(|step| step.takes.iter().chain(&step.frees))
        .map(|(resource, _)| resource)
        .collect();
    let touched: BTreeSet<_> = steps
        .iter()
        .flat_map(|step| step.uses.iter().map(|(slot, _)| slot.clone()))
        .collect();
    Plan {
        format_version: FORMAT_VERSION.into(),
        changes,
        moves,
        findings,
        capacities: capacities
            .into_iter()
            .filter(|capacity| used.contains(&capacity.resource))
            .collect(),
        slots: slots
            .into_iter()
            .filter(|(slot, _)| touched.contains(slot))
            .collect(),
        alternatives: BTreeMap::new(),
        makespan: makespan.unwrap_or_default(),
        bound,
        critical: timing::critical(&steps),
        steps,
    }
}

/// The VMs of chains that cannot begin, each with the reason.
fn stuck_vms<'s>(derived: &Derived, schedule: &'s Schedule) -> BTreeMap<VmName, &'s Stuck> {
    let mut stuck = BTreeMap::new();
    for chain in &schedule.stuck {
        let steps = &derived.chains[chain.chain].steps;
        for step in steps {
            for vm in &derived.steps[*step].vms {
                stuck.entry(vm.clone()).or_insert(chain);
            }
        }
    }
    stuck
}

fn amount(resource: &Resource, value: u64) -> String {
    match resource {
        Resource::Memory(_) | Resource::Pool(..) => Bytes(value).to_string(),
        Resource::Vcpus(_) | Resource::Vms(_) | Resource::Apart(..) => value.to_string(),
    }
}

fn no_room(intents: &[Intent<'_>], vm: &VmName, stuck: &Stuck) -> Vec<Finding> {
    // Intents are in the order of their names.
    let Ok(place) = intents.binary_search_by(|intent| intent.name.cmp(vm)) else {
        return Vec::new();
    };
    let intent = &intents[place];
    let finding = |(resource, needed, left): &(Resource, u64, u64)| {
        let (code, host) = match resource {
            Resource::Pool(host, _) => ("pool-space", host),
            Resource::Apart(_, host) => ("rule-apart", host),
            Resource::Memory(host) | Resource::Vcpus(host) | Resource::Vms(host) => {
                ("capacity", host)
            }
        };
        let (needs, has) = (amount(resource, *needed), amount(resource, *left));
        Finding {
            severity: Severity::Blocks,
            code: code.into(),
            vm: Some(vm.clone()),
            host: Some(host.clone()),
            message: format!(
                "its move from {} to {} needs {needs} ({resource}), and {has} are left once every other move that can be made is made",
                intent.way.from, intent.way.to
            ),
            remedy: format!(
                "make room of {} there, or choose another place",
                amount(resource, needed - left)
            ),
        }
    };
    let mut findings: Vec<Finding> = stuck.short.iter().map(finding).collect();
    if findings.is_empty() {
        findings.push(Finding {
            severity: Severity::Blocks,
            code: "capacity".into(),
            vm: Some(vm.clone()),
            host: Some(intent.way.to.clone()),
            message: format!(
                "no order was found in which its move from {} to {} can begin",
                intent.way.from, intent.way.to
            ),
            remedy: "apply the other moves first, then plan again".into(),
        });
    }
    findings
}

/// Steps in order of their start, renumbered, with an edge for each wait for room.
fn ordered(derived: Derived, schedule: &Schedule, capacities: &[Capacity]) -> Vec<Step> {
    let mut order: Vec<usize> = (0..derived.steps.len()).collect();
    order.sort_by_key(|index| (schedule.starts[*index], *index));
    let mut place = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        place[*old] = new;
    }
    let mut old_steps: Vec<Option<Step>> = derived.steps.into_iter().map(Some).collect();
    let mut steps = Vec::with_capacity(order.len());
    for old in &order {
        let Some(mut step) = old_steps[*old].take() else {
            continue;
        };
        step.start = schedule.starts[*old];
        for dependency in &mut step.after {
            dependency.step = StepId(place[dependency.step.0]);
        }
        steps.push(step);
    }
    wait_for_room(&mut steps, capacities);
    for step in &mut steps {
        step.after.sort();
        step.after.dedup_by_key(|dependency| dependency.step);
    }
    steps
}

fn moves(intents: &[Intent<'_>], steps: &[Step]) -> Vec<Move> {
    let mut of_vm: BTreeMap<&VmName, Vec<StepId>> = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        for vm in &step.vms {
            of_vm.entry(vm).or_default().push(StepId(index));
        }
    }
    let mut moves = Vec::new();
    for intent in intents {
        let ids = of_vm.remove(intent.name).unwrap_or_default();
        let own = || ids.iter().map(|id| &steps[id.0]);
        let start = own().map(|step| step.start).min().unwrap_or_default();
        let end = own().map(Step::end).max().unwrap_or_default();
        moves.push(Move {
            vm: intent.name.clone(),
            kind: intent.kind,
            reason: intent.reason.clone(),
            from: intent.way.from.clone(),
            to: intent.way.to.clone(),
            reboots: intent.shuts_down,
            memory: intent.vm.memory,
            disks: intent.disks.clone(),
            bytes: own().map(|step| step.forecast.bytes).sum(),
            duration: Millis(end.0.saturating_sub(start.0)),
            downtime: downtime(own()),
            definition: definition_change(intent),
            steps: ids.clone(),
        });
    }
    moves.sort_by(|one, other| (one.steps.first(), &one.vm).cmp(&(other.steps.first(), &other.vm)));
    moves
}

/// From the request to shut down to the end of the start, or the pauses of live steps.
fn downtime<'s>(steps: impl Iterator<Item = &'s Step>) -> Millis {
    let mut down_since = None;
    let mut total = Millis::ZERO;
    for step in steps {
        total = total.plus(step.forecast.downtime);
        match (&step.action, down_since) {
            (Action::ShutDown { .. }, None) => down_since = Some(step.start),
            (Action::Start { .. }, Some(since)) => {
                let up = step.end();
                total = total.plus(Millis(up.0.saturating_sub(since.0)));
                down_since = None;
            }
            _ => {}
        }
    }
    total
}

/// What changes in the definition. One that does not allow it was refused before.
fn definition_change(intent: &Intent<'_>) -> Option<DefinitionChange> {
    let before = &intent.detail.inactive_xml;
    if intent.rewrite.is_empty() || before.is_empty() {
        return None;
    }
    let after = definition::rewrite(before, &intent.rewrite).ok()?;
    // A base that is lost stands in the image and not in a persistent definition.
    if after == *before {
        return None;
    }
    Some(DefinitionChange {
        before: definition::without_secrets(before).ok()?,
        after: definition::without_secrets(&after).ok()?,
    })
}
