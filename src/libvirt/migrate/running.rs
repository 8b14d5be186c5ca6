//! A running VM to another host: live, and cold where that does not converge and the options say so.

use super::{Route, cold, live};
use crate::hypervisor::Outcome;
use crate::libvirt::context::Context;
use crate::libvirt::failure::Failure;
use crate::plan::MigrationOptions;

/// Migrates a VM that is active, and proves that it has arrived. One that does not converge is moved cold where the
/// options say so.
pub(in crate::libvirt) fn run(
    context: &Context,
    route: Route,
    options: &MigrationOptions,
) -> Result<Outcome, Failure> {
    match (live::run(context, route, options)?, options.cold) {
        (live::Ended::Arrived(outcome), _) => Ok(outcome),
        (live::Ended::ToCold, Some(rung)) => cold::run(context, route, options, rung),
        (live::Ended::ToCold, None) => Err(live::does_not_converge(route)),
    }
}
