//! Networks and bridges of a host: one call for all networks and one for each, one for all interfaces of the host and
//! one for each. Where interfaces cannot be listed, one call more for each network that is active.

use std::collections::BTreeMap;

use virt::network::Network;
use virt_sys as sys;

use super::parallel;
use super::questions::Questions;
use crate::definition::xml;
use crate::libvirt::error::{CallError, one_line};

/// The networks and bridges of a host.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// Every libvirt network and whether it is active.
    pub(super) networks: BTreeMap<String, bool>,
    /// Its bridges.
    pub(super) bridges: Bridges,
}

/// Reads them.
pub(super) fn connections(questions: &Questions) -> Connections {
    let networks = networks(questions);
    let bridges = bridges(questions, &networks);
    let told = networks
        .into_iter()
        .map(|(network, name, active)| {
            drop(network);
            (name, active)
        })
        .collect();
    Connections {
        networks: told,
        bridges,
    }
}

/// Every network with its name and whether it is active.
fn networks(questions: &Questions) -> Vec<(Network, String, bool)> {
    let all = questions.call(|connect| connect.list_all_networks(0));
    let Some(all) = questions.or_gap("its networks could not be listed", all) else {
        return Vec::new();
    };
    let read = parallel::each(&all, |network| {
        let name = network.name().ok()?;
        let active = questions.call(|_| network.is_active());
        let active = questions.or_gap(&format!("network {}", one_line(&name)), active)?;
        Some((network.clone(), name, active))
    });
    read.into_iter().flatten().collect()
}

/// Bridges of the host, and whether these are all of them.
#[derive(Debug, Default)]
pub(super) struct Bridges {
    /// Their names, in order.
    pub(super) names: Vec<String>,
    /// Whether there are no others.
    pub(super) complete: bool,
}

/// Every bridge of the host. libvirt lists a host's interfaces only where its interface driver is installed. Without
/// it there is no way to ask for them: its list of the host's devices (`virConnectListAllNodeDevices`) leaves bridges
/// out. Then the bridges are those that its networks name.
fn bridges(questions: &Questions, networks: &[(Network, String, bool)]) -> Bridges {
    let Ok(all) = questions.call(|connect| connect.list_all_interfaces(0)) else {
        return Bridges {
            names: of_networks(questions, networks),
            complete: false,
        };
    };
    let told = parallel::each(&all, |interface| {
        let name = interface.name().ok();
        if name.as_deref() == Some("lo") {
            return Told::Other;
        }
        told(name, questions.call(|_| interface.xml_desc(0)))
    });
    together(told)
}

/// What a host tells of one of its interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// It is a bridge of that name.
    Bridge(String),
    /// It is none, or is gone.
    Other,
    /// Nothing that could be understood, so that it may be any bridge.
    Nothing,
}

fn told(name: Option<String>, text: Result<String, CallError>) -> Told {
    let text = match text {
        Ok(text) => text,
        Err(error) if error.is(sys::VIR_ERR_NO_INTERFACE) => return Told::Other,
        Err(_) => return Told::Nothing,
    };
    let Ok(document) = xml::parse(&text, "interface") else {
        return Told::Nothing;
    };
    match (document.root_element().attribute("type"), name) {
        (Some("bridge"), Some(name)) => Told::Bridge(name),
        (Some("bridge"), None) | (None, _) => Told::Nothing,
        (Some(_), _) => Told::Other,
    }
}

fn together(told: Vec<Told>) -> Bridges {
    let complete = !told.contains(&Told::Nothing);
    let bridge = |told| match told {
        Told::Bridge(name) => Some(name),
        Told::Other | Told::Nothing => None,
    };
    let mut names: Vec<String> = told.into_iter().filter_map(bridge).collect();
    names.sort();
    Bridges { names, complete }
}

/// Bridges that networks which are active stand on: libvirt made them, or its configuration names them.
fn of_networks(questions: &Questions, networks: &[(Network, String, bool)]) -> Vec<String> {
    let active: Vec<&Network> = networks
        .iter()
        .filter(|(_, _, active)| *active)
        .map(|(network, ..)| network)
        .collect();
    // A network on no bridge is an error here.
    let read = parallel::each(&active, |network| {
        questions.call(|_| network.bridge_name()).ok()
    });
    let mut names: Vec<String> = read.into_iter().flatten().collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HostName;

    fn named(name: &str, text: &str) -> Told {
        told(Some(name.to_owned()), Ok(text.to_owned()))
    }

    fn refused(code: u32) -> Told {
        let host = HostName::new("kvm1").unwrap();
        let error = CallError {
            code,
            ..CallError::ours(&host, "no")
        };
        told(Some("br9".into()), Err(error))
    }

    #[test]
    fn an_interface_that_cannot_be_described_may_be_any_bridge() {
        let bridge = named("br0", "<interface type='bridge' name='br0'/>");
        let card = named("eth0", "<interface type='ethernet' name='eth0'/>");
        assert_eq!(bridge, Told::Bridge("br0".into()));
        let whole = together(vec![bridge.clone(), card.clone()]);
        assert_eq!((whole.names, whole.complete), (vec!["br0".into()], true));
        for unknown in [
            refused(sys::VIR_ERR_INTERNAL_ERROR),
            named("br9", "no XML"),
            named("br9", "<interface/>"),
        ] {
            let part = together(vec![bridge.clone(), unknown, card.clone()]);
            assert_eq!((part.names, part.complete), (vec!["br0".into()], false));
        }
        assert!(together(vec![refused(sys::VIR_ERR_NO_INTERFACE)]).complete);
    }
}
