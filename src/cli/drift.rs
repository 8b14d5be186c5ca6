//! `domicile plan --drift`: what somebody else changed since the last apply, and the file that an apply leaves for it.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::args::{Format, PlanArguments};
use super::console::{Console, print};
use super::exit::Exit;
use super::failure::Failure;
use super::plan::{checked, narrowed};
use super::{files, hosts, manifest};
use crate::desired::Desired;
use crate::hypervisor::Hypervisor;
use crate::libvirt::LibvirtHosts;
use crate::model::Millis;
use crate::plan::Drift;
use crate::render::{drift, json};

pub(super) fn run(
    console: Console,
    arguments: &PlanArguments,
    since: &Path,
) -> Result<Exit, Failure> {
    let format = arguments.output.format();
    if !matches!(format, Format::Text | Format::Json | Format::Line) {
        return Err(
            Failure::new(Exit::USAGE, "drift is no plan, and has no such format")
                .help("drift is shown as text, json or line"),
        );
    }
    let then = files::read_observed(since)?;
    let planning = &arguments.planning;
    let desired = narrowed(planning, manifest::load(&planning.manifest.files)?)?;
    let now = if let Some(path) = &planning.observed {
        files::read_observed(path)?
    } else {
        let libvirt = Arc::new(LibvirtHosts::new(&desired.hosts));
        let timeout = planning.timeout.timeout;
        hosts::read_full(console, libvirt.as_ref(), &desired, timeout)
    };
    hosts::reached_any(&now)?;
    let plan = checked(&desired, &now)?;
    let found = Drift::between(&desired, &then, &now, &plan);
    let when = in_words(found.since);
    print(&match format {
        Format::Json => json::drift(&found).map_err(|error| {
            Failure::error(format!("the drift cannot be written as JSON: {error}"))
        })?,
        Format::Line => drift::line(&found, &when) + "\n",
        _ => drift::text(&found, &when, &console.style),
    })?;
    if let Some(path) = &arguments.metrics_out {
        files::replace(path, &drift::prometheus(&found))?;
    }
    Ok(if !found.drifted.is_empty() {
        Exit::DRIFT
    } else if arguments.detailed_exitcode && !found.wanted.is_empty() {
        Exit::CHANGES
    } else {
        Exit::DONE
    })
}

/// Writes how the hosts are now, all of their VMs included: what the next drift run compares with.
pub(super) fn leave(
    console: Console,
    hosts: &dyn Hypervisor,
    desired: &Desired,
    timeout: Millis,
    path: &Path,
) -> Result<(), Failure> {
    let observed = hosts::read_full(console, hosts, desired, timeout);
    let text = json::observed(&observed).map_err(|error| {
        Failure::error(format!("the reading cannot be written as JSON: {error}"))
    })?;
    files::replace(path, &text)
}

fn in_words(milliseconds: u64) -> String {
    i64::try_from(milliseconds)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(at).ok())
        .map_or_else(
            || "an unknown time".to_owned(),
            |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        )
}
