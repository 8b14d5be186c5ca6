//! Rules about disks that stay where they are while their VM changes its host, and about what QEMU can migrate of a
//! disk at all.

use super::case::{Case, Effect, Rule, Verdict, When};
use crate::model::VolumeRef;
use crate::observed::Disk;
use crate::plan::{Carry, DiskPlacement};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "storage-unsafe",
        title: "a disk would be unsafe to migrate",
        effects: &[Effect::RefusesLive, Effect::RefusesDirect],
        why: "libvirt refuses a live migration where the destination could read other data from a disk than the source has written.",
        remedy: "Change the disk's definition, or move the VM cold.",
        source: "libvirt, qemuMigrationSrcIsSafe and qemuMigrationSrcIsAllowed",
        judge: storage_unsafe,
    },
    Rule {
        code: "shared-differs",
        title: "storage that is said to be shared is not the same",
        effects: &[Effect::Blocks, Effect::Note],
        why: "Where both hosts do not see the same storage, the VM would start at the destination on other data, or on none.",
        remedy: "Take `shared` off the pool, so that disks are copied, or mount the same storage on both hosts.",
        source: "Domicile, invariant 2; libvirt does not compare it",
        judge: shared_differs,
    },
    Rule {
        code: "shared-unproven",
        title: "libvirt may not take a folder for shared storage",
        effects: &[Effect::Note],
        why: "libvirt migrates a VM whose disk is not copied only where the file system is of a kind that it knows as shared (NFS, CephFS, GFS2, OCFS2, GPFS, SMB and others), or where qemu.conf lists the folder. Which file system a folder is on, it does not tell.",
        remedy: "List the folder in `shared_filesystems` of qemu.conf on both hosts, if it is no network file system.",
        source: "libvirt, qemuMigrationSrcIsSafe and virFileIsSharedFS",
        judge: shared_unproven,
    },
];

/// QEMU can throw away what it has cached of a file before it takes over a guest since this version, which makes any
/// cache mode safe (`drop-cache` of its file driver).
const DROPS_CACHES: u64 = 4_000_000;

/// Formats that QEMU cannot migrate, read-only ones excepted.
const UNMIGRATABLE: [&str; 7] = ["qcow", "vmdk", "vdi", "vhdx", "vpc", "parallels", "vvfat"];

/// What `qemuMigrationSrcIsSafe` and `qemuMigrationSrcIsAllowed` refuse about disks.
fn storage_unsafe(case: &Case<'_>) -> Vec<Verdict> {
    let of_disk = |disk: &Disk| {
        if disk.readonly {
            return None;
        }
        let format = disk.format.as_str();
        let placed = case
            .disks
            .iter()
            .find(|placed| placed.target == disk.target);
        let stays =
            placed.is_some_and(|placed| placed.carry == Carry::Stays && placed.to.is_some());
        if disk.transient {
            Some("is transient: what was written would be lost".to_owned())
        } else if UNMIGRATABLE.contains(&format) {
            Some(format!(
                "has the format {format}, which QEMU cannot migrate"
            ))
        } else if stays && is_cached(case, disk) {
            Some(format!(
                "is cached by the host (cache mode {}) on shared storage, and this QEMU cannot drop its caches",
                disk.cache.as_deref().unwrap_or("default")
            ))
        } else {
            None
        }
    };
    let refused = case.detail.disks.iter().filter_map(|disk| {
        let why = of_disk(disk)?;
        let message = format!("disk {} {why}", disk.target);
        let remedy = "change the disk's definition, or move the VM cold";
        Some(case.unmigratable("storage-unsafe", case.from, &message, remedy))
    });
    refused.flatten().collect()
}

fn is_cached(case: &Case<'_>, disk: &Disk) -> bool {
    let uncached = matches!(disk.cache.as_deref(), Some("none" | "directsync"));
    let qemu = case.source.hypervisor_version;
    case.changes_host() && !uncached && !disk.shareable && (1..DROPS_CACHES).contains(&qemu)
}

/// Disks that both hosts are said to see, with their places.
fn staying<'a>(
    case: &'a Case<'_>,
) -> impl Iterator<Item = (&'a DiskPlacement, &'a VolumeRef, &'a VolumeRef)> {
    case.disks
        .iter()
        .filter(|disk| case.changes_host() && disk.carry == Carry::Stays)
        .filter_map(|disk| Some((disk, disk.from.as_ref()?, disk.to.as_ref()?)))
}

fn shared_differs(case: &Case<'_>) -> Vec<Verdict> {
    let of_disk = |(disk, from, to): (&DiskPlacement, &VolumeRef, &VolumeRef)| {
        let pools = (
            case.source.pools.get(&from.pool)?,
            case.destination.pools.get(&to.pool)?,
        );
        let storages = pools.0.storage.as_ref().zip(pools.1.storage.as_ref());
        let remedy = format!(
            "take `shared` off pool {}, or mount the same storage",
            from.pool
        );
        if let Some((here, there)) = storages.filter(|(here, there)| here != there) {
            let message = format!(
                "disk {} is on {here}, and pool {} of {} is {there}",
                disk.target, to.pool, case.to
            );
            return Some(Verdict::new(
                "shared-differs",
                Effect::Blocks,
                case.to,
                message,
                remedy,
            ));
        }
        let Some(there) = case.observed.volume(to) else {
            if pools.1.refreshed {
                let message = format!(
                    "disk {} is said to be on shared storage, and {to} is not there",
                    disk.target
                );
                return Some(Verdict::new(
                    "shared-differs",
                    Effect::Blocks,
                    case.to,
                    message,
                    remedy,
                ));
            }
            let message = format!(
                "disk {} is said to be on shared storage, and {} does not list it (its pool may not have been refreshed)",
                disk.target, case.to
            );
            let remedy = format!(
                "see `virsh pool-refresh {}` on {}",
                to.pool.in_shell(),
                case.to
            );
            return Some(Verdict::new(
                "shared-differs",
                Effect::Note,
                case.to,
                message,
                remedy,
            ));
        };
        let size = there.detail.as_ref()?.capacity;
        (size != disk.capacity).then(|| {
            let message = format!(
                "disk {} has {} on {} and {size} on {}: not the same volume",
                disk.target, disk.capacity, case.from, case.to
            );
            Verdict::new("shared-differs", Effect::Blocks, case.to, message, remedy)
        })
    };
    staying(case).filter_map(of_disk).collect()
}

fn shared_unproven(case: &Case<'_>) -> Vec<Verdict> {
    if !case.may_go_live() {
        return Vec::new();
    }
    let of_disk = |(disk, from, _): (&DiskPlacement, &VolumeRef, &VolumeRef)| {
        let pool = case.source.pools.get(&from.pool)?;
        (pool.kind == "dir").then(|| {
            let message = format!(
                "disk {} stays in {}, which libvirt must know as shared on {}",
                disk.target, pool.path, case.from
            );
            let remedy = "if it is no network file system, list it in `shared_filesystems` of qemu.conf on both hosts";
            Verdict::new("shared-unproven", Effect::Note, case.from, message, remedy).only(When::Live)
        })
    };
    staying(case).filter_map(of_disk).collect()
}
