//! `domicile validate` and `domicile schema`: the manifest alone.

use super::args::ManifestArguments;
use super::console::print;
use super::exit::Exit;
use super::failure::Failure;
use super::manifest;

pub(super) fn run(arguments: &ManifestArguments) -> Result<Exit, Failure> {
    let desired = manifest::load(&arguments.files)?;
    let (hosts, vms) = (desired.hosts.len(), desired.vms.len());
    print(&format!(
        "The manifest is valid: {hosts} hosts, {vms} VMs.\n"
    ))?;
    Ok(Exit::DONE)
}

pub(super) fn schema() -> Result<Exit, Failure> {
    let text = serde_json::to_string_pretty(&crate::manifest::schema()).map_err(|error| {
        Failure::error(format!("the schema cannot be written as JSON: {error}"))
    })?;
    print(&(text + "\n"))?;
    Ok(Exit::DONE)
}
