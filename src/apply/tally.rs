//! What came of an apply so far: when steps began and ended, which moves are complete, how long guests stood still.

use std::collections::{BTreeMap, BTreeSet};

use super::board::Board;
use super::event::{Happening, Summary};
use crate::hypervisor::Outcome;
use crate::model::{Bytes, Millis, VmName};
use crate::plan::{Action, Move, Plan, StepId};

#[derive(Debug)]
pub(super) struct Tally<'p> {
    plan: &'p Plan,
    began: BTreeMap<StepId, Millis>,
    ended: BTreeMap<StepId, Millis>,
    /// Downtime as performers measured it.
    measured: BTreeMap<StepId, Millis>,
    complete: BTreeSet<usize>,
    bytes: Bytes,
    saved: Bytes,
    failed: BTreeSet<VmName>,
    restored: BTreeSet<VmName>,
    stranded: BTreeSet<VmName>,
    cancelled: bool,
}

impl<'p> Tally<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        Self {
            plan,
            began: BTreeMap::new(),
            ended: BTreeMap::new(),
            measured: BTreeMap::new(),
            complete: BTreeSet::new(),
            bytes: Bytes::ZERO,
            saved: Bytes::ZERO,
            failed: BTreeSet::new(),
            restored: BTreeSet::new(),
            stranded: BTreeSet::new(),
            cancelled: false,
        }
    }

    pub(super) fn begin(&mut self, id: StepId, at: Millis) {
        self.began.insert(id, at);
    }

    /// How long a step that began has run, or ran.
    pub(super) fn since(&self, id: StepId, at: Millis) -> Millis {
        let began = self.began.get(&id).copied().unwrap_or(at);
        Millis(at.0.saturating_sub(began.0))
    }

    /// Takes note of a step's end and returns the moves that it completes.
    pub(super) fn done(
        &mut self,
        id: StepId,
        at: Millis,
        outcome: &Outcome,
        board: &Board<'_>,
    ) -> Vec<Happening> {
        self.ended.insert(id, at);
        self.bytes = self.bytes.plus(outcome.bytes);
        self.saved = self.saved.plus(outcome.saved);
        // A reboot's downtime is the span from its shutdown to its start, whatever either says of itself.
        let action = &self.plan.steps[id.0].action;
        if !matches!(action, Action::ShutDown { .. } | Action::Start { .. })
            && let Some(downtime) = outcome.downtime
        {
            self.measured.insert(id, downtime);
        }
        let mut news = Vec::new();
        for (index, a_move) in self.plan.moves.iter().enumerate() {
            let complete =
                a_move.steps.contains(&id) && a_move.steps.iter().all(|step| board.is_done(*step));
            if complete && self.complete.insert(index) {
                news.push(Happening::MoveDone {
                    vm: a_move.vm.clone(),
                    took: self.took(a_move, at),
                    downtime_forecast: a_move.downtime,
                    downtime: self.downtime(a_move, board),
                });
            }
        }
        news
    }

    fn took(&self, a_move: &Move, end: Millis) -> Millis {
        let began = a_move
            .steps
            .iter()
            .filter_map(|step| self.began.get(step))
            .min();
        Millis(end.0.saturating_sub(began.map_or(end.0, |began| began.0)))
    }

    fn downtime(&self, a_move: &Move, board: &Board<'_>) -> Option<Millis> {
        let reboots = board.reboots_done(&a_move.steps).filter_map(|reboot| {
            let began = self.began.get(&StepId(reboot.shut_down))?;
            let ended = self.ended.get(&StepId(reboot.start))?;
            Some(Millis(ended.0.saturating_sub(began.0)))
        });
        let measured = a_move
            .steps
            .iter()
            .filter_map(|step| self.measured.get(step))
            .copied();
        let spans: Vec<Millis> = reboots.chain(measured).collect();
        (!spans.is_empty()).then(|| spans.into_iter().sum())
    }

    pub(super) fn failed(&mut self, id: StepId) {
        self.failed
            .extend(self.plan.steps[id.0].vms.iter().cloned());
    }

    pub(super) fn restored(&mut self, vm: &VmName) {
        self.restored.insert(vm.clone());
    }

    pub(super) fn stranded(&mut self, vm: &VmName) {
        self.stranded.insert(vm.clone());
    }

    pub(super) fn cancelled(&mut self) {
        self.cancelled = true;
    }

    pub(super) fn summary(self, took: Millis) -> Summary {
        let (mut moved, mut left) = (BTreeSet::new(), BTreeSet::new());
        for (index, a_move) in self.plan.moves.iter().enumerate() {
            let whole = if self.complete.contains(&index) {
                &mut moved
            } else {
                &mut left
            };
            whole.insert(a_move.vm.clone());
        }
        // A VM with two moves is moved when both are complete, and failed rather than left.
        moved.retain(|vm| !left.contains(vm));
        left.retain(|vm| !self.failed.contains(vm));
        Summary {
            moved: moved.into_iter().collect(),
            failed: self.failed.into_iter().collect(),
            restored: self.restored.into_iter().collect(),
            stranded: self.stranded.into_iter().collect(),
            left: left.into_iter().collect(),
            steps_done: self.ended.len(),
            steps: self.plan.steps.len(),
            bytes: self.bytes,
            saved: self.saved,
            took,
            cancelled: self.cancelled,
        }
    }
}
