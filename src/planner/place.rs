//! Where each disk of a VM goes: the pool that the manifest names, else the pool of the same fleet-wide name.

use super::recover::UnderWay;
use super::storages::Storages;
use crate::definition::{DiskRewrite, Rewrite};
use crate::desired::{self, Desired};
use crate::model::{Bytes, DiskDevice, DiskTarget, HostName, PoolName, VolumeName, VolumeRef};
use crate::observed::{Disk, Host, Observed, Vm, VmDetail};
use crate::plan::{Carry, Difference, DiskPlacement};

/// A VM's way from one host to another, or on one host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) desired: &'a Desired,
    pub(super) observed: &'a Observed,
    pub(super) storages: &'a Storages<'a>,
    pub(super) wanted: &'a desired::Vm,
    pub(super) from: &'a HostName,
    pub(super) to: &'a HostName,
    /// Whether linked clones whose disks move become volumes of their own.
    pub(super) flatten: bool,
}

impl Way<'_> {
    fn path(&self, at: &VolumeRef) -> Option<String> {
        let pool = self.observed.host(&at.host)?.pools.get(&at.pool)?;
        Some(format!("{}/{}", pool.path.trim_end_matches('/'), at.volume))
    }

    /// Whether these two pools are one storage: declared so, or known by libvirt's description of its source.
    fn is_same_storage(&self, here: &PoolName, there: &PoolName) -> bool {
        if self.from == self.to {
            return here == there;
        }
        let storage = |host: &HostName, pool: &PoolName| {
            self.observed
                .host(host)
                .and_then(|host: &Host| host.pools.get(pool)?.storage.clone())
        };
        let named = self.desired.pool_named(here, self.from);
        let declared =
            named == self.desired.pool_named(there, self.to) && self.desired.is_shared(&named);
        let known = storage(self.from, here);
        declared || (known.is_some() && known == storage(self.to, there))
    }

    /// The pool where the base of a disk goes: its own pool's counterpart, unless it lies with the disk or has none.
    fn base_pool(&self, base: &PoolName, disk_from: &PoolName, disk_to: &PoolName) -> PoolName {
        if base == disk_from {
            return disk_to.clone();
        }
        let counterpart = self
            .desired
            .pool_on(&self.desired.pool_named(base, self.from), self.to);
        let exists = self
            .observed
            .host(self.to)
            .is_some_and(|host| host.pools.contains_key(&counterpart));
        if exists { counterpart } else { disk_to.clone() }
    }

    fn carry(&self, disk: &Disk, from_pool: &PoolName, to_pool: &PoolName) -> Carry {
        let base = disk.backing.first().and_then(|base| base.volume.clone());
        let base = base.filter(|_| !self.flatten);
        let Some((base_pool, volume)) = base else {
            return Carry::Copy;
        };
        let here = VolumeRef {
            host: self.from.clone(),
            pool: base_pool.clone(),
            volume: volume.clone(),
        };
        if self.from == self.to {
            return Carry::Thin {
                base_from: here.clone(),
                base_to: here,
            };
        }
        let pool = self.base_pool(&base_pool, from_pool, to_pool);
        let there = VolumeRef {
            host: self.to.clone(),
            pool,
            volume,
        };
        Carry::Thin {
            base_from: here,
            base_to: there,
        }
    }

    /// Whether the base is the same file for both ends, so that nothing of it need be copied.
    pub(super) fn is_base_in_place(&self, base_from: &VolumeRef, base_to: &VolumeRef) -> bool {
        base_from == base_to || self.is_same_storage(&base_from.pool, &base_to.pool)
    }

    fn place(&self, disk: &Disk) -> DiskPlacement {
        let mut placement = DiskPlacement {
            target: disk.target.clone(),
            carry: Carry::Stays,
            from: None,
            to: None,
            to_path: None,
            format: disk.format.clone(),
            capacity: disk.capacity.unwrap_or_default(),
            allocation: disk.allocation.unwrap_or_default(),
            below: None,
        };
        let media = matches!(disk.device, DiskDevice::Cdrom | DiskDevice::Floppy) || disk.readonly;
        let Some((pool, volume)) = &disk.volume else {
            if media {
                placement.carry = Carry::Media;
            }
            return placement;
        };
        let named = self.desired.pool_named(pool, self.from);
        let asked = self.wanted.disks.get(&disk.target);
        let to_pool = self.desired.pool_on(asked.unwrap_or(&named), self.to);
        let at = |host: &HostName, pool: &PoolName, volume: &VolumeName| VolumeRef {
            host: host.clone(),
            pool: pool.clone(),
            volume: volume.clone(),
        };
        let to = at(self.to, &to_pool, volume);
        placement.carry = if self.is_same_storage(pool, &to_pool) {
            Carry::Stays
        } else if media {
            Carry::Media
        } else {
            self.carry(disk, pool, &to_pool)
        };
        let is_flattened = placement.carry == Carry::Copy && !disk.backing.is_empty();
        placement.below = is_flattened.then(|| data_below(disk));
        placement.to_path = self.path(&to).filter(|_| placement.carry != Carry::Media);
        placement.from = Some(at(self.from, pool, volume));
        placement.to = Some(to);
        placement
    }

    /// Where each disk of the VM goes, in the order of its definition.
    pub(super) fn disks(&self, detail: &VmDetail) -> Vec<DiskPlacement> {
        detail.disks.iter().map(|disk| self.place(disk)).collect()
    }

    /// What the definition says of each disk at the destination, where that differs from now.
    pub(super) fn rewrite(&self, detail: &VmDetail, disks: &[DiskPlacement]) -> Rewrite {
        let mut rewrite = Rewrite::default();
        for (disk, placed) in detail.disks.iter().zip(disks) {
            let Some(path) = &placed.to_path else {
                continue;
            };
            let backing = self.backing(disk, placed);
            let now: Vec<_> = disk
                .backing
                .iter()
                .map(|layer| (layer.path.clone(), layer.format.clone()))
                .collect();
            let renamed = disk.source_kind == "volume"
                && (disk.volume.as_ref().map(|(pool, _)| pool)
                    != placed.to.as_ref().map(|to| &to.pool));
            if disk.path.as_ref() != Some(path) || backing != now || renamed {
                rewrite.disks.insert(
                    disk.target.clone(),
                    DiskRewrite {
                        path: path.clone(),
                        backing,
                    },
                );
            }
        }
        rewrite
    }

    fn backing(
        &self,
        disk: &Disk,
        placed: &DiskPlacement,
    ) -> Vec<(String, crate::model::VolumeFormat)> {
        let mut layers: Vec<_> = disk
            .backing
            .iter()
            .map(|layer| (layer.path.clone(), layer.format.clone()))
            .collect();
        match &placed.carry {
            Carry::Thin { base_to, .. } => {
                if let (Some(first), Some(path)) = (layers.first_mut(), self.path(base_to)) {
                    first.0 = path;
                }
            }
            Carry::Copy | Carry::Compact { .. } => layers.clear(),
            Carry::Stays | Carry::Media => {}
        }
        layers
    }

    /// The path that a volume has or will have on its host.
    pub(super) fn path_of(&self, at: &VolumeRef) -> Option<String> {
        self.path(at)
    }
}

/// How a VM differs from what the manifest wants of it; of one whose migration goes on, how it will when it has arrived.
pub(super) fn differences(
    way: &Way<'_>,
    (detail, disks): (&VmDetail, &[DiskPlacement]),
    under_way: Option<&UnderWay<'_>>,
) -> Vec<Difference> {
    if let Some(under_way) = under_way {
        return differences_on_arrival(way, detail, under_way);
    }
    let mut differences: Vec<_> = other_host(way).into_iter().collect();
    for disk in disks {
        let (Some(from), Some(to)) = (&disk.from, &disk.to) else {
            continue;
        };
        let is = way.desired.pool_named(&from.pool, way.from);
        let wanted = way.desired.pool_named(&to.pool, way.to);
        if is != wanted && disk.carry != Carry::Stays {
            differences.push(Difference::Pool {
                disk: disk.target.clone(),
                is,
                wanted,
            });
        }
    }
    differences
}

fn other_host(way: &Way<'_>) -> Option<Difference> {
    (way.from != way.to).then(|| Difference::Host {
        is: way.from.clone(),
        wanted: way.to.clone(),
    })
}

/// The way begins where it arrives.
fn differences_on_arrival(
    way: &Way<'_>,
    detail: &VmDetail,
    under_way: &UnderWay<'_>,
) -> Vec<Difference> {
    let comes = Way {
        from: under_way.source,
        to: way.from,
        ..*way
    };
    let mut differences: Vec<_> = other_host(way).into_iter().collect();
    // A disk whose pool nobody names stays where it arrives.
    let named = |disk: &DiskPlacement| way.wanted.disks.contains_key(&disk.target);
    for disk in comes.disks(detail).into_iter().filter(named) {
        let (Some(from), Some(to)) = (disk.from, disk.to) else {
            continue;
        };
        let mut carried = under_way.volumes.iter();
        let copy = carried.find(|(original, _)| *original == from);
        let (is, arrives) = match copy {
            Some((_, copy)) => (&copy.pool, copy.pool == to.pool),
            None => (&from.pool, disk.carry == Carry::Stays),
        };
        if !arrives && disk.carry != Carry::Media {
            differences.push(Difference::Pool {
                disk: disk.target,
                is: way.desired.pool_named(is, way.from),
                wanted: way.desired.pool_named(&to.pool, way.from),
            });
        }
    }
    differences
}

/// Disks that the manifest names and the VM does not have.
pub(super) fn unknown_disks(wanted: &desired::Vm, detail: &VmDetail) -> Vec<DiskTarget> {
    let known = |target: &&DiskTarget| detail.disks.iter().any(|disk| disk.target == **target);
    wanted
        .disks
        .keys()
        .filter(|target| !known(target))
        .cloned()
        .collect()
}

/// The memory and data that a move has to carry, by the reading.
pub(super) fn copied_bytes(disks: &[DiskPlacement]) -> Bytes {
    disks
        .iter()
        .filter(|disk| disk.carry.is_copied())
        .map(DiskPlacement::data)
        .sum()
}

/// What the images below a disk occupy, as far as the reading knows.
fn data_below(disk: &Disk) -> Bytes {
    let layers = disk.backing.iter();
    layers.filter_map(|layer| layer.allocation).sum()
}

/// The detail of a VM; `None` when the reading did not look into it.
pub(super) fn detail_of(vm: &Vm) -> Option<&VmDetail> {
    vm.detail.as_deref()
}
