//! The last rung of a migration that does not converge: the guest is shut down, carried host to host, started again.
//!
//! What the live migration has written at the destination is written over: QEMU fills a volume that it cannot know to
//! be empty with zeros first, and a clone's own data covers all that was carried of it before.

use std::time::Instant;

use super::{Route, paused};
use crate::hypervisor::Outcome;
use crate::libvirt::context::Context;
use crate::libvirt::failure::Failure;
use crate::libvirt::{mark, power};
use crate::model::Millis;
use crate::plan::{ColdRung, MigrationOptions};

/// Moves a running VM cold. Where that fails it runs again where it was.
pub(super) fn run(
    context: &Context,
    route: Route,
    options: &MigrationOptions,
    rung: ColdRung,
) -> Result<Outcome, Failure> {
    let Route { vm, from, to } = route;
    context.expect_not_cancelled()?;
    // Before it is off: an apply that finds it off must know that it was running and what was under way.
    mark::turn_cold(context, from, vm)?;
    let down = Instant::now();
    power::shut_down(
        context,
        from,
        vm,
        rung.shutdown_timeout,
        rung.on_shutdown_timeout,
    )?;
    let carried = match paused::run(context, route, options) {
        Ok(carried) => carried,
        Err(failure) => {
            let others = [to.clone()];
            return Err(match power::start_again(context, from, vm, &others) {
                Ok(_) => failure,
                Err(error) => failure.and(format!("{vm} was not started again: {}", error.why())),
            });
        }
    };
    power::start_again(context, to, vm, std::slice::from_ref(from))?;
    Ok(Outcome {
        downtime: Some(Millis::from(down.elapsed())),
        ..carried
    })
}
