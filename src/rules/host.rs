//! Rules about the hosts of a move.

use std::collections::BTreeMap;

use super::case::{Case, Effect, Rule, Verdict};
use crate::model::HostName;
use crate::observed::Observed;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "host-maintenance",
        title: "the destination is in maintenance",
        effects: &[Effect::Blocks],
        why: "A host in maintenance is being emptied or worked on. A VM that comes to it would have to leave it again.",
        remedy: "Choose another host, or end the maintenance in the manifest.",
        source: "VMmanager 6, maintenance mode",
        judge: maintenance,
    },
    Rule {
        code: "uuid-taken",
        title: "the destination has another VM of that UUID",
        effects: &[Effect::Blocks],
        why: "libvirt identifies a VM by its UUID. It refuses a second definition with it, and a migration ends in its Prepare phase.",
        remedy: "Rename or remove the other VM, if it is not needed.",
        source: "libvirt, virDomainObjListAddLocked",
        judge: uuid_taken,
    },
];

fn maintenance(case: &Case<'_>) -> Vec<Verdict> {
    let declared = case.desired.hosts.get(case.to);
    if !case.changes_host() || !declared.is_some_and(|host| host.maintenance) {
        return Vec::new();
    }
    vec![Verdict::new(
        "host-maintenance",
        Effect::Blocks,
        case.to,
        format!("{} is in maintenance and takes no VMs", case.to),
        format!(
            "choose another host, or set `maintenance: false` at hosts.{}",
            case.to
        ),
    )]
}

fn uuid_taken(case: &Case<'_>) -> Vec<Verdict> {
    let mut others = case.destination.vms.iter().filter(|_| case.changes_host());
    let other = others.find(|(name, vm)| vm.uuid == case.vm.uuid && *name != case.name);
    let Some((name, vm)) = other else {
        return Vec::new();
    };
    vec![Verdict::new(
        "uuid-taken",
        Effect::Blocks,
        case.to,
        format!(
            "{} has another VM with its UUID {}: {name}",
            case.to, vm.uuid
        ),
        format!(
            "rename or remove the VM {name} on {}, if it is not needed there",
            case.to
        ),
    )]
}

/// Hosts of the manifest that are one and the same machine, or cloned with its identity: libvirt refuses to migrate
/// between two hosts of one UUID, and two names for one host would make a move delete what it just moved.
#[must_use]
pub fn same_host_twice(observed: &Observed) -> Vec<(HostName, HostName, String)> {
    let mut by_uuid: BTreeMap<&str, Vec<&HostName>> = BTreeMap::new();
    for (name, host) in observed.reached() {
        by_uuid.entry(&host.uuid).or_default().push(name);
    }
    let mut pairs = Vec::new();
    for (uuid, names) in by_uuid {
        // Each with the next one: that says it of all of them.
        for pair in names.windows(2) {
            pairs.push((pair[0].clone(), pair[1].clone(), uuid.to_owned()));
        }
    }
    pairs
}
