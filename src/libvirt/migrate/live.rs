//! A running VM to another host, and one that is on its way already.

use std::time::Duration;

use virt::domain::Domain;
use virt_sys as sys;

use super::Route;
use super::follow::{Follower, Stop};
use super::options::Definitions;
use super::settle::{Settled, settle};
use super::transfer::{Order, transfer};
use crate::definition::Rewrite;
use crate::hypervisor::Outcome;
use crate::libvirt::context::Context;
use crate::libvirt::define::{MIGRATABLE, expect_free, expect_paths, expect_targets, rewritten};
use crate::libvirt::domain::{Guest, State};
use crate::libvirt::error::CallError;
use crate::libvirt::failure::Failure;
use crate::libvirt::ffi;
use crate::libvirt::{mark, power};
use crate::model::{Bytes, Millis};
use crate::plan::MigrationOptions;

/// How a migration came to its end without a failure.
pub(super) enum Ended {
    Arrived(Outcome),
    /// It did not converge, goes on where it was, and is to be moved cold.
    ToCold,
}

/// Migrates a VM that is active, and proves that it has arrived.
pub(super) fn run(
    context: &Context,
    route: Route,
    options: &MigrationOptions,
) -> Result<Ended, Failure> {
    let guest = Guest::get(&context.own(route.from)?, route.vm)?;
    let before = guest.state()?;
    expect_movable(&guest, before, route)?;
    let destination = context.work(route.to)?;
    let defined_before = expect_free(&destination, route.vm, guest.uuid())?;
    let definitions = definitions(&guest, &options.rewrite)?;
    expect_targets(&destination, &definitions.persistent, &options.disks)?;
    let autostart = guest.call(Domain::autostart)?;
    if before.is_running() {
        let longest = options.max_downtime.0;
        guest.call(|domain| domain.migrate_set_max_downtime(longest, 0))?;
    }
    context.expect_not_cancelled()?;
    let patience = Duration::from(options.stall_after);
    let mut follower = Follower::new(context, route, guest.uuid(), &options.on_stall, patience)
        .within(options.timeout.map(Duration::from));
    let order = Order {
        guest: &guest,
        to: route.to,
        options,
        definitions: &definitions,
        paused: !before.is_running(),
    };
    let said = transfer(context, &order, &mut follower);
    let settled = settle(context, route, guest.uuid(), defined_before, &mut follower)
        .map_err(|failure| with_cause(failure, said.as_ref().err()))?;
    match settled {
        Settled::Arrived(there) => {
            if let Err(error) = &said {
                let vm = route.vm;
                context
                    .watch
                    .note(&format!("{vm} has arrived, though libvirt said: {error}"));
            }
            prove(&there, route, before, &options.rewrite)?;
            if autostart {
                there.call(|domain| domain.set_autostart(true))?;
            }
            Ok(Ended::Arrived(measured(&there, &follower)))
        }
        Settled::Stayed(_, now) if now.is_running() && follower.stop() == Some(Stop::ToCold) => {
            Ok(Ended::ToCold)
        }
        Settled::Stayed(_, now) => Err(why_it_stayed(route, now, said.err(), &follower)),
    }
}

/// Follows a migration that an earlier apply began, to its end.
pub(in crate::libvirt) fn adopt(context: &Context, route: Route) -> Result<Outcome, Failure> {
    let here = Guest::find(&context.work(route.from)?, route.vm)?;
    let there = Guest::find(&context.work(route.to)?, route.vm)?;
    let Some(uuid) = here.as_ref().or(there.as_ref()).map(Guest::uuid) else {
        let Route { vm, from, to } = route;
        return Err(Failure::new(format!("neither {from} nor {to} has {vm}")));
    };
    // No call tells once the source has forgotten it.
    let autostart = match &here {
        Some(here) => here.call(Domain::autostart)?,
        None => false,
    };
    let defined_before = match &there {
        Some(there) => there.state()?.is_off(),
        None => false,
    };
    // Whoever began it chose the ladder; this one only waits.
    let mut follower = Follower::new(context, route, uuid, &[], Duration::MAX);
    match settle(context, route, uuid, defined_before, &mut follower)? {
        Settled::Arrived(there) => {
            let state = there.state()?;
            if state.is_off() {
                let why = format!("{} has arrived and is off", route.vm);
                return Err(Failure::on(route.to, why).with_help("Plan again."));
            }
            expect_persistent(&there, route)?;
            if autostart {
                there.call(|domain| domain.set_autostart(true))?;
            }
            Ok(measured(&there, &follower))
        }
        Settled::Stayed(_, now) => Err(why_it_stayed(route, now, None, &follower)),
    }
}

fn expect_movable(guest: &Guest, state: State, route: Route) -> Result<(), Failure> {
    if state.is_torn() {
        return Err(power::torn(route.from, route.vm));
    }
    let refused = |why: String| {
        Err(Failure::on(route.from, why)
            .with_help("It changed since the plan was made. Plan again."))
    };
    if !state.is_running() && !state.is_paused() {
        return refused(format!("{} is {state}, not running", route.vm));
    }
    if mark::is_carried(guest)? {
        return refused(format!("{} was started only to be carried", route.vm));
    }
    if !guest.is_persistent()? {
        return refused(format!("{} has no persistent definition", route.vm));
    }
    Ok(())
}

/// The VM's definitions with their changes.
pub(super) fn definitions(guest: &Guest, rewrite: &Rewrite) -> Result<Definitions, Failure> {
    let persistent = rewritten(guest.host(), &guest.definition()?, rewrite)?;
    let live = if rewrite.is_empty() {
        None
    } else {
        Some(rewritten(guest.host(), &guest.xml(MIGRATABLE)?, rewrite)?)
    };
    Ok(Definitions { live, persistent })
}

/// A failure in finding out where the VM is, with what began it.
pub(super) fn with_cause(failure: Failure, cause: Option<&CallError>) -> Failure {
    match cause {
        Some(cause) => failure.and(format!("libvirt said: {cause}")),
        None => failure,
    }
}

/// Proves that the VM outlives its running there.
pub(super) fn expect_persistent(there: &Guest, route: Route) -> Result<(), Failure> {
    if there.is_persistent()? {
        return Ok(());
    }
    let vm = route.vm;
    let why = format!("{vm} has arrived without a persistent definition");
    Err(Failure::on(route.to, why).with_help(format!(
        "Define it there: virsh dumpxml --inactive --security-info {} > vm.xml, then virsh define vm.xml.",
        vm.in_shell()
    )))
}

/// Proves that the VM is at the destination as it was, with its disks where they were to go.
fn prove(there: &Guest, route: Route, before: State, rewrite: &Rewrite) -> Result<(), Failure> {
    let now = there.state()?;
    // One that was paused to let its memory catch up goes on now.
    if before.is_running() && now.is_paused() {
        there.call(Domain::resume)?;
    }
    let now = there.state()?;
    if before.is_running() && !now.is_running() {
        let why = format!("{} has arrived and is {now}", route.vm);
        return Err(Failure::on(route.to, why).with_help("See its console, then plan again."));
    }
    expect_persistent(there, route)?;
    for flags in [0, sys::VIR_DOMAIN_XML_INACTIVE] {
        expect_paths(route.to, route.vm, &there.xml(flags)?, rewrite)?;
    }
    Ok(())
}

/// What libvirt has measured of the migration that brought the VM there.
pub(super) fn measured(there: &Guest, follower: &Follower) -> Outcome {
    let flags = sys::VIR_DOMAIN_JOB_STATS_COMPLETED | sys::VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED;
    let values = match there.call(|domain| ffi::job_stats(domain, flags)) {
        Ok(job) => job.values,
        Err(error) => {
            log::info!("no figures of the migration: {error}");
            return Outcome {
                bytes: follower.carried(),
                downtime: None,
                ..Outcome::default()
            };
        }
    };
    let processed = Bytes(values.number("data_processed").unwrap_or(0));
    Outcome {
        bytes: processed.max(follower.carried()),
        downtime: values.number("downtime").map(Millis),
        ..Outcome::default()
    }
}

/// Why the VM is still at the source.
fn why_it_stayed(
    route: Route,
    now: State,
    said: Option<CallError>,
    follower: &Follower,
) -> Failure {
    let Route { vm, from, .. } = route;
    let help = said.as_ref().and_then(advice);
    let said = said.map_or_else(
        || "the migration was cancelled".into(),
        |error| error.to_string(),
    );
    if !now.is_running() && !now.is_paused() {
        let why = format!("{vm} is {now} on {from} ({said})");
        return Failure::new(why).with_help(
            "See its log on that host. Plan again: its mark tells that it was running, and the plan will start it.",
        );
    }
    match follower.stop() {
        Some(Stop::Cancelled) => Failure::cancelled(),
        Some(Stop::Stalled | Stop::ToCold) => does_not_converge(route),
        Some(Stop::Unanswered) => {
            let to = route.to;
            let why =
                format!("{to} did not answer and nothing more was carried; {vm} goes on at {from}");
            Failure::new(why).with_help(format!("Plan again when {to} answers."))
        }
        None => {
            let failure = Failure::new(format!("{said}; {vm} goes on at {from}"));
            match help {
                Some(help) => failure.with_help(help),
                None => failure,
            }
        }
    }
}

pub(super) fn does_not_converge(route: Route) -> Failure {
    let Route { vm, from, .. } = route;
    Failure::new(format!(
        "{vm} does not converge: it changes its memory faster than it can be carried; it goes on at {from}"
    ))
    .with_help(
        "Move it when it is less busy, allow more (bandwidth, max_downtime, on_stall: [post-copy]), or move it cold \
         (method: cold), which reboots it.",
    )
}

/// What to do about a refusal whose reason libvirt has a code for.
pub(super) fn advice(error: &CallError) -> Option<&'static str> {
    match error.code {
        sys::VIR_ERR_MIGRATE_UNSAFE => Some(
            "libvirt doubts that both hosts see the same storage. Where they do, tell it (shared_filesystems in \
             qemu.conf); where they do not, take `shared` off the pool, so that the disk is copied.",
        ),
        sys::VIR_ERR_OPERATION_TIMEOUT => {
            Some("Another job holds the VM: see virsh domjobinfo. Plan again when it is done.")
        }
        sys::VIR_ERR_CPU_INCOMPATIBLE => Some(
            "Give the VM a CPU model that both hosts have, or move it cold (method: cold), which reboots it.",
        ),
        _ => None,
    }
}
