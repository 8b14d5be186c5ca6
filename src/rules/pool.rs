//! Rules about the pools that disks go to.

use super::case::{Case, Effect, Rule, Verdict};
use super::disk::copied;
use crate::model::VolumeRef;
use crate::plan::{Carry, DiskPlacement};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "pool-missing",
        title: "the destination pool does not exist",
        effects: &[Effect::Blocks],
        why: "A disk can only be put into a pool that the host has.",
        remedy: "Name another pool, or define the pool.",
        source: "libvirt, virStoragePoolLookupByName",
        judge: pool_missing,
    },
    Rule {
        code: "pool-inactive",
        title: "the destination pool is not started",
        effects: &[Effect::Blocks],
        why: "Volumes of a pool that is not started can neither be listed nor made.",
        remedy: "Start the pool.",
        source: "libvirt, virStoragePoolIsActive",
        judge: pool_inactive,
    },
    Rule {
        code: "pool-kind",
        title: "the pool's kind cannot be written to yet",
        effects: &[Effect::Blocks],
        why: "Creating, filling and proving volumes is shown on real hosts for pools of files. For other kinds it is not, so Domicile does not write to them.",
        remedy: "Choose a pool of files.",
        source: "Domicile, tests/lab",
        judge: pool_kind,
    },
];

/// Every pool at the destination that the move relies on, once, with a disk that needs it.
fn pools_needed<'a>(case: &'a Case<'_>) -> Vec<(&'a DiskPlacement, &'a VolumeRef)> {
    let mut seen = Vec::new();
    let mut needed = Vec::new();
    for disk in case
        .disks
        .iter()
        .filter(|_| case.changes_host() || case.disks.iter().any(|d| d.carry.is_copied()))
    {
        let bases = match &disk.carry {
            Carry::Thin { base_to, .. } => Some(base_to),
            Carry::Stays | Carry::Copy | Carry::Compact { .. } | Carry::Media => None,
        };
        for at in disk.to.iter().chain(bases) {
            if at.host == *case.to && !seen.contains(&&at.pool) {
                seen.push(&at.pool);
                needed.push((disk, at));
            }
        }
    }
    needed
}

fn pool_missing(case: &Case<'_>) -> Vec<Verdict> {
    let missing = |(disk, at): (&DiskPlacement, &VolumeRef)| {
        if case.destination.pools.contains_key(&at.pool) {
            return None;
        }
        let there: Vec<_> = case
            .destination
            .pools
            .keys()
            .map(ToString::to_string)
            .collect();
        Some(Verdict::new(
            "pool-missing",
            Effect::Blocks,
            case.to,
            format!(
                "disk {} needs pool {}, which {} does not have (it has: {})",
                disk.target,
                at.pool,
                case.to,
                if there.is_empty() {
                    "none".to_owned()
                } else {
                    there.join(", ")
                }
            ),
            format!(
                "name another pool at vms.{}.disks.{}, or define the pool",
                case.name, disk.target
            ),
        ))
    };
    pools_needed(case).into_iter().filter_map(missing).collect()
}

fn pool_inactive(case: &Case<'_>) -> Vec<Verdict> {
    let inactive = |(disk, at): (&DiskPlacement, &VolumeRef)| {
        let pool = case.destination.pools.get(&at.pool)?;
        (!pool.active).then(|| {
            Verdict::new(
                "pool-inactive",
                Effect::Blocks,
                case.to,
                format!(
                    "disk {} needs pool {}, which is not started on {}",
                    disk.target, at.pool, case.to
                ),
                format!(
                    "start it with `virsh pool-start {}` on {}",
                    at.pool.in_shell(),
                    case.to
                ),
            )
        })
    };
    pools_needed(case)
        .into_iter()
        .filter_map(inactive)
        .collect()
}

/// Pools of files: the kinds for which creating, streaming and probing of volumes is proven on real hosts.
const FILE_POOLS: &[&str] = &["dir", "fs", "netfs"];

fn pool_kind(case: &Case<'_>) -> Vec<Verdict> {
    let unproven = |(disk, at): (&DiskPlacement, &VolumeRef)| {
        let pool = case.destination.pools.get(&at.pool)?;
        (!FILE_POOLS.contains(&pool.kind.as_str())).then(|| {
            Verdict::new(
                "pool-kind",
                Effect::Blocks,
                case.to,
                format!(
                    "disk {} would be copied to pool {} of kind {}",
                    disk.target, at.pool, pool.kind
                ),
                format!(
                    "choose a pool of one of the kinds {}",
                    FILE_POOLS.join(", ")
                ),
            )
        })
    };
    copied(case).filter_map(unproven).collect()
}
