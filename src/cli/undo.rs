//! Bringing every VM back to where it was before an apply: by its journal, or at once where the manifest wants that after
//! a failure.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::Planning;
use super::console::{Console, remark};
use super::execution::{Execution, agree, show};
use super::exit::Exit;
use super::failure::Failure;
use super::plan::{Made, checked, from_demand};
use super::{files, hosts, locking, manifest};
use crate::apply::undo::{Undo, UndoError};
use crate::desired::{Desired, OnFailure};
use crate::plan::StepId;

const BY_HAND: &str =
    "nothing was started; write into the manifest where each VM shall be, and apply that";

fn cannot(error: &UndoError) -> Failure {
    Failure::new(
        Exit::BLOCKED,
        format!("this apply cannot be undone: {error}"),
    )
    .help(BY_HAND)
}

/// What is demanded, with no undoing of the undoing.
fn demand(undo: &Undo, manifest: &Desired) -> Result<Desired, Failure> {
    let mut desired = undo.desired(manifest).map_err(|error| cannot(&error))?;
    desired.on_failure = OnFailure::Continue;
    Ok(desired)
}

/// The plan that undoes what an apply did, by its journal.
pub(super) fn make(console: Console, planning: &Planning, journal: &Path) -> Result<Made, Failure> {
    let text = files::read_journal(journal)?;
    let undo = Undo::read(&text).map_err(|error| files::no_journal(journal, &error))?;
    let desired = demand(&undo, &manifest::load(&planning.manifest.files)?)?;
    let made = from_demand(console, planning, desired)?;
    undo.expect_places(&made.observed)
        .map_err(|error| cannot(&error))?;
    if !undo.is_empty() {
        remark(
            "the manifest is not changed by this: the next apply without --rollback does what it says",
        );
    }
    Ok(made)
}

/// After an apply that failed: shows the plan that brings every VM back, asks, and carries it out.
pub(super) fn after_failure(
    execution: &mut Execution<'_>,
    failed: &Made,
    started: &BTreeSet<StepId>,
) -> Result<(), Failure> {
    let (console, arguments) = (execution.console, execution.arguments);
    let undo = Undo::of(&failed.plan, started);
    if undo.is_empty() {
        return Ok(());
    }
    let desired = demand(&undo, &failed.desired)?;
    let timeout = arguments.planning.timeout.timeout;
    let observed = hosts::read(console, execution.hosts.as_ref(), &desired, None, timeout)?;
    undo.expect_places(&observed)
        .map_err(|error| cannot(&error))?;
    let plan = checked(&desired, &observed)?;
    remark(
        "a step failed, and the manifest says `on_failure: rollback`: this plan brings every VM back",
    );
    if !show(console, arguments, &plan)? {
        return Ok(());
    }
    let is_locked = |host| {
        let locks = execution.locks.as_ref();
        locks.is_none_or(|locks| locks.hosts().any(|locked| locked == host))
    };
    if !locking::touched(&plan).iter().all(is_locked) {
        return Err(Failure::error(
            "bringing every VM back takes hosts that this apply has not locked",
        )
        .help("plan again; with a journal, `domicile apply --rollback JOURNAL` locks them"));
    }
    agree(console, arguments)?;
    let made = Made {
        desired,
        observed,
        plan,
        libvirt: Arc::clone(&failed.libvirt),
    };
    let journal = arguments.journal.as_deref().map(of_rollback);
    execution.run(&made, journal.as_deref()).map(drop)
}

/// The journal of what is done to undo what a journal tells of.
fn of_rollback(journal: &Path) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(".rollback");
    name.into()
}
