//! Whose turn a slot is: a transfer lets one go first that is earlier by the forecast and only waits for short steps,
//! such as marks, that run already.
//!
//! Several moves are prepared for a slot at once ([`super::gate`]), and whose preparation ends first is a matter of
//! milliseconds. What waits for room waits for the one that the plan has chosen to go first. If another takes the slot
//! before that one, all who wait for its room wait for a whole transfer more.

use std::collections::BTreeSet;

use crate::model::Millis;
use crate::plan::{Plan, Step, StepId};

/// A preparation takes no longer than this by the forecast. A guest's shutdown takes longer, and is not waited for.
const SHORT: Millis = Millis::from_secs(1);
/// So long a running preparation is waited for. Where it takes longer, its host is slow or does not answer, and nobody
/// else is to wait for that.
const PATIENCE: Millis = Millis::from_secs(3);

/// Whether a running step is still waited for by others that could take the slot of what follows it.
pub(super) fn is_waited_for(runs_for: Millis) -> bool {
    runs_for <= PATIENCE
}

fn is_preparation(step: &Step) -> bool {
    step.uses.is_empty() && step.forecast.duration < SHORT
}

/// The transfers that can start as soon as preparations have ended that run now: these are `running`, without those
/// that nobody waits for any more.
pub(super) fn coming(
    plan: &Plan,
    running: impl Iterator<Item = usize>,
    dependents: &[Vec<usize>],
    is_waiting: impl Fn(usize) -> bool,
    is_done: impl Fn(usize) -> bool,
) -> BTreeSet<usize> {
    let mut open: Vec<usize> = running
        .filter(|index| is_preparation(&plan.steps[*index]))
        .collect();
    let mut soon: BTreeSet<usize> = open.iter().copied().collect();
    let mut coming = BTreeSet::new();
    while let Some(index) = open.pop() {
        for next in dependents[index]
            .iter()
            .copied()
            .filter(|it| is_waiting(*it))
        {
            let step = &plan.steps[next];
            let met = |StepId(before): StepId| is_done(before) || soon.contains(&before);
            if !step.after.iter().all(|dependency| met(dependency.step)) {
                continue;
            }
            if !step.uses.is_empty() {
                coming.insert(next);
            } else if is_preparation(step) && soon.insert(next) {
                open.push(next);
            }
        }
    }
    coming
}
