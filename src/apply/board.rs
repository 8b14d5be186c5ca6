//! Who may start next: the state of every step of a plan. Knows no threads, no hosts and no clock.

use std::collections::{BTreeMap, BTreeSet};

use super::gate::Gate;
use super::reboot::{Phase, Reboot, reboots_of};
use super::turn;
use crate::hypervisor::Cancel;
use crate::model::{Millis, VmName};
use crate::plan::{Action, Plan, Slot, Step, StepId};

/// How far a step has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Done,
    Failed,
    Skipped,
}

/// A step that will not run, and the one that is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Skip {
    pub(super) step: StepId,
    pub(super) because: StepId,
}

/// A VM that must be brought back now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Restore {
    /// Index of the reboot, for [`Board::restored`].
    pub(super) reboot: usize,
    /// The step to blame; `None` where a person asked to stop.
    pub(super) because: Option<StepId>,
    /// Steps of the VM's move that will not run.
    pub(super) skips: Vec<Skip>,
}

/// The state of every step of a plan.
#[derive(Debug)]
pub(super) struct Board<'p> {
    plan: &'p Plan,
    states: Vec<State>,
    /// For a step that failed or will not run: the one to blame.
    blame: Vec<Option<StepId>>,
    /// Indices in the order in which ready steps are chosen: by forecast start, then by number.
    order: Vec<usize>,
    dependents: Vec<Vec<usize>>,
    used: BTreeMap<&'p Slot, u64>,
    reboots: Vec<Reboot>,
    gate: Gate<'p>,
}

impl<'p> Board<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        let count = plan.steps.len();
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|index| (plan.steps[*index].start, *index));
        let mut dependents = vec![Vec::new(); count];
        for (index, step) in plan.steps.iter().enumerate() {
            for dependency in &step.after {
                if let Some(those) = dependents.get_mut(dependency.step.0) {
                    those.push(index);
                }
            }
        }
        Self {
            plan,
            states: vec![State::Waiting; count],
            blame: vec![None; count],
            order,
            dependents,
            used: BTreeMap::new(),
            reboots: reboots_of(plan),
            gate: Gate::new(plan),
        }
    }

    /// The step to start next, if any may start: all that it waits for is done, its slots are free, it is its turn,
    /// and a wish to stop does not forbid it. Steps that are held back for another reason are passed over. How long a
    /// step runs already is for the caller to say.
    pub(super) fn next(
        &self,
        cancel: Cancel,
        is_held_back: &dyn Fn(&Step) -> bool,
        runs_for: &dyn Fn(StepId) -> Millis,
    ) -> Option<StepId> {
        let allowed = self.carried(cancel);
        let coming = self.coming(runs_for);
        let may = |index: &&usize| {
            self.states[**index] == State::Waiting
                && allowed.as_ref().is_none_or(|those| those.contains(index))
                && self.is_ready(&self.plan.steps[**index])
                && !coming.iter().any(|other| self.goes_first(*other, **index))
                && !is_held_back(&self.plan.steps[**index])
        };
        let ready = || self.order.iter().filter(may);
        let through_gate = ready().find(|index| self.gate.is_open(**index));
        // Moves that wait at the gate may be those which make room for the ones inside: it must never be what stops
        // an apply.
        let idle = || !self.states.contains(&State::Running);
        let next = through_gate.or_else(|| ready().next().filter(|_| idle()));
        next.map(|index| StepId(*index))
    }

    /// What may still start despite a wish to stop; `None`: everything.
    fn carried(&self, cancel: Cancel) -> Option<BTreeSet<usize>> {
        match cancel {
            Cancel::No => None,
            Cancel::Now => Some(BTreeSet::new()),
            Cancel::Drain => {
                let begun = self
                    .reboots
                    .iter()
                    .filter(|reboot| matches!(reboot.phase, Phase::Down | Phase::Up));
                Some(begun.flat_map(|reboot| reboot.carry.clone()).collect())
            }
        }
    }

    fn is_ready(&self, step: &Step) -> bool {
        let done = |index: usize| self.states.get(index) == Some(&State::Done);
        step.after.iter().all(|dependency| done(dependency.step.0))
            && step
                .uses
                .iter()
                .all(|(slot, amount)| self.is_free(slot, *amount))
    }

    /// The transfers that will be ready in a moment.
    fn coming(&self, runs_for: &dyn Fn(StepId) -> Millis) -> BTreeSet<usize> {
        let running = |index: &usize| {
            self.states[*index] == State::Running && turn::is_waited_for(runs_for(StepId(*index)))
        };
        turn::coming(
            self.plan,
            (0..self.states.len()).filter(running),
            &self.dependents,
            |index| self.states[index] == State::Waiting,
            |index| self.states.get(index) == Some(&State::Done),
        )
    }

    /// Whether one step comes before another, and could start if it were ready, but not beside that one.
    fn goes_first(&self, one: usize, other: usize) -> bool {
        let [first, second] = [one, other].map(|index| &self.plan.steps[index]);
        let used = |slot: &Slot| self.used.get(slot).copied().unwrap_or(0);
        let limit = |slot: &Slot| self.plan.slots.get(slot).copied().unwrap_or(0);
        let excludes = |(slot, amount): &(Slot, u64)| {
            let also = second.uses.iter().find(|(other, _)| other == slot);
            let both = also.map(|(_, also)| amount.saturating_add(*also));
            both.is_some_and(|both| used(slot).saturating_add(both) > limit(slot))
        };
        (first.start, one) < (second.start, other)
            && first.uses.iter().any(excludes)
            && first.uses.iter().all(|(slot, of)| self.is_free(slot, *of))
    }

    /// Whether so much of a slot is free. One that the plan gives no limit for is used by one step at a time, and so is
    /// one of which a step uses more than there is: a plan that leaves a choice gets the careful one.
    fn is_free(&self, slot: &Slot, amount: u64) -> bool {
        let used = self.used.get(slot).copied().unwrap_or(0);
        let limit = self.plan.slots.get(slot).copied().unwrap_or(0);
        used == 0 || used.saturating_add(amount) <= limit
    }

    /// Takes note that a step runs.
    pub(super) fn begin(&mut self, id: StepId) {
        self.states[id.0] = State::Running;
        self.gate.begin(id.0);
        let plan = self.plan;
        for (slot, amount) in &plan.steps[id.0].uses {
            let used = self.used.entry(slot).or_default();
            *used = used.saturating_add(*amount);
        }
        for reboot in &mut self.reboots {
            if reboot.shut_down == id.0 {
                reboot.phase = Phase::Down;
            }
        }
    }

    fn end(&mut self, id: StepId, state: State) {
        self.states[id.0] = state;
        self.leave_gate(id.0);
        let plan = self.plan;
        for (slot, amount) in &plan.steps[id.0].uses {
            if let Some(used) = self.used.get_mut(slot) {
                *used = used.saturating_sub(*amount);
            }
        }
    }

    fn leave_gate(&mut self, index: usize) {
        let states = &self.states;
        let begun = |first: usize| !matches!(states[first], State::Waiting | State::Skipped);
        self.gate.end(index, begun);
    }

    /// Takes note that a step is done.
    pub(super) fn done(&mut self, id: StepId) {
        self.end(id, State::Done);
        for reboot in &mut self.reboots {
            if reboot.start == id.0 && reboot.phase == Phase::Down {
                reboot.phase = Phase::Up;
            }
        }
    }

    /// Takes note that a step failed; what depends on it will not run.
    pub(super) fn failed(&mut self, id: StepId) -> Vec<Skip> {
        self.end(id, State::Failed);
        self.blame[id.0] = Some(id);
        self.skip_dependents(id.0, id)
    }

    fn skip_dependents(&mut self, of: usize, because: StepId) -> Vec<Skip> {
        let mut skips = Vec::new();
        let mut open = vec![of];
        while let Some(index) = open.pop() {
            for dependent in self.dependents[index].clone() {
                if self.states[dependent] == State::Waiting {
                    skips.push(self.skip(dependent, because));
                    open.push(dependent);
                }
            }
        }
        skips.sort_by_key(|skip| skip.step);
        skips
    }

    fn skip(&mut self, index: usize, because: StepId) -> Skip {
        self.states[index] = State::Skipped;
        self.blame[index] = Some(because);
        self.leave_gate(index);
        let step = StepId(index);
        Skip { step, because }
    }

    /// The next VM to bring back: it is or may be off because of us, the start that was to follow cannot come any
    /// more, and nothing of its move runs. Whoever was to have its room and is not there yet stays away; who is just
    /// coming is waited for.
    pub(super) fn next_restore(&mut self, cancel: Cancel) -> Option<Restore> {
        let due = |reboot: &Reboot| {
            let stuck = match self.states[reboot.start] {
                State::Failed | State::Skipped => true,
                State::Waiting => cancel == Cancel::Now,
                State::Running | State::Done => false,
            };
            let heirs = self.heirs(reboot);
            let is_coming = |index: &usize| self.states[*index] == State::Running;
            reboot.phase == Phase::Down
                && stuck
                && !self.is_working_on(reboot)
                && !heirs.iter().any(is_coming)
        };
        let index = self.reboots.iter().position(due)?;
        self.reboots[index].phase = Phase::Restoring;
        let because = self.blame[self.reboots[index].start];
        // With a person to blame the rest stays waiting and is reported as not started.
        let skips = because.map_or_else(Vec::new, |step| self.skip_rest_of(index, step));
        Some(Restore {
            reboot: index,
            because,
            skips,
        })
    }

    /// The steps that bring others into the room that this VM has given up.
    fn heirs<'r>(&self, reboot: &'r Reboot) -> &'r [usize] {
        match &reboot.heirs {
            Some((gives, heirs)) if self.states[*gives] == State::Done => heirs,
            _ => &[],
        }
    }

    /// Steps that only this VM needs.
    fn own_steps(&self, vm: &VmName) -> impl Iterator<Item = usize> {
        let own = move |(_, step): &(usize, &'p Step)| step.vms.iter().all(|of| of == vm);
        let plan: &'p Plan = self.plan;
        plan.steps
            .iter()
            .enumerate()
            .filter(own)
            .map(|(index, _)| index)
    }

    fn is_working_on(&self, reboot: &Reboot) -> bool {
        self.own_steps(&reboot.vm)
            .any(|index| self.states[index] == State::Running)
    }

    fn skip_rest_of(&mut self, reboot: usize, because: StepId) -> Vec<Skip> {
        let reboot = &self.reboots[reboot];
        let away = |index: &&usize| self.states[**index] == State::Waiting;
        let late = self.heirs(reboot).iter().filter(away);
        let late: BTreeSet<&VmName> = late
            .flat_map(|index| &self.plan.steps[*index].vms)
            .collect();
        let vms = late.into_iter().chain([&reboot.vm]);
        let own: Vec<usize> = vms.flat_map(|vm| self.own_steps(vm)).collect();
        let mut skips = Vec::new();
        for index in own {
            if self.states[index] == State::Waiting {
                skips.push(self.skip(index, because));
                skips.extend(self.skip_dependents(index, because));
            }
        }
        skips.sort_by_key(|skip| skip.step);
        skips
    }

    /// Takes note that bringing a VM back has come to its end.
    pub(super) fn restored(&mut self, reboot: usize) {
        self.reboots[reboot].phase = Phase::Settled;
    }

    /// Whether a step of this VM was begun that could have made the VM known to the reboot's destination.
    pub(super) fn reached_destination(&self, reboot: &Reboot) -> bool {
        let begun = |index: &usize| {
            matches!(
                self.states[*index],
                State::Running | State::Done | State::Failed
            )
        };
        reboot
            .carry
            .iter()
            .filter(|index| begun(index))
            .any(|index| {
                matches!(&self.plan.steps[*index].action,
                    Action::Define { vm, .. } | Action::MigratePaused { vm, .. } | Action::Start { vm, .. }
                        if *vm == reboot.vm)
            })
    }

    /// Whether others may have come into its room at the source meanwhile.
    pub(super) fn gave_room_up(&self, reboot: &Reboot) -> bool {
        !self.heirs(reboot).is_empty()
    }

    pub(super) fn reboot(&self, index: usize) -> &Reboot {
        &self.reboots[index]
    }

    pub(super) fn is_done(&self, id: StepId) -> bool {
        self.states.get(id.0) == Some(&State::Done)
    }

    pub(super) fn is_failed(&self, id: StepId) -> bool {
        self.states.get(id.0) == Some(&State::Failed)
    }

    /// The reboots of a VM that have come to their end among these steps.
    pub(super) fn reboots_done(&self, steps: &[StepId]) -> impl Iterator<Item = &Reboot> {
        let within = |reboot: &&Reboot| {
            reboot.phase == Phase::Up
                && steps.contains(&StepId(reboot.shut_down))
                && steps.contains(&StepId(reboot.start))
        };
        self.reboots.iter().filter(within)
    }

    /// The steps that never left waiting, with what they still wait for.
    pub(super) fn left(&self) -> impl Iterator<Item = (StepId, Option<StepId>)> + '_ {
        let waiting = (0..self.states.len()).filter(|index| self.states[*index] == State::Waiting);
        waiting.map(|index| {
            let after = &self.plan.steps[index].after;
            let missing = after.iter().map(|dependency| dependency.step);
            let missing = missing.into_iter().find(|step| !self.is_done(*step));
            (StepId(index), missing)
        })
    }
}
