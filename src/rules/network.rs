//! What an interface is connected to at the destination.

use super::case::{Case, Effect, Rule, Verdict};
use crate::model::{HostName, Interface, InterfaceSource};
use crate::observed;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "network-missing",
        title: "an interface has nothing to connect to at the destination",
        effects: &[Effect::Blocks],
        why: "An interface needs something to connect to where its VM starts. libvirt finds out when it makes the interface, in the middle of the migration.",
        remedy: "Create the bridge or network, or name its counterpart under `networks`.",
        source: "libvirt, qemuInterfaceBridgeConnect and virDomainNetAllocateActualDevice",
        judge: missing,
    },
    Rule {
        code: "mac-taken",
        title: "the destination has that MAC address",
        effects: &[Effect::Risk],
        why: "Two interfaces of one address in one network take the packets from each other.",
        remedy: "Give one of the two another address.",
        source: "VMmanager 6 and Proxmox VE",
        judge: mac_taken,
    },
];

/// Why an interface cannot be connected at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkFault {
    /// The fleet-wide network has no name on the destination.
    NotMapped {
        /// The network's name in the manifest.
        network: String,
    },
    /// The destination has no such bridge or network.
    Absent {
        /// Its name.
        name: String,
    },
    /// The libvirt network is there but not started.
    Inactive {
        /// Its name.
        name: String,
    },
    /// Its source is bound to the host.
    Bound {
        /// libvirt's type of the source.
        kind: String,
    },
}

fn exists(host: &observed::Host, source: &InterfaceSource) -> Result<(), NetworkFault> {
    match source {
        InterfaceSource::Bridge(name) => {
            // Where the bridges of the host are unknown, libvirt itself decides.
            if host.has_bridge(name) == Some(false) {
                Err(NetworkFault::Absent { name: name.clone() })
            } else {
                Ok(())
            }
        }
        InterfaceSource::Network(name) => match host.networks.get(name) {
            Some(true) => Ok(()),
            Some(false) => Err(NetworkFault::Inactive { name: name.clone() }),
            None => Err(NetworkFault::Absent { name: name.clone() }),
        },
        InterfaceSource::Direct(_) => Err(NetworkFault::Bound {
            kind: "direct".into(),
        }),
        InterfaceSource::Other(kind) => match kind.as_str() {
            "user" | "null" => Ok(()),
            _ => Err(NetworkFault::Bound { kind: kind.clone() }),
        },
    }
}

/// What an interface is to be connected to on the host where its VM shall be.
///
/// A network that the manifest names is a bridge there if the host has a bridge of that name, else a libvirt
/// network; where it has both, it stays what it was.
///
/// # Errors
/// When the destination has nothing of that name.
pub fn connection(case: &Case<'_>, interface: &Interface) -> Result<InterfaceSource, NetworkFault> {
    let local = match &interface.source {
        InterfaceSource::Bridge(name) | InterfaceSource::Network(name) => Some(name),
        InterfaceSource::Direct(_) | InterfaceSource::Other(_) => None,
    };
    let asked = case
        .desired
        .vms
        .get(case.name)
        .and_then(|vm| vm.interfaces.get(&interface.mac));
    let known = local.and_then(|name| case.desired.network_named(name, case.from));
    let Some(network) = asked.or(known) else {
        if !case.changes_host() {
            return Ok(interface.source.clone());
        }
        return exists(case.destination, &interface.source).map(|()| interface.source.clone());
    };
    let Some(name) = case.desired.network_on(network, case.to) else {
        return Err(NetworkFault::NotMapped {
            network: network.to_string(),
        });
    };
    let bridge = InterfaceSource::Bridge(name.to_owned());
    let virtual_network = InterfaceSource::Network(name.to_owned());
    let was_network = matches!(interface.source, InterfaceSource::Network(_));
    let (first, second) = if was_network {
        (virtual_network, bridge)
    } else {
        (bridge, virtual_network)
    };
    match exists(case.destination, &first) {
        Ok(()) => Ok(first),
        Err(fault) => exists(case.destination, &second)
            .map(|()| second)
            .map_err(|_| fault),
    }
}

fn verdict(host: &HostName, interface: &Interface, fault: &NetworkFault) -> Verdict {
    let mac = &interface.mac;
    let (message, remedy) = match fault {
        NetworkFault::NotMapped { network } => (
            format!("interface {mac} is on network {network}, which has no name on {host}"),
            format!("add `{host}: BRIDGE` to networks.{network}"),
        ),
        NetworkFault::Absent { name } => (
            format!(
                "interface {mac} needs the bridge or network {name}, which {host} does not have"
            ),
            format!("create {name} on {host}, or name its counterpart there under `networks:`"),
        ),
        NetworkFault::Inactive { name } => (
            format!("interface {mac} needs the network {name}, which is not started on {host}"),
            format!("start it with `virsh net-start {name}` on {host}"),
        ),
        NetworkFault::Bound { kind } => (
            format!("interface {mac} is bound to its host (type {kind})"),
            "connect it to a bridge or a libvirt network".to_owned(),
        ),
    };
    Verdict::new("network-missing", Effect::Blocks, host, message, remedy)
}

fn missing(case: &Case<'_>) -> Vec<Verdict> {
    let of_interface = |interface: &Interface| {
        connection(case, interface)
            .err()
            .map(|fault| verdict(case.to, interface, &fault))
    };
    case.detail
        .interfaces
        .iter()
        .filter_map(of_interface)
        .collect()
}

fn mac_taken(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let others = case
        .destination
        .vms
        .iter()
        .filter(|(name, _)| *name != case.name);
    let mut verdicts = Vec::new();
    for (name, other) in others {
        let Some(detail) = &other.detail else {
            continue;
        };
        for interface in &case.detail.interfaces {
            if detail
                .interfaces
                .iter()
                .any(|theirs| theirs.mac == interface.mac)
            {
                verdicts.push(Verdict::new(
                    "mac-taken",
                    Effect::Risk,
                    case.to,
                    format!(
                        "{name} on {} has the same MAC address {}",
                        case.to, interface.mac
                    ),
                    "give one of the two another MAC address",
                ));
            }
        }
    }
    verdicts
}
