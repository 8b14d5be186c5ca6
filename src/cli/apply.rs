//! `domicile apply`: a plan, a yes, the locks of its hosts, a second look, and its execution.
//!
//! Nobody else may have worked on the hosts between the reading that a plan rests on and the first step. So the locks
//! are taken first, and then the hosts are read again and planned anew; what comes out must be what was agreed to.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::args::ApplyArguments;
use super::console::{Console, remark};
use super::execution::{Execution, agree, show};
use super::exit::Exit;
use super::failure::Failure;
use super::plan::{Made, checked, make};
use super::saved::Saved;
use super::signals::Listener;
use super::{drift, hosts, locking, report, undo};
use crate::apply::lock::Locks;
use crate::apply::{CancelHandle, Summary};
use crate::desired::{Desired, OnFailure};
use crate::hypervisor::{Cancel, Hypervisor};
use crate::libvirt::LibvirtHosts;
use crate::observed::Observed;
use crate::plan::Basis;
use crate::render::clean;
use crate::simulator::Simulator;

/// How soon a wish to stop is seen while hosts are read under locks.
const CANCEL_SEEN_WITHIN: Duration = Duration::from_millis(100);

/// How often a plan is made anew that has changed while its hosts were waited for, where nobody has to agree to it.
const ROUNDS: usize = 5;

/// A plan that may be carried out now, and the locks that keep it true; hosts in memory need none.
type Agreed = (Made, Option<Locks>);

pub(super) fn run(console: Console, arguments: &ApplyArguments) -> Result<Exit, Failure> {
    if let Some(wrong) = wrong_together(arguments) {
        return Err(Failure::new(Exit::USAGE, wrong.0).help(wrong.1));
    }
    let cancel = CancelHandle::new();
    let wish = if let Some(path) = &arguments.plan_file {
        Wish::Saved(path, Box::new(Saved::read(path)?))
    } else {
        let made = match &arguments.rollback {
            Some(journal) => undo::make(console, &arguments.planning, journal)?,
            None => make(console, &arguments.planning)?,
        };
        if !show(console, arguments, &made.plan)? {
            return nothing_to_do(console, arguments, (made, None));
        }
        agree(console, arguments)?;
        Wish::Shown(Box::new(made))
    };
    // Before this nothing is held, and a signal may end the program as it ends any other.
    let _listener = Listener::new(&cancel).map_err(|error| {
        Failure::error(format!("signals cannot be listened to: {error}"))
            .help("nothing was started")
    })?;
    let agreed = match wish {
        Wish::Saved(path, saved) => from_file(console, arguments, path, &saved, &cancel)?,
        Wish::Shown(made) => under_locks(console, arguments, *made, &cancel)?,
    };
    if agreed.0.plan.steps.is_empty() {
        return nothing_to_do(console, arguments, agreed);
    }
    carry_out(console, arguments, agreed, &cancel)
}

/// Also an apply that finds all as it shall be leaves a state: what it found.
fn nothing_to_do(
    console: Console,
    arguments: &ApplyArguments,
    (made, locks): Agreed,
) -> Result<Exit, Failure> {
    let left = leave(
        console,
        arguments,
        &made,
        working_on(arguments, &made).as_ref(),
    );
    locking::release(locks.map(Arc::new));
    left.map(|()| Exit::DONE)
}

/// Writes how the hosts are now where that is asked for.
fn leave(
    console: Console,
    arguments: &ApplyArguments,
    made: &Made,
    hosts: &dyn Hypervisor,
) -> Result<(), Failure> {
    let timeout = arguments.planning.timeout.timeout;
    match &arguments.state_out {
        Some(path) => drift::leave(console, hosts, &made.desired, timeout, path),
        None => Ok(()),
    }
}

fn working_on(arguments: &ApplyArguments, made: &Made) -> Arc<dyn Hypervisor> {
    if arguments.simulate {
        Arc::new(in_memory(made))
    } else {
        Arc::<LibvirtHosts>::clone(&made.libvirt)
    }
}

/// What is to be carried out, if the hosts still ask for it.
enum Wish<'a> {
    Saved(&'a Path, Box<Saved>),
    Shown(Box<Made>),
}

/// Flags that contradict each other in a way that clap cannot say: what is wrong, and what to do.
fn wrong_together(arguments: &ApplyArguments) -> Option<(&'static str, &'static str)> {
    if arguments.json && !arguments.auto_approve && arguments.plan_file.is_none() {
        return Some((
            "--json cannot ask",
            "add --auto-approve, or save a plan and apply the file",
        ));
    }
    if arguments.planning.observed.is_some() && !arguments.simulate {
        return Some((
            "a recorded reading may be out of date, so real hosts are not changed by it",
            "add --simulate, or leave --observed out",
        ));
    }
    None
}

/// The plan of a file, where the locked hosts still ask for the same.
fn from_file(
    console: Console,
    arguments: &ApplyArguments,
    path: &Path,
    saved: &Saved,
    cancel: &CancelHandle,
) -> Result<Agreed, Failure> {
    let desired = &saved.desired;
    let libvirt = Arc::new(LibvirtHosts::new(&desired.hosts));
    let locks = if arguments.simulate || saved.plan.steps.is_empty() {
        None
    } else {
        let patience = arguments.lock_timeout;
        let (plan, uuids) = (&saved.plan, saved.basis.uuids());
        Some(locking::take(
            console, &libvirt, plan, &uuids, patience, cancel,
        )?)
    };
    let made = read_again(console, arguments, desired, &libvirt, cancel)?;
    let since = saved.differences(&made.observed, &made.plan);
    let when = format!("{} was made ({})", path.display(), saved.made_at);
    if !since.matters.is_empty() {
        return Err(stale(&when, &since.matters)
            .help("plan again with `domicile plan --out FILE` and review what is different"));
    }
    if !since.harmless.is_empty() {
        let harmless = list(&since.harmless);
        remark(&format!(
            "Changed since {when}, and no step rests on it:\n{harmless}"
        ));
    }
    show(console, arguments, &made.plan)?;
    Ok((made, locks))
}

fn stale(since: &str, differences: &[String]) -> Failure {
    let list = list(differences);
    let message = format!("the hosts have changed since {since}, so nothing was started\n{list}");
    Failure::new(Exit::STALE, message)
}

/// Locks the plan's hosts and looks again. A plan that is no longer the same is carried out only where nobody has to
/// agree to it, and then shown first.
fn under_locks(
    console: Console,
    arguments: &ApplyArguments,
    mut made: Made,
    cancel: &CancelHandle,
) -> Result<Agreed, Failure> {
    if arguments.simulate {
        return Ok((made, None));
    }
    let mut differences = Vec::new();
    for _ in 0..ROUNDS {
        let known = Basis::of(&made.plan, &made.observed);
        let (libvirt, patience) = (&made.libvirt, arguments.lock_timeout);
        let uuids = known.uuids();
        let locks = locking::take(console, libvirt, &made.plan, &uuids, patience, cancel)?;
        let fresh = read_again(console, arguments, &made.desired, libvirt, cancel)?;
        let was = made.plan.meaning();
        differences = known.since(&fresh.observed).matters;
        differences.extend(was.differences(&fresh.plan.meaning()));
        if differences.is_empty() {
            return Ok((fresh, Some(locks)));
        }
        if !arguments.auto_approve {
            break;
        }
        remark("the hosts have changed since the plan was made; this is the plan now");
        if !show(console, arguments, &fresh.plan)? {
            return Ok((fresh, Some(locks)));
        }
        let locked: Vec<_> = locks.hosts().collect();
        if locking::touched(&fresh.plan)
            .iter()
            .all(|host| locked.contains(&host))
        {
            return Ok((fresh, Some(locks)));
        }
        made = fresh;
    }
    Err(stale("the plan was made", &differences).help("apply again, and review what is different"))
}

/// Reads the hosts and plans anew. A signal ends it at once.
fn read_again(
    console: Console,
    arguments: &ApplyArguments,
    desired: &Desired,
    libvirt: &Arc<LibvirtHosts>,
    cancel: &CancelHandle,
) -> Result<Made, Failure> {
    let timeout = arguments.planning.timeout.timeout;
    let (theirs, hosts) = (desired.clone(), Arc::clone(libvirt));
    let (sender, ended) = mpsc::channel();
    let read = move || {
        // Nobody listens where a person has asked to stop.
        drop(sender.send(hosts::read(console, hosts.as_ref(), &theirs, None, timeout)));
    };
    thread::Builder::new()
        .spawn(read)
        .map_err(|error| Failure::error(format!("cannot start a thread: {error}")))?;
    let observed: Observed = loop {
        if cancel.asked() != Cancel::No {
            return Err(locking::stopped());
        }
        match ended.recv_timeout(CANCEL_SEEN_WITHIN) {
            Ok(read) => break read?,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Failure::error("reading the hosts broke off"));
            }
        }
    };
    let plan = checked(desired, &observed)?;
    Ok(Made {
        desired: desired.clone(),
        observed,
        plan,
        libvirt: Arc::clone(libvirt),
    })
}

fn list(lines: &[String]) -> String {
    let lines: Vec<String> = lines
        .iter()
        .map(|line| format!("  {}", clean(line)))
        .collect();
    lines.join("\n")
}

fn carry_out(
    console: Console,
    arguments: &ApplyArguments,
    (made, locks): Agreed,
    cancel: &CancelHandle,
) -> Result<Exit, Failure> {
    let hosts = working_on(arguments, &made);
    let mut execution = Execution {
        console,
        arguments,
        cancel,
        hosts,
        locks: locks.map(Arc::new),
    };
    let carried_out = execution.run(&made, arguments.journal.as_deref());
    let exit = carried_out.map(|(summary, started)| {
        let wants = made.desired.on_failure == OnFailure::Rollback;
        if wants && !summary.failed.is_empty() && cancel.asked() == Cancel::No {
            // What has failed has failed; that it could not be undone either is told.
            if let Err(failure) = undo::after_failure(&mut execution, &made, &started) {
                report::report(console, &failure);
            }
        }
        exit_of(&summary)
    });
    // As long as the locks are held nobody else's change can get into it.
    let left = leave(console, arguments, &made, execution.hosts.as_ref());
    locking::release(execution.locks);
    if let Err(failure) = left {
        report::report(console, &failure);
    }
    exit
}

/// Hosts in memory as they were read, with the storage that the manifest declares to be shared.
fn in_memory(made: &Made) -> Simulator {
    let Made {
        desired, observed, ..
    } = made;
    let shared = desired.pools.iter().filter(|(_, pool)| pool.shared);
    let groups: Vec<Vec<_>> = shared
        .map(|(pool, _)| {
            let on = observed.hosts.keys();
            on.map(|host| (host.clone(), desired.pool_on(pool, host)))
                .collect()
        })
        .collect();
    Simulator::with_shared_pools(observed.clone(), &groups)
}

fn exit_of(summary: &Summary) -> Exit {
    if !summary.failed.is_empty() || !summary.stranded.is_empty() {
        Exit::INCOMPLETE
    } else if summary.cancelled {
        Exit::CANCELLED
    } else if summary.left.is_empty() {
        Exit::DONE
    } else {
        Exit::INCOMPLETE
    }
}
