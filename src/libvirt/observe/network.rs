//! Networks and bridges of a host: one call for all networks and one for each, one for all interfaces of the host and
//! one for each. Where interfaces cannot be listed, one call more for the networks that are active and one for each.

use std::collections::BTreeMap;

use virt_sys as sys;

use super::parallel;
use super::questions::Questions;
use crate::definition::xml;
use crate::libvirt::error::one_line;

/// Every libvirt network and whether it is active.
pub(super) fn networks(questions: &Questions) -> BTreeMap<String, bool> {
    let all = questions.call(|connect| connect.list_all_networks(0));
    let Some(all) = questions.or_gap("its networks could not be listed", all) else {
        return BTreeMap::new();
    };
    let read = parallel::each(&all, |network| {
        let name = network.name().ok()?;
        let active = questions.call(|_| network.is_active());
        let active = questions.or_gap(&format!("network {}", one_line(&name)), active)?;
        Some((name, active))
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
pub(super) fn bridges(questions: &Questions) -> Bridges {
    let Ok(all) = questions.call(|connect| connect.list_all_interfaces(0)) else {
        return Bridges {
            names: of_networks(questions),
            complete: false,
        };
    };
    let could_be: Vec<_> = all
        .iter()
        .filter(|interface| interface.name().is_ok_and(|name| name != "lo"))
        .collect();
    let read = parallel::each(&could_be, |interface| {
        let name = interface.name().ok()?;
        // An interface that went meanwhile, or that the driver cannot describe, is no bridge to rely on.
        let text = questions.call(|_| interface.xml_desc(0)).ok()?;
        let document = xml::parse(&text, "interface").ok()?;
        (document.root_element().attribute("type") == Some("bridge")).then_some(name)
    });
    let mut names: Vec<String> = read.into_iter().flatten().collect();
    names.sort();
    Bridges {
        names,
        complete: true,
    }
}

/// Bridges that networks which are active stand on: libvirt made them, or its configuration names them.
fn of_networks(questions: &Questions) -> Vec<String> {
    let active = sys::VIR_CONNECT_LIST_NETWORKS_ACTIVE;
    let Ok(all) = questions.call(|connect| connect.list_all_networks(active)) else {
        return Vec::new();
    };
    // A network on no bridge is an error here.
    let read = parallel::each(&all, |network| {
        questions.call(|_| network.bridge_name()).ok()
    });
    let mut names: Vec<String> = read.into_iter().flatten().collect();
    names.sort();
    names.dedup();
    names
}
