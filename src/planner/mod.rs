//! How a plan is made: a pure function of what is desired and what was observed. It has no clock, no randomness, no
//! I/O and no logger; the same input gives the same bytes.
//!
//! 1. `difference`: where each VM of the manifest is and how that differs from where it shall be.
//! 2. `settle` and `recover`: what an earlier apply left unfinished, and the one safe way out of it.
//! 3. `place`: where each disk goes.
//! 4. `choose`: the rules are heard, and the method follows from what they refuse.
//! 5. `compact`: which images are written anew, without what reads as zeros, before they are carried.
//! 6. `derive` and `acts`: the steps of each move, in the order that keeps the VM and its data safe.
//! 7. `arrange`: which way each VM goes, by asking the `solver`: straight, by way of a third host (`detour`, judged
//!    by the reading `after` its first half) or with a stop; and who finds no room (`no_room`).
//! 8. `schedule`: when each step can start so that every host and pool has room at every moment.
//! 9. `assemble`: the plan, with an edge for each reason to wait.
//! 10. `timing`: what determined each start, the critical path, and the least time that any order would need.

mod acts;
mod after;
mod alternatives;
mod arrange;
mod ask;
mod assemble;
mod choose;
mod compact;
mod derive;
mod detour;
mod difference;
mod estimate;
mod gates;
mod intent;
mod limits;
mod no_room;
mod place;
mod precopy;
mod problem;
mod rank;
mod recover;
mod room;
mod schedule;
mod settle;
pub mod solver;
mod stocks;
mod storages;
mod timing;
mod waits;

use std::collections::BTreeSet;

pub use ask::{Unread, demands, monitors, questions, unread};

use crate::desired::Desired;

use crate::model::{HostName, VmName};
use crate::observed::{Observed, Reading};
use crate::plan::{Change, Finding, Half, Plan, Severity};
use crate::rules;

/// The VMs that must be looked into before a plan can be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needed {
    /// About these everything must be known.
    pub closely: BTreeSet<VmName>,
    /// Of these only their disks and interfaces.
    pub beside: BTreeSet<VmName>,
}

/// Finds them in a reading without XML.
///
/// Every VM of the manifest is looked into closely: only its metadata tells whether an earlier apply left its move
/// unfinished. Every other VM on a host that takes part in a move stands beside: it may share a volume with one that
/// moves, stand on the same base, or have the same MAC address. All this is asked again, of every host, before anything
/// is deleted.
#[must_use]
pub fn needs(desired: &Desired, observed: &Observed) -> Needed {
    let mut closely = BTreeSet::new();
    let mut taking_part = BTreeSet::new();
    for (name, host) in observed.reached() {
        for vm in host.vms.keys() {
            let Some(wanted) = desired.vms.get(vm) else {
                continue;
            };
            closely.insert(vm.clone());
            if wanted.host != *name || !wanted.disks.is_empty() {
                taking_part.extend([name, &wanted.host]);
            }
        }
    }
    let hosts = taking_part
        .into_iter()
        .filter_map(|name| observed.host(name));
    let beside = hosts
        .flat_map(|host| host.vms.keys().cloned())
        .filter(|vm| !closely.contains(vm))
        .collect();
    Needed { closely, beside }
}

/// Makes the plan that brings the hosts from what was observed to what is desired.
///
/// It always answers: what cannot be done is a finding that blocks, and everything that does not depend on it is
/// planned.
///
/// Nobody moves by way of a host on which there are VMs of which the reading does not tell everything;
/// [`third_hosts`] says which those are.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    plan_with(desired, observed, false)
}

/// Hosts by way of which VMs would move if more were known of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThirdHosts {
    /// The VMs there that stand beside.
    pub beside: BTreeSet<VmName>,
    /// Which VMs would come to which host.
    pub questions: Vec<(VmName, HostName)>,
}

/// What more to ask before a plan is made, where VMs wait for room; nothing where all is known.
#[must_use]
pub fn third_hosts(desired: &Desired, observed: &Observed) -> ThirdHosts {
    let mut third = ThirdHosts::default();
    if observed.hosts.len() < 3 || desired.gates.max_detours == Some(0) {
        return third;
    }
    let plan = plan_with(desired, observed, true);
    for a_move in &plan.moves {
        let half = a_move.detour.as_ref().map(|detour| detour.half);
        let Some(host) = observed
            .host(&a_move.to)
            .filter(|_| half == Some(Half::First))
        else {
            continue;
        };
        let unread = host.vms.iter().filter(|(_, vm)| vm.detail.is_none());
        third.beside.extend(unread.map(|(name, _)| name.clone()));
        if !host.fits.contains_key(&a_move.vm) {
            let question = (a_move.vm.clone(), a_move.to.clone());
            third.questions.push(question);
        }
    }
    third
}

fn plan_with(desired: &Desired, observed: &Observed, asking: bool) -> Plan {
    let settled = settle::settle(observed);
    let observed = settled.observed.as_ref();
    let mut changes = Vec::new();
    let mut findings = host_findings(observed);
    let mut intents = Vec::new();
    let one_is_two = findings
        .iter()
        .any(|finding| finding.code == "same-host-uuid");
    let index = difference::Index::of(desired, observed);
    for (name, vm) in desired.vms.iter().filter(|_| !one_is_two) {
        let decision = choose::decide(desired, observed, &settled.paused, &index, name, vm);
        let of_vm = |what| Change {
            vm: name.clone(),
            what,
        };
        changes.extend(decision.changes.into_iter().map(of_vm));
        findings.extend(decision.findings);
        intents.extend(decision.intent);
    }
    let ends = intents.iter();
    let ends = ends.flat_map(|intent| [intent.way.from, intent.way.to]);
    let mut taking_part: BTreeSet<HostName> = ends.cloned().collect();
    let world = detour::World {
        desired,
        observed,
        paused: &settled.paused,
        index: &index,
        asking,
    };
    let mut plan = arrange::arrange(world, intents, &changes, findings);
    let ways = plan.moves.iter();
    taking_part.extend(ways.flat_map(|it| [it.from.clone(), it.to.clone()]));
    plan.findings.extend(gaps(observed, &taking_part));
    plan.findings.sort();
    plan.alternatives =
        alternatives::alternatives(desired, observed, &settled.paused, &index, &plan.findings);
    plan
}

fn host_findings(observed: &Observed) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (one, other, uuid) in rules::same_host_twice(observed) {
        let (message, remedy) = if uuid.is_empty() {
            (
                format!("{one} and {other} tell no host UUID, so they may be one machine"),
                "set a host_uuid of its own in libvirtd.conf on each".to_owned(),
            )
        } else {
            (
                format!("{one} and {other} both report the host UUID {uuid}"),
                format!(
                    "if they are one machine, remove one of them from the manifest; if they were cloned, set a new host_uuid in libvirtd.conf on {other}"
                ),
            )
        };
        findings.push(Finding {
            severity: Severity::Blocks,
            code: "same-host-uuid".into(),
            vm: None,
            host: Some(one.clone()),
            message,
            remedy,
        });
    }
    for (host, reading) in &observed.hosts {
        match reading {
            Reading::Unreachable { reason, .. } => findings.push(Finding {
                severity: Severity::Risk,
                code: "host-unreachable".into(),
                vm: None,
                host: Some(host.clone()),
                message: format!("{host} could not be read: {reason}"),
                remedy: "its VMs are left as they are; make it reachable to plan for them".into(),
            }),
            Reading::Reached(_) => {}
        }
    }
    findings
}

/// What could not be read on hosts that take part in a move, those by way of which one goes included.
fn gaps(observed: &Observed, taking_part: &BTreeSet<HostName>) -> Vec<Finding> {
    let hosts = observed
        .reached()
        .filter(|(host, _)| taking_part.contains(*host));
    let all = hosts.flat_map(|(host, reading)| reading.gaps.iter().map(move |gap| (host, gap)));
    let finding = |(host, gap): (&HostName, &String)| Finding {
        severity: Severity::Note,
        code: "reading-incomplete".into(),
        vm: None,
        host: Some(host.clone()),
        message: gap.clone(),
        remedy: "nothing is deleted on ground of a part that could not be read".into(),
    };
    all.map(finding).collect()
}
