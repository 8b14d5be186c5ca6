//! Scheduled chains to a plan: every reason to wait an edge, steps in order of their start.

use std::collections::{BTreeMap, BTreeSet};

use super::derive::Derived;
use super::intent::{Intent, Transfer};
use super::schedule::Schedule;
use super::timing;
use super::waits::wait_for_room;
use crate::definition;
use crate::model::{Calibration, Millis, VmName};
use crate::plan::{
    Action, Capacity, Change, DefinitionChange, FORMAT_VERSION, Finding, Move, Plan, Resource,
    Slot, Step, StepId,
};

/// What a plan is put together from, besides its moves.
pub(super) struct Parts<'p> {
    pub(super) capacities: &'p [Capacity],
    pub(super) slots: &'p BTreeMap<Slot, u64>,
    pub(super) changes: &'p [Change],
    pub(super) findings: &'p [Finding],
    pub(super) calibration: Calibration,
}

/// Puts the plan together; `told` are findings of ways that were chosen since.
pub(super) fn assemble(
    intents: &[Intent<'_>],
    derived: Derived,
    schedule: &Schedule,
    parts: &Parts<'_>,
    told: Vec<Finding>,
) -> Plan {
    let mut findings = parts.findings.to_vec();
    findings.extend(told);
    let (mut steps, chains) = ordered(derived, schedule, parts.capacities);
    timing::hold(&mut steps, parts.slots);
    let moves = moves(intents, &steps, &chains);
    findings.sort();
    findings.dedup();
    let makespan = steps.iter().map(Step::end).max();
    let bound = timing::bound(&steps, parts.slots);
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
        changes: parts.changes.to_vec(),
        moves,
        findings,
        capacities: parts
            .capacities
            .iter()
            .filter(|capacity| used.contains(&capacity.resource))
            .cloned()
            .collect(),
        slots: parts
            .slots
            .iter()
            .filter(|(slot, _)| touched.contains(*slot))
            .map(|(slot, limit)| (slot.clone(), *limit))
            .collect(),
        alternatives: BTreeMap::new(),
        calibration: parts.calibration,
        makespan: makespan.unwrap_or_default(),
        bound,
        critical: timing::critical(&steps),
        steps,
    }
}

/// Steps in order of their start, renumbered, with an edge for each wait for room; and the steps of each VM's chains,
/// which stand in the order of the intents.
fn ordered(
    derived: Derived,
    schedule: &Schedule,
    capacities: &[Capacity],
) -> (Vec<Step>, Vec<Vec<StepId>>) {
    let mut order: Vec<usize> = (0..derived.steps.len()).collect();
    order.sort_by_key(|index| (schedule.starts[*index], *index));
    let mut place = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        place[*old] = new;
    }
    let of_vms = derived.chains.iter().filter(|chain| chain.vm.is_some());
    let chains = of_vms.map(|chain| {
        let steps = chain.steps.iter();
        steps.map(|step| StepId(place[*step])).collect()
    });
    let chains: Vec<Vec<StepId>> = chains.collect();
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
    (steps, chains)
}

fn moves(intents: &[Intent<'_>], steps: &[Step], chains: &[Vec<StepId>]) -> Vec<Move> {
    // Steps that several moves share, such as a base's, belong to each of them; no detour has any.
    let mut shared: BTreeMap<&VmName, Vec<StepId>> = BTreeMap::new();
    let in_chains: BTreeSet<&StepId> = chains.iter().flatten().collect();
    for (index, step) in steps.iter().enumerate() {
        for vm in step
            .vms
            .iter()
            .filter(|_| !in_chains.contains(&StepId(index)))
        {
            shared.entry(vm).or_default().push(StepId(index));
        }
    }
    let mut moves = Vec::new();
    for (intent, chain) in intents.iter().zip(chains) {
        let mut ids = shared.remove(intent.name).unwrap_or_default();
        ids.extend(chain);
        ids.sort_unstable();
        let own = || ids.iter().map(|id| &steps[id.0]);
        let start = own().map(|step| step.start).min().unwrap_or_default();
        let end = own().map(Step::end).max().unwrap_or_default();
        // What an earlier apply left is put in order, and it ends where it is, wherever it is wanted.
        let stays = intent.transfer == Transfer::Nothing;
        moves.push(Move {
            vm: intent.name.clone(),
            kind: intent.kind,
            reason: intent.reason.clone(),
            from: intent.way.from.clone(),
            to: if stays {
                intent.way.from
            } else {
                intent.way.to
            }
            .clone(),
            reboots: intent.shuts_down,
            memory: intent.vm.memory,
            disks: intent.disks.clone(),
            bytes: own().map(|step| step.forecast.bytes).sum(),
            duration: Millis(end.0.saturating_sub(start.0)),
            downtime: downtime(own()),
            definition: definition_change(intent),
            detour: intent.detour.clone(),
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
