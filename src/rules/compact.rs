//! Rules about images that are written anew for a move: compacted, or made to stand alone.

use super::case::{Case, Effect, Rule, Verdict};
use crate::model::{PoolName, VolumeFormat};
use crate::observed::{Disk, Host};
use crate::plan::{Carry, DiskPlacement};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "shrink",
        title: "an image is compacted only while its VM is off",
        effects: &[Effect::RefusesLive, Effect::RefusesDirect, Effect::Note],
        why: "Where `shrink: true` is asked for, the source's libvirt writes a compacted copy of each qcow2 image that \
              moves (`qemu-img convert`), and that copy is carried by a stream. Nobody may write to the image \
              meanwhile. What was discarded or reads as zeros is left out; files that the guest has only deleted are \
              not, unless it has trimmed its file systems. A compacted copy has no base, snapshots or bitmaps: \
              linked clones, disks of VMs with snapshots, raw and encrypted images are carried as they are, and where \
              an image turns out to hold what no reading shows, the move is refused before it begins.",
        remedy: "Leave `shrink` out for a VM that shall be moved live or host to host.",
        source: "VMmanager 6, migration of virtual machines; libvirt, virStorageVolCreateXMLFrom",
        judge: shrink,
    },
    Rule {
        code: "flatten",
        title: "the move would break a disk's link to its base",
        effects: &[Effect::Blocks, Effect::Note],
        why: "A linked clone that is copied with all that it stands on becomes a volume of its own: it takes the room \
              of its base again, and its internal snapshots are lost. That is done only where it is asked for by name.",
        remedy: "Make a pool of the base's folder so that the clone stays one, or write `flatten: true`.",
        source: "libvirt, qemuMigrationSrcNBDStorageCopy and virStorageVolCreateXMLFrom",
        judge: flatten,
    },
];

/// Pools whose volumes are files, which libvirt's converter writes.
const FILE_POOLS: &[&str] = &["dir", "fs", "netfs"];

fn disk_of<'a>(case: &Case<'a>, placed: &DiskPlacement) -> Option<&'a Disk> {
    let mut disks = case.detail.disks.iter();
    disks.find(|disk| disk.target == placed.target)
}

fn is_of_files(host: &Host, pool: &PoolName) -> bool {
    let kind = host.pools.get(pool).map(|pool| pool.kind.as_str());
    kind.is_some_and(|kind| FILE_POOLS.contains(&kind))
}

/// Why a disk that moves is not compacted, as the rest of a sentence about it.
fn why_not(case: &Case<'_>, placed: &DiskPlacement) -> Option<&'static str> {
    let pools = [(case.source, &placed.from), (case.destination, &placed.to)];
    let in_files = pools
        .iter()
        .all(|(host, at)| at.as_ref().is_some_and(|at| is_of_files(host, &at.pool)));
    let needs = [Some(&case.detail.needs), case.detail.later_needs.as_deref()];
    let encrypted = needs
        .into_iter()
        .flatten()
        .any(|needs| !needs.secrets.is_empty());
    if placed.carry.is_thin() {
        Some("it is a linked clone, and a compacted copy would lose its base")
    } else if placed.format != VolumeFormat::Qcow2 {
        Some("only qcow2 images are compacted")
    } else if !case.detail.snapshots.is_empty() {
        Some("its VM has snapshots, which a compacted copy would lose")
    } else if encrypted {
        Some("its VM needs secrets, and an encrypted image is not compacted")
    } else if !in_files {
        Some("only files are compacted, and a pool of it is of another kind")
    } else if !case.changes_host() && case.is_active() {
        Some("it moves while its VM runs")
    } else if case.changes_host() && (case.detail.nvram.is_some() || case.detail.tpm) {
        Some("its VM keeps UEFI variables or the state of a TPM, which only a migration carries")
    } else {
        None
    }
}

/// Whether the disk's image is compacted in a move in which its VM is off.
#[must_use]
pub fn is_shrunk(case: &Case<'_>, placed: &DiskPlacement) -> bool {
    case.settings.shrink && placed.carry == Carry::Copy && why_not(case, placed).is_none()
}

fn shrink(case: &Case<'_>) -> Vec<Verdict> {
    if !case.settings.shrink {
        return Vec::new();
    }
    let moved = || case.disks.iter().filter(|disk| disk.carry.is_copied());
    let shrunk: Vec<&str> = moved()
        .filter(|disk| is_shrunk(case, disk))
        .map(|disk| disk.target.as_str())
        .collect();
    let out = format!("write `shrink: false` at vms.{}.migration", case.name);
    let verdict = |effect, message: String, remedy: String| {
        Verdict::new("shrink", effect, case.from, message, remedy)
    };
    let mut verdicts = Vec::new();
    if !shrunk.is_empty() && case.may_go_live() {
        let message = format!(
            "{} to be shrunk, which is done only while the VM is off",
            are(&shrunk)
        );
        let remedy = format!("{out}, or do not insist on a live move");
        verdicts.push(verdict(Effect::RefusesLive, message, remedy));
    }
    if !shrunk.is_empty() && case.changes_host() {
        let message = format!(
            "{} to be shrunk, and only a stream carries the compacted copy",
            are(&shrunk)
        );
        let remedy = format!("{out}, or `cold_copy: auto`");
        verdicts.push(verdict(Effect::RefusesDirect, message, remedy));
    }
    verdicts.extend(moved().filter_map(|disk| {
        let why = why_not(case, disk)?;
        let message = format!("disk {} is not shrunk: {why}", disk.target);
        Some(verdict(
            Effect::Note,
            message,
            "it is carried as it is".to_owned(),
        ))
    }));
    verdicts
}

fn are(disks: &[&str]) -> String {
    match disks {
        [one] => format!("disk {one} is"),
        several => format!("disks {} are", several.join(", ")),
    }
}

fn flatten(case: &Case<'_>) -> Vec<Verdict> {
    let of_disk = |placed: &DiskPlacement| {
        let base = disk_of(case, placed)?.backing.first()?;
        let below = placed.below?;
        let new = |effect, message: String, remedy: &str| {
            Verdict::new("flatten", effect, case.from, message, remedy)
        };
        let target = &placed.target;
        Some(if !case.settings.flatten {
            new(
                Effect::Blocks,
                format!(
                    "disk {target} stands on {}, which is in no pool, and would lose its link to it",
                    base.path
                ),
                "make a pool of the base's folder, or write `flatten: true` in its migration settings",
            )
        } else if case.detail.snapshots.is_empty() {
            new(
                Effect::Note,
                format!(
                    "disk {target} becomes a volume of its own: {below} of what it stands on are copied into it"
                ),
                "leave `flatten` out if it is to keep its base",
            )
        } else {
            new(
                Effect::Blocks,
                format!(
                    "disk {target} would become a volume of its own and lose the VM's snapshots"
                ),
                "delete the snapshots first, or leave `flatten` out",
            )
        })
    };
    case.disks.iter().filter_map(of_disk).collect()
}
