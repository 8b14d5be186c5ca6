//! Where a VM of the manifest is.

use std::collections::BTreeMap;

use crate::model::{HostName, VmName};
use crate::observed::{Observed, Reading, Vm};
use crate::plan::{Finding, Severity};

/// The places where a VM of one name was found, with one UUID.
#[derive(Debug, Clone)]
pub(super) struct Found<'a> {
    /// Host and VM, in order of host name; one, or two after a move that did not end.
    pub(super) places: Vec<(&'a HostName, &'a Vm)>,
}

/// Every VM that was read, by its name.
#[derive(Debug)]
pub(super) struct Index<'a>(BTreeMap<&'a VmName, Vec<(&'a HostName, &'a Vm)>>);

impl<'a> Index<'a> {
    pub(super) fn of(observed: &'a Observed) -> Self {
        let mut index: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (host, reading) in observed.reached() {
            for (name, vm) in &reading.vms {
                index.entry(name).or_default().push((host, vm));
            }
        }
        Self(index)
    }
}

/// Finds a VM, or says why no move of it can be planned.
pub(super) fn locate<'a>(
    observed: &'a Observed,
    index: &Index<'a>,
    name: &VmName,
    wanted: &HostName,
) -> Result<Found<'a>, Box<Finding>> {
    let places = index.0.get(name).cloned().unwrap_or_default();
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
