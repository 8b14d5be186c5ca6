//! Networks and bridges of a host: one call for all networks and one for each, one for all interfaces of the host and
//! one for each.

use std::collections::BTreeMap;

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

/// Every bridge of the host. libvirt shows a host's interfaces only where its interface driver is installed; without
/// it there is no way to ask for them, so that the list is empty and a gap says why.
pub(super) fn bridges(questions: &Questions) -> Vec<String> {
    let Ok(all) = questions.call(|connect| connect.list_all_interfaces(0)) else {
        questions.gap("its bridges cannot be listed, because its libvirt has no interface driver");
        return Vec::new();
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
    let mut bridges: Vec<String> = read.into_iter().flatten().collect();
    bridges.sort();
    bridges
}
