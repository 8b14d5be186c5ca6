//! What must be asked of the hosts before a plan can be made, besides what is read of them anyway.

use std::collections::{BTreeMap, BTreeSet};

use super::place::Way;
use super::recover;
use super::storages::Storages;
use crate::desired::{Desired, Method};
use crate::model::{HostName, MoveMark, PoolName, VmName, VolumeName, VolumeRef};
use crate::observed::{Observed, Vm};
use crate::plan::Carry;

/// Kinds of pools in which looking for volumes anew is harmless: a listing of a folder.
const LISTED: [&str; 2] = ["dir", "netfs"];

/// Every VM of the manifest with the host where it shall be.
#[must_use]
pub fn demands(desired: &Desired) -> Vec<(VmName, HostName)> {
    let wanted = desired.vms.iter();
    wanted
        .map(|(name, vm)| (name.clone(), vm.host.clone()))
        .collect()
}

/// The VMs that shall be on another host than where they were seen, each with that host: what the hosts must be asked
/// about before a plan can be made, given a reading without XML.
#[must_use]
pub fn questions(desired: &Desired, observed: &Observed) -> Vec<(VmName, HostName)> {
    let all = leaving(desired, observed).map(|(name, .., to)| (name, to));
    // Once, wherever it is, and in order of name.
    let all: BTreeMap<&VmName, &HostName> = all.collect();
    let owned = all.into_iter();
    owned.map(|(vm, to)| (vm.clone(), to.clone())).collect()
}

/// The VMs that run, shall be on another host and may go there live, whose settings say that their QEMU be asked
/// (`ask_qemu`); given a reading without XML.
#[must_use]
pub fn monitors(desired: &Desired, observed: &Observed) -> BTreeSet<VmName> {
    let comes = leaving(desired, observed).filter(|(name, from, vm, to)| {
        let live = desired
            .vms
            .get(*name)
            .is_some_and(|wanted| wanted.method != Method::Cold);
        live && vm.power.is_active() && desired.settings(name, from, to).ask_qemu
    });
    comes.map(|(name, ..)| name.clone()).collect()
}

/// What the volumes must be asked of which a plan depends and which no VM of their own host uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unread {
    /// Shared pools at the destinations of VMs that do not list a volume which they are said to have: libvirt may not
    /// have looked since it came to be there.
    pub pools: BTreeMap<HostName, BTreeSet<PoolName>>,
    /// Volumes whose details were not read.
    pub volumes: BTreeMap<HostName, BTreeSet<(PoolName, VolumeName)>>,
}

impl Unread {
    /// Whether nothing is left to ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pools.is_empty() && self.volumes.is_empty()
    }

    /// Whether the host is left to be asked.
    #[must_use]
    pub fn concerns(&self, host: &HostName) -> bool {
        self.pools.contains_key(host) || self.volumes.contains_key(host)
    }

    fn look_into(&mut self, at: VolumeRef) {
        let volumes = self.volumes.entry(at.host).or_default();
        volumes.insert((at.pool, at.volume));
    }
}

/// What is left to ask of volumes once the VMs have been looked into: those at the destination that are said to be
/// disks which stay, by which it is seen whether they are the same, and those that an earlier apply made, whose removal
/// makes room.
#[must_use]
pub fn unread(desired: &Desired, observed: &Observed) -> Unread {
    let mut unread = Unread::default();
    let storages = Storages::of(desired, observed);
    for (name, from, vm, to) in leaving(desired, observed) {
        let (Some(wanted), Some(detail)) = (desired.vms.get(name), &vm.detail) else {
            continue;
        };
        let way = Way {
            desired,
            observed,
            storages: &storages,
            wanted,
            from,
            to,
            // Whether a base is left behind makes no difference to a disk that stays.
            flatten: false,
        };
        let placed = way.disks(detail).into_iter();
        let stays = placed.filter(|disk| disk.carry == Carry::Stays && disk.from.is_some());
        for at in stays.filter_map(|disk| disk.to) {
            if is_unlisted(observed, &at) {
                let pools = unread.pools.entry(at.host.clone()).or_default();
                pools.insert(at.pool.clone());
                unread.look_into(at);
            } else if is_unknown(observed, &at) {
                unread.look_into(at);
            }
        }
    }
    for mark in marks(desired, observed) {
        for at in made(observed, mark) {
            if is_unknown(observed, &at) {
                unread.look_into(at);
            }
        }
    }
    unread
}

/// Whether the host lists the volume and nothing more is known of it.
fn is_unknown(observed: &Observed, at: &VolumeRef) -> bool {
    let volume = observed.volume(at);
    volume.is_some_and(|volume| volume.detail.is_none())
}

fn is_unlisted(observed: &Observed, at: &VolumeRef) -> bool {
    let pool = observed
        .host(&at.host)
        .and_then(|host| host.pools.get(&at.pool));
    pool.is_some_and(|pool| {
        pool.active
            && !pool.refreshed
            && LISTED.contains(&pool.kind.as_str())
            && !pool.volumes.contains_key(&at.volume)
    })
}

/// Every volume that was made for a move.
fn made(observed: &Observed, mark: &MoveMark) -> Vec<VolumeRef> {
    let (from, to) = (&mark.from_uuid, &mark.to_uuid);
    let made = [
        (from, &mark.temporary_volumes),
        (to, &mark.created_volumes),
        (to, &mark.created_bases),
    ];
    let on_its_host = |(uuid, volumes): (&String, &Vec<_>)| {
        let host = recover::known_by(observed, uuid)?;
        Some(recover::at(host, volumes))
    };
    made.into_iter().filter_map(on_its_host).flatten().collect()
}

/// What earlier applies have written on the VMs of the manifest.
fn marks<'a>(desired: &'a Desired, observed: &'a Observed) -> impl Iterator<Item = &'a MoveMark> {
    let seen = observed.reached().flat_map(|(_, host)| &host.vms);
    let named = seen.filter(|(name, _)| desired.vms.contains_key(*name));
    named.filter_map(|(_, vm)| vm.mark())
}

/// Each VM of the manifest on each host where it was seen and shall not be, with where it shall be.
fn leaving<'a>(
    desired: &'a Desired,
    observed: &'a Observed,
) -> impl Iterator<Item = (&'a VmName, &'a HostName, &'a Vm, &'a HostName)> {
    let seen = observed.reached().flat_map(|(host, reading)| {
        let vms = reading.vms.iter();
        vms.map(move |(name, vm)| (name, host, vm))
    });
    seen.filter_map(|(name, host, vm)| {
        let wanted = desired.vms.get(name)?;
        (wanted.host != *host).then_some((name, host, vm, &wanted.host))
    })
}
