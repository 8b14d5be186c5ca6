//! A VM that is off to another host, with its disks, by QEMU itself: started paused, migrated, and ended at the
//! destination. The guest's code is never executed, and what was never written is never sent.

use std::time::Duration;

use virt::domain::Domain;
use virt_sys as sys;

use super::Route;
use super::follow::{Follower, Stop};
use super::live::{advice, definitions, expect_persistent, measured, with_cause};
use super::settle::{Settled, settle};
use super::transfer::{Order, transfer};
use crate::hypervisor::Outcome;
use crate::libvirt::context::Context;
use crate::libvirt::define::{expect_free, expect_paths, expect_targets, rewritten};
use crate::libvirt::domain::Guest;
use crate::libvirt::failure::Failure;
use crate::libvirt::mark;
use crate::plan::MigrationOptions;

/// Carries the VM and proves that it is off and defined at the destination. Where that fails, it is off and defined
/// at the source, as before.
pub(in crate::libvirt) fn run(
    context: &Context,
    route: Route,
    options: &MigrationOptions,
) -> Result<Outcome, Failure> {
    let guest = Guest::get(&context.own(route.from)?, route.vm)?;
    let destination = context.work(route.to)?;
    let defined_before = expect_free(&destination, route.vm, guest.uuid())?;
    let definition = rewritten(route.from, &guest.definition()?, &options.rewrite)?;
    expect_targets(&destination, &definition, &options.disks)?;
    let autostart = guest.call(Domain::autostart)?;
    // One that an apply which was killed has started for this is taken as it is.
    if !mark::is_carried(&guest)? {
        guest.expect_off(route.vm)?;
        // A saved state would be what starts, and would be lost at the end.
        guest.expect_no_saved_state(route.vm)?;
        context.expect_not_cancelled()?;
        guest.work(|domain| domain.create_with_flags(sys::VIR_DOMAIN_START_PAUSED))?;
        if let Err(failure) = mark::set_carried(&guest) {
            return Err(ended_at_source(&guest, route, failure));
        }
    }
    let carried = carry(context, route, &guest, options, defined_before);
    let (there, outcome) = match carried {
        Ok(arrived) => arrived,
        Err(Trouble::Stayed(here, failure)) => return Err(ended_at_source(&here, route, failure)),
        Err(Trouble::Unknown(failure)) => return Err(failure),
    };
    // Without a definition there, ending it would be the end of the VM.
    expect_persistent(&there, route)?;
    end(&there, route)?;
    let definition = there.xml(sys::VIR_DOMAIN_XML_INACTIVE)?;
    expect_paths(route.to, route.vm, &definition, &options.rewrite)?;
    if autostart {
        there.call(|domain| domain.set_autostart(true))?;
    }
    Ok(outcome)
}

/// Why a VM was not carried.
enum Trouble {
    /// It is still at the source, paused, and is to be ended there.
    Stayed(Guest, Failure),
    /// Nobody knows, or it is elsewhere: hands off.
    Unknown(Failure),
}

fn carry(
    context: &Context,
    route: Route,
    guest: &Guest,
    options: &MigrationOptions,
    defined_before: bool,
) -> Result<(Guest, Outcome), Trouble> {
    let definitions = definitions(guest, &options.rewrite)
        .map_err(|failure| Trouble::Stayed(guest.clone(), failure))?;
    // A VM that stands still converges.
    let mut follower = Follower::new(context, route, guest.uuid(), &[], Duration::MAX);
    let order = Order {
        guest,
        to: route.to,
        options,
        definitions: &definitions,
        paused: true,
    };
    let said = transfer(context, &order, &mut follower);
    let settled = settle(context, route, guest.uuid(), defined_before, &mut follower)
        .map_err(|failure| Trouble::Unknown(with_cause(failure, said.as_ref().err())))?;
    match settled {
        Settled::Arrived(there) => {
            let outcome = measured(&there, &follower);
            // The guest was off before: it stood still, but nobody waited for it.
            Ok((
                there,
                Outcome {
                    downtime: None,
                    ..outcome
                },
            ))
        }
        Settled::Stayed(here, _) => {
            let failure = match (follower.stop(), said) {
                (Some(Stop::Cancelled), _) => Failure::cancelled(),
                (_, Err(error)) => match advice(&error) {
                    Some(help) => Failure::from(error).with_help(help),
                    None => error.into(),
                },
                (_, Ok(())) => Failure::on(route.from, "the migration ended without an effect"),
            };
            Err(Trouble::Stayed(here, failure))
        }
    }
}

/// Ends an instance that stands still. One that somebody has resumed meanwhile is left alone: it has executed.
fn end(guest: &Guest, route: Route) -> Result<(), Failure> {
    let state = guest.state()?;
    if state.is_paused() {
        guest.work(Domain::destroy)?;
    } else if !state.is_off() {
        let why = format!("{} is {state}, though it was only to be carried", route.vm);
        return Err(Failure::on(guest.host(), why).with_help("Plan again."));
    }
    guest.expect_off(route.vm)
}

/// Ends the paused VM at the source, so that it is off as before.
fn ended_at_source(guest: &Guest, route: Route, failure: Failure) -> Failure {
    match end(guest, route) {
        Ok(()) => failure,
        Err(error) => failure.and(format!("it is not off as it was: {}", error.why())),
    }
}
