//! Where a VM of the manifest is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::storages::Storages;
use crate::definition::{self, Facts};
use crate::desired::Desired;
use crate::model::{HostName, VmName};
use crate::observed::{Observed, Places, Reading, Vm};
use crate::plan::{Finding, Severity};

/// The places where a VM of one name was found, with one UUID.
#[derive(Debug, Clone)]
pub(super) struct Found<'a> {
    /// Host and VM, in order of host name; one, or two after a move that did not end.
    pub(super) places: Vec<(&'a HostName, &'a Vm)>,
}

/// What a reading of many hosts would have to be gone through for again and again.
#[derive(Debug)]
pub(super) struct Index<'a> {
    vms: Places<'a>,
    /// Those of them that are to come to a host, by its name.
    comers: BTreeMap<&'a HostName, Vec<(&'a VmName, &'a Vm)>>,
    pub(super) storages: Storages<'a>,
    /// What the definitions say that were asked for, by their text.
    facts: RefCell<BTreeMap<String, Option<Rc<Facts>>>>,
}

impl<'a> Index<'a> {
    pub(super) fn of(desired: &'a Desired, observed: &'a Observed) -> Self {
        let mut comers: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (host, reading) in observed.reached() {
            for (name, vm) in &reading.vms {
                let wanted = desired.vms.get(name).map(|wanted| &wanted.host);
                if let Some(wanted) = wanted.filter(|wanted| *wanted != host) {
                    comers.entry(wanted).or_default().push((name, vm));
                }
            }
        }
        Self {
            vms: observed.places(),
            comers,
            storages: Storages::of(desired, observed),
            facts: RefCell::default(),
        }
    }

    /// What a definition says, where it can be read. Each is read once: every way that a VM could go is decided with it.
    pub(super) fn facts(&self, definition: &str) -> Option<Rc<Facts>> {
        let mut known = self.facts.borrow_mut();
        if let Some(facts) = known.get(definition) {
            return facts.clone();
        }
        let facts = definition::read(definition).ok().map(Rc::new);
        known.insert(definition.to_owned(), facts.clone());
        facts
    }

    /// The VMs that are to come to a host.
    pub(super) fn comers_to(&self, host: &HostName) -> &[(&'a VmName, &'a Vm)] {
        self.comers.get(host).map_or(&[], Vec::as_slice)
    }

    /// Every host that has a VM of this name, in order of name.
    pub(super) fn hosts_of(&self, vm: &VmName) -> &[(&'a HostName, &'a Vm)] {
        self.vms.get(vm).map_or(&[], Vec::as_slice)
    }
}

/// Finds a VM, or says why no move of it can be planned.
pub(super) fn locate<'a>(
    observed: &'a Observed,
    index: &Index<'a>,
    name: &VmName,
    wanted: &HostName,
) -> Result<Found<'a>, Box<Finding>> {
    let places = index.hosts_of(name).to_vec();
    let finding = |code: &str, host: Option<&HostName>, message: String, remedy: String| {
        Box::new(Finding {
            severity: Severity::Blocks,
            code: code.into(),
            vm: Some(name.clone()),
            host: host.cloned(),
            message,
            remedy,
        })
    };
    let Some((first, first_vm)) = places.first() else {
        return Err(Box::new(missing(observed, name)));
    };
    let marked = places.iter().any(|(_, vm)| {
        vm.detail
            .as_ref()
            .is_some_and(|detail| detail.mark.is_some() || detail.unreadable_mark.is_some())
    });
    let same = places.iter().all(|(_, vm)| vm.uuid == first_vm.uuid);
    if places.len() == 1 || (places.len() == 2 && marked && same) {
        return Ok(Found { places });
    }
    let list: Vec<_> = places
        .iter()
        .map(|(host, vm)| format!("{host} ({})", vm.power.in_words()))
        .collect();
    let other = places.iter().find(|(host, _)| *host == wanted);
    if let (Some((_, other)), [one, two]) = (other, places.as_slice())
        && one.1.uuid != two.1.uuid
    {
        let here = if one.0 == wanted { two } else { one };
        return Err(finding(
            "name-taken",
            Some(wanted),
            format!(
                "{wanted} has another VM of that name, with UUID {}; the one on {} has UUID {}",
                other.uuid, here.0, here.1.uuid
            ),
            format!(
                "rename or remove the one on {wanted}, if it is not needed (`virsh domrename`)"
            ),
        ));
    }
    Err(finding(
        "vm-twice",
        Some(first),
        format!("VMs of this name are on several hosts: {}", list.join(", ")),
        "find out which of them is right, and rename or remove the others; Domicile does not guess"
            .into(),
    ))
}

fn missing(observed: &Observed, name: &VmName) -> Finding {
    let silent: Vec<_> = observed
        .hosts
        .iter()
        .filter(|(_, reading)| matches!(reading, Reading::Unreachable { .. }))
        .map(|(host, _)| host.to_string())
        .collect();
    let (message, remedy) = if silent.is_empty() {
        (
            format!("no host has a VM named {name}"),
            "create it, or remove it from the manifest; Domicile moves VMs and does not create them",
        )
    } else {
        let silent = silent.join(", ");
        (
            format!("no host that answered has a VM named {name}; not read: {silent}"),
            "make the hosts reachable that could not be read",
        )
    };
    Finding {
        severity: Severity::Blocks,
        code: "vm-missing".into(),
        vm: Some(name.clone()),
        host: None,
        message,
        remedy: remedy.into(),
    }
}
