//! Rules about disks and the volumes that they are.

use super::case::{Case, Effect, Rule, Verdict};
use crate::model::{DiskDevice, PoolName, VolumeName, VolumeRef};
use crate::observed::Disk;
use crate::plan::{Carry, DiskPlacement};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "volume-taken",
        title: "the destination has a volume of that name",
        effects: &[Effect::Blocks],
        why: "A volume of that name may belong to somebody. It is never overwritten, and libvirt refuses to create a second one.",
        remedy: "Rename or remove it after making sure that nothing needs it.",
        source: "libvirt, storageVolCreateXML",
        judge: volume_taken,
    },
    Rule {
        code: "foreign-path",
        title: "a disk lies outside any pool",
        effects: &[Effect::Blocks],
        why: "Domicile creates, copies, proves and deletes volumes of pools. What lies outside of every pool it can do nothing with.",
        remedy: "Make a pool of its folder.",
        source: "libvirt, virStorageVolLookupByPath",
        judge: foreign_path,
    },
    Rule {
        code: "local-media",
        title: "a local file is missing at the destination",
        effects: &[Effect::Blocks, Effect::Note],
        why: "libvirt looks for the file of a drive when the VM starts at the destination and refuses where it is missing. Files beside disks, such as kernels and firmware, are not listed by any call of libvirt.",
        remedy: "Eject the medium, or put the file there.",
        source: "libvirt, qemuProcessPrepareHost",
        judge: local_media,
    },
    Rule {
        code: "volume-shared",
        title: "another VM uses the volume",
        effects: &[Effect::Blocks],
        why: "A volume that another VM uses too cannot move away from under it.",
        remedy: "Move the other VM off the volume first, or use storage that both hosts see.",
        source: "Domicile, invariant 2",
        judge: volume_shared,
    },
    Rule {
        code: "deletion-unsure",
        title: "nobody can tell whether another VM stands on the original",
        effects: &[Effect::Blocks],
        why: "Before an original is deleted, every image of its host is asked what it stands on. An image of a VM that is off and that lies in no pool cannot be asked, so the original would be left behind and the move would never end.",
        remedy: "Make a pool of the folder of that image.",
        source: "Domicile, invariant 2; libvirt, virStorageVolGetXMLDesc",
        judge: deletion_unsure,
    },
    Rule {
        code: "chain-deep",
        title: "the backing chain has several layers",
        effects: &[Effect::Blocks],
        why: "One image below a disk is carried as its base. A longer chain would have to be carried layer by layer or be flattened, which breaks its link to the base.",
        remedy: "Shorten the chain.",
        source: "libvirt, qemuMigrationDstPrecreateStorage",
        judge: chain_deep,
    },
    Rule {
        code: "format",
        title: "the image format cannot be created",
        effects: &[Effect::Blocks],
        why: "libvirt creates volumes of files as raw or qcow2 so that they can be filled from outside.",
        remedy: "Convert the image.",
        source: "libvirt, virStorageBackendCreateQemuImg",
        judge: format,
    },
    Rule {
        code: "thin-stream",
        title: "a byte copy would keep the base's old path",
        effects: &[Effect::RefusesStream],
        why: "A byte copy keeps the path of the base that stands in the image, and libvirt has no call that changes it.",
        remedy: "Move it host to host, or to a pool with the same path.",
        source: "libvirt, virStorageVolDownload",
        judge: thin_stream,
    },
    Rule {
        code: "nvram",
        title: "firmware or TPM state cannot be streamed",
        effects: &[Effect::RefusesStream],
        why: "No call of libvirt reads or writes the UEFI variable store or the state of a TPM. Only a migration carries them.",
        remedy: "Move it live, or cold with `cold_copy: direct`.",
        source: "libvirt, migration.rst",
        judge: nvram,
    },
];

/// The disks whose data is copied, and where to.
pub(super) fn copied<'a>(
    case: &'a Case<'_>,
) -> impl Iterator<Item = (&'a DiskPlacement, &'a VolumeRef)> {
    case.disks
        .iter()
        .filter(|disk| disk.carry.is_copied())
        .filter_map(|disk| Some((disk, disk.to.as_ref()?)))
}

fn volume_taken(case: &Case<'_>) -> Vec<Verdict> {
    let taken = |(disk, at): (&DiskPlacement, &VolumeRef)| {
        let there = case.observed.volume(at).is_some() && !case.discarded.contains(at);
        there.then(|| {
            Verdict::new(
                "volume-taken",
                Effect::Blocks,
                case.to,
                format!("disk {} would become {at}, but a volume of that name is there", disk.target),
                format!("rename or remove it after making sure that nothing needs it, e.g. `virsh vol-info {} --pool {}`", at.volume.in_shell(), at.pool.in_shell()),
            )
        })
    };
    let mut verdicts: Vec<_> = copied(case).filter_map(taken).collect();
    // Two disks of one VM with the same volume name in different pools may not meet in one pool.
    let places: Vec<_> = copied(case).collect();
    for (index, (disk, at)) in places.iter().enumerate() {
        if let Some((other, _)) = places[..index].iter().find(|(_, earlier)| earlier == at) {
            verdicts.push(Verdict::new(
                "volume-taken",
                Effect::Blocks,
                case.to,
                format!(
                    "disks {} and {} would both become {at}",
                    other.target, disk.target
                ),
                "send them to different pools",
            ));
        }
    }
    verdicts
}

fn is_media(disk: &Disk) -> bool {
    matches!(disk.device, DiskDevice::Cdrom | DiskDevice::Floppy) || disk.readonly
}

fn foreign_path(case: &Case<'_>) -> Vec<Verdict> {
    let foreign = |disk: &Disk| {
        // Every host reaches a server alike; any other source may be one that this program does not know.
        let local = case.changes_host() && disk.source_kind != "network";
        let path = disk
            .path
            .as_ref()
            .filter(|_| local && disk.volume.is_none() && !is_media(disk))?;
        let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
        Some(Verdict::new(
            "foreign-path",
            Effect::Blocks,
            case.from,
            format!(
                "disk {} is {path}, which is in no pool of {}",
                disk.target, case.from
            ),
            format!(
                "make a pool of its folder: `virsh pool-create-as NAME dir --target {folder}` on {}",
                case.from
            ),
        ))
    };
    let foreign_base = |disk: &Disk| {
        let base = disk.backing.first().filter(|base| base.volume.is_none())?;
        disk.volume.as_ref()?;
        // Without the change of a host, what does not move is no business of this one.
        let copied =
            |placed: &&DiskPlacement| placed.target == disk.target && placed.carry.is_copied();
        if !case.changes_host() && !case.disks.iter().any(|placed| copied(&placed)) {
            return None;
        }
        Some(Verdict::new(
            "foreign-path",
            Effect::Blocks,
            case.from,
            format!(
                "disk {} stands on {}, which is in no pool of {}",
                disk.target, base.path, case.from
            ),
            "make a pool of the base's folder",
        ))
    };
    let disks = &case.detail.disks;
    disks
        .iter()
        .filter_map(foreign)
        .chain(disks.iter().filter_map(foreign_base))
        .collect()
}

/// Paths that the destination cannot show to have. A path in a pool of the destination is known; another is not, and
/// libvirt gives no way to ask.
fn local_media(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let known = |path: &str| case.destination.volume_at(path).is_some();
    let carried = |disk: &&Disk| {
        let placed = case
            .disks
            .iter()
            .find(|placed| placed.target == disk.target);
        is_media(disk) && placed.is_none_or(|placed| placed.carry == Carry::Media)
    };
    let media = case.detail.disks.iter().filter(carried).filter_map(|disk| {
        if disk.source_kind == "network" {
            return None;
        }
        let named = |(pool, volume): &(PoolName, VolumeName)| {
            let there = case.destination.pools.get(pool);
            let there = there.is_some_and(|pool| pool.volumes.contains_key(volume));
            (!there).then(|| format!("volume {volume} of pool {pool}"))
        };
        let path = match &disk.path {
            Some(path) => (!known(path)).then(|| path.clone()),
            None => disk.volume.as_ref().and_then(named),
        }?;
        Some(Verdict::new(
            "local-media",
            Effect::Blocks,
            case.to,
            format!("drive {} holds {path}, which no pool of {} has", disk.target, case.to),
            format!("eject it with `virsh change-media {} {} --eject`, or put the file into a pool there", case.name.in_shell(), disk.target.in_shell()),
        ))
    });
    let missing: Vec<&str> = case
        .detail
        .local_paths
        .iter()
        .map(String::as_str)
        .filter(|path| !known(path))
        .collect();
    let files = (!missing.is_empty()).then(|| {
        Verdict::new(
            "local-media",
            Effect::Note,
            case.to,
            format!(
                "it needs {} on {}; files beside disks cannot be looked for there",
                missing.join(" and "),
                case.to
            ),
            "make sure that they are there",
        )
    });
    media.chain(files).collect()
}

/// A disk that moves away from under another VM. Both ends of a shareable disk must move together, which needs
/// storage that both hosts see.
fn volume_shared(case: &Case<'_>) -> Vec<Verdict> {
    let uses = |disk: &Disk, from: &VolumeRef| {
        let is = |volume: &Option<(PoolName, VolumeName)>| {
            volume
                .as_ref()
                .is_some_and(|(pool, name)| *pool == from.pool && *name == from.volume)
        };
        is(&disk.volume) || disk.backing.iter().any(|layer| is(&layer.volume))
    };
    let mut verdicts = Vec::new();
    for disk in case.disks.iter().filter(|disk| disk.carry.is_copied()) {
        let Some(from) = &disk.from else { continue };
        for (name, vm) in case
            .source
            .vms
            .iter()
            .filter(|(name, _)| *name != case.name)
        {
            let Some(detail) = &vm.detail else { continue };
            if detail.disks.iter().any(|theirs| uses(theirs, from)) {
                verdicts.push(Verdict::new(
                    "volume-shared",
                    Effect::Blocks,
                    case.from,
                    format!("disk {} ({from}) is also used by {name}", disk.target),
                    format!(
                        "move {name} off the volume first, or put it on storage that both hosts see"
                    ),
                ));
            }
        }
    }
    verdicts
}

fn deletion_unsure(case: &Case<'_>) -> Vec<Verdict> {
    let leaves = case.disks.iter().any(|disk| disk.carry.is_copied());
    if !leaves {
        return Vec::new();
    }
    let off = case
        .source
        .vms
        .iter()
        .filter(|(_, vm)| !vm.power.is_active());
    let mut verdicts = Vec::new();
    for (name, vm) in off.filter(|(name, _)| *name != case.name) {
        let disks = vm.detail.iter().flat_map(|detail| &detail.disks);
        for disk in disks {
            let hidden = disk.volume.is_none() && disk.format.as_str() != "raw";
            let Some(path) = disk
                .path
                .as_ref()
                .filter(|path| hidden && path.starts_with('/'))
            else {
                continue;
            };
            let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
            verdicts.push(Verdict::new(
                "deletion-unsure",
                Effect::Blocks,
                case.from,
                format!(
                    "{name} is off and has disk {} at {path}, in no pool of {}: nobody can tell whether that stands on what is to be deleted",
                    disk.target, case.from
                ),
                format!(
                    "make a pool of its folder: `virsh pool-create-as NAME dir --target {folder}` on {}",
                    case.from
                ),
            ));
        }
    }
    verdicts
}

fn chain_deep(case: &Case<'_>) -> Vec<Verdict> {
    let deep = |disk: &DiskPlacement| {
        let theirs = case
            .detail
            .disks
            .iter()
            .find(|theirs| theirs.target == disk.target)?;
        let base_moves =
            matches!(&disk.carry, Carry::Thin { base_from, base_to } if base_from != base_to);
        (base_moves && theirs.backing.len() > 1).then(|| {
            Verdict::new(
                "chain-deep",
                Effect::Blocks,
                case.from,
                format!(
                    "disk {} has {} images below it, one can be carried",
                    disk.target,
                    theirs.backing.len()
                ),
                format!(
                    "shorten the chain with `virsh blockcommit {} {}`",
                    case.name.in_shell(),
                    disk.target.in_shell()
                ),
            )
        })
    };
    case.disks.iter().filter_map(deep).collect()
}

fn format(case: &Case<'_>) -> Vec<Verdict> {
    let unknown = |(disk, _): (&DiskPlacement, &VolumeRef)| {
        let known = ["raw", "qcow2"].contains(&disk.format.as_str());
        (!known).then(|| {
            Verdict::new(
                "format",
                Effect::Blocks,
                case.from,
                format!("disk {} has the format {}", disk.target, disk.format),
                "convert it to qcow2 or raw",
            )
        })
    };
    let mut verdicts: Vec<Verdict> = copied(case).filter_map(unknown).collect();
    verdicts.extend(case.disks.iter().filter_map(|disk| base_format(case, disk)));
    verdicts
}

/// An image names the format of what is below it, and its pool may see another one there.
fn base_format(case: &Case<'_>, disk: &DiskPlacement) -> Option<Verdict> {
    let Carry::Thin { base_from, .. } = &disk.carry else {
        return None;
    };
    let mut theirs = case.detail.disks.iter();
    let theirs = theirs.find(|theirs| theirs.target == disk.target)?;
    let named = &theirs.backing.first()?.format;
    let seen = &case.observed.volume(base_from)?.detail.as_ref()?.format;
    (named != seen).then(|| {
        Verdict::new(
            "format",
            Effect::Blocks,
            case.from,
            format!(
                "disk {} names the format {named} for its base {}, and pool {} sees {seen}",
                disk.target, base_from.volume, base_from.pool
            ),
            "name the right one in the image: `qemu-img rebase -u -F`",
        )
    })
}

/// libvirt has no call that reads or writes the UEFI variable store or the TPM's state; only a migration carries them.
fn nvram(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let verdict = |what: String| {
        Verdict::new(
            "nvram",
            Effect::RefusesStream,
            case.from,
            format!(
                "it keeps {what} on {}, which only a migration carries",
                case.from
            ),
            "move it live, or cold with `cold_copy: direct`; delete its snapshots first",
        )
    };
    let variables = case
        .detail
        .nvram
        .iter()
        .map(|path| format!("UEFI variables in {path}"));
    let tpm = case.detail.tpm.then(|| "the state of its TPM".to_owned());
    variables.chain(tpm).map(verdict).collect()
}

/// A byte copy keeps the path of the base that is written in the image's header, and libvirt has no call that
/// changes it.
fn thin_stream(case: &Case<'_>) -> Vec<Verdict> {
    let rebased = |disk: &DiskPlacement| {
        let Carry::Thin { base_from, base_to } = &disk.carry else {
            return None;
        };
        let path = |at: &VolumeRef| {
            case.observed
                .host(&at.host)?
                .pools
                .get(&at.pool)
                .map(|pool| pool.path.clone())
        };
        (path(base_from) != path(base_to)).then(|| {
            Verdict::new(
                "thin-stream",
                Effect::RefusesStream,
                case.to,
                format!(
                    "disk {} stands on a base that has another path on {}",
                    disk.target, case.to
                ),
                "move it host to host (`cold_copy: direct`), or to a pool with the same path",
            )
        })
    };
    case.disks.iter().filter_map(rebased).collect()
}
