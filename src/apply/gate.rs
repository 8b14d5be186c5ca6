//! How many moves may be under way before their transfer: for each slot one more than fit in it at once.
//!
//! Without it every move of a plan would be marked and get its volumes at once, and an apply that is stopped early
//! would leave all of them to be cleaned up. With one in reserve no slot waits for a preparation.

use std::collections::BTreeMap;

use crate::plan::{Plan, Slot, StepId};

/// A move's way through the slots.
#[derive(Debug)]
struct Passage<'p> {
    /// Each slot with the most that one of its transfers uses.
    slots: BTreeMap<&'p Slot, u64>,
    last_transfer: usize,
}

/// Which moves have begun and not yet made their transfer.
#[derive(Debug)]
pub(super) struct Gate<'p> {
    plan: &'p Plan,
    /// By the move's first step.
    passages: BTreeMap<usize, Passage<'p>>,
    /// First step by last transfer.
    leaving: BTreeMap<usize, usize>,
    inside: BTreeMap<&'p Slot, u64>,
}

impl<'p> Gate<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        let mut gate = Self {
            plan,
            passages: BTreeMap::new(),
            leaving: BTreeMap::new(),
            inside: BTreeMap::new(),
        };
        for a_move in &plan.moves {
            let step = |id: &StepId| plan.steps.get(id.0);
            let own = |id: &&StepId| step(id).is_some_and(|step| step.vms.len() == 1);
            let ids: Vec<&StepId> = a_move.steps.iter().filter(own).collect();
            let uses = |id: &&&StepId| step(id).is_some_and(|step| !step.uses.is_empty());
            let transfers: Vec<_> = ids.iter().filter(uses).collect();
            if let (Some(first), Some(last)) = (ids.first(), transfers.last()) {
                let mut slots: BTreeMap<&Slot, u64> = BTreeMap::new();
                let uses = transfers.iter().filter_map(|id| step(id));
                for (slot, amount) in uses.flat_map(|step| &step.uses) {
                    let most = slots.entry(slot).or_default();
                    *most = (*most).max(*amount);
                }
                let passage = Passage {
                    slots,
                    last_transfer: last.0,
                };
                gate.leaving.insert(last.0, first.0);
                gate.passages.insert(first.0, passage);
            }
        }
        gate
    }

    /// Whether a step may start as far as the gate has to do with it: it is no move's first, or there is a place.
    pub(super) fn is_open(&self, step: usize) -> bool {
        let Some(passage) = self.passages.get(&step) else {
            return true;
        };
        passage.slots.iter().all(|(slot, amount)| {
            let limit = self.plan.slots.get(slot).copied().unwrap_or(*amount);
            self.inside.get(slot).copied().unwrap_or(0) <= limit
        })
    }

    /// Takes note that a step starts.
    pub(super) fn begin(&mut self, step: usize) {
        if let Some(passage) = self.passages.get(&step) {
            for (slot, amount) in &passage.slots {
                let inside = self.inside.entry(slot).or_default();
                *inside = inside.saturating_add(*amount);
            }
        }
    }

    /// Takes note that a step is done, has failed or will not run. A move whose transfer is over makes room; so does
    /// one whose transfer will never be, but only if it had begun.
    pub(super) fn end(&mut self, step: usize, has_begun: impl Fn(usize) -> bool) {
        let Some(first) = self.leaving.get(&step).copied() else {
            return;
        };
        let Some(passage) = self.passages.get(&first) else {
            return;
        };
        if has_begun(first) && self.leaving.remove(&passage.last_transfer).is_some() {
            for (slot, amount) in &passage.slots {
                if let Some(inside) = self.inside.get_mut(slot) {
                    *inside = inside.saturating_sub(*amount);
                }
            }
        }
    }
}
