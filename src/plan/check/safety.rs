//! Whether each step is safe by its meaning: what must be certain before it is.

use std::collections::{BTreeMap, BTreeSet};

use super::history::History;
use crate::model::{HostName, VmName, VolumeRef};
use crate::plan::{Action, Plan, StepId};

/// Every fault with its step.
pub(super) fn faults(plan: &Plan, history: &History<'_>) -> Vec<(StepId, String)> {
    let replay = Replay::of(plan, history);
    let ids = (0..plan.steps.len()).map(StepId);
    ids.flat_map(|id| replay.missing(id).into_iter().map(move |what| (id, what)))
        .collect()
}

/// What the whole plan holds.
struct Replay<'a> {
    plan: &'a Plan,
    history: &'a History<'a>,
    stopped: BTreeSet<&'a VmName>,
    arriving: BTreeSet<(&'a VmName, &'a HostName)>,
    made: BTreeMap<&'a VolumeRef, &'a str>,
}

fn arrival(action: &Action) -> Option<(&VmName, &HostName)> {
    match action {
        Action::MigrateLive { vm, to, .. }
        | Action::MigratePaused { vm, to, .. }
        | Action::Define { vm, to, .. }
        | Action::AwaitMigration { vm, to, .. } => Some((vm, to)),
        _ => None,
    }
}

impl<'a> Replay<'a> {
    fn of(plan: &'a Plan, history: &'a History<'a>) -> Self {
        let mut replay = Self {
            plan,
            history,
            stopped: BTreeSet::new(),
            arriving: BTreeSet::new(),
            made: BTreeMap::new(),
        };
        for step in &plan.steps {
            replay.arriving.extend(arrival(&step.action));
            match &step.action {
                Action::ShutDown { vm, .. } => {
                    replay.stopped.insert(vm);
                }
                Action::CreateVolume { spec }
                | Action::CopyVolume { spec, .. }
                | Action::CompactVolume { spec, .. } => {
                    replay.made.insert(&spec.at, &spec.path);
                }
                _ => {}
            }
        }
        replay
    }

    fn any_before(&self, id: StepId, wanted: impl Fn(&Action) -> bool) -> bool {
        self.history.actions_before(id).any(wanted)
    }

    /// Whether the VM is off by then, as far as the plan has to do with it.
    fn is_stopped(&self, id: StepId, vm: &VmName) -> bool {
        let stops =
            |action: &Action| matches!(action, Action::ShutDown { vm: down, .. } if down == vm);
        !self.stopped.contains(vm) || self.any_before(id, stops)
    }

    /// Whether the copy is complete by then: something of this plan has filled it, or nothing of this plan makes it
    /// and it was there; who deletes the original asks the host for it.
    fn is_complete(&self, id: StepId, copy: &VolumeRef) -> bool {
        let filled = self.any_before(id, |action| match action {
            Action::CopyVolume { spec, .. } | Action::CompactVolume { spec, .. } => {
                spec.at == *copy
            }
            Action::VerifyVolume { to, .. } => to == copy,
            _ => false,
        });
        let Some(path) = self.made.get(copy) else {
            return true;
        };
        let created = self.any_before(
            id,
            |action| matches!(action, Action::CreateVolume { spec } if spec.at == *copy),
        );
        let carried = self.any_before(id, |action| match action {
            Action::MigrateLive { to, .. } | Action::MigratePaused { to, .. } => *to == copy.host,
            Action::BlockCopy {
                host, path: target, ..
            } => *host == copy.host && target == path,
            _ => false,
        });
        filled || (created && carried)
    }

    fn is_marked(&self, id: StepId, host: &HostName, vm: &VmName) -> bool {
        self.any_before(
            id,
            |action| matches!(action, Action::Mark { host: on, vm: marked, .. } if on == host && marked == vm),
        )
    }

    fn is_named(&self, id: StepId, volume: &VolumeRef) -> bool {
        self.any_before(id, |action| {
            let Action::Mark { mark, .. } = action else {
                return false;
            };
            let same = |(pool, name): &(_, _)| *pool == volume.pool && *name == volume.volume;
            let mut ours = mark.created_volumes.iter().chain(&mark.created_bases);
            let mut passing = mark.temporary_volumes.iter();
            mark.to == volume.host && ours.any(same)
                || mark.from == volume.host && passing.any(same)
        })
    }

    /// What a mark of the VM says to be made in passing, and nothing has removed before the step.
    fn passing(&self, id: StepId, vm: &VmName) -> Vec<VolumeRef> {
        let before = self.history.actions_before(id);
        let marks = before.filter_map(|action| match action {
            Action::Mark { mark, vm: of, .. } if of == vm => Some(mark),
            _ => None,
        });
        let named = marks.flat_map(|mark| {
            let at = |(pool, volume): &(_, _)| VolumeRef {
                host: mark.from.clone(),
                pool: Clone::clone(pool),
                volume: Clone::clone(volume),
            };
            mark.temporary_volumes.iter().map(at)
        });
        let gone = |volume: &VolumeRef| {
            self.any_before(
                id,
                |action| matches!(action, Action::DeleteVolume { at, .. } if at == volume),
            )
        };
        named.filter(|volume| !gone(volume)).collect()
    }

    /// What is missing before a step for it to be safe, by the meaning of the step alone.
    fn missing(&self, id: StepId) -> Vec<String> {
        let mut missing = self.missing_for_vm(id);
        missing.extend(self.missing_for_volume(id));
        missing
    }

    fn missing_for_volume(&self, id: StepId) -> Option<String> {
        match &self.plan.steps[id.0].action {
            Action::CopyVolume { from, .. } if !self.is_complete(id, from) => Some(format!(
                "{from} is copied before it is known to be complete"
            )),
            Action::CreateVolume { spec }
            | Action::CopyVolume { spec, .. }
            | Action::CompactVolume { spec, .. } => (!self.is_named(id, &spec.at))
                .then(|| format!("{} is made before a mark names it", spec.at)),
            Action::DeleteVolume {
                at,
                replaced_by: Some(copy),
                ..
            } => (!self.is_complete(id, copy))
                .then(|| format!("{at} goes before {copy} is known to be complete")),
            _ => None,
        }
    }

    fn missing_for_vm(&self, id: StepId) -> Vec<String> {
        let mut missing = Vec::new();
        let mut need = |holds: bool, what: String| {
            if !holds {
                missing.push(what);
            }
        };
        match &self.plan.steps[id.0].action {
            Action::MigrateLive { vm, from, .. } => {
                need(
                    self.is_marked(id, from, vm),
                    format!("{vm} is carried without a mark on {from}"),
                );
            }
            Action::MigratePaused { vm, from, .. } => {
                need(
                    self.is_marked(id, from, vm),
                    format!("{vm} is carried without a mark on {from}"),
                );
                need(
                    self.is_stopped(id, vm),
                    format!("{vm} is carried before it is shut down"),
                );
            }
            Action::Define { vm, .. } => {
                need(
                    self.is_stopped(id, vm),
                    format!("{vm} is defined anew before it is shut down"),
                );
            }
            Action::Start {
                host,
                vm,
                not_active_on,
            } => {
                need(
                    self.is_stopped(id, vm),
                    format!("{vm} is started before it is shut down where it runs"),
                );
                need(
                    !not_active_on.contains(host),
                    format!("{vm} is started on {host}, which must not run it"),
                );
            }
            Action::Unmark { vm, .. } => {
                for left in self.passing(id, vm) {
                    need(false, format!("{vm} loses its mark before {left} is gone"));
                }
            }
            Action::Undefine { host, vm, kept_by } => {
                let arrives = |action: &Action| arrival(action) == Some((vm, kept_by));
                let known = !self.arriving.contains(&(vm, kept_by)) || self.any_before(id, arrives);
                need(
                    known,
                    format!("{vm} is undefined on {host} before {kept_by} has it"),
                );
                need(
                    host != kept_by,
                    format!("{vm} is undefined on the host that keeps it"),
                );
            }
            _ => {}
        }
        missing
    }
}
