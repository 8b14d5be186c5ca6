//! One step of a plan to the module that does it.

use std::sync::Arc;

use super::connection::Connections;
use super::context::Context;
use super::failure::Failure;
use super::migrate::{self, Route};
use super::volume::Pool;
use super::{block_copy, compact, copy, define, delete, mark, overdue, power};
use crate::hypervisor::{Outcome, StepError, Watch};
use crate::model::{HostName, MoveMark, VmName};
use crate::plan::{Action, Seen, VolumeSpec};

/// Performs one step; see [`crate::hypervisor::Hypervisor::perform`].
pub(super) fn perform(
    connections: &Arc<Connections>,
    action: &Action,
    watch: &dyn Watch,
) -> Result<Outcome, StepError> {
    let (connections, theirs) = (Arc::clone(connections), action.clone());
    overdue::step(&action.to_string(), watch, move |watch, patience| {
        let context = Context {
            connections: &connections,
            watch,
            patience,
        };
        perform_in(&context, &theirs).map_err(|failure| failure.of(&theirs))
    })
}

fn perform_in(context: &Context, action: &Action) -> Result<Outcome, Failure> {
    match action {
        Action::Mark {
            host,
            vm,
            mark,
            seen,
        } => begin(context, host, vm, mark, seen.as_ref()),
        Action::Unmark { host, vm } => mark::remove(context, host, vm),
        Action::CreateVolume { spec } => create(context, spec),
        #[rustfmt::skip]
        Action::CopyVolume { from, spec, bandwidth } => copy::copy(context, from, spec, *bandwidth),
        Action::CompactVolume { from, spec } => compact::compact(context, from, spec),
        #[rustfmt::skip]
        Action::VerifyVolume { from, to, bandwidth } => copy::verify(context, from, to, *bandwidth),
        Action::DeleteVolume {
            at,
            seen_by,
            replaced_by: by,
            only_if_unused: unused,
        } => delete::delete(context, at, seen_by, by.as_ref(), *unused),
        Action::MigrateLive {
            vm,
            from,
            to,
            options,
        } => migrate::live(context, Route { vm, from, to }, options),
        Action::MigratePaused {
            vm,
            from,
            to,
            options,
        } => migrate::paused(context, Route { vm, from, to }, options),
        #[rustfmt::skip]
        Action::ShutDown { host, vm, timeout, on_timeout } => {
            power::shut_down(context, host, vm, *timeout, *on_timeout)
        },
        #[rustfmt::skip]
        Action::Define { vm, from, to, rewrite } => define::define(context, vm, from, to, rewrite),
        Action::Redefine { host, vm, rewrite } => define::redefine(context, host, vm, rewrite),
        Action::Start {
            host,
            vm,
            not_active_on,
        } => power::start(context, host, vm, not_active_on),
        Action::Undefine { host, vm, kept_by } => define::undefine(context, host, vm, kept_by),
        Action::BlockCopy {
            host,
            vm,
            disk,
            path,
            format,
            shallow,
            bandwidth,
        } => {
            let (shallow, bandwidth) = (*shallow, *bandwidth);
            #[rustfmt::skip]
            let order = block_copy::Order { disk, path, format, shallow, bandwidth };
            block_copy::run(context, host, vm, &order)
        }
        Action::Resume {
            host,
            vm,
            not_active_on,
        } => power::resume(context, host, vm, not_active_on),
        Action::Destroy { host, vm, runs_on } => power::end(context, host, vm, runs_on.as_ref()),
        Action::AwaitMigration { vm, from, to } => migrate::adopt(context, Route { vm, from, to }),
    }
}

/// Begins a move, unless what its plan rests on no longer holds.
fn begin(
    context: &Context,
    host: &HostName,
    vm: &VmName,
    mark: &MoveMark,
    seen: Option<&Seen>,
) -> Result<Outcome, Failure> {
    if let Some(seen) = seen {
        define::expect_as_seen(context, host, vm, seen)?;
        for image in &seen.compacted {
            compact::expect_plain(context, image)?;
        }
    }
    mark::write(context, host, vm, mark)
}

fn create(context: &Context, spec: &VolumeSpec) -> Result<Outcome, Failure> {
    let connection = context.work(&spec.at.host)?;
    let pool = Pool::fresh(&connection, &spec.at.pool)?;
    context.expect_not_cancelled()?;
    pool.create(spec, None)?;
    Ok(Outcome::default())
}
