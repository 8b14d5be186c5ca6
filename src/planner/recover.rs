//! What an earlier apply left unfinished, and the one safe way out of each state.
//!
//! A mark in a VM's metadata says from where to where it was being moved and which volumes were created for that.
//! Together with where the VM is now and whether it runs, that decides:
//!
//! | source | destination | way out |
//! |---|---|---|
//! | any, a migration of ours under way | any | await it, then go forward |
//! | absent | running, or off with complete copies | forward: start it where it was to run, remove the source's volumes |
//! | off | running | forward, and remove the source's definition |
//! | paused by the migration | running | end the source's instance, which may not run again; then forward |
//! | off | off, copies complete | forward, likewise |
//! | running, paused or off | absent, or off with incomplete copies | back: remove what was created, begin again |
//! | running | running | none: nothing is done, a person must look |
//!
//! Copies are known to be complete when the mark at the destination says so, or when the source's definition is gone:
//! libvirt removes it only after the destination has taken over.

use std::collections::BTreeSet;

use super::difference::Found;
use crate::model::{
    BackingLayer, HostName, JobKind, MoveMark, PoolName, RunState, VmName, VolumeName, VolumeRef,
};
use crate::observed::{Disk, Observed, Reading, Vm};
use crate::plan::{Action, Finding, Severity};

/// What an earlier apply left of one VM's move.
#[derive(Debug, Clone)]
pub(super) struct Remains<'a> {
    /// Where the VM is once the prelude is done.
    pub(super) host: &'a HostName,
    /// The VM as read there.
    pub(super) vm: &'a Vm,
    /// What was found, in a sentence.
    pub(super) found: String,
    /// What must be done before anything else.
    pub(super) prelude: Vec<Action>,
    /// Volumes that the prelude removes.
    pub(super) discarded: BTreeSet<VolumeRef>,
    /// Bases at the destination that may be half-written.
    pub(super) stale_bases: BTreeSet<VolumeRef>,
    /// Whether the VM ran before the earlier apply.
    pub(super) was_active: bool,
    /// Whether it runs once the prelude is done.
    pub(super) is_active_at_end: bool,
    /// Whether the prelude must be through before the VM can be compared with the manifest again.
    pub(super) is_under_way: bool,
}

fn mark_of(vm: &Vm) -> Option<&MoveMark> {
    vm.detail.as_ref()?.mark.as_ref()
}

fn migrates(vm: &Vm) -> bool {
    vm.detail
        .as_ref()
        .is_some_and(|detail| detail.job == Some(JobKind::MigrationOut))
}

/// The volumes of a mark, as those of that host.
pub(super) fn at(host: &HostName, volumes: &[(PoolName, VolumeName)]) -> Vec<VolumeRef> {
    let at = |(pool, volume): &(_, _)| VolumeRef {
        host: host.clone(),
        pool: Clone::clone(pool),
        volume: Clone::clone(volume),
    };
    volumes.iter().map(at).collect()
}

/// Nothing is left of any apply.
fn untouched<'a>(host: &'a HostName, vm: &'a Vm) -> Remains<'a> {
    Remains {
        host,
        vm,
        found: String::new(),
        prelude: Vec::new(),
        discarded: BTreeSet::new(),
        stale_bases: BTreeSet::new(),
        was_active: vm.power.is_active(),
        is_active_at_end: vm.power.is_active(),
        is_under_way: false,
    }
}

/// Finds out what is left of an earlier apply's move of this VM.
pub(super) fn remains<'a>(
    observed: &'a Observed,
    paused: &BTreeSet<(HostName, VmName)>,
    name: &'a VmName,
    found: &Found<'a>,
) -> Result<Remains<'a>, Box<Finding>> {
    let marked = found.places.iter().find_map(|(_, vm)| mark_of(vm));
    let (host, vm) = found.places[0];
    let Some(mark) = marked else {
        return Ok(untouched(host, vm));
    };
    let source = host_of(observed, name, &mark.from_uuid, &mark.from)?;
    let destination = host_of(observed, name, &mark.to_uuid, &mark.to)?;
    if source == destination {
        return Ok(disk_only(observed, name, mark, host, vm));
    }
    let place = |wanted: &HostName| {
        found
            .places
            .iter()
            .find(|(host, _)| *host == wanted)
            .map(|(_, vm)| *vm)
    };
    let strange = found
        .places
        .iter()
        .find(|(host, _)| *host != source && *host != destination);
    if let Some((host, _)) = strange {
        return Err(Box::new(unclear(
            name,
            host,
            mark,
            "it is on a host that its mark does not name",
        )));
    }
    let record = Record {
        observed,
        name,
        mark,
        source,
        destination,
    };
    let mut remains = match (place(source), place(destination)) {
        (Some(here), Some(there)) => record.both(here, there),
        (Some(here), None) if migrates(here) => Ok(record.awaiting(here)),
        (Some(here), None) => Ok(record.back(here, None)),
        (None, Some(there)) if there.power.state == RunState::Paused && !is_by_user(there) => {
            let saw = format!("it is {} on {destination}", there.power.in_words());
            Err(Box::new(unclear(name, destination, mark, &saw)))
        }
        (None, Some(there)) => Ok(record.forward(None, there)),
        (None, None) => Err(Box::new(unclear(
            name,
            source,
            mark,
            "it is on neither of the hosts that its mark names",
        ))),
    }?;
    for (host, _) in paused.iter().filter(|(_, vm)| vm == name) {
        let end = Action::Destroy {
            host: host.clone(),
            vm: name.clone(),
            runs_on: None,
        };
        remains.prelude.insert(0, end);
    }
    Ok(remains)
}

/// Whether a person or an earlier apply paused it, and not a migration.
fn is_by_user(vm: &Vm) -> bool {
    vm.power.reason == "user"
}

/// The host of that UUID: by its name the manifest may mean another one now.
pub(super) fn known_by<'a>(observed: &'a Observed, uuid: &str) -> Option<&'a HostName> {
    let mut hosts = observed.reached();
    let (name, _) = hosts.find(|(_, host)| host.uuid == uuid)?;
    Some(name)
}

fn host_of<'a>(
    observed: &'a Observed,
    vm: &VmName,
    uuid: &str,
    named: &HostName,
) -> Result<&'a HostName, Box<Finding>> {
    known_by(observed, uuid).ok_or_else(|| {
        let silent = observed.hosts.values().any(|reading| matches!(reading, Reading::Unreachable { .. }));
        let hint = if silent { "make the hosts reachable that could not be read" } else { "add it to the manifest" };
        Box::new(Finding {
            severity: Severity::Blocks,
            code: "unfinished".into(),
            vm: Some(vm.clone()),
            host: Some(named.clone()),
            message: format!("an earlier apply left its move unfinished, and {named} (host UUID {uuid}), which took part, is not among the hosts that were read"),
            remedy: hint.into(),
        })
    })
}

fn unclear(vm: &VmName, host: &HostName, mark: &MoveMark, saw: &str) -> Finding {
    Finding {
        severity: Severity::Blocks,
        code: "unfinished".into(),
        vm: Some(vm.clone()),
        host: Some(host.clone()),
        message: format!(
            "an earlier apply left its move from {} to {} unfinished: {saw}",
            mark.from, mark.to
        ),
        remedy: format!(
            "look at it with `virsh dominfo {}` and at its console on both hosts, end the copy that is wrong with `virsh destroy`, then plan again",
            vm.in_shell()
        ),
    }
}

struct Record<'a, 'm> {
    observed: &'a Observed,
    name: &'a VmName,
    mark: &'m MoveMark,
    source: &'a HostName,
    destination: &'a HostName,
}

impl<'a> Record<'a, '_> {
    fn both(&self, here: &'a Vm, there: &'a Vm) -> Result<Remains<'a>, Box<Finding>> {
        if migrates(here) {
            return Ok(self.awaiting(here));
        }
        let complete = mark_of(there).is_some_and(|mark| mark.complete);
        match (here.power.state, there.power.state) {
            // What libvirt leaves at the source when only the confirmation was lost: the guest is at the
            // destination, and the source must not run again.
            (RunState::ShutOff, RunState::Running) => Ok(self.forward(Some(here), there)),
            (RunState::ShutOff, RunState::Paused) if is_by_user(there) => {
                Ok(self.forward(Some(here), there))
            }
            (RunState::Paused, RunState::Running) if here.power.reason == "migration" => {
                let mut remains = self.forward(Some(here), there);
                let end = Action::Destroy {
                    host: self.source.clone(),
                    vm: self.name.clone(),
                    runs_on: Some(self.destination.clone()),
                };
                remains.prelude.insert(0, end);
                Ok(remains)
            }
            (RunState::ShutOff, RunState::ShutOff) if complete => {
                Ok(self.forward(Some(here), there))
            }
            (RunState::Running | RunState::Paused | RunState::ShutOff, RunState::ShutOff) => {
                Ok(self.back(here, Some(there)))
            }
            _ => Err(Box::new(unclear(
                self.name,
                self.source,
                self.mark,
                &format!(
                    "it is {} on {} and {} on {}",
                    here.power.in_words(),
                    self.source,
                    there.power.in_words(),
                    self.destination
                ),
            ))),
        }
    }

    /// Whether any VM at the destination was seen to stand on the base; then its copy was complete.
    fn is_base_used(&self, base: &VolumeRef) -> bool {
        let on_it = |disk: &Disk| {
            let layer = |layer: &BackingLayer| {
                layer.volume.as_ref() == Some(&(base.pool.clone(), base.volume.clone()))
            };
            disk.backing.iter().any(layer)
        };
        let vms = self
            .observed
            .host(&base.host)
            .into_iter()
            .flat_map(|host| host.vms.values());
        vms.filter_map(|vm| vm.detail.as_ref())
            .any(|detail| detail.disks.iter().any(on_it))
    }

    fn exists(&self, volume: &VolumeRef) -> bool {
        self.observed.volume(volume).is_some()
    }

    /// Removes the source's volumes, each only where its counterpart is there.
    fn remove_originals(&self) -> Vec<Action> {
        let originals = at(self.source, &self.mark.source_volumes);
        let copies = at(self.destination, &self.mark.created_volumes);
        let pairs = originals
            .into_iter()
            .zip(copies)
            .filter(|(original, _)| self.exists(original));
        pairs
            .map(|(original, copy)| Action::DeleteVolume {
                seen_by: vec![original.host.clone()],
                at: original,
                replaced_by: Some(copy),
                only_if_unused: false,
            })
            .collect()
    }

    /// What was made at the source to be carried in place of its volumes, and is still there.
    fn temporaries(&self) -> impl Iterator<Item = VolumeRef> {
        let all = at(self.source, &self.mark.temporary_volumes).into_iter();
        all.filter(|volume| self.exists(volume))
    }

    fn forward(&self, here: Option<&'a Vm>, there: &'a Vm) -> Remains<'a> {
        let mut prelude = Vec::new();
        let starts = self.mark.was_active && !there.power.is_active();
        if starts {
            prelude.push(Action::Start {
                host: self.destination.clone(),
                vm: self.name.clone(),
                not_active_on: vec![self.source.clone()],
            });
        }
        if here.is_some() {
            prelude.push(Action::Undefine {
                host: self.source.clone(),
                vm: self.name.clone(),
                kept_by: self.destination.clone(),
            });
        }
        prelude.extend(self.temporaries().map(|volume| discard(&volume)));
        prelude.extend(self.remove_originals());
        prelude.push(Action::Unmark {
            host: self.destination.clone(),
            vm: self.name.clone(),
        });
        Remains {
            host: self.destination,
            vm: there,
            found: format!(
                "an earlier apply moved it from {} to {} and left the rest undone",
                self.source, self.destination
            ),
            prelude,
            discarded: BTreeSet::new(),
            stale_bases: BTreeSet::new(),
            was_active: self.mark.was_active,
            is_active_at_end: there.power.is_active() || starts,
            is_under_way: false,
        }
    }

    fn back(&self, here: &'a Vm, there: Option<&'a Vm>) -> Remains<'a> {
        let mut prelude = Vec::new();
        if here.power.state == RunState::Paused && here.power.reason == "migration" {
            prelude.push(Action::Resume {
                host: self.source.clone(),
                vm: self.name.clone(),
                not_active_on: vec![self.destination.clone()],
            });
        }
        if there.is_some() {
            prelude.push(Action::Undefine {
                host: self.destination.clone(),
                vm: self.name.clone(),
                kept_by: self.source.clone(),
            });
        }
        let mut discarded = BTreeSet::new();
        let created = at(self.destination, &self.mark.created_volumes).into_iter();
        let created = created.filter(|volume| self.exists(volume));
        for volume in created.chain(self.temporaries()) {
            prelude.push(discard(&volume));
            discarded.insert(volume);
        }
        let bases = at(self.destination, &self.mark.created_bases);
        let stale_bases = bases
            .into_iter()
            .filter(|base| self.exists(base) && !self.is_base_used(base))
            .collect();
        prelude.push(Action::Unmark {
            host: self.source.clone(),
            vm: self.name.clone(),
        });
        Remains {
            host: self.source,
            vm: here,
            found: format!(
                "an earlier apply began to move it from {} to {}",
                self.source, self.destination
            ),
            prelude,
            discarded,
            stale_bases,
            was_active: self.mark.was_active,
            is_active_at_end: here.power.is_active(),
            is_under_way: false,
        }
    }

    fn awaiting(&self, here: &'a Vm) -> Remains<'a> {
        let mut prelude = vec![Action::AwaitMigration {
            vm: self.name.clone(),
            from: self.source.clone(),
            to: self.destination.clone(),
        }];
        if self.mark.cold {
            prelude.push(Action::Destroy {
                host: self.destination.clone(),
                vm: self.name.clone(),
                runs_on: None,
            });
            if self.mark.was_active {
                prelude.push(Action::Start {
                    host: self.destination.clone(),
                    vm: self.name.clone(),
                    not_active_on: vec![self.source.clone()],
                });
            }
        }
        prelude.extend(self.remove_originals());
        prelude.push(Action::Unmark {
            host: self.destination.clone(),
            vm: self.name.clone(),
        });
        Remains {
            host: self.destination,
            vm: here,
            found: format!(
                "a migration from {} to {} is under way",
                self.source, self.destination
            ),
            prelude,
            discarded: BTreeSet::new(),
            stale_bases: BTreeSet::new(),
            was_active: self.mark.was_active,
            is_active_at_end: self.mark.was_active,
            is_under_way: true,
        }
    }
}

fn discard(volume: &VolumeRef) -> Action {
    Action::DeleteVolume {
        seen_by: vec![volume.host.clone()],
        at: volume.clone(),
        replaced_by: None,
        only_if_unused: false,
    }
}

/// A move of disks on one host: each disk is where it was or where it was going, and the other volume goes.
fn disk_only<'a>(
    observed: &'a Observed,
    name: &'a VmName,
    mark: &MoveMark,
    host: &'a HostName,
    vm: &'a Vm,
) -> Remains<'a> {
    let uses = |volume: &VolumeRef| {
        vm.detail.as_ref().is_some_and(|detail| {
            let same = |disk: &Disk| {
                disk.volume.as_ref() == Some(&(volume.pool.clone(), volume.volume.clone()))
            };
            detail.disks.iter().any(same)
        })
    };
    let mut prelude = Vec::new();
    let mut discarded = BTreeSet::new();
    let pairs = at(host, &mark.source_volumes)
        .into_iter()
        .zip(at(host, &mark.created_volumes));
    for (original, copy) in pairs {
        let (gone, kept) = if uses(&copy) {
            (original, Some(copy))
        } else {
            (copy, None)
        };
        if observed.volume(&gone).is_some() && !uses(&gone) {
            discarded.insert(gone.clone());
            prelude.push(Action::DeleteVolume {
                seen_by: vec![host.clone()],
                at: gone,
                replaced_by: kept,
                only_if_unused: false,
            });
        }
    }
    prelude.push(Action::Unmark {
        host: host.clone(),
        vm: name.clone(),
    });
    Remains {
        host,
        vm,
        found: format!("an earlier apply began to move its disks on {host}"),
        prelude,
        discarded,
        stale_bases: BTreeSet::new(),
        was_active: vm.power.is_active(),
        is_active_at_end: vm.power.is_active(),
        is_under_way: false,
    }
}
