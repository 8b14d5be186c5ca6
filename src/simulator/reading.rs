//! The simulated state as a reading, as closely as was asked for.

use std::collections::BTreeSet;

use super::world::{World, find};
use crate::hypervisor::{Depth, Look, ObserveRequest};
use crate::model::{PoolName, VolumeName};
use crate::observed::{FORMAT_VERSION, Host, Observed, Reading, VmDetail};

/// Everything there is.
pub(super) fn whole(world: &World, taken_at: u64) -> Observed {
    let reached = world.hosts.iter().map(|(name, host)| {
        let reading = Reading::Reached(Box::new(host.clone()));
        (name.clone(), reading)
    });
    let closed = world
        .closed
        .iter()
        .map(|(name, reading)| (name.clone(), reading.clone()));
    Observed {
        format_version: FORMAT_VERSION.to_owned(),
        taken_at,
        hosts: reached.chain(closed).collect(),
    }
}

/// Leaves out what such a reading would not have asked for. The list of a simulated pool is always what is there.
pub(super) fn reduce(observed: &mut Observed, request: &ObserveRequest) {
    for (name, reading) in &mut observed.hosts {
        if let Reading::Reached(host) = reading {
            let anew = request.refresh.get(name);
            for (pool, state) in &mut host.pools {
                state.refreshed = state.active && anew.is_some_and(|anew| anew.contains(pool));
            }
            for (vm, state) in &mut host.vms {
                let asked = state.power.is_active() && request.ask_qemu.contains(vm);
                if let Some(detail) = state.detail.as_deref_mut().filter(|_| !asked) {
                    detail.qemu = None;
                }
            }
        }
    }
    let depth = &request.depth;
    if *depth == Depth::Full {
        return;
    }
    for (name, reading) in &mut observed.hosts {
        if let Reading::Reached(host) = reading {
            let asked = request.volumes.get(name).cloned().unwrap_or_default();
            reduce_host(host, depth, asked);
        }
    }
}

/// Leaves out what is told of no VM that is looked into, and of volumes that are neither theirs nor `asked` for.
fn reduce_host(host: &mut Host, depth: &Depth, asked: BTreeSet<(PoolName, VolumeName)>) {
    let mut used = asked;
    for (name, vm) in &mut host.vms {
        match depth.of(name) {
            Look::No => vm.detail = None,
            Look::Closely => {}
            Look::Beside => {
                if let Some(detail) = &mut vm.detail {
                    reduce_detail(detail);
                }
            }
        }
    }
    for disk in host
        .vms
        .values()
        .filter_map(|vm| vm.detail.as_deref())
        .flat_map(|detail| &detail.disks)
    {
        let below = disk.backing.iter().map(|layer| layer.path.as_str());
        let paths = disk.path.as_deref().into_iter().chain(below);
        used.extend(paths.filter_map(|path| find(host, path)));
    }
    for (pool, state) in &mut host.pools {
        for (name, volume) in &mut state.volumes {
            if !used.contains(&(pool.clone(), name.clone())) {
                volume.detail = None;
            }
        }
    }
}

/// A VM without a mark that is only looked at beside others tells one of its definitions.
fn reduce_detail(detail: &mut VmDetail) {
    if detail.mark.is_some() || detail.unreadable_mark.is_some() {
        return;
    }
    if let Some(live) = &detail.live_xml {
        detail.inactive_xml.clone_from(live);
    }
    detail.snapshots.clear();
    detail.job = None;
    detail.dirty_rate = None;
    detail.resident = None;
    detail.pending.clear();
    detail.later_needs = None;
    for disk in &mut detail.disks {
        (disk.capacity, disk.allocation) = (None, None);
    }
}
