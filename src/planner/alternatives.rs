//! Where else a VM could go whose host in the manifest is impossible: every other host, with the reason.

use std::collections::{BTreeMap, BTreeSet};

use super::choose::{Decision, decide};
use super::difference::Index;
use super::intent::Intent;
use super::room;
use crate::desired::{self, Desired};
use crate::model::{HostName, VmName};
use crate::observed::Observed;
use crate::plan::{Alternative, Finding, MoveKind, Resource, Severity, refused};

/// For this many VMs other hosts are looked at; whoever has more refusals has another problem than a host.
const VMS_MAX: usize = 50;

/// So many times one host is looked at for one VM, over all VMs: on a large fleet fewer VMs get an answer, so that it
/// never takes long. The first always does.
const LOOKS_MAX: usize = 10_000;

/// Every other host for each VM whose move is refused.
pub(super) fn alternatives<'a>(
    desired: &'a Desired,
    observed: &'a Observed,
    paused: &BTreeSet<(HostName, VmName)>,
    index: &'a Index<'a>,
    findings: &[Finding],
) -> BTreeMap<VmName, Vec<Alternative>> {
    let blocked = refused(findings);
    let capacities = room::capacities(desired, observed, &index.storages);
    let left: BTreeMap<&Resource, u64> = capacities
        .iter()
        .map(|capacity| {
            let left = capacity.limit.saturating_sub(capacity.used);
            (&capacity.resource, left)
        })
        .collect();
    let of_vm = |name: &VmName| {
        let wanted = desired.vms.get(name)?;
        // One that is nowhere, or on several hosts, has nowhere to go.
        let [(from, _)] = index.hosts_of(name) else {
            return None;
        };
        if **from == wanted.host {
            return None;
        }
        let others = observed
            .reached()
            .map(|(host, _)| host)
            .filter(|host| host != from && **host != wanted.host);
        let told: Vec<Alternative> = others
            .map(|host| {
                let wanted = desired::Vm {
                    host: host.clone(),
                    ..wanted.clone()
                };
                let decision = decide(desired, observed, paused, index, name, &wanted);
                judged(host, &decision, &left)
            })
            .collect();
        (!told.is_empty()).then(|| (name.clone(), told))
    };
    blocked
        .into_iter()
        .filter_map(of_vm)
        .take(VMS_MAX.min(LOOKS_MAX / observed.hosts.len().max(1)).max(1))
        .collect()
}

fn judged(
    host: &HostName,
    decision: &Decision<'_>,
    left: &BTreeMap<&Resource, u64>,
) -> Alternative {
    let refused = decision
        .findings
        .iter()
        .find(|finding| finding.severity == Severity::Blocks);
    let (fits, why) = match (refused, &decision.intent) {
        (Some(finding), _) => (None, format!("{}: {}", finding.code, finding.message)),
        (None, Some(intent)) => match short(intent, left) {
            Some(why) => (None, why),
            None => (Some(intent.kind), intent.reason.clone()),
        },
        (None, None) => (None, "nothing is known of it".to_owned()),
    };
    Alternative {
        host: host.clone(),
        fits: fits.filter(|kind| *kind != MoveKind::Finish),
        why,
    }
}

/// What the host lacks now, before any other move has made room.
fn short(intent: &Intent<'_>, left: &BTreeMap<&Resource, u64>) -> Option<String> {
    room::takes(intent)
        .into_iter()
        .find_map(|(resource, needed)| {
            let left = left.get(&resource)?;
            (needed > *left).then(|| format!("capacity: too little {resource} now"))
        })
}
