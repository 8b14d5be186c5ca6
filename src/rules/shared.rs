//! Rules about disks that stay where they are while their VM changes its host, and about what QEMU can migrate of a
//! disk at all.

use super::case::{Case, Effect, Rule, Verdict, When};
use crate::model::{BackingLayer, VolumeRef};
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
        code: "base-not-shared",
        title: "a disk stays on shared storage, and what it stands on is elsewhere",
        effects: &[Effect::Blocks, Effect::Risk],
        why: "A linked clone names its base by a path. At the destination nothing is there, or another image, and the guest would read that.",
        remedy: "Move the disk to a pool that is not shared, which takes its base along, or put the base on the shared storage (`qemu-img rebase`).",
        source: "Domicile, invariant 2; QEMU opens whatever has the path",
        judge: base_not_shared,
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

fn base_not_shared(case: &Case<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (placed, ..) in staying(case) {
        let mut disks = case.detail.disks.iter();
        let Some(disk) = disks.find(|disk| disk.target == placed.target) else {
            continue;
        };
        let apart = disk.backing.iter().find(|layer| !is_shared(case, layer));
        verdicts.extend(apart.map(|layer| base_elsewhere(case, disk, layer)));
    }
    verdicts
}

/// Whether both hosts see the layer in one storage, at one path.
fn is_shared(case: &Case<'_>, layer: &BackingLayer) -> bool {
    let Some((pool, _)) = &layer.volume else {
        return false;
    };
    let Some(here) = case.source.pools.get(pool) else {
        return false;
    };
    let named = case.desired.pool_named(pool, case.from);
    let declared = case.desired.pool_on(&named, case.to);
    let mut there = case.destination.pools.iter();
    there.any(|(name, there)| {
        let is_declared = case.desired.is_shared(&named) && *name == declared;
        let is_known = here.storage.is_some() && here.storage == there.storage;
        (is_declared || is_known) && here.path == there.path
    })
}

/// Where the base of a disk that stays is not on the shared storage.
const REMEDY: &str =
    "move the disk to a pool that is not shared, or put the base on the shared storage";

fn base_elsewhere(case: &Case<'_>, disk: &Disk, layer: &BackingLayer) -> Verdict {
    let (target, path, to) = (&disk.target, &layer.path, case.to);
    let stands = format!("disk {target} stays, and stands on {path}");
    let pools = case.destination.pools.values();
    let mut volumes = pools.flat_map(|pool| pool.volumes.values());
    let (effect, message, remedy) = if volumes.any(|volume| volume.path == *path) {
        let message = format!("{stands}, of which {to} has its own");
        (Effect::Blocks, message, REMEDY)
    } else if layer.volume.is_none() {
        let message = format!("{stands}, which is in no pool, so {to} cannot be asked for it");
        let remedy = "accept it if both hosts see the same image there";
        (Effect::Risk, message, remedy)
    } else {
        let message = format!("{stands}, which {to} does not have");
        (Effect::Blocks, message, REMEDY)
    };
    Verdict::new("base-not-shared", effect, to, message, remedy)
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
