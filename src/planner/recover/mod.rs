//! What an earlier apply left unfinished, and the one safe way out of each state.
//!
//! A mark in a VM's metadata says from where to where it was being moved and which volumes were created for that.
//! Together with what the two hosts tell of the VM, that decides: `way_out` has the table. What is to be done becomes
//! steps like any other, before all else that the plan does with the VM. Where no way out is safe, nothing is planned for
//! that VM, and a finding says what was seen, how to look, and what to do; all other VMs go on.
//!
//! # Whose a volume is
//!
//! A volume that nothing proves to be ours is never removed. A mark names what its move *means* to make before anything is
//! made; that alone proves nothing, since somebody else may make a volume of that name before us, or after an apply that
//! died before it did. So each volume is noted in the mark as *made*:
//!
//! - An empty volume, and one that is then filled through our process: as *claimed* in the instant before it is created,
//!   when the name was seen to be free, and as made after. libvirt refuses to create one that is there, so what is noted
//!   as made was made by us. What is only claimed was made by us where the apply died within the call, or by somebody else
//!   in that instant; it goes only while nothing is written in it, so that nothing can be lost by that.
//! - One that the host's converter writes, within a single call that may take hours and outlives us: as made, in the
//!   instant before the call, and taken back where libvirt then finds the name taken.
//!
//! These are the ways in which a volume is removed, and what proves that it may go:
//!
//! | what | why it is ours | why nothing is lost |
//! |---|---|---|
//! | what a step has made, when that step fails | this very step has created it | the original is complete |
//! | half-written copies that were left (back) | the mark notes it as made, or as claimed and it is empty | the original is complete and in use |
//! | half-written bases that were left | a mark notes it as made | no VM of the host stands on it |
//! | compacted copies that were carried | the mark notes it as made | it was only ever a copy |
//! | originals of a move, or of one that was left (forward) | it was the VM's own disk: its mark says so, and where the move was left, the VM has to be seen on the copy | the copy is there with the same size, and the VM uses it |
//! | bases that have lost their last clone, also those of a move that was left (forward) | the manifest says that they go (`remove_unused_bases`); of a move that was left its mark names them | the destination's base was proven to be the same |
//!
//! A copy of a running VM's disk that goes on without us ends by itself never: QEMU writes to both volumes until somebody
//! ends it. Removing its target, which the mark notes as made, ends it first.
//!
//! Whatever the reason, the host that has the volume and every host that sees its storage are asked, immediately before,
//! whether any VM uses it as a disk or below one; then it stays.
//!
//! # Marks of other versions
//!
//! A mark that cannot be read, on either host, stops everything for its VM: whatever another version has begun, only that
//! version knows how to finish.

mod record;
mod remains;
mod way_out;

use std::collections::BTreeSet;

use super::difference::Found;
use super::storages::Storages;
use crate::model::{HostName, MoveMark, VmName};
use crate::observed::{Observed, Reading, Vm};
use crate::plan::{Action, Finding, Severity};
pub(super) use record::at;
use record::{Record, disk_only};
pub(super) use remains::{Remains, UnderWay};
use way_out::{Copies, Job, Side, Why, way_out};

/// Nothing is left of any apply.
fn untouched<'a>(host: &'a HostName, vm: &'a Vm) -> Remains<'a> {
    Remains {
        host,
        vm,
        found: String::new(),
        prelude: Vec::new(),
        discarded: BTreeSet::new(),
        unproven: Vec::new(),
        stale_bases: BTreeSet::new(),
        unused_bases: Vec::new(),
        was_active: vm.power.is_active(),
        is_active_at_end: vm.power.is_active(),
        under_way: None,
    }
}

/// Finds out what is left of an earlier apply's move of this VM.
pub(super) fn remains<'a>(
    observed: &'a Observed,
    paused: &BTreeSet<(HostName, VmName)>,
    storages: &Storages<'a>,
    name: &'a VmName,
    found: &Found<'a>,
) -> Result<Remains<'a>, Box<Finding>> {
    if let Some(finding) = unreadable(name, found) {
        return Err(Box::new(finding));
    }
    let marked = found.places.iter().find_map(|(_, vm)| vm.mark());
    let (host, vm) = found.places[0];
    let Some(mark) = marked else {
        return Ok(untouched(host, vm));
    };
    let source = host_of(observed, name, &mark.from_uuid, &mark.from)?;
    let destination = host_of(observed, name, &mark.to_uuid, &mark.to)?;
    let case = Case {
        name,
        mark,
        source,
        destination,
    };
    if let Some(finding) = case.contradiction(found) {
        return Err(Box::new(finding));
    }
    let place = |wanted: &HostName| {
        let mut places = found.places.iter();
        places.find(|(host, _)| *host == wanted).map(|(_, vm)| *vm)
    };
    let (here, there) = (place(source), place(destination));
    let record = Record {
        observed,
        storages,
        name,
        mark,
        source,
        destination,
    };
    let mut remains = if source == destination {
        match Job::of(here, None) {
            Job::Migration => return Err(Box::new(case.stop(here, None, Why::Strange))),
            Job::None | Job::Other => disk_only(observed, name, mark, host, vm),
        }
    } else {
        let copies = match there.and_then(Vm::mark) {
            Some(mark) if mark.complete => Copies::Complete,
            _ if mark.cold => Copies::Incomplete,
            _ => Copies::Live,
        };
        let way = way_out(
            Side::of(here),
            Side::of(there),
            copies,
            Job::of(here, there),
        );
        record
            .taking(way, here, there)
            .map_err(|why| Box::new(case.stop(here, there, why)))?
    };
    let carried = paused.iter().filter(|(_, vm)| vm == name);
    let end = |(host, _): &(HostName, VmName)| Action::Destroy {
        host: host.clone(),
        vm: name.clone(),
        runs_on: None,
    };
    remains.prelude.splice(0..0, carried.map(end));
    Ok(remains)
}

/// Whether two marks were written for one move; one of them may have learned more since.
fn is_of_one_move(one: &MoveMark, other: &MoveMark) -> bool {
    let ends = |mark: &MoveMark| (mark.from_uuid.clone(), mark.to_uuid.clone());
    ends(one) == ends(other)
        && one.source_volumes == other.source_volumes
        && one.created_volumes == other.created_volumes
}

/// A mark of another version, or a broken one, wherever it is.
fn unreadable(name: &VmName, found: &Found<'_>) -> Option<Finding> {
    let (host, why) = found.places.iter().find_map(|(host, vm)| {
        let why = vm.detail.as_ref()?.unreadable_mark.as_ref()?;
        Some((*host, why))
    })?;
    Some(Finding {
        severity: Severity::Blocks,
        code: "unreadable-mark".into(),
        vm: Some(name.clone()),
        host: Some(host.clone()),
        message: format!(
            "its metadata on {host} has a mark of an apply that cannot be read: {why}"
        ),
        remedy: "finish that apply with the version of Domicile that began it".into(),
    })
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

/// A VM with a mark, for telling people why nothing is done with it.
struct Case<'c> {
    name: &'c VmName,
    mark: &'c MoveMark,
    source: &'c HostName,
    destination: &'c HostName,
}

impl Case<'_> {
    /// What contradicts the mark: another mark of the VM, or a place that it does not name.
    fn contradiction(&self, found: &Found<'_>) -> Option<Finding> {
        let mut marks = found.places.iter().filter_map(|(_, vm)| vm.mark());
        if marks.any(|other| !is_of_one_move(self.mark, other)) {
            return Some(self.finding(
                self.source,
                "the marks of the two hosts tell of different moves",
                "see both with `virsh metadata --uri https://domicile.dev/xmlns/move/1`; when it is known which copy is \
                 right, remove the definition of the other, then plan again",
            ));
        }
        let strange =
            |(host, _): &&(&HostName, &Vm)| *host != self.source && *host != self.destination;
        let (host, _) = found.places.iter().find(strange)?;
        Some(self.finding(
            host,
            &format!("it is on {host}, which its mark does not name"),
            "somebody has moved it since; bring it back, or remove the mark when nothing of that move is left \
             (`virsh metadata --uri https://domicile.dev/xmlns/move/1 --remove`), then plan again",
        ))
    }

    fn finding(&self, host: &HostName, saw: &str, remedy: &str) -> Finding {
        let (from, to) = (&self.mark.from, &self.mark.to);
        Finding {
            severity: Severity::Blocks,
            code: "unfinished".into(),
            vm: Some(self.name.clone()),
            host: Some(host.clone()),
            message: format!(
                "an earlier apply left its move from {from} to {to} unfinished: {saw}"
            ),
            remedy: remedy.to_owned(),
        }
    }

    /// What was seen, how to look, and what to do.
    fn stop(&self, here: Option<&Vm>, there: Option<&Vm>, why: Why) -> Finding {
        let Self {
            name,
            source,
            destination,
            ..
        } = self;
        let on = |host: &HostName, vm: Option<&Vm>| match vm {
            Some(vm) => format!("{} on {host}", vm.power.in_words()),
            None => format!("not on {host}"),
        };
        let in_shell = name.in_shell();
        let seen = format!("it is {} and {}", on(source, here), on(destination, there));
        let look = format!("`virsh domstate --reason {in_shell}` and its console on both hosts");
        let (means, remedy) = match why {
            Why::Torn => (
                "its post-copy migration broke, and its memory lies on both",
                "end it on neither side, that would lose it; when the hosts reach each other again, run `virsh migrate` \
                 with the same options and --postcopy --postcopy-resume"
                    .to_owned(),
            ),
            Why::Strange => (
                "a migration of it runs that is not the one that its mark tells of",
                format!("see `virsh domjobinfo {in_shell}` on {source}; wait for its end, or end it with `virsh domjobabort`, then plan again"),
            ),
            Why::Busy => (
                "another job runs on it",
                format!("see `virsh domjobinfo {in_shell}`, wait for its end, then plan again"),
            ),
            Why::Between => (
                "libvirt is between two steps of a migration",
                format!("plan again in a minute; if it stays so, look at {look}"),
            ),
            Why::Crashed => (
                "the guest has crashed",
                format!("look at {look}, then destroy or reset it, and plan again"),
            ),
            Why::Twice => (
                "it may run twice",
                format!("look at {look}; end the one that is wrong with `virsh destroy`, then plan again; Domicile will not choose"),
            ),
            Why::Either => (
                "it was being migrated live, and either may be the one that ran last",
                format!("see which images were written last; `virsh undefine {in_shell}` on the other host, then plan again"),
            ),
            Why::Unsure => (
                "nobody can tell whether it is whole there",
                format!("look at {look}; where it is whole, `virsh resume` it, then plan again"),
            ),
            Why::Gone => (
                "no host that its mark names has it",
                format!("look for {name} on every host (`virsh list --all`), define it where its disks are, then plan again"),
            ),
        };
        let is_job = matches!(why, Why::Strange | Why::Busy);
        let host = if here.is_some() { source } else { destination };
        let finding = self.finding(host, &format!("{seen}; {means}"), &remedy);
        Finding {
            code: if is_job {
                "job-active".into()
            } else {
                finding.code
            },
            ..finding
        }
    }
}
