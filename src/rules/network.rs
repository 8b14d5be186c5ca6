//! What an interface is connected to at the destination.

use super::case::{Case, Effect, Rule, Verdict, When};
use crate::model::{HostName, Interface, InterfaceSource, in_shell};
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
    Rule {
        code: "network-unknown",
        title: "whether the destination has a bridge is not known",
        effects: &[Effect::Note],
        why: "libvirt lists bridges by its interface driver, which not every host has installed. Where it is missing, the migration finds out.",
        remedy: "Install libvirt's interface driver at the destination, or use a network of libvirt.",
        source: "libvirt, virConnectListAllInterfaces",
        judge: unknown,
    },
    Rule {
        code: "nwfilter-missing",
        title: "the destination lacks a network filter",
        effects: &[Effect::Blocks, Effect::Note],
        why: "libvirt refuses to start an interface whose filter is not defined.",
        remedy: "Define the filter at the destination (`virsh nwfilter-define`).",
        source: "libvirt, virNWFilterInstantiateFilter",
        judge: filter_missing,
    },
    Rule {
        code: "conntrack",
        title: "connections through a filter may break",
        effects: &[Effect::Note],
        why: "What the host's firewall knows of open connections is not carried. A filter that lets packets through because they belong to a connection may drop them after the move.",
        remedy: "Expect connections to be opened anew.",
        source: "Proxmox VE, conntrack; libvirt, nwfilter",
        judge: conntrack,
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
            format!(
                "start it with `virsh net-start {}` on {host}",
                in_shell(name)
            ),
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

fn unknown(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let of_interface = |interface: &Interface| {
        let Ok(InterfaceSource::Bridge(bridge)) = connection(case, interface) else {
            return None;
        };
        (case.destination.has_bridge(&bridge).is_none()).then(|| {
            Verdict::new(
                "network-unknown",
                Effect::Note,
                case.to,
                format!(
                    "interface {} needs the bridge {bridge}; whether {} has it cannot be known before",
                    interface.mac, case.to
                ),
                format!("see `ip link show {bridge}` on {}", case.to),
            )
        })
    };
    let interfaces = &case.detail.interfaces;
    interfaces.iter().filter_map(of_interface).collect()
}

fn filter_missing(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let of_interface = |interface: &Interface| {
        let filter = interface.filter.as_ref()?;
        let remedy = format!("define it there: `virsh nwfilter-define` on {}", case.to);
        let new =
            |effect, message| Verdict::new("nwfilter-missing", effect, case.to, message, remedy);
        match &case.destination.offers.nwfilters {
            Some(there) if there.contains(filter) => None,
            Some(_) => Some(new(
                Effect::Blocks,
                format!(
                    "interface {} needs the filter {filter}, which {} does not have",
                    interface.mac, case.to
                ),
            )),
            None => Some(new(
                Effect::Note,
                format!(
                    "interface {} needs the filter {filter}; whether {} has it is not known",
                    interface.mac, case.to
                ),
            )),
        }
    };
    let interfaces = &case.detail.interfaces;
    interfaces.iter().filter_map(of_interface).collect()
}

fn conntrack(case: &Case<'_>) -> Vec<Verdict> {
    let mut filtered = case
        .detail
        .interfaces
        .iter()
        .filter(|interface| interface.filter.is_some());
    let Some(interface) = filtered.next().filter(|_| case.may_go_live()) else {
        return Vec::new();
    };
    vec![
        Verdict::new(
            "conntrack",
            Effect::Note,
            case.to,
            format!(
                "interface {} is filtered, and what the firewall of {} knows of its connections is not carried",
                interface.mac, case.from
            ),
            "expect connections to be opened anew",
        )
        .only(When::Live),
    ]
}
