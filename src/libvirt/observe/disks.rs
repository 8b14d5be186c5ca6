//! Disks as definitions name them to disks as the host's storage knows them.

use std::collections::BTreeSet;

use virt::domain::Domain;

use super::questions::Questions;
use super::storage::Storage;
use crate::libvirt::ffi;
use crate::model::{BackingLayer, Bytes, PoolName, VolumeFormat, VolumeName};
use crate::observed::{Disk, VolumeDetail};

/// The longest chain that is followed: libvirt's own limit.
const CHAIN_MAX: usize = 200;

/// Paths and names of what these disks use, images below included where the definition names them.
pub(super) fn sources<'a>(
    disks: impl Iterator<Item = &'a Disk>,
) -> (BTreeSet<String>, BTreeSet<(PoolName, VolumeName)>) {
    let (mut paths, mut names) = (BTreeSet::new(), BTreeSet::new());
    for disk in disks {
        paths.extend(
            disk.path
                .iter()
                .filter(|path| path.starts_with('/'))
                .cloned(),
        );
        paths.extend(disk.backing.iter().map(|layer| layer.path.clone()));
        names.extend(disk.volume.clone());
    }
    (paths, names)
}

/// Fills in what the storage knows: volume, path, sizes and the chain. Where a domain is given, what the storage does not
/// know of the sizes is asked of that.
pub(super) fn resolve(
    questions: &Questions,
    domain: Option<&Domain>,
    storage: &Storage,
    disk: &mut Disk,
) {
    disk.volume = disk
        .volume
        .take()
        .or_else(|| storage.at(disk.path.as_deref()?));
    let known = disk.volume.as_ref().and_then(|volume| storage.get(volume));
    // The guest writes every byte of a raw disk, so that it can make the volume look like an image of any size that
    // stands on any file. QEMU does not believe it, and neither is it believed here.
    let forged = |found: &&VolumeDetail| {
        disk.format == VolumeFormat::Raw && found.format != VolumeFormat::Raw
    };
    let detail = known
        .and_then(|(_, detail)| detail)
        .filter(|found| !forged(found))
        .cloned();
    if disk.path.is_none() {
        disk.path = known.map(|(path, _)| path.to_owned());
    }
    match &detail {
        Some(detail) => {
            disk.capacity = Some(detail.capacity);
            disk.allocation = Some(detail.allocation);
        }
        None => {
            if let Some(domain) = domain {
                measure(questions, domain, disk);
            }
        }
    }
    if disk.backing.is_empty() {
        disk.backing = chain(storage, detail.and_then(|detail| detail.backing));
    } else {
        for layer in &mut disk.backing {
            fill(storage, layer);
        }
    }
}

/// A disk in no pool, or one that no pool tells the truth about: libvirt looks at it as the definition says.
fn measure(questions: &Questions, domain: &Domain, disk: &mut Disk) {
    let local = matches!(disk.source_kind.as_str(), "file" | "block" | "volume");
    if !local || disk.path.is_none() {
        return;
    }
    let target = disk.target.as_str();
    // Where even that fails the sizes stay unknown, which is a value of its own.
    if let Ok((capacity, allocation)) = questions.call(|_| ffi::block_info(domain, target)) {
        disk.capacity = Some(Bytes(capacity));
        disk.allocation = Some(Bytes(allocation));
    }
}

/// The chain as the volumes' headers name it, up to the first image that is in no pool.
fn chain(storage: &Storage, below: Option<(String, VolumeFormat)>) -> Vec<BackingLayer> {
    let mut layers: Vec<BackingLayer> = Vec::new();
    let mut below = below;
    while let Some((path, format)) = below {
        let turns_back = layers.iter().any(|layer| layer.path == path);
        if turns_back || layers.len() == CHAIN_MAX {
            break;
        }
        let mut layer = BackingLayer {
            path,
            format,
            capacity: None,
            allocation: None,
            volume: None,
        };
        below = fill(storage, &mut layer);
        layers.push(layer);
    }
    layers
}

/// Fills in what the storage knows of a layer; returns what is below it.
fn fill(storage: &Storage, layer: &mut BackingLayer) -> Option<(String, VolumeFormat)> {
    layer.volume = layer.volume.take().or_else(|| storage.at(&layer.path));
    let (path, detail) = storage.get(layer.volume.as_ref()?)?;
    path.clone_into(&mut layer.path);
    let detail = detail?;
    layer.capacity = Some(detail.capacity);
    layer.allocation = Some(detail.allocation);
    // What was written into a raw image is no header, whatever it looks like.
    detail
        .backing
        .clone()
        .filter(|_| layer.format != VolumeFormat::Raw)
}
