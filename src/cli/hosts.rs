//! From a manifest's hosts to a reading of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::console::Console;
use super::failure::Failure;
use super::files;
use super::waiting::Waiting;
use crate::desired::Desired;
use crate::hypervisor::{Depth, Hypervisor, ObserveRequest};
use crate::model::Millis;
use crate::observed::{Observed, Reading};
use crate::planner::{self, ThirdHosts};

/// How often more is asked of hosts by way of which VMs could move. Each answer may show that another host is the better
/// one; whoever is not known by then is left out.
const THIRD_HOST_ROUNDS: usize = 3;

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
        return files::read_sound(path);
    }
    let waiting = Waiting::new(console, &format!("Reading {} hosts", desired.hosts.len()));
    let mut request = ObserveRequest {
        hosts: desired.hosts.clone(),
        depth: Depth::Bulk,
        fits: Vec::new(),
        ask_qemu: BTreeSet::new(),
        refresh: BTreeMap::new(),
        volumes: BTreeMap::new(),
        timeout,
    };
    let mut observed = hosts.observe(&request);
    let needed = planner::needs(desired, &observed);
    if !needed.closely.is_empty() {
        // Who has not answered in all the time that it had is not waited for again.
        request
            .hosts
            .retain(|name, _| observed.host(name).is_some());
        request.depth = Depth::Named {
            closely: needed.closely,
            beside: needed.beside,
        };
        request.fits = planner::questions(desired, &observed);
        request.ask_qemu = planner::monitors(desired, &observed);
        observed.hosts.extend(hosts.observe(&request).hosts);
        // Only now it is known which disks they have.
        ask_of_volumes(hosts, desired, &request, &mut observed);
        if ask_of_third_hosts(hosts, desired, &mut request, &mut observed) {
            ask_of_volumes(hosts, desired, &request, &mut observed);
        }
    }
    waiting.end();
    reached_any(&observed)?;
    Ok(observed)
}

/// Asks for what is left to know of hosts by way of which VMs may move. Whether anything was.
fn ask_of_third_hosts(
    hosts: &dyn Hypervisor,
    desired: &Desired,
    request: &mut ObserveRequest,
    observed: &mut Observed,
) -> bool {
    let mut asked = false;
    for _ in 0..THIRD_HOST_ROUNDS {
        let third = planner::third_hosts(desired, observed);
        if third == ThirdHosts::default() || !ask_more(request, third) {
            break;
        }
        observed.hosts.extend(hosts.observe(request).hosts);
        asked = true;
    }
    asked
}

/// Adds to a request what is asked of third hosts. Whether that is anything new.
fn ask_more(request: &mut ObserveRequest, third: ThirdHosts) -> bool {
    let before = request.fits.len();
    let mut is_new = false;
    if let Depth::Named { closely, beside } = &mut request.depth {
        for vm in third.beside {
            is_new |= !closely.contains(&vm) && beside.insert(vm);
        }
    }
    for question in third.questions {
        if !request.fits.contains(&question) {
            request.fits.push(question);
        }
    }
    is_new || request.fits.len() > before
}

/// Asks for what is left to know of volumes. No VM is looked at once more, so it costs little.
fn ask_of_volumes(
    hosts: &dyn Hypervisor,
    desired: &Desired,
    request: &ObserveRequest,
    observed: &mut Observed,
) {
    let unread = planner::unread(desired, observed);
    if unread.is_empty() {
        return;
    }
    let mut request = ObserveRequest {
        depth: Depth::Bulk,
        fits: Vec::new(),
        ask_qemu: BTreeSet::new(),
        ..request.clone()
    };
    request.hosts.retain(|host, _| unread.concerns(host));
    (request.refresh, request.volumes) = (unread.pools, unread.volumes);
    for (name, reading) in hosts.observe(&request).hosts {
        match (observed.hosts.get_mut(&name), reading) {
            (Some(Reading::Reached(host)), Reading::Reached(later)) => host.learn_volumes(*later),
            (_, reading) => drop(observed.hosts.insert(name, reading)),
        }
    }
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
        ask_qemu: BTreeSet::new(),
        refresh: BTreeMap::new(),
        volumes: BTreeMap::new(),
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
