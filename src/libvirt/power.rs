//! Shutting down, starting and resuming a VM, each with proof of what became of it.

use std::thread;
use std::time::{Duration, Instant};

use virt::domain::Domain;
use virt_sys as sys;

use super::context::Context;
use super::domain::{Guest, expect_not_active};
use super::failure::Failure;
use super::prelaunch;
use crate::desired::OnShutdownTimeout;
use crate::hypervisor::Outcome;
use crate::model::{HostName, Millis, VmName};

/// How often a guest that has not gone down is asked again: its power button may not have been watched yet.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// How often its state is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Asks the guest to shut down and waits until it is off.
pub(super) fn shut_down(
    context: &Context,
    host: &HostName,
    vm: &VmName,
    timeout: Millis,
    on_timeout: OnShutdownTimeout,
) -> Result<Outcome, Failure> {
    let guest = Guest::get(&context.work(host)?, vm)?;
    if !guest.is_persistent()? {
        let why = format!("{vm} has no persistent definition and would be gone once it is off");
        return Err(Failure::on(host, why));
    }
    let began = Instant::now();
    let mut asked: Option<Instant> = None;
    let mut refusal = None;
    loop {
        if Context::insist(|| guest_again(context, &guest))?
            .state()?
            .is_off()
        {
            return Ok(Outcome::default());
        }
        if context.is_cancelled() {
            if asked.is_some() {
                context
                    .watch
                    .note(&format!("{vm} was asked to shut down and may still do so"));
            }
            return Err(Failure::cancelled());
        }
        if began.elapsed() >= Duration::from(timeout) {
            return at_timeout(&guest, vm, timeout, on_timeout, refusal);
        }
        if asked.is_none_or(|at| at.elapsed() >= ASK_AGAIN) {
            asked = Some(Instant::now());
            // A guest agent that does not answer, or a guest that just went down, is no reason to give up yet.
            refusal = guest.call(|domain| domain.shutdown_flags(0)).err();
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// The VM by a connection that works, should the one it was found by be broken.
fn guest_again(context: &Context, guest: &Guest) -> Result<Guest, super::error::CallError> {
    let connection = context.work(guest.host())?;
    Guest::find_uuid(&connection, guest.uuid())?.ok_or_else(|| {
        super::error::CallError::ours(guest.host(), "the VM vanished while it was shut down")
    })
}

fn at_timeout(
    guest: &Guest,
    vm: &VmName,
    timeout: Millis,
    on_timeout: OnShutdownTimeout,
    refusal: Option<super::error::CallError>,
) -> Result<Outcome, Failure> {
    match on_timeout {
        OnShutdownTimeout::Fail => {
            let refusal = refusal.map_or(String::new(), |error| format!(" ({})", error.message));
            let why = format!("{vm} did not shut down within {timeout}{refusal}");
            let help = "Give it longer (shutdown_timeout), shut it down from inside, or allow that it is \
                        switched off (on_shutdown_timeout: destroy).";
            Err(Failure::on(guest.host(), why).with_help(help))
        }
        OnShutdownTimeout::Destroy => {
            let graceful = sys::VIR_DOMAIN_DESTROY_GRACEFUL;
            // Gracefully means that QEMU writes its caches out first; where it does not end by that, without.
            if guest.work(|domain| domain.destroy_flags(graceful)).is_err() {
                guest.work(Domain::destroy)?;
            }
            guest.expect_off(vm)?;
            Ok(Outcome::default())
        }
    }
}

/// Starts the VM where it is proven to be active nowhere else.
pub(super) fn start(
    context: &Context,
    host: &HostName,
    vm: &VmName,
    not_active_on: &[HostName],
) -> Result<Outcome, Failure> {
    context.expect_not_cancelled()?;
    start_again(context, host, vm, not_active_on)
}

/// The same also for whom nobody waits any more: a VM that was shut down for its move must run at its end.
pub(super) fn start_again(
    context: &Context,
    host: &HostName,
    vm: &VmName,
    not_active_on: &[HostName],
) -> Result<Outcome, Failure> {
    let guest = Guest::get(&context.work(host)?, vm)?;
    let others = context.all(not_active_on)?;
    expect_not_active(&others, vm, guest.uuid())?;
    if guest.state()?.is_running() {
        context.watch.note(&format!("{vm} runs on {host} already"));
        return Ok(Outcome::default());
    }
    guest.expect_off(vm)?;
    guest.work(Domain::create)?;
    expect_running(&guest, vm)
}

/// Lets a paused VM go on where it is proven to be active nowhere else.
pub(super) fn resume(
    context: &Context,
    host: &HostName,
    vm: &VmName,
    not_active_on: &[HostName],
) -> Result<Outcome, Failure> {
    let guest = Guest::get(&context.work(host)?, vm)?;
    let others = context.all(not_active_on)?;
    expect_not_active(&others, vm, guest.uuid())?;
    let state = guest.state()?;
    if state.is_running() {
        return Ok(Outcome::default());
    }
    if state.is_torn() {
        return Err(torn(host, vm));
    }
    if !state.is_paused() {
        return Err(Failure::on(host, format!("{vm} is {state}, not paused")));
    }
    super::mark::clear_carried(&guest)?;
    guest.call(Domain::resume)?;
    expect_running(&guest, vm)
}

/// Ends a paused instance that must never execute again: the VM runs on another host, or what is paused was started
/// paused to be carried and never executed anything.
pub(super) fn end(
    context: &Context,
    host: &HostName,
    vm: &VmName,
    runs_on: Option<&HostName>,
) -> Result<Outcome, Failure> {
    let connection = context.work(host)?;
    let guest = match (Guest::find(&connection, vm)?, runs_on) {
        (Some(guest), _) => guest,
        // A migration whose end nobody awaited has reached it by itself since the plan was made.
        (None, Some(other)) => {
            let there = Guest::get(&context.work(other)?, vm)?;
            expect_runs_on(context, other, vm, there.uuid())?;
            context.watch.note(&format!("{host} has no {vm} any more"));
            return Ok(Outcome::default());
        }
        (None, None) => Guest::get(&connection, vm)?,
    };
    let state = guest.state()?;
    if state.is_off() {
        return Ok(Outcome::default());
    }
    if state.is_torn() {
        return Err(torn(host, vm));
    }
    if !state.is_paused() {
        return Err(Failure::on(host, format!("{vm} is {state}, not paused")));
    }
    match runs_on {
        Some(other) => expect_runs_on(context, other, vm, guest.uuid())?,
        None if super::mark::is_carried(&guest)? || prelaunch::never_ran(&guest)? => {}
        None => {
            let why = format!("{vm} is paused, and nothing proves that its guest never ran");
            let help = "If it is known that nothing is lost by it, end it by hand (virsh destroy); else resume it.";
            return Err(Failure::on(host, why).with_help(help));
        }
    }
    context.expect_not_cancelled()?;
    guest.work(Domain::destroy)?;
    // One without a persistent definition is gone with it.
    match guest.state() {
        Err(error) if error.is_no_domain() => {}
        _ => guest.expect_off(vm)?,
    }
    Ok(Outcome::default())
}

fn expect_runs_on(
    context: &Context,
    host: &HostName,
    vm: &VmName,
    uuid: &str,
) -> Result<(), Failure> {
    let there = Guest::find_uuid(&context.work(host)?, uuid)?;
    let runs = match there {
        Some(guest) => guest.state()?.is_running(),
        None => false,
    };
    if runs {
        return Ok(());
    }
    Err(Failure::on(host, format!("{vm} does not run there")))
}

/// A post-copy migration broke, and nothing that Domicile could do is safe.
pub(super) fn torn(host: &HostName, vm: &VmName) -> Failure {
    let why = format!("the post-copy migration of {vm} broke: its memory lies on two hosts");
    Failure::on(host, why).with_help(
        "End it on neither side. When the hosts reach each other again: virsh migrate with the same options and \
         --postcopy --postcopy-resume.",
    )
}

fn expect_running(guest: &Guest, vm: &VmName) -> Result<Outcome, Failure> {
    let state = guest.state()?;
    if state.is_running() {
        return Ok(Outcome::default());
    }
    let why = format!("{vm} is {state} just after it was started");
    let help = format!("See /var/log/libvirt/qemu/{vm}.log on {}.", guest.host());
    Err(Failure::on(guest.host(), why).with_help(help))
}
