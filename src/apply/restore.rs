//! Brings a VM back that was shut down for a move which cannot go on: looks where it is, and starts it there.
//!
//! Nothing is assumed about the step that failed: it may have had its effect, or part of it. Both hosts are read
//! again, and the VM is started at the source if that still has it, else at the destination, and only where the
//! other answers that it does not run it. In any other state it is left alone and a person is told.

use std::collections::{BTreeMap, BTreeSet};

use super::options::Options;
use crate::hypervisor::{Depth, Hypervisor, ObserveRequest, StepError, Unwatched};
use crate::model::{Bytes, HostName, RunState, VmName};
use crate::observed::{Observed, Reading, Vm};
use crate::plan::Action;

/// How often a start that was refused is tried before a person is asked.
const ATTEMPTS: usize = 3;

/// A VM to bring back.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) vm: VmName,
    pub(super) from: HostName,
    pub(super) to: HostName,
    /// Whether the destination may know the VM: a step that could have told it was begun.
    pub(super) reached_destination: bool,
    /// Whether others may have come into its room at the source meanwhile.
    pub(super) gave_room_up: bool,
}

impl Task {
    /// The hosts that are acted upon.
    pub(super) fn hosts(&self) -> Vec<&HostName> {
        let other = self.other_than(&self.from);
        [&self.from].into_iter().chain(other).collect()
    }

    /// The move's other end, where that may know the VM and so must answer that it does not run it.
    fn other_than(&self, host: &HostName) -> Option<&HostName> {
        let other = if *host == self.from {
            &self.to
        } else {
            &self.from
        };
        (self.reached_destination && other != host).then_some(other)
    }

    /// What to do, in order, so that the VM runs on that host.
    fn acts(&self, host: &HostName, how: How, other_has_it: bool) -> Vec<Action> {
        let vm = self.vm.clone();
        let other = self.other_than(host);
        let not_active_on = other.into_iter().cloned().collect();
        // Once the guest writes at the source, the copies at the destination are history. Their definition must not
        // be there any more when a later plan judges which side counts.
        let forget = other
            .filter(|_| other_has_it)
            .map(|other| Action::Undefine {
                host: other.clone(),
                vm: vm.clone(),
                kept_by: host.clone(),
            });
        let host = host.clone();
        let run = match how {
            How::Start => Action::Start {
                host,
                vm,
                not_active_on,
            },
            How::Resume => Action::Resume {
                host,
                vm,
                not_active_on,
            },
        };
        forget.into_iter().chain([run]).collect()
    }
}

/// What came of bringing a VM back.
#[derive(Debug)]
pub(super) enum Restored {
    /// It runs there without our doing.
    Runs(HostName),
    /// It was started there.
    Started(HostName),
}

/// Brings the VM back; `starting` is called before it is first acted upon.
pub(super) fn restore(
    task: &Task,
    hosts: &dyn Hypervisor,
    options: &Options,
    starting: &dyn Fn(),
) -> Result<Restored, StepError> {
    let what = format!("bring {} back", task.vm);
    let mut said = false;
    let mut last = StepError::new(&what, "it was not tried");
    for _ in 0..ATTEMPTS {
        let (host, acts) = match decide(task, &look(task, hosts, options)) {
            Ok(Decision::Runs(host)) => return Ok(Restored::Runs(host)),
            Ok(Decision::Act(host, acts)) => (host, acts),
            Err(why) => {
                last = StepError::new(&what, why);
                continue;
            }
        };
        if !said {
            starting();
            said = true;
        }
        let refused = acts
            .iter()
            .find_map(|action| hosts.perform(action, &Unwatched).err());
        match refused {
            None => return Ok(Restored::Started(host)),
            Some(error) => last = StepError::new(&what, error.to_string()),
        }
    }
    Err(last.with_help(format!(
        "{vm} is off because of this apply. See why it cannot be started on {from}, then plan and apply again: \
         its mark says that it must run, and the plan will finish its move or start it",
        vm = task.vm,
        from = task.from,
    )))
}

fn look(task: &Task, hosts: &dyn Hypervisor, options: &Options) -> Observed {
    let both = [&task.from, &task.to];
    let known = both
        .into_iter()
        .filter_map(|name| Some((name.clone(), options.hosts.get(name)?.clone())));
    hosts.observe(&ObserveRequest {
        hosts: known.collect::<BTreeMap<_, _>>(),
        depth: Depth::Bulk,
        fits: Vec::new(),
        ask_qemu: BTreeSet::new(),
        refresh: BTreeMap::new(),
        volumes: BTreeMap::new(),
        timeout: options.timeout,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Start,
    Resume,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Decision {
    Runs(HostName),
    Act(HostName, Vec<Action>),
}

fn decide(task: &Task, seen: &Observed) -> Result<Decision, String> {
    let source = vm_on(task, seen, &task.from)?;
    let destination = match task.other_than(&task.from) {
        Some(other) => vm_on(task, seen, other)?,
        None => None,
    };
    let (from, to) = (&task.from, &task.to);
    let act = |host: &HostName, how, other: Option<&Vm>| {
        let acts = task.acts(host, how, other.is_some());
        Ok(Decision::Act(host.clone(), acts))
    };
    let state = |vm: Option<&Vm>| vm.map(|vm| vm.power.state);
    match (state(source), state(destination)) {
        (Some(RunState::Running), None | Some(RunState::ShutOff)) => {
            Ok(Decision::Runs(from.clone()))
        }
        (None | Some(RunState::ShutOff), Some(RunState::Running)) => Ok(Decision::Runs(to.clone())),
        (Some(RunState::ShutOff), None | Some(RunState::ShutOff)) => {
            has_room(task, seen)?;
            act(from, How::Start, destination)
        }
        // A migration of a VM that was started paused broke off: its guest has not run yet.
        (Some(RunState::Paused), None | Some(RunState::ShutOff)) => {
            act(from, How::Resume, destination)
        }
        (None, Some(RunState::ShutOff)) => act(to, How::Start, None),
        (None, Some(RunState::Paused)) => act(to, How::Resume, None),
        (None, None) => Err(format!("neither {from} nor {to} has {} any more", task.vm)),
        _ => Err(format!(
            "{} is in a state on {from} and {to} that only a person can judge",
            task.vm
        )),
    }
}

/// Refuses a start that would take memory from whoever has come into the room that the VM has given up: libvirt starts
/// a VM whether there is memory for it or not.
fn has_room(task: &Task, seen: &Observed) -> Result<(), String> {
    let Some(host) = seen.host(&task.from).filter(|_| task.gave_room_up) else {
        return Ok(());
    };
    let active = host.vms.values().filter(|vm| vm.power.is_active());
    let used: Bytes = active.map(|vm| vm.memory).sum();
    let needed = host.vms.get(&task.vm).map_or(Bytes::ZERO, |vm| vm.memory);
    let free = host.memory.minus(used);
    if needed <= free {
        return Ok(());
    }
    Err(format!(
        "others have its room on {} now: it needs {needed}, and {free} are free",
        task.from
    ))
}

fn vm_on<'a>(task: &Task, seen: &'a Observed, host: &HostName) -> Result<Option<&'a Vm>, String> {
    match seen.hosts.get(host) {
        Some(Reading::Reached(reading)) => Ok(reading.vms.get(&task.vm)),
        Some(Reading::Unreachable { reason, .. }) => Err(format!(
            "{host} does not answer, so nobody knows whether {} runs there: {reason}",
            task.vm
        )),
        None => Err(format!("{host} was not read")),
    }
}
