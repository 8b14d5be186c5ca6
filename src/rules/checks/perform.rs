//! What the source refuses once the destination waits.

use super::check::{Check, Phase, check};

const fn perform(
    function: &'static str,
    refuses: &'static str,
    rules: &'static [&'static str],
    besides: &'static str,
) -> Check {
    check(Phase::Perform, function, refuses, rules, besides)
}

pub(super) const CHECKS: &[Check] = &[
    perform(
        "qemuMigrationSrcPerformPeer2Peer",
        "a destination's daemon that the source's cannot reach, or that does not migrate peer-to-peer",
        &["peer-uri"],
        "No host tells whom it reaches. `driver: auto` migrates from here where the daemons do not reach each other.",
    ),
    perform(
        "qemuMigrationSrcPerformNative",
        "an address whose scheme QEMU does not know, and TLS over a socket",
        &[],
        "Domicile gives TCP addresses, checked when the manifest is read.",
    ),
    perform(
        "qemuMigrationSrcRun",
        "a persistent definition that cannot be read",
        &["definition"],
        "It is the VM's own, with sources and connections rewritten.",
    ),
    perform(
        "qemuMigrationParamsCheck, qemuMigrationParamsApply",
        "features of migration that the source's QEMU lacks or that do not go together",
        &["migration-settings", "qemu-minimum"],
        "",
    ),
    perform(
        "qemuMigrationParamsEnableTLS",
        "TLS without certificates, and certificates for another name; before 10.3 disks over several streams",
        &["tls", "migration-settings"],
        "Whether certificates are there and whom they name no call tells, so that this is a note.",
    ),
    perform(
        "qemuMigrationSrcNBDStorageCopy",
        "ports for disks that a firewall closes, and volumes of another size",
        &["volume-taken", "shared-differs"],
        "What a firewall lets through is seen only when it is tried. The sizes are those of the volumes that Domicile has created.",
    ),
    perform(
        "qemuMigrationSetDBusVMState",
        "helpers that do not hand over their state",
        &["helper-unknown"],
        "",
    ),
    perform(
        "qemuMonitorMigrateToSocket; QEMU, migrate_prepare",
        "whatever QEMU has against it now",
        &["qemu-blocker", "device", "storage-unsafe"],
        "Devices can be plugged between the plan and the migration; libvirt asks QEMU again in its Begin phase.",
    ),
    perform(
        "qemuMigrationSrcWaitForCompletion",
        "an I/O error while it runs, and a guest that does not converge",
        &["io-error", "convergence"],
        "What comes about while it runs cannot be known beforehand. The guest runs on at the source.",
    ),
];
