//! What must be asked of the hosts before a plan can be made, besides what is read of them anyway.

use std::collections::{BTreeMap, BTreeSet};

use super::place::Way;
use super::storages::Storages;
use crate::desired::{Desired, Method};
use crate::model::{HostName, PoolName, VmName, VolumeRef};
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
    let mut all = demands(desired);
    all.retain(|(vm, to)| observed.hosts_of(vm).any(|(host, _)| host != to));
    all
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

/// Shared pools at the destinations of VMs that do not list a volume which they are said to have: libvirt may not have
/// looked since it came to be there.
#[must_use]
pub fn unlisted(desired: &Desired, observed: &Observed) -> BTreeMap<HostName, BTreeSet<PoolName>> {
    let mut pools: BTreeMap<HostName, BTreeSet<PoolName>> = BTreeMap::new();
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
        let missing = stays
            .filter_map(|disk| disk.to)
            .filter(|at| is_unlisted(observed, at));
        for at in missing {
            pools.entry(at.host).or_default().insert(at.pool);
        }
    }
    pools
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

/// Each VM of the manifest on each host where it was seen and shall not be, with where it shall be.
fn leaving<'a>(
    desired: &'a Desired,
    observed: &'a Observed,
) -> impl Iterator<Item = (&'a VmName, &'a HostName, &'a Vm, &'a HostName)> {
    desired.vms.iter().flat_map(move |(name, wanted)| {
        let seen = observed.hosts_of(name);
        seen.filter(|(host, _)| **host != wanted.host)
            .map(move |(host, vm)| (name, host, vm, &wanted.host))
    })
}
