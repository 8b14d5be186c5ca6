//! Changes of a plan's shape that keep its numbers right.

use std::collections::BTreeSet;

use domicile::model::{Millis, VmName};
use domicile::plan::{Action, Bound, Dependency, Plan, Step, StepId, Why};
use serde_json::Value;

use crate::dice::Dice;

/// Gives every step its time after the one before it. So no mutant is refused for a forecast that does not fit any
/// more, and only what it means counts.
pub(super) fn one_after_the_other(plan: &mut Plan) {
    let mut now = Millis::ZERO;
    for step in &mut plan.steps {
        step.held = None;
        step.start = now;
        now = step.end();
    }
    plan.makespan = now;
    plan.bound = Bound::default();
    plan.critical.clear();
    let Plan { moves, steps, .. } = plan;
    for one in moves {
        let own = || one.steps.iter().map(|id| &steps[id.0]);
        let start = own().map(|step| step.start).min().unwrap_or_default();
        let end = own().map(Step::end).max().unwrap_or_default();
        one.duration = Millis(end.0.saturating_sub(start.0));
        let stop = own().find(|step| matches!(step.action, Action::ShutDown { .. }));
        let up = own().find(|step| matches!(step.action, Action::Start { .. }));
        if let (Some(stop), Some(up)) = (stop, up)
            && one.downtime > Millis::ZERO
        {
            let pauses: u64 = own().map(|step| step.forecast.downtime.0).sum();
            one.downtime = Millis(pauses + up.end().0.saturating_sub(stop.start.0));
        }
    }
}

/// The steps and what each waits for.
pub(super) fn in_words(plan: &Plan) -> String {
    let lines = plan.steps.iter().enumerate().map(|(index, step)| {
        let after: Vec<String> = step
            .after
            .iter()
            .map(|wait| format!("{} {:?}", wait.step, wait.why))
            .collect();
        format!(
            "  {}: {} [{}] takes {:?} frees {:?}\n",
            StepId(index),
            step.action,
            after.join(", "),
            step.takes,
            step.frees
        )
    });
    lines.collect()
}

/// Some step for which this holds.
pub(super) fn any(plan: &Plan, dice: &mut Dice, holds: impl Fn(&Step) -> bool) -> Option<usize> {
    let all: Vec<usize> = (0..plan.steps.len())
        .filter(|index| holds(&plan.steps[*index]))
        .collect();
    (!all.is_empty()).then(|| *dice.one_of(&all))
}

/// What becomes of a step's waits and room when it goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Heirs {
    /// They go with it.
    None,
    /// Who waited for it waits for what it waited for, and the next act on the VM takes what it took.
    Next,
}

/// Takes steps out.
pub(super) fn remove(plan: &mut Plan, gone: &BTreeSet<usize>, heirs: Heirs) {
    for at in gone.iter().rev().copied() {
        let dead = plan.steps.remove(at);
        let waits = |step: &Step| step.after.iter().any(|wait| wait.step.0 == at);
        if heirs == Heirs::Next {
            let next = plan.steps.iter_mut().skip(at);
            let mut next = next.filter(|step| step.vms == dead.vms && waits(step));
            if let Some(heir) = next.next() {
                heir.takes.extend(dead.takes.iter().cloned());
            }
        }
        for step in &mut plan.steps {
            let waited = waits(step);
            step.after.retain(|wait| wait.step.0 != at);
            for wait in &mut step.after {
                wait.step.0 -= usize::from(wait.step.0 > at);
            }
            if waited && heirs == Heirs::Next {
                step.after.extend(dead.after.iter().copied());
            }
            tidy(&mut step.after);
        }
        for one in &mut plan.moves {
            one.steps.retain(|id| id.0 != at);
            for id in &mut one.steps {
                id.0 -= usize::from(id.0 > at);
            }
        }
    }
}

fn tidy(after: &mut Vec<Dependency>) {
    after.sort();
    after.dedup_by_key(|wait| wait.step);
}

/// Does a step a second time, between it and what waits for it.
pub(super) fn repeat(plan: &mut Plan, at: usize) {
    let new = at + 1;
    let mut again = plan.steps[at].clone();
    (again.takes, again.frees) = (Vec::new(), Vec::new());
    again.after = vec![Dependency {
        step: StepId(at),
        why: Why::SameVm,
    }];
    for step in plan.steps.iter_mut().skip(new) {
        let mut more = Vec::new();
        for wait in &mut step.after {
            if wait.step.0 == at {
                more.push(Dependency {
                    step: StepId(new),
                    why: wait.why,
                });
            } else if wait.step.0 > at {
                wait.step.0 += 1;
            }
        }
        step.after.extend(more);
        tidy(&mut step.after);
    }
    for one in &mut plan.moves {
        let own = one.steps.contains(&StepId(at));
        for id in &mut one.steps {
            id.0 += usize::from(id.0 > at);
        }
        if own {
            one.steps.push(StepId(new));
            one.steps.sort();
        }
    }
    plan.steps.insert(new, again);
}

/// Exchanges what two steps do; when each is done and what it waits for stay.
pub(super) fn exchange(plan: &mut Plan, one: usize, other: usize) {
    let (first, second) = (plan.steps[one].clone(), plan.steps[other].clone());
    let put = |plan: &mut Plan, at: usize, new: Step| {
        let after = std::mem::take(&mut plan.steps[at].after);
        plan.steps[at] = Step { after, ..new };
    };
    put(plan, one, second);
    put(plan, other, first);
    for each in &mut plan.moves {
        for id in &mut each.steps {
            id.0 = match id.0 {
                at if at == one => other,
                at if at == other => one,
                at => at,
            };
        }
        each.steps.sort();
    }
}

/// The VM's own steps in their order.
pub(super) fn own_steps(plan: &Plan, vm: &VmName) -> Vec<usize> {
    let own = plan.steps.iter().enumerate();
    own.filter(|(_, step)| step.vms == [vm.clone()])
        .map(|(index, _)| index)
        .collect()
}

/// The same with every name of one thing replaced by another, also in the names of slots.
pub(super) fn renamed<T>(of: &T, from: &str, to: &str) -> Option<T>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    let mut value = serde_json::to_value(of).ok()?;
    rename(&mut value, from, to);
    serde_json::from_value(value).ok()
}

fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) => {
            let is_slot = ["out:", "in:", "link:", "upload:", "download:"]
                .iter()
                .any(|slot| text.starts_with(slot));
            if text == from {
                to.clone_into(text);
            } else if is_slot && text.split([':', '/']).any(|part| part == from) {
                *text = text.replace(from, to);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|value| rename(value, from, to)),
        Value::Object(all) => all.values_mut().for_each(|value| rename(value, from, to)),
        _ => {}
    }
}

/// Orders every step's waits and drops those for steps that do not come before it.
pub(super) fn tidy_all(plan: &mut Plan) {
    for (index, step) in plan.steps.iter_mut().enumerate() {
        step.after.retain(|wait| wait.step.0 < index);
        tidy(&mut step.after);
    }
}
