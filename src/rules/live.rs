//! Rules about moving a running VM without stopping it.

use super::case::{Case, Effect, Rule, Verdict};
use crate::desired::Method;
use crate::observed::Disk;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "linked-clone",
        title: "the VM is a linked clone",
        effects: &[Effect::RefusesLive],
        why: "A linked clone is small and starts quickly, and its base may have to be copied first; VMmanager moves it cold unless told otherwise.",
        remedy: "Set `method: live` at the VM, or `live_clones: true`.",
        source: "VMmanager 6, linked clones",
        judge: linked_clone,
    },
    Rule {
        code: "qemu-older",
        title: "the destination's QEMU is older",
        effects: &[Effect::RefusesLive, Effect::RefusesDirect],
        why: "QEMU promises to take over a running VM from the same or an older version, not from a newer one.",
        remedy: "Upgrade QEMU at the destination, or move it cold.",
        source: "QEMU, migration compatibility; VMmanager 6",
        judge: qemu_older,
    },
    Rule {
        code: "machine-type",
        title: "the destination lacks the machine type",
        effects: &[Effect::Blocks],
        why: "The machine type is the board that the guest sees. A QEMU that does not know it can neither take over the running VM nor start it.",
        remedy: "Upgrade QEMU at the destination, or change the machine type.",
        source: "libvirt, virQEMUCapsIsMachineSupported",
        judge: machine_type,
    },
    Rule {
        code: "device",
        title: "a device cannot leave its host",
        effects: &[Effect::Blocks],
        why: "A device of the host cannot leave it.",
        remedy: "Detach the device before the move and attach its counterpart afterwards.",
        source: "libvirt, qemuMigrationSrcIsAllowedHostdev",
        judge: device,
    },
    Rule {
        code: "storage-unsafe",
        title: "a disk would be unsafe to migrate",
        effects: &[Effect::RefusesLive],
        why: "libvirt refuses a live migration where the destination could read other data from a disk than the source has written.",
        remedy: "Change the disk's definition, or move the VM cold.",
        source: "libvirt, qemuMigrationSrcIsSafe and qemuMigrationSrcIsAllowed",
        judge: storage_unsafe,
    },
];

fn live_is_in_question(case: &Case<'_>) -> bool {
    case.changes_host() && case.is_active() && case.method != Method::Cold
}

fn linked_clone(case: &Case<'_>) -> Vec<Verdict> {
    let thin = case.disks.iter().any(|disk| disk.carry.is_thin());
    let asked = case.method == Method::Live || case.settings.live_clones;
    if !live_is_in_question(case) || !thin || asked {
        return Vec::new();
    }
    vec![Verdict::new(
        "linked-clone",
        Effect::RefusesLive,
        case.from,
        "it is a linked clone, which is moved cold by default".to_owned(),
        "set `method: live` at the VM, or `live_clones: true` in its migration settings",
    )]
}

fn version(number: u64) -> String {
    format!(
        "{}.{}.{}",
        number / 1_000_000,
        number / 1000 % 1000,
        number % 1000
    )
}

fn qemu_older(case: &Case<'_>) -> Vec<Verdict> {
    let (have, need) = (
        case.destination.hypervisor_version,
        case.source.hypervisor_version,
    );
    if !case.changes_host() || have >= need {
        return Vec::new();
    }
    let verdict = |effect| {
        Verdict::new(
            "qemu-older",
            effect,
            case.to,
            format!(
                "QEMU {} on {} is older than {} on {}",
                version(have),
                case.to,
                version(need),
                case.from
            ),
            format!("upgrade QEMU on {}, or move it cold", case.to),
        )
    };
    if live_is_in_question(case) {
        vec![verdict(Effect::RefusesLive), verdict(Effect::RefusesDirect)]
    } else {
        vec![verdict(Effect::RefusesDirect)]
    }
}

/// The destination must know the machine type by its full name; an alias such as `pc` or `q35` is resolved when a VM
/// is defined, so definitions never hold one.
fn machine_type(case: &Case<'_>) -> Vec<Verdict> {
    let machines = &case.destination.machines;
    let known = machines.is_empty() || machines.contains(&case.detail.machine);
    if !case.changes_host() || known {
        return Vec::new();
    }
    vec![Verdict::new(
        "machine-type",
        Effect::Blocks,
        case.to,
        format!(
            "QEMU on {} does not know its machine type {}",
            case.to, case.detail.machine
        ),
        format!(
            "upgrade QEMU on {}, or change the machine type to one that both hosts have",
            case.to
        ),
    )]
}

fn device(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let one = |device: &String| {
        Verdict::new(
            "device",
            Effect::Blocks,
            case.from,
            format!("it uses a device of {}: {device}", case.from),
            "detach the device before the move and attach its counterpart afterwards",
        )
    };
    case.detail.host_devices.iter().map(one).collect()
}

/// What `qemuMigrationSrcIsSafe` and `qemuMigrationSrcIsAllowed` refuse about disks.
fn storage_unsafe(case: &Case<'_>) -> Vec<Verdict> {
    if !live_is_in_question(case) {
        return Vec::new();
    }
    let refused = |disk: &Disk, why: &str| {
        Verdict::new(
            "storage-unsafe",
            Effect::RefusesLive,
            case.from,
            format!("disk {} {why}", disk.target),
            "change the disk's definition, or move the VM cold",
        )
    };
    let of_disk = |disk: &Disk| {
        if disk.transient {
            return Some(refused(
                disk,
                "is transient: what was written would be lost",
            ));
        }
        let format = disk.format.as_str();
        let unmovable = ["qcow", "vmdk", "vdi", "vhdx", "vpc", "parallels"];
        if unmovable.contains(&format) && !disk.readonly {
            return Some(refused(
                disk,
                &format!("has the format {format}, which QEMU cannot migrate"),
            ));
        }
        None
    };
    case.detail.disks.iter().filter_map(of_disk).collect()
}
