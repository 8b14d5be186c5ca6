//! What is told of moves that find no room: what is short where, for whom, who waits for whom, and what would help.

use std::collections::BTreeSet;

use super::derive::Chain;
use super::intent::Intent;
use super::rank::{Rank, rank};
use super::solver::{Solution, Stuck};
use crate::model::{Bytes, HostName, VmName};
use crate::plan::{Capacity, Finding, Resource, Severity};

/// So many VMs of a group are named; the rest is a number.
const NAMED_MAX: usize = 8;

/// The VMs of chains that the solver could not place, and what is told of them.
pub(super) fn no_room(
    intents: &[Intent<'_>],
    chains: &[Chain],
    solution: &Solution,
    capacities: &[Capacity],
) -> (BTreeSet<VmName>, Vec<Finding>) {
    let mut stuck = BTreeSet::new();
    let mut findings = Vec::new();
    for group in &solution.stuck {
        let vms = vms_of(chains, group);
        for vm in &vms {
            let intent = intents.iter().find(|intent| intent.name == *vm);
            let others = others(group, &vms);
            let told = intent.map(|intent| of_one(intent, chains, group, &others, capacities));
            findings.extend(told.into_iter().flatten());
        }
        stuck.extend(vms.into_iter().cloned());
    }
    // What is no VM's own, such as a base, is waited for by the VMs that need it.
    if stuck.is_empty() {
        stuck.extend(intents.iter().map(|intent| intent.name.clone()));
    }
    (stuck, findings)
}

fn vms_of<'c>(chains: &'c [Chain], group: &Stuck) -> Vec<&'c VmName> {
    let vms = group.items.iter();
    let mut vms: Vec<_> = vms.filter_map(|item| chains[*item].vm.as_ref()).collect();
    vms.sort();
    vms.dedup();
    vms
}

/// The finding's code, and the host that the resource belongs to.
fn code_of(resource: &Resource) -> (&'static str, &HostName) {
    match resource {
        Resource::Pool(host, _) => ("pool-space", host),
        Resource::Apart(_, host) => ("rule-apart", host),
        Resource::Memory(host) | Resource::Vcpus(host) | Resource::Vms(host) => ("capacity", host),
    }
}

fn amount(resource: &Resource, value: u64) -> String {
    match resource {
        Resource::Memory(_) | Resource::Pool(..) => Bytes(value).to_string(),
        Resource::Vcpus(_) | Resource::Vms(_) | Resource::Apart(..) => value.to_string(),
    }
}

fn of_one(
    intent: &Intent<'_>,
    chains: &[Chain],
    group: &Stuck,
    others: &str,
    capacities: &[Capacity],
) -> Vec<Finding> {
    let what = what(intent);
    let own = |item: usize| chains[item].vm.as_ref() == Some(intent.name);
    let short = group.short.iter().filter(|short| own(short.item));
    let mut findings: Vec<Finding> = short
        .filter_map(|short| {
            let resource = &capacities.get(short.resource)?.resource;
            let (code, host) = code_of(resource);
            let needed = needed(intent, resource);
            let left = needed.saturating_sub(short.missing);
            let (needs, has) = (amount(resource, needed), amount(resource, left));
            Some(Finding {
                severity: Severity::Blocks,
                code: code.into(),
                vm: Some(intent.name.clone()),
                host: Some(host.clone()),
                message: format!(
                    "{what} needs {needs} ({resource}), and {has} are left once every other move that can be made is made{others}",
                ),
                remedy: format!(
                    "make room of {} there, or choose another place{}",
                    amount(resource, short.missing),
                    relief(group, capacities)
                ),
            })
        })
        .collect();
    if findings.is_empty() {
        let order = if group.proven {
            "there is no order"
        } else {
            "no order was found"
        };
        findings.push(Finding {
            severity: Severity::Blocks,
            code: "capacity".into(),
            vm: Some(intent.name.clone()),
            host: Some(intent.way.to.clone()),
            message: format!("{order} in which {what} can begin{others}"),
            remedy: format!(
                "apply the other moves first, then plan again{}",
                relief(group, capacities)
            ),
        });
    }
    findings
}

/// What finds no room. A VM that an earlier apply has shut down is off for as long as that is so.
fn what(intent: &Intent<'_>) -> String {
    let (from, to) = (intent.way.from, intent.way.to);
    let is_down = rank(intent) == Rank::Down;
    match (is_down, from == to) {
        (true, true) => format!("its start on {to}, where an earlier apply has left it off,"),
        (true, false) => {
            format!("its move from {from}, where an earlier apply has left it off, to {to}")
        }
        (false, true) => format!("the move of its disks on {to}"),
        (false, false) => format!("its move from {from} to {to}"),
    }
}

/// What the move takes of the resource.
fn needed(intent: &Intent<'_>, resource: &Resource) -> u64 {
    let takes = super::room::takes(intent).into_iter();
    takes
        .filter(|(of, _)| of == resource)
        .map(|(_, amount)| amount)
        .sum()
}

/// Who else waits for it, or for the same.
fn others(group: &Stuck, vms: &[&VmName]) -> String {
    if vms.len() < 2 {
        return String::new();
    }
    let named: Vec<String> = vms
        .iter()
        .take(NAMED_MAX)
        .map(ToString::to_string)
        .collect();
    let rest = vms.len().saturating_sub(NAMED_MAX);
    let more = if rest == 0 {
        String::new()
    } else {
        format!(" and {rest} more")
    };
    let how = if group.waits {
        "waiting for each other"
    } else {
        "all of these need such room there"
    };
    format!("; {how}: {}{more}", named.join(", "))
}

fn relief(group: &Stuck, capacities: &[Capacity]) -> String {
    let Some((resource, more)) = group.relief else {
        return String::new();
    };
    let Some(capacity) = capacities.get(resource) else {
        return String::new();
    };
    if group.items.len() < 2 {
        return String::new();
    }
    let resource = &capacity.resource;
    format!(
        "; {} more ({resource}) would do for all of them",
        amount(resource, more)
    )
}

/// A move that no order of all steps had room for, though the solver had found one.
pub(super) fn no_order(intents: &[Intent<'_>], vm: &VmName) -> Finding {
    let intent = intents.iter().find(|intent| intent.name == vm);
    let what = intent.map_or_else(|| "its move".into(), what);
    Finding {
        severity: Severity::Blocks,
        code: "capacity".into(),
        vm: Some(vm.clone()),
        host: intent.map(|intent| intent.way.to.clone()),
        message: format!("no order was found in which {what} has room"),
        remedy: "apply the other moves first, then plan again".into(),
    }
}

/// A move that would take the room in which another VM has to run again.
pub(super) fn makes_way(intents: &[Intent<'_>], vm: &VmName, down: &VmName) -> Finding {
    let mut finding = no_order(intents, vm);
    finding.message = format!(
        "it would take the room of {down}, which an earlier apply has shut down and which has to run again"
    );
    finding.remedy = "apply this plan first, then plan again".into();
    finding
}
