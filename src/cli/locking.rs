//! The locks of an apply as a person sees them: who holds one, waiting for one, and that a plan's host has one.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::process;
use std::sync::{Arc, mpsc};
use std::thread;

use jiff::Timestamp;

use super::console::{Console, remark};
use super::exit::Exit;
use super::failure::Failure;
use super::waiting::Waiting;
use crate::apply::CancelHandle;
use crate::apply::lock::{LockError, Locks, Pace, Wanted};
use crate::libvirt::LibvirtHosts;
use crate::lock::{HeldLock, LockRecord, Locking};
use crate::model::{HostName, Millis, VmName};
use crate::plan::Plan;
use crate::render::clean;

/// VMs that a lock names; who wants to know all looks at the plan of its owner.
const NAMED_MAX: usize = 3;

/// The hosts that a plan's steps act upon.
pub(super) fn touched(plan: &Plan) -> BTreeSet<HostName> {
    let steps = plan.steps.iter();
    steps
        .flat_map(|step| step.action.hosts())
        .cloned()
        .collect()
}

/// Locks every host that the plan touches. The UUIDs are as the plan knew them, and give the order.
pub(super) fn take(
    console: Console,
    libvirt: &Arc<LibvirtHosts>,
    plan: &Plan,
    uuids: &BTreeMap<HostName, String>,
    patience: Option<Millis>,
    cancel: &CancelHandle,
) -> Result<Locks, Failure> {
    let uuid = |host: &HostName| uuids.get(host).cloned().unwrap_or_default();
    let hosts = touched(plan).into_iter().map(|host| {
        let uuid = uuid(&host);
        (host, uuid)
    });
    let pace = Pace::default();
    let wanted = Wanted {
        hosts: hosts.collect(),
        record: record(plan, pace),
        patience,
        pace,
    };
    let hosts: Arc<dyn Locking> = Arc::<LibvirtHosts>::clone(libvirt);
    let mut shown = None;
    let mut waiting = |host: &HostName, held: &HeldLock| {
        let what = format!("Waiting: {}", in_words(host, held));
        if !console.is_live {
            remark(&what);
        }
        shown = Some(Waiting::new(console, &what));
    };
    let taken = Locks::take(&hosts, &wanted, cancel, &mut waiting);
    if let Some(shown) = shown {
        shown.end();
    }
    taken.map_err(|error| match error {
        LockError::Held { host, by } => refused(&host, &by, patience),
        LockError::Failed(why) => Failure::error(format!("a host cannot be locked: {why}"))
            .help("nothing was started; try `virsh -c URI secret-list` from this machine with the URI of the manifest"),
        LockError::Cancelled => stopped(),
    })
}

/// A person asked to stop before anything began.
pub(super) fn stopped() -> Failure {
    Failure::new(Exit::CANCELLED, "stopped on request; nothing was changed")
}

fn refused(host: &HostName, held: &HeldLock, patience: Option<Millis>) -> Failure {
    let waited = patience.filter(|limit| *limit > Millis::ZERO);
    let waited = waited.map_or_else(String::new, |limit| format!(" (waited {limit})"));
    let message = format!("{}, so nothing was started{waited}", in_words(host, held));
    let id = held.id;
    Failure::new(Exit::LOCKED, message).help(format!(
        "wait for it with --lock-timeout 10m, which also takes over the lock of an apply that died; if you know that it \
         is gone: domicile unlock {id}"
    ))
}

/// Removes the locks and tells of those that stay.
pub(super) fn release(locks: Option<Arc<Locks>>) {
    let Some(mut locks) = locks.and_then(Arc::into_inner) else {
        return;
    };
    for (host, why) in locks.release() {
        let soon = Pace::default().dead_after();
        remark(&clean(&format!(
            "the lock of {host} could not be removed ({why}); the next apply takes it over after {soon}"
        )));
    }
}

/// Tells of each host of the plan that is locked now. Whether a host can tell makes no difference to a plan.
pub(super) fn note(libvirt: &Arc<LibvirtHosts>, plan: &Plan) {
    for (host, held) in look(libvirt, touched(plan)) {
        if let Ok(Some(held)) = held {
            remark(&format!(
                "note: {}; an apply of this plan has to wait for that",
                in_words(&host, &held)
            ));
        }
    }
}

/// What is on each host, all asked at once.
pub(super) fn look(
    libvirt: &Arc<LibvirtHosts>,
    hosts: BTreeSet<HostName>,
) -> BTreeMap<HostName, Result<Option<HeldLock>, String>> {
    let (sender, told) = mpsc::channel();
    for host in hosts {
        let (libvirt, sender) = (Arc::clone(libvirt), sender.clone());
        let look = move || {
            let held = libvirt.look(&host);
            // This function listens until the last sender is gone.
            drop(sender.send((host, held)));
        };
        if let Err(error) = thread::Builder::new().spawn(look) {
            log::error!("cannot start a thread: {error}");
        }
    }
    drop(sender);
    told.into_iter().collect()
}

/// One line about a lock, safe for a terminal.
pub(super) fn in_words(host: &HostName, held: &HeldLock) -> String {
    let id = held.id;
    let by = match &held.record {
        Ok(record) => {
            let since = i64::try_from(record.since)
                .ok()
                .and_then(|since| Timestamp::from_millisecond(since).ok());
            let since = since.map_or_else(
                || "an unknown time".to_owned(),
                |since| since.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            );
            format!(
                "by {} (process {}) since {since}, for {}",
                record.owner, record.pid, record.purpose
            )
        }
        Err(unreadable) => format!("by somebody: {unreadable}"),
    };
    clean(&format!("{host} is locked {by} (lock {id})")).into_owned()
}

fn record(plan: &Plan, pace: Pace) -> LockRecord {
    let vms: BTreeSet<&VmName> = plan.steps.iter().flat_map(|step| &step.vms).collect();
    let mut named: Vec<&str> = vms.iter().take(NAMED_MAX).map(|vm| vm.as_str()).collect();
    if vms.len() > NAMED_MAX {
        named.push("…");
    }
    let since = Timestamp::now().as_millisecond();
    LockRecord {
        version: LockRecord::VERSION,
        owner: format!("{}@{}", user(), machine()),
        pid: process::id(),
        purpose: format!("an apply ({})", named.join(", ")),
        since: u64::try_from(since).unwrap_or(0),
        beats_every: pace.beat_every,
    }
}

/// Who runs this, as the system or the environment says: for people only.
fn user() -> String {
    let named = |variable: &str| env::var(variable).ok().filter(|name| !name.is_empty());
    named("SUDO_USER")
        .or_else(|| named("USER"))
        .or_else(|| named("LOGNAME"))
        .unwrap_or_else(|| "somebody".to_owned())
}

fn machine() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "an unknown machine".to_owned(),
        name => name.to_owned(),
    }
}
