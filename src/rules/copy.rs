//! Rules about disks that change their pool on one host, and about bases that stay behind.

use super::case::{Case, Effect, Rule, Verdict};
use crate::desired::Profile;
use crate::model::{PoolName, VmName, VolumeName, VolumeRef};
use crate::observed::Disk;
use crate::plan::{Carry, DiskPlacement};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "blockcopy",
        title: "a running VM's disk cannot be copied",
        effects: &[Effect::Blocks],
        why: "libvirt copies a disk under a running guest by a block job, which it refuses for some disks.",
        remedy: "Shut the VM down first, then move its disk.",
        source: "libvirt, qemuDomainBlockCopyCommon",
        judge: blockcopy,
    },
    Rule {
        code: "shared-disk-pivot",
        title: "a disk of several VMs would go to storage that cannot share",
        effects: &[Effect::Blocks],
        why: "A shareable disk is written by several VMs at once, so all of them must see the same volume.",
        remedy: "Choose a pool on storage that all their hosts see.",
        source: "libvirt, qemuDomainBlockCopyCommon",
        judge: shared_disk,
    },
    Rule {
        code: "base-in-use",
        title: "the base of a moved disk stays for others",
        effects: &[Effect::Note],
        why: "The base is copied for the clone that moves, and stays for those that remain.",
        remedy: "Move the other clones, too; with `remove_unused_bases: true` the last one takes the base along.",
        source: "Domicile, invariant 2; VMmanager 6, linked clones",
        judge: base_in_use,
    },
    Rule {
        code: "clone-disk",
        title: "a linked clone's disk would change its pool, in profile vmmanager",
        effects: &[Effect::Blocks],
        why: "VMmanager does not move the primary disk of a linked clone between storages. Domicile does, and keeps it thin, unless its profile is asked for.",
        remedy: "Leave the disk in its pool, or leave `profile: vmmanager` out.",
        source: "VMmanager 6, linked clones",
        judge: clone_disk,
    },
];

/// Each disk that is copied on one host while its VM runs.
fn copied_live<'a>(case: &'a Case<'_>) -> impl Iterator<Item = (&'a DiskPlacement, &'a Disk)> {
    let counts = !case.changes_host() && case.is_active();
    case.disks
        .iter()
        .filter(move |placed| counts && placed.carry.is_copied())
        .filter_map(|placed| {
            let disk = case
                .detail
                .disks
                .iter()
                .find(|disk| disk.target == placed.target)?;
            Some((placed, disk))
        })
}

fn blockcopy(case: &Case<'_>) -> Vec<Verdict> {
    let refused = |(placed, disk): (&DiskPlacement, &Disk)| {
        let why = if disk.bus == "sd" {
            "is an SD card"
        } else if disk.transient {
            "is transient"
        } else if disk.source_kind == "vhostuser" {
            "is a vhost-user device"
        } else if placed.carry.is_thin() && placed.format.as_str() == "raw" {
            "is raw and stands on a base"
        } else {
            return None;
        };
        Some(Verdict::new(
            "blockcopy",
            Effect::Blocks,
            case.from,
            format!(
                "disk {} {why}, so libvirt does not copy it while the VM runs",
                disk.target
            ),
            "shut the VM down first",
        ))
    };
    copied_live(case).filter_map(refused).collect()
}

fn shared_disk(case: &Case<'_>) -> Vec<Verdict> {
    let moves = |placed: &&DiskPlacement| placed.carry.is_copied();
    let refused = |placed: &DiskPlacement| {
        let disk = case
            .detail
            .disks
            .iter()
            .find(|disk| disk.target == placed.target)?;
        let to = placed.to.as_ref()?;
        let pool = case.destination.pools.get(&to.pool)?;
        let shared = case
            .desired
            .is_shared(&case.desired.pool_named(&to.pool, case.to))
            || pool.storage.is_some();
        (disk.shareable && !shared).then(|| {
            Verdict::new(
                "shared-disk-pivot",
                Effect::Blocks,
                case.to,
                format!(
                    "disk {} may be written by several VMs, and pool {} is on storage of {} alone",
                    placed.target, to.pool, case.to
                ),
                "choose a pool on storage that all hosts of these VMs see",
            )
        })
    };
    case.disks
        .iter()
        .filter(moves)
        .filter_map(refused)
        .collect()
}

/// Whether an image is below a disk.
fn stands_on(disk: &Disk, base: &VolumeRef) -> bool {
    let is = |volume: &(PoolName, VolumeName)| volume.0 == base.pool && volume.1 == base.volume;
    disk.backing
        .iter()
        .any(|layer| layer.volume.as_ref().is_some_and(is))
}

fn base_in_use(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let of_disk = |placed: &DiskPlacement| {
        let Carry::Thin { base_from, base_to } = &placed.carry else {
            return None;
        };
        let stays = |name: &VmName| {
            let wanted = case.desired.vms.get(name);
            wanted.is_none_or(|wanted| wanted.host == *case.from)
        };
        let others: Vec<&str> = case
            .source
            .vms
            .iter()
            .filter(|(name, _)| *name != case.name && stays(name))
            .filter(|(_, vm)| {
                let disks = vm.detail.as_ref().map(|detail| &detail.disks);
                disks.is_some_and(|disks| disks.iter().any(|disk| stands_on(disk, base_from)))
            })
            .map(|(name, _)| name.as_str())
            .collect();
        (!others.is_empty() && base_from != base_to).then(|| {
            Verdict::new(
                "base-in-use",
                Effect::Note,
                case.from,
                format!(
                    "the base of disk {} ({base_from}) is copied and stays for {}",
                    placed.target,
                    others.join(", ")
                ),
                "move them, too, if the base is to leave",
            )
        })
    };
    case.disks.iter().filter_map(of_disk).collect()
}

fn clone_disk(case: &Case<'_>) -> Vec<Verdict> {
    if case.desired.profile != Profile::Vmmanager || case.changes_host() {
        return Vec::new();
    }
    let moves = |placed: &&DiskPlacement| placed.carry.is_thin();
    let verdict = |placed: &DiskPlacement| {
        Verdict::new(
            "clone-disk",
            Effect::Blocks,
            case.from,
            format!(
                "disk {} is a linked clone, which VMmanager does not move from storage to storage",
                placed.target
            ),
            "leave it in its pool, or leave `profile: vmmanager` out",
        )
    };
    case.disks.iter().filter(moves).map(verdict).collect()
}
