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
    staying(case)
        .filter_map(|(disk, from, to)| differs(case, disk, from, to))
        .collect()
}

fn differs(
    case: &Case<'_>,
    disk: &DiskPlacement,
    from: &VolumeRef,
    to: &VolumeRef,
) -> Option<Verdict> {
    let (here, there) = (
        case.source.pools.get(&from.pool)?,
        case.destination.pools.get(&to.pool)?,
    );
    let target = &disk.target;
    let blocks = |message: String| {
        let remedy = format!(
            "take `shared` off pool {}, or mount the same storage",
            from.pool
        );
        let effect = Effect::Blocks;
        Verdict::new("shared-differs", effect, case.to, message, remedy)
    };
    let note = |message: String, remedy: String| {
        Verdict::new("shared-differs", Effect::Note, case.to, message, remedy)
    };
    if let (Some(here), Some(there)) = (&here.storage, &there.storage)
        && here != there
    {
        return Some(blocks(format!(
            "disk {target} is on {here}, and pool {} of {} is {there}",
            to.pool, case.to
        )));
    }
    let Some(volume) = case.observed.volume(to) else {
        if there.refreshed {
            return Some(blocks(format!(
                "disk {target} is said to be on shared storage, and {to} is not there"
            )));
        }
        let message = format!(
            "disk {target} is said to be on shared storage, and {} does not list it (its pool may not have been refreshed)",
            case.to
        );
        let pool = to.pool.in_shell();
        let remedy = format!("see `virsh pool-refresh {pool}` on {}", case.to);
        return Some(note(message, remedy));
    };
    let mut disks = case.detail.disks.iter();
    let size = disks.find(|one| one.target == *target)?.capacity;
    let size_there = volume.detail.as_ref().map(|detail| detail.capacity);
    let (Some(size), Some(size_there)) = (size, size_there) else {
        let unread = if size.is_none() { from } else { to };
        let message = format!(
            "disk {target} is said to be on shared storage, and whether both hosts have the same volume could not be compared: the size of {unread} was not read"
        );
        let (volume, pool) = (unread.volume.in_shell(), unread.pool.in_shell());
        let remedy = format!(
            "see `virsh vol-info {volume} --pool {pool}` on {}",
            unread.host
        );
        return Some(note(message, remedy));
    };
    (size != size_there).then(|| {
        blocks(format!(
            "disk {target} has {size} on {} and {size_there} on {}: not the same volume",
            case.from, case.to
        ))
    })
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
