//! From a manifest's hosts to a reading of them.

use std::path::Path;

use super::console::Console;
use super::failure::Failure;
use super::files;
use super::waiting::Waiting;
use crate::desired::Desired;
use crate::hypervisor::{Depth, Hypervisor, ObserveRequest};
use crate::model::Millis;
use crate::observed::{Observed, Reading};
use crate::planner;

/// A reading for a plan: a recorded one where a file is named, else all hosts, and the VMs that the plan must look
/// into more closely.
pub(super) fn read(
    console: Console,
    hosts: &dyn Hypervisor,
    desired: &Desired,
    recorded: Option<&Path>,
    timeout: Millis,
) -> Result<Observed, Failure> {
    if let Some(path) = recorded {
        return files::read_observed(path);
    }
    let waiting = Waiting::new(console, &format!("Reading {} hosts", desired.hosts.len()));
    let request = |hosts, depth, fits| ObserveRequest {
        hosts,
        depth,
        fits,
        timeout,
    };
    let mut observed = hosts.observe(&request(desired.hosts.clone(), Depth::Bulk, Vec::new()));
    let needed = planner::needs(desired, &observed);
    if !needed.closely.is_empty() {
        // Who has not answered in all the time that it had is not waited for again.
        let mut answering = desired.hosts.clone();
        answering.retain(|name, _| observed.host(name).is_some());
        let fits = planner::questions(desired, &observed);
        let depth = Depth::Named {
            closely: needed.closely,
            beside: needed.beside,
        };
        let closer = hosts.observe(&request(answering, depth, fits));
        observed.hosts.extend(closer.hosts);
    }
    waiting.end();
    reached_any(&observed)?;
    Ok(observed)
}

/// Everything about all hosts.
pub(super) fn read_full(
    console: Console,
    hosts: &dyn Hypervisor,
    desired: &Desired,
    timeout: Millis,
) -> Observed {
    let waiting = Waiting::new(console, &format!("Reading {} hosts", desired.hosts.len()));
    let observed = hosts.observe(&ObserveRequest {
        hosts: desired.hosts.clone(),
        depth: Depth::Full,
        fits: planner::demands(desired),
        timeout,
    });
    waiting.end();
    observed
}

/// Refuses a reading in which no host answered: all that could be planned from it is nothing.
pub(super) fn reached_any(observed: &Observed) -> Result<(), Failure> {
    if observed.hosts.is_empty() || observed.reached().next().is_some() {
        return Ok(());
    }
    Err(Failure::error(format!("no host answered\n{}", silent(observed))).help(
        "try `virsh -c URI list` from this machine with the URI of the manifest; a larger --timeout helps with slow links",
    ))
}

/// Each host that did not answer, with the reason.
pub(super) fn silent(observed: &Observed) -> String {
    let lines = observed
        .hosts
        .iter()
        .filter_map(|(name, reading)| match reading {
            Reading::Reached(_) => None,
            Reading::Unreachable { reason, after } => {
                Some(format!("{name}: {reason} (waited {after})"))
            }
        });
    lines.collect::<Vec<_>>().join("\n")
}
