//! Rules about moves from one cluster of the manifest to another, and about who shares a host with whom.

use std::collections::BTreeSet;

use super::case::{Case, Effect, Rule, Verdict};
use crate::desired::{Cluster, NetworkKind};
use crate::model::{ClusterName, HostName, VmName};
use crate::plan::{Carry, DiskPlacement};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "full-mesh-vlan",
        title: "an interface is on a full-mesh network",
        effects: &[Effect::Blocks],
        why: "A full-mesh VXLAN exists within one cluster only. A VM that leaves it would have no connection.",
        remedy: "Connect the interface to another network first, or keep the VM in its cluster.",
        source: "VMmanager 6, migration between clusters; virtual networks (VXLAN)",
        judge: full_mesh,
    },
    Rule {
        code: "network-type",
        title: "the clusters' networks are of different types",
        effects: &[Effect::Blocks],
        why: "Switched, routed and fabric networks give a VM its addresses in different ways; after the move it would not be reached.",
        remedy: "Choose a host in a cluster of the same type, or correct `clusters`.",
        source: "VMmanager 6, migration between clusters; cluster network configurations",
        judge: network_type,
    },
    Rule {
        code: "routing",
        title: "the source's network is routed to its host",
        effects: &[Effect::Blocks],
        why: "With routed networks the addresses belong to the host, so that a VM that leaves it loses them.",
        remedy: "Keep the VM on its host.",
        source: "VMmanager 6, cluster network configurations",
        judge: routing,
    },
    Rule {
        code: "nas-to-nonfile",
        title: "a disk would leave NAS storage for storage that has no files",
        effects: &[Effect::Blocks],
        why: "Images on NAS storage are files in qcow2, which block storage does not hold.",
        remedy: "Choose a pool of files.",
        source: "VMmanager 6, migration between clusters",
        judge: nas_to_nonfile,
    },
    Rule {
        code: "spice",
        title: "the VM has SPICE, which the destination's cluster does not allow",
        effects: &[Effect::Note],
        why: "SPICE stays in the VM's definition, and nobody can use it there.",
        remedy: "Give the VM another console, if one is needed.",
        source: "VMmanager 6, migration between clusters",
        judge: spice,
    },
    Rule {
        code: "rule-apart",
        title: "VMs that must be apart would be on one host",
        effects: &[Effect::Blocks],
        why: "The manifest keeps these VMs apart so that one host's failure does not take both; also for a moment in between.",
        remedy: "Give one of them another host, or change `placement.apart`.",
        source: "the manifest",
        judge: apart,
    },
    Rule {
        code: "rule-together",
        title: "VMs that must be together would be on different hosts",
        effects: &[Effect::Blocks],
        why: "The manifest keeps these VMs on one host. While they move, one of them is ahead of the others.",
        remedy: "Give them the same host, or change `placement.together`.",
        source: "the manifest",
        judge: together,
    },
];

/// The cluster that a host belongs to.
fn cluster_of<'a>(case: &Case<'a>, host: &HostName) -> Option<(&'a ClusterName, &'a Cluster)> {
    let name = case.desired.hosts.get(host)?.cluster.as_ref()?;
    Some((name, case.desired.clusters.get(name)?))
}

/// Both clusters of a move that leaves one for another.
fn clusters<'a>(case: &Case<'a>) -> Option<[(&'a ClusterName, &'a Cluster); 2]> {
    let (source, destination) = (cluster_of(case, case.from)?, cluster_of(case, case.to)?);
    (source.0 != destination.0).then_some([source, destination])
}

fn leaves_its_cluster(case: &Case<'_>) -> bool {
    let name = |host| cluster_of(case, host).map(|(name, _)| name);
    case.changes_host() && name(case.from) != name(case.to)
}

fn full_mesh(case: &Case<'_>) -> Vec<Verdict> {
    let Some((name, cluster)) = cluster_of(case, case.from).filter(|_| leaves_its_cluster(case))
    else {
        return Vec::new();
    };
    let on_mesh = |interface: &crate::model::Interface| {
        let network = case
            .desired
            .network_named(interface.source.name()?, case.from)?;
        cluster.full_mesh.contains(network).then(|| {
            Verdict::new(
                "full-mesh-vlan",
                Effect::Blocks,
                case.from,
                format!(
                    "interface {} is on the full-mesh network {network} of cluster {name}, which {} is not in",
                    interface.mac, case.to
                ),
                format!(
                    "give it another network at vms.{}.interfaces, or choose a host in {name}",
                    case.name
                ),
            )
        })
    };
    let interfaces = &case.detail.interfaces;
    interfaces.iter().filter_map(on_mesh).collect()
}

fn kind(kind: NetworkKind) -> &'static str {
    match kind {
        NetworkKind::Switching => "switching",
        NetworkKind::Routing => "routing",
        NetworkKind::IpFabric => "ip-fabric",
    }
}

fn network_type(case: &Case<'_>) -> Vec<Verdict> {
    let Some([(from, source), (to, destination)]) = clusters(case) else {
        return Vec::new();
    };
    if source.network == destination.network {
        return Vec::new();
    }
    vec![Verdict::new(
        "network-type",
        Effect::Blocks,
        case.to,
        format!(
            "cluster {from} is of network type {}, cluster {to} of type {}",
            kind(source.network),
            kind(destination.network)
        ),
        format!(
            "choose a host in a cluster of type {}",
            kind(source.network)
        ),
    )]
}

fn routing(case: &Case<'_>) -> Vec<Verdict> {
    let Some((name, cluster)) = cluster_of(case, case.from).filter(|_| case.changes_host()) else {
        return Vec::new();
    };
    if cluster.network != NetworkKind::Routing {
        return Vec::new();
    }
    vec![Verdict::new(
        "routing",
        Effect::Blocks,
        case.from,
        format!(
            "cluster {name} is of network type routing, which binds VMs to {}",
            case.from
        ),
        format!("keep it on {}", case.from),
    )]
}

fn nas_to_nonfile(case: &Case<'_>) -> Vec<Verdict> {
    if !leaves_its_cluster(case) {
        return Vec::new();
    }
    let goes_wrong = |disk: &DiskPlacement| {
        let (from, to) = (disk.from.as_ref()?, disk.to.as_ref()?);
        let kind = |host: &crate::observed::Host, pool| Some(host.pools.get(pool)?.kind.clone());
        let (source, destination) = (
            kind(case.source, &from.pool)?,
            kind(case.destination, &to.pool)?,
        );
        let is_file = ["dir", "fs", "netfs"].contains(&destination.as_str());
        (source == "netfs" && !is_file && disk.carry != Carry::Stays).then(|| {
            Verdict::new(
                "nas-to-nonfile",
                Effect::Blocks,
                case.to,
                format!(
                    "disk {} is in NAS storage ({}) and would go to pool {} of kind {destination}",
                    disk.target, from.pool, to.pool
                ),
                "choose a pool of kind dir, fs or netfs",
            )
        })
    };
    case.disks.iter().filter_map(goes_wrong).collect()
}

fn spice(case: &Case<'_>) -> Vec<Verdict> {
    let denied = cluster_of(case, case.to).filter(|(_, cluster)| cluster.spice_denied);
    let Some((name, _)) = denied.filter(|_| leaves_its_cluster(case) && case.detail.spice) else {
        return Vec::new();
    };
    vec![Verdict::new(
        "spice",
        Effect::Note,
        case.to,
        format!(
            "it has SPICE graphics, which cluster {name} does not allow: they stay configured and cannot be used"
        ),
        "give it VNC graphics, if a console is needed",
    )]
}

/// Where a VM will be when all is as the manifest wants it.
fn final_host<'a>(case: &Case<'a>, vm: &'a VmName) -> Option<&'a HostName> {
    match case.desired.vms.get(vm) {
        Some(wanted) => Some(&wanted.host),
        None => case.observed.hosts_of(vm).next().map(|(host, _)| host),
    }
}

/// The other VMs of every group that this one is in.
fn companions<'a>(
    case: &Case<'a>,
    groups: &'a [BTreeSet<VmName>],
) -> impl Iterator<Item = (&'a VmName, &'a HostName)> {
    let case = *case;
    groups
        .iter()
        .filter(move |group| group.contains(case.name))
        .flatten()
        .filter(move |vm| *vm != case.name)
        .filter_map(move |vm| Some((vm, final_host(&case, vm)?)))
}

fn apart(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let meets = companions(case, &case.desired.apart).filter(|(_, host)| *host == case.to);
    let verdict = |(vm, _): (&VmName, &HostName)| {
        Verdict::new(
            "rule-apart",
            Effect::Blocks,
            case.to,
            format!(
                "it would be on {} with {vm}, from which it must be apart",
                case.to
            ),
            format!("give {} or {vm} another host", case.name),
        )
    };
    meets.map(verdict).collect()
}

fn together(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let parts = companions(case, &case.desired.together).filter(|(_, host)| *host != case.to);
    let verdict = |(vm, host): (&VmName, &HostName)| {
        Verdict::new(
            "rule-together",
            Effect::Blocks,
            case.to,
            format!(
                "it would be on {} while {vm}, with which it must be, is on {host}",
                case.to
            ),
            format!("write `{vm}: {}`, too", case.to),
        )
    };
    parts.map(verdict).collect()
}
