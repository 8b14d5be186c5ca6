//! The VMs' definitions as far as they name disks, and who uses which volume by them.

use std::collections::{BTreeMap, BTreeSet};

use super::images::Images;
use super::storage::{Place, Storage};
use crate::definition::Rewrite;
use crate::model::{DiskDevice, DiskTarget, HostName, PoolName, VmName, VolumeFormat, VolumeName};
use crate::observed::{Disk, Vm};

/// A VM on a host.
pub(super) type Instance<'a> = (&'a VmName, &'a HostName);

/// A disk of a definition.
#[derive(Debug, Clone)]
pub(super) struct DiskAt<'a> {
    pub(super) path: Option<&'a str>,
    /// Pool and volume, where the source names those.
    volume: Option<&'a (PoolName, VolumeName)>,
    /// `None`: in no pool.
    pub(super) place: Option<Place<'a>>,
    /// The path of the image below it that the definition names.
    pub(super) below: Option<&'a str>,
    pub(super) format: &'a VolumeFormat,
    /// Whether nobody writes to it, as to a medium in a drive.
    pub(super) is_read_only: bool,
    /// Whether several VMs may write to it at once.
    pub(super) is_shared: bool,
}

pub(super) type Definition<'a> = BTreeMap<&'a DiskTarget, DiskAt<'a>>;

/// The definition that was read.
pub(super) fn definition<'a>(
    storage: &Storage<'a>,
    host: &'a HostName,
    vm: &'a Vm,
) -> Definition<'a> {
    let disks = vm.detail.iter().flat_map(|detail| &detail.disks);
    let disks = disks.map(|disk| {
        let drive = matches!(disk.device, DiskDevice::Cdrom | DiskDevice::Floppy);
        let at = DiskAt {
            path: disk.path.as_deref(),
            volume: disk.volume.as_ref(),
            place: place_of(storage, host, disk),
            below: disk.backing.first().map(|layer| layer.path.as_str()),
            format: &disk.format,
            is_read_only: disk.readonly || drive,
            is_shared: disk.shareable,
        };
        (&disk.target, at)
    });
    disks.collect()
}

pub(super) fn place_of<'a>(
    storage: &Storage<'a>,
    host: &'a HostName,
    disk: &'a Disk,
) -> Option<Place<'a>> {
    let by_path = |path| storage.of_path(host, path);
    let volume = disk.volume.as_ref();
    let by_name = |(pool, name): &'a (_, _)| storage.of_volume(host, pool, name);
    let by_name = volume.map(by_name);
    disk.path.as_deref().and_then(by_path).or(by_name)
}

/// The definition as it is on another host, or with other sources.
pub(super) fn relocated<'a>(
    storage: &Storage<'a>,
    definition: &Definition<'a>,
    to: &'a HostName,
    rewrite: &'a Rewrite,
) -> Definition<'a> {
    let mut after = definition.clone();
    for (target, disk) in &mut after {
        if let Some(new) = rewrite.disks.get(*target) {
            disk.path = Some(&new.path);
            disk.below = new.backing.first().map(|(path, _)| path.as_str());
            disk.volume = None;
        }
        let by_name = |(pool, name): &'a (_, _)| storage.of_volume(to, pool, name);
        disk.place = match disk.path {
            Some(path) => storage.of_path(to, path),
            None => disk.volume.map(by_name),
        };
    }
    after
}

/// Who uses each of the volumes that a plan may remove, or read while nobody may write to them.
pub(super) struct Users<'a> {
    /// The top image of a disk comes with `true`.
    of: BTreeMap<Place<'a>, BTreeSet<(Instance<'a>, bool)>>,
}

impl<'a> Users<'a> {
    /// Of these volumes nobody uses any yet.
    pub(super) fn of(watched: BTreeSet<Place<'a>>) -> Self {
        Self {
            of: watched
                .into_iter()
                .map(|place| (place, BTreeSet::new()))
                .collect(),
        }
    }

    /// A VM that the plan has nothing to do with, as it was read.
    pub(super) fn add_found(&mut self, storage: &Storage<'a>, instance: Instance<'a>, vm: &'a Vm) {
        let host = instance.1;
        for disk in vm.detail.iter().flat_map(|detail| &detail.disks) {
            if let Some(place) = place_of(storage, host, disk) {
                self.add(place, instance, true);
            }
            for layer in &disk.backing {
                if let Some(place) = storage.of_path(host, &layer.path) {
                    self.add(place, instance, false);
                }
            }
        }
    }

    fn add(&mut self, place: Place<'a>, instance: Instance<'a>, is_top: bool) {
        if let Some(users) = self.of.get_mut(&place) {
            users.insert((instance, is_top));
        }
    }

    /// Takes note of a new definition, or that one is gone.
    pub(super) fn change(
        &mut self,
        (storage, images): (&Storage<'a>, &mut Images<'a>),
        instance: Instance<'a>,
        (before, after): (Option<&Definition<'a>>, Option<&Definition<'a>>),
    ) {
        for (definition, is_new) in [(before, false), (after, true)] {
            for disk in definition.into_iter().flat_map(BTreeMap::values) {
                let chain = chain(storage, images, instance.1, disk);
                for (depth, place) in chain.into_iter().enumerate() {
                    let Some(users) = self.of.get_mut(&place) else {
                        continue;
                    };
                    if is_new {
                        users.insert((instance, depth == 0));
                    } else {
                        users.remove(&(instance, depth == 0));
                    }
                }
            }
        }
    }

    pub(super) fn all(&self, place: Place<'a>) -> impl Iterator<Item = &(Instance<'a>, bool)> {
        self.of.get(&place).into_iter().flatten()
    }
}

/// The places of a disk's images, the top one first.
pub(super) fn chain<'a>(
    storage: &Storage<'a>,
    images: &mut Images<'a>,
    host: &'a HostName,
    disk: &DiskAt<'a>,
) -> Vec<Place<'a>> {
    let mut chain = Vec::new();
    let mut next = disk.place;
    while let Some(place) = next.filter(|place| !chain.contains(place)) {
        chain.push(place);
        let below = images
            .get(storage, place, host)
            .and_then(|image| image.below);
        next = below.and_then(|path| storage.of_path(host, path));
    }
    chain
}
