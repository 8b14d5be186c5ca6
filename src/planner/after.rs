//! The reading as it will be once certain live moves are made: what the second half of a detour is planned from.
//!
//! Only what a move of these VMs rests on is carried forward: where each is, its definition and its volumes. Room is
//! left as it was read, since room over time is the schedule's matter.

use super::intent::Intent;
use crate::definition;
use crate::model::{BackingLayer, Bytes, PoolName, VolumeFormat, VolumeName};
use crate::observed::{Host, Observed, Reading, Vm, Volume, VolumeDetail};
use crate::plan::{Carry, DiskPlacement};

/// The reading after these live moves. A VM whose definition cannot be rewritten stays where it is: no second half of
/// its way can be planned then.
pub(super) fn after(observed: &Observed, moves: &[&Intent<'_>]) -> Observed {
    let mut later = observed.clone();
    for intent in moves {
        if arrive(&mut later, intent).is_some() {
            leave(&mut later, intent);
        }
    }
    later
}

fn host<'o>(observed: &'o mut Observed, name: &crate::model::HostName) -> Option<&'o mut Host> {
    match observed.hosts.get_mut(name)? {
        Reading::Reached(host) => Some(host),
        Reading::Unreachable { .. } => None,
    }
}

/// The VM and the volumes that its move creates, at the destination.
fn arrive(later: &mut Observed, intent: &Intent<'_>) -> Option<()> {
    let there = host(later, intent.way.to)?;
    for disk in &intent.disks {
        create(there, intent, disk);
    }
    let vm = arrived(there, intent)?;
    there.vms.insert(intent.name.clone(), vm);
    Some(())
}

fn leave(later: &mut Observed, intent: &Intent<'_>) {
    let Some(here) = host(later, intent.way.from) else {
        return;
    };
    here.vms.remove(intent.name);
    let originals = intent.disks.iter().filter(|disk| disk.carry.is_copied());
    for at in originals.filter_map(|disk| disk.from.as_ref()) {
        if let Some(pool) = here.pools.get_mut(&at.pool) {
            pool.volumes.remove(&at.volume);
        }
    }
}

fn create(there: &mut Host, intent: &Intent<'_>, disk: &DiskPlacement) {
    let (true, Some(to)) = (disk.carry.is_copied(), &disk.to) else {
        return;
    };
    let mut backing = None;
    if let Carry::Thin { base_to, .. } = &disk.carry {
        let read = intent.detail.disks.iter();
        let layer = read
            .filter(|read| read.target == disk.target)
            .find_map(|read| read.backing.first());
        let format = layer.map_or(VolumeFormat::Qcow2, |layer| layer.format.clone());
        let base = VolumeDetail {
            format: format.clone(),
            capacity: layer.and_then(|layer| layer.capacity).unwrap_or_default(),
            allocation: layer.and_then(|layer| layer.allocation).unwrap_or_default(),
            backing: None,
        };
        backing = add(there, &base_to.pool, &base_to.volume, base).map(|path| (path, format));
    }
    let detail = VolumeDetail {
        format: disk.format.clone(),
        capacity: disk.capacity,
        allocation: comes_to_occupy(disk),
        backing,
    };
    add(there, &to.pool, &to.volume, detail);
}

/// What a copy occupies once it is there: all that it stood on where nothing stays below it, and QEMU writes zeros into a
/// raw volume where the original has holes.
fn comes_to_occupy(disk: &DiskPlacement) -> Bytes {
    if disk.format == VolumeFormat::Raw {
        disk.capacity.max(disk.data())
    } else {
        disk.data()
    }
}

/// Adds a volume unless it is there, and gives its path.
fn add(
    there: &mut Host,
    pool: &PoolName,
    name: &VolumeName,
    detail: VolumeDetail,
) -> Option<String> {
    let pool = there.pools.get_mut(pool)?;
    let path = format!("{}/{name}", pool.path.trim_end_matches('/'));
    let volume = pool.volumes.entry(name.clone()).or_insert_with(|| Volume {
        path,
        detail: Some(detail),
    });
    Some(volume.path.clone())
}

/// The VM as its new host will show it.
fn arrived(there: &Host, intent: &Intent<'_>) -> Option<Vm> {
    let mut vm = intent.vm.clone();
    let detail = vm.detail.as_deref_mut()?;
    let rewrite = &intent.rewrite;
    // A reading may have been made without texts; then there is nothing to rewrite.
    if !detail.inactive_xml.is_empty() {
        detail.inactive_xml = definition::rewrite(&detail.inactive_xml, rewrite).ok()?;
    }
    if let Some(live) = &detail.live_xml {
        detail.live_xml = Some(definition::rewrite(live, rewrite).ok()?);
    }
    for disk in &mut detail.disks {
        let placed = intent
            .disks
            .iter()
            .find(|placed| placed.target == disk.target);
        if let Some(placed) = placed.filter(|placed| placed.carry.is_copied()) {
            disk.allocation = Some(comes_to_occupy(placed));
        }
        if let Some(to) = placed.and_then(|placed| placed.to.as_ref()) {
            disk.volume = Some((to.pool.clone(), to.volume.clone()));
        }
        let Some(new) = rewrite.disks.get(&disk.target) else {
            continue;
        };
        disk.path = Some(new.path.clone());
        if disk.source_kind == "volume" {
            disk.source_kind = "file".into();
        }
        let layers = new.backing.iter();
        disk.backing = layers
            .map(|(path, format)| layer(there, path, format))
            .collect();
    }
    for interface in &mut detail.interfaces {
        if let Some(source) = rewrite.interfaces.get(&interface.mac) {
            interface.source = source.clone();
        }
    }
    Some(vm)
}

fn layer(there: &Host, path: &str, format: &VolumeFormat) -> BackingLayer {
    let volume = there.volume_at(path);
    let known = volume
        .as_ref()
        .and_then(|(pool, name)| there.pools.get(pool)?.volumes.get(name)?.detail.as_ref());
    BackingLayer {
        path: path.to_owned(),
        format: format.clone(),
        capacity: known.map(|detail| detail.capacity),
        allocation: known.map(|detail| detail.allocation),
        volume: volume.clone(),
    }
}
