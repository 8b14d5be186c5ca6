//! `domicile observe`: one reading of all hosts.

use super::args::ObserveArguments;
use super::console::{Console, print};
use super::exit::Exit;
use super::failure::Failure;
use super::{files, hosts, manifest};
use crate::libvirt::LibvirtHosts;
use crate::render::{json, text};

pub(super) fn run(console: Console, arguments: &ObserveArguments) -> Result<Exit, Failure> {
    let desired = manifest::load(&arguments.manifest.files)?;
    let libvirt = LibvirtHosts::new(&desired.hosts);
    let observed = hosts::read_full(console, &libvirt, &desired, arguments.timeout.timeout);
    let as_json = json::observed(&observed).map_err(|error| {
        Failure::error(format!("the reading cannot be written as JSON: {error}"))
    })?;
    if let Some(path) = &arguments.out {
        files::replace(path, &as_json)?;
    }
    if arguments.json {
        print(&as_json)?;
    } else {
        print(&text::observed(&observed, &console.style))?;
    }
    hosts::reached_any(&observed)?;
    Ok(Exit::DONE)
}
