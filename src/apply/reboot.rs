//! A plan's steps to its reboots: each shutdown with the start that is to follow it, and the steps that must still
//! run between the two once the VM is off, whatever else is stopped.

use std::collections::BTreeSet;

use crate::model::{HostName, VmName};
use crate::plan::{Action, Plan, Resource, Step};

/// How far a reboot has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The shutdown has not begun.
    Before,
    /// The shutdown has begun, the start is not done: the VM is or may be off because of us.
    Down,
    /// The start is done.
    Up,
    /// The start cannot come any more; the VM is being brought back.
    Restoring,
    /// Bringing it back has come to its end, well or not.
    Settled,
}

/// A VM's shutdown and the start that follows it.
#[derive(Debug)]
pub(super) struct Reboot {
    /// The VM.
    pub(super) vm: VmName,
    /// Where it ran.
    pub(super) from: HostName,
    /// Where it is going.
    pub(super) to: HostName,
    /// Index of the shutdown.
    pub(super) shut_down: usize,
    /// Index of the start.
    pub(super) start: usize,
    /// Indices of all that must be done until the VM runs and its old definition is gone: a definition left behind
    /// would be started with its host if it has autostart.
    pub(super) carry: BTreeSet<usize>,
    /// Where it gives its room up while it is off: the step that does, and the steps by which others come into it.
    pub(super) heirs: Option<(usize, Vec<usize>)>,
    /// How far it has come.
    pub(super) phase: Phase,
}

/// The reboots of a plan, in order of their shutdown's number. A shutdown that no start follows is none: the VM is
/// then to be off.
pub(super) fn reboots_of(plan: &Plan) -> Vec<Reboot> {
    let shut_downs = plan.steps.iter().enumerate();
    shut_downs
        .filter_map(|(index, step)| match &step.action {
            Action::ShutDown { host, vm, .. } => reboot_after(plan, index, host, vm),
            _ => None,
        })
        .collect()
}

fn reboot_after(plan: &Plan, shut_down: usize, from: &HostName, vm: &VmName) -> Option<Reboot> {
    // A VM that takes a detour is rebooted twice: the start that belongs to this shutdown waits for the fewest steps.
    let (ancestors, start, to) = plan
        .steps
        .iter()
        .enumerate()
        .filter_map(|(index, step)| match &step.action {
            Action::Start {
                host, vm: named, ..
            } if named == vm => Some((index, host)),
            _ => None,
        })
        .map(|(index, host)| (ancestors_of(&plan.steps, index), index, host))
        .filter(|(ancestors, ..)| ancestors.contains(&shut_down))
        .min_by_key(|(ancestors, index, _)| (ancestors.len(), *index))?;
    let mut carry = ancestors;
    carry.insert(start);
    for (index, step) in plan.steps.iter().enumerate() {
        let leaves_source = matches!(&step.action, Action::Undefine { host, vm: named, kept_by }
            if named == vm && host == from && kept_by == to);
        if leaves_source {
            let before = ancestors_of(&plan.steps, index);
            if before.contains(&start) {
                carry.extend(before);
                carry.insert(index);
            }
        }
    }
    Some(Reboot {
        vm: vm.clone(),
        from: from.clone(),
        to: to.clone(),
        shut_down,
        start,
        heirs: heirs_of(plan, from, vm),
        carry,
        phase: Phase::Before,
    })
}

/// The step by which a VM that is off gives its room at its source up, and those that bring others there after it.
fn heirs_of(plan: &Plan, from: &HostName, vm: &VmName) -> Option<(usize, Vec<usize>)> {
    let memory = Resource::Memory(from.clone());
    let gives = plan.steps.iter().position(|step| {
        let is_its = matches!(&step.action, Action::Define { vm: named, from: place, .. } if named == vm && place == from);
        is_its && step.frees.iter().any(|(resource, _)| *resource == memory)
    })?;
    let comes = |step: &Step| match &step.action {
        Action::MigrateLive { vm: other, to, .. } | Action::MigratePaused { vm: other, to, .. } => {
            other != vm && to == from
        }
        Action::Start {
            vm: other, host, ..
        } => other != vm && host == from,
        _ => false,
    };
    let steps = plan.steps.iter().enumerate();
    let arrivals = steps
        .filter(|(_, step)| comes(step))
        .map(|(index, _)| index);
    let after = arrivals.filter(|index| ancestors_of(&plan.steps, *index).contains(&gives));
    Some((gives, after.collect()))
}

/// Every step that this one waits for, directly or not.
fn ancestors_of(steps: &[Step], of: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open = vec![of];
    while let Some(index) = open.pop() {
        let Some(step) = steps.get(index) else {
            continue;
        };
        let fresh = step.after.iter().map(|dependency| dependency.step.0);
        open.extend(fresh.filter(|before| found.insert(*before)));
    }
    found
}
