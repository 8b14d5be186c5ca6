//! `domicile unlock`: which locks there are, and removing one.

use std::sync::Arc;

use uuid::Uuid;

use super::args::UnlockArguments;
use super::console::{print, remark};
use super::exit::Exit;
use super::failure::Failure;
use super::{import, locking, manifest};
use crate::libvirt::LibvirtHosts;
use crate::lock::{HeldLock, Locking};
use crate::model::HostName;
use crate::render::clean;

pub(super) fn run(arguments: &UnlockArguments) -> Result<Exit, Failure> {
    let hosts = if arguments.uris.is_empty() {
        manifest::load(&arguments.manifest.files)?.hosts
    } else {
        import::hosts_of(&import::by_name(&arguments.uris)?)
    };
    let libvirt = Arc::new(LibvirtHosts::new(&hosts));
    let mut silent = Vec::new();
    let mut found = Vec::new();
    for (host, held) in locking::look(&libvirt, hosts.into_keys().collect()) {
        match held {
            Ok(None) => {}
            Ok(Some(held)) => found.push((host, held)),
            Err(why) => silent.push(clean(&why).into_owned()),
        }
    }
    for why in &silent {
        remark(&format!("not asked: {why}"));
    }
    match arguments.id {
        None => list(&found)?,
        Some(id) => remove(&libvirt, id, &found, !silent.is_empty())?,
    }
    if silent.is_empty() {
        return Ok(Exit::DONE);
    }
    Err(Failure::error("not every host answered").help("ask again when they do"))
}

fn list(found: &[(HostName, HeldLock)]) -> Result<(), Failure> {
    if found.is_empty() {
        return print("No host is locked.\n");
    }
    for (host, held) in found {
        print(&format!("{}\n", locking::in_words(host, held)))?;
    }
    Ok(())
}

fn remove(
    libvirt: &LibvirtHosts,
    id: Uuid,
    found: &[(HostName, HeldLock)],
    may_be_elsewhere: bool,
) -> Result<(), Failure> {
    let mut removed = 0;
    for (host, held) in found.iter().filter(|(_, held)| held.id == id) {
        let done = libvirt.remove(host, id).map_err(Failure::error)?;
        if done {
            removed += 1;
            print(&format!("Removed: {}\n", locking::in_words(host, held)))?;
        }
    }
    if removed == 0 && !may_be_elsewhere {
        return Err(Failure::error(format!("no host has a lock {id}"))
            .help("`domicile unlock` without an ID lists the locks"));
    }
    Ok(())
}
