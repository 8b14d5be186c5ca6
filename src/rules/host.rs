//! Rules about the hosts of a move.

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
        title: "the destination has another VM of that UUID or name",
        effects: &[Effect::Blocks],
        why: "libvirt identifies a VM by its UUID and its name. It refuses a second definition with either, and a migration ends in its Prepare phase.",
        remedy: "Rename or remove the other VM, if it is not needed.",
        source: "libvirt, virDomainObjListAddLocked",
        judge: identity_taken,
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

fn identity_taken(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let other = case.destination.vms.iter().find(|(name, other)| {
        (other.uuid == case.vm.uuid && *name != case.name)
            || (*name == case.name && other.uuid != case.vm.uuid)
    });
    let Some((name, vm)) = other else {
        return Vec::new();
    };
    let what = if name == case.name { "name" } else { "UUID" };
    vec![Verdict::new(
        "uuid-taken",
        Effect::Blocks,
        case.to,
        format!(
            "{} has another VM of the same {what}: {name} with UUID {}, while {} has UUID {}",
            case.to, vm.uuid, case.name, case.vm.uuid
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
    let reached: Vec<_> = observed.reached().collect();
    let mut pairs = Vec::new();
    for (index, (name, host)) in reached.iter().enumerate() {
        for (other_name, other) in &reached[index + 1..] {
            if host.uuid == other.uuid {
                pairs.push(((*name).clone(), (*other_name).clone(), host.uuid.clone()));
            }
        }
    }
    pairs
}
