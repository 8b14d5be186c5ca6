//! Removing a volume, after proof that nobody uses it and that what replaces it is there.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::block_copy;
use super::connection::Connection;
use super::context::Context;
use super::failure::Failure;
use super::usage::{self, Names, Storage};
use super::volume::{Pool, Volume};
use super::volume_xml::VolumeFacts;
use crate::hypervisor::Outcome;
use crate::model::{Bytes, HostName, VolumeFormat, VolumeRef};

/// What keeps a volume in place without being a failure.
#[derive(Clone, Copy)]
pub(super) struct OnlyIf {
    /// Whether being in use does.
    pub(super) unused: bool,
    /// Whether being written in does.
    pub(super) empty: bool,
}

/// The most that a qcow2 image occupies in which nothing is written: its header and tables.
const EMPTY_MAX: Bytes = Bytes(1 << 20);

fn is_empty(facts: &VolumeFacts) -> bool {
    let most = match facts.format {
        VolumeFormat::Raw => Bytes::ZERO,
        _ => EMPTY_MAX,
    };
    facts.kind == "file" && facts.allocation <= most
}

/// Removes the volume. One that is gone already needs no removing.
pub(super) fn delete(
    context: &Context,
    at: &VolumeRef,
    seen_by: &[HostName],
    replaced_by: Option<&VolumeRef>,
    only_if: OnlyIf,
) -> Result<Outcome, Failure> {
    let connection = context.work(&at.host)?;
    let pool = Pool::fresh(&connection, &at.pool)?;
    let Some(volume) = pool.volume(&at.volume)? else {
        context.watch.note(&format!("{at} is gone already"));
        return Ok(Outcome::default());
    };
    let facts = volume.facts()?;
    if only_if.empty && !is_empty(&facts) {
        let written = facts.allocation;
        context.watch.note(&format!(
            "{at} stays: {written} are written in it, and nothing proves that it is ours"
        ));
        return Ok(Outcome::default());
    }
    if let Some(replacement) = replaced_by {
        expect_replacement(context, at, &facts, replacement)?;
    }
    // What an apply that was cut off was still filling is no copy that anybody could need.
    if replaced_by.is_none() && !only_if.unused {
        block_copy::end_copies_to(context, &connection, &facts.path)?;
    }
    // The host that has it is asked whether the plan names it or not.
    let mut hosts: BTreeSet<&HostName> = seen_by.iter().collect();
    hosts.insert(&at.host);
    let mut uses = Vec::new();
    for host in hosts {
        let asked = context.work(host)?;
        let storage = Storage::read(&asked)?;
        let names = names_on(&asked, &storage, at, &facts, replaced_by);
        let found = usage::users(&asked, &storage, &names)?;
        uses.extend(found.into_iter().map(|found| format!("{host}: {found}")));
    }
    if !uses.is_empty() {
        let uses = uses.join("; ");
        if only_if.unused {
            context.watch.note(&format!("{at} stays: {uses}"));
            return Ok(Outcome::default());
        }
        return Err(Failure::new(format!("{at} is still in use: {uses}"))
            .with_help("Nothing was removed. When it is no longer used, plan again."));
    }
    context.expect_not_cancelled()?;
    volume.delete()?;
    if pool.volume(&at.volume)?.is_some() {
        return Err(Failure::new(format!(
            "{at} is still there after it was removed"
        )));
    }
    Ok(Outcome::default())
}

fn expect_replacement(
    context: &Context,
    at: &VolumeRef,
    facts: &VolumeFacts,
    replacement: &VolumeRef,
) -> Result<(), Failure> {
    if replacement == at {
        return Err(Failure::new(format!("{at} cannot replace itself")));
    }
    let connection = context.work(&replacement.host)?;
    let found = Volume::find(&connection, replacement)?.facts()?;
    let same_file = connection.host == at.host && found.path == facts.path;
    let right = found.capacity == facts.capacity
        || (found.kind == "block" && found.capacity > facts.capacity);
    if right && !same_file {
        return Ok(());
    }
    let why = format!(
        "{replacement} of {} bytes is no replacement for {at} of {}",
        found.capacity.0, facts.capacity.0
    );
    Err(Failure::new(why)
        .with_help("Nothing was removed. Compare the two volumes, then plan again."))
}

/// What the volume may be called on this host. Pools of one storage may differ in name and path from host to host, so
/// elsewhere whatever has its name and sizes is taken for it, apart from what replaces it.
fn names_on(
    connection: &Arc<Connection>,
    storage: &Storage,
    at: &VolumeRef,
    facts: &VolumeFacts,
    replaced_by: Option<&VolumeRef>,
) -> Names {
    let mut names = Names::default();
    names.paths.insert(facts.path.clone());
    let here = connection.host == at.host;
    for (pool, volume) in storage.all() {
        let replacement = replaced_by.is_some_and(|replacement| {
            replacement.host == connection.host
                && replacement.pool.as_str() == pool
                && replacement.volume.as_str() == volume.name
        });
        let same = volume.path == facts.path
            || (!here
                && volume.name == facts.name
                && volume.capacity == facts.capacity
                && volume.physical == facts.physical);
        if same && !replacement {
            names.paths.insert(volume.path.clone());
            names.volumes.insert((pool.to_owned(), volume.name.clone()));
        }
    }
    names
}
