//! `domicile validate`: the manifest alone.

use super::annotate::annotated;
use super::args::ValidateArguments;
use super::console::print;
use super::exit::Exit;
use super::failure::Failure;

pub(super) fn run(arguments: &ValidateArguments) -> Result<Exit, Failure> {
    let manifest = annotated(&arguments.annotations, &arguments.manifest.files)?;
    manifest.annotate(&arguments.annotations, &[])?;
    let desired = &manifest.loaded.desired;
    let (hosts, vms) = (desired.hosts.len(), desired.vms.len());
    print(&format!(
        "The manifest is valid: {hosts} hosts, {vms} VMs.\n"
    ))?;
    Ok(Exit::DONE)
}
