//! A running VM and its persistent definition to what the next start changes.

use std::collections::BTreeMap;

use super::Facts;
use crate::model::{DiskTarget, Interface, InterfaceSource, MacAddress};
use crate::observed::Disk;

/// What the next start changes, each as a sentence.
#[must_use]
pub fn pending(live: &Facts, persistent: &Facts) -> Vec<String> {
    let mut changes = Vec::new();
    let mut becomes = |what: &str, is: &str, will_be: &str| {
        if is != will_be {
            changes.push(format!("its {what} becomes {will_be}, now it is {is}"));
        }
    };
    let step = |facts: &Facts| facts.memory.0.div_ceil(memory_step(facts));
    if step(live) != step(persistent) {
        becomes(
            "memory",
            &live.memory.to_string(),
            &persistent.memory.to_string(),
        );
    }
    becomes(
        "number of vCPUs",
        &live.vcpus.to_string(),
        &persistent.vcpus.to_string(),
    );
    becomes("machine type", &live.machine, &persistent.machine);
    becomes(
        "domain type",
        &live.needs.virt_type,
        &persistent.needs.virt_type,
    );
    changes.extend(disks(live, persistent));
    changes.extend(interfaces(live, persistent));
    changes
}

/// QEMU is given memory in whole steps, so that a running VM can have a little more than it was defined with.
fn memory_step(facts: &Facts) -> u64 {
    match facts.needs.arch.as_str() {
        "ppc64" | "ppc64le" => 256 << 20,
        _ => 1 << 20,
    }
}

fn disks(live: &Facts, persistent: &Facts) -> Vec<String> {
    let by_target = |facts: &'_ Facts| -> BTreeMap<DiskTarget, Disk> {
        let disks = facts.disks.iter().cloned();
        disks.map(|disk| (disk.target.clone(), disk)).collect()
    };
    let (now, later) = (by_target(live), by_target(persistent));
    let mut changes: Vec<String> = now
        .keys()
        .filter(|target| !later.contains_key(*target))
        .map(|target| format!("disk {target} goes: its persistent definition does not have it"))
        .collect();
    for (target, disk) in &later {
        match now.get(target) {
            None => changes.push(format!(
                "disk {target} comes with {}: the running VM does not have it",
                contents(disk)
            )),
            Some(is) if contents(is) != contents(disk) => changes.push(format!(
                "disk {target} gets {}, now it has {}",
                contents(disk),
                contents(is)
            )),
            Some(_) => {}
        }
    }
    changes
}

fn contents(disk: &Disk) -> String {
    match (&disk.volume, &disk.path) {
        (Some((pool, volume)), None) => format!("volume {pool}/{volume}"),
        (_, Some(path)) => path.clone(),
        (None, None) => "no medium".into(),
    }
}

fn interfaces(live: &Facts, persistent: &Facts) -> Vec<String> {
    let by_mac = |facts: &'_ Facts| -> BTreeMap<MacAddress, Interface> {
        let interfaces = facts.interfaces.iter().cloned();
        interfaces
            .map(|interface| (interface.mac.clone(), interface))
            .collect()
    };
    let (now, later) = (by_mac(live), by_mac(persistent));
    let mut changes: Vec<String> = now
        .keys()
        .filter(|mac| !later.contains_key(*mac))
        .map(|mac| format!("interface {mac} goes: its persistent definition does not have it"))
        .collect();
    for (mac, interface) in &later {
        match now.get(mac) {
            None => changes.push(format!(
                "interface {mac} comes on {}: the running VM does not have it",
                interface.source
            )),
            // A network can give an interface a device of the host, and then the running form says no more of it.
            Some(is) if matches!(is.source, InterfaceSource::Other(_)) => {}
            Some(is) if is.source != interface.source => changes.push(format!(
                "interface {mac} comes on {}, now it is on {}",
                interface.source, is.source
            )),
            Some(_) => {}
        }
    }
    changes
}
