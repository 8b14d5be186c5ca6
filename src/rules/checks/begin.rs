//! What the source refuses before the destination is told.

use super::check::{Check, Phase, check};

const fn begin(
    function: &'static str,
    refuses: &'static str,
    rules: &'static [&'static str],
    besides: &'static str,
) -> Check {
    check(Phase::Begin, function, refuses, rules, besides)
}

pub(super) const CHECKS: &[Check] = &[
    begin(
        "qemuDomainMigrateBegin3Params",
        "flags and parameters that this libvirt does not know, and users whom its access driver does not let migrate",
        &["migration-settings"],
        "What an access driver allows no call tells. Of the parameters that Domicile sends, only compression methods are newer than 9.0.",
    ),
    begin(
        "qemuMigrationSrcBegin",
        "a migration without TLS where qemu.conf demands it (migrate_tls_force)",
        &[],
        "libvirt does not tell what stands in qemu.conf. The guest runs on; `tls: true` asks for it.",
    ),
    begin(
        "qemuMigrationJobIsAllowed, virDomainObjBeginJob",
        "another migration of the VM, and after 30 seconds any other job",
        &["job-active"],
        "",
    ),
    begin(
        "virDomainObjCheckActive",
        "a VM that is off",
        &[],
        "Domicile starts such a VM paused before it is carried, and looks at its state before each step.",
    ),
    begin(
        "qemuProcessRefreshDisks",
        "a QEMU that does not say which media are ejected",
        &[],
        "A monitor that does not answer is no state that can be read beforehand.",
    ),
    begin(
        "qemuMigrationSrcIsAllowed",
        "snapshots of libvirt",
        &["snapshots"],
        "",
    ),
    begin(
        "qemuMigrationSrcIsAllowed",
        "QEMU's own reasons (blocked-reasons of query-migrate, QEMU 6.0 and later)",
        &[
            "qemu-blocker",
            "device",
            "storage-unsafe",
            "launch-security",
            "nested",
        ],
        "QEMU is asked only where the manifest says `ask_qemu: true`, since libvirt marks the VM as tainted for it. Without it, the other rules know the reasons that a definition shows.",
    ),
    begin(
        "qemuMigrationSrcIsAllowedHostdev",
        "devices of the host, USB and those that a team of interfaces can spare excepted; only for a QEMU that does not tell its reasons",
        &["device"],
        "",
    ),
    begin(
        "qemuMigrationSrcIsAllowed",
        "a VM that is paused because of an I/O error",
        &["io-error"],
        "",
    ),
    begin(
        "qemuMigrationSrcIsAllowed",
        "a VM that is to be destroyed when its client leaves (autodestroy)",
        &["transient-vm"],
        "Clients start such VMs mostly without a definition. Whether a VM is one, no call tells.",
    ),
    begin(
        "qemuMigrationSrcIsAllowed",
        "a block job on a disk",
        &["job-active"],
        "A pull, and a commit into a lower image, show neither in the definition nor as a job of the VM.",
    ),
    begin(
        "qemuMigrationSrcIsAllowed",
        "an invariant TSC without a frequency",
        &["invtsc"],
        "",
    ),
    begin(
        "qemuMigrationSrcIsAllowed",
        "plugged memory without slot and base address",
        &["memory-device"],
        "",
    ),
    begin(
        "qemuMigrationSrcIsAllowed",
        "shared memory whose role is not master; 9.0 also the legacy model ivshmem in any role",
        &["device"],
        "",
    ),
    begin(
        "qemuMigrationSrcIsAllowed",
        "an interface of type vdpa, for a QEMU that does not tell its reasons",
        &["device"],
        "",
    ),
    begin(
        "qemuMigrationSrcIsAllowed",
        "an interface behind a slirp helper that cannot migrate",
        &[],
        "Which helper libvirt has started, and what it can, stands in no definition. libvirt uses one only where an administrator configured it.",
    ),
    begin(
        "qemuMigrationSrcIsAllowed",
        "virtiofs; 11.3 lets pass what an own virtiofsd serves, and one that can migrate",
        &["device"],
        "",
    ),
    begin(
        "qemuMigrationSrcIsAllowed",
        "a D-Bus helper with a state of its own and a QEMU without dbus-vmstate",
        &[],
        "QEMU has it since 5.0. Which helpers keep a state no call tells.",
    ),
    begin(
        "qemuMigrationSrcIsAllowed",
        "a transient disk",
        &["storage-unsafe"],
        "",
    ),
    begin(
        "qemuMigrationSrcIsAllowed",
        "an emulated TPM whose state is on shared storage, with a swtpm that cannot migrate so",
        &[],
        "libvirt tells neither which file system the state is on nor what swtpm can. The state is on shared storage only where an administrator mounted one below /var/lib/libvirt/swtpm.",
    ),
    begin(
        "qemuMigrationSrcIsSafe",
        "a disk that is neither copied nor on shared storage, as libvirt judges its file system; 11.3 also takes what `shared_filesystems` of qemu.conf lists",
        &["shared-unproven", "shared-differs"],
        "The file system of a folder libvirt does not tell, so that for pools of folders this is a note.",
    ),
    begin(
        "qemuMigrationSrcIsSafe",
        "a disk of NVMe that is not copied",
        &["device"],
        "",
    ),
    begin(
        "qemuMigrationSrcIsSafe",
        "a cache mode other than none and directsync on shared storage, with a QEMU that cannot drop its caches (before 4.0)",
        &["storage-unsafe"],
        "",
    ),
    begin(
        "qemuMigrationSrcBeginPhase",
        "post-copy without the flag live, of a paused VM, or tunnelled",
        &[],
        "Domicile always sets live, never tunnels, and leaves post-copy out for a VM that stands still.",
    ),
    begin(
        "qemuMigrationSrcBeginPhase",
        "an offline migration that copies disks, is not persistent or tunnelled",
        &[],
        "Domicile makes no offline migrations: a VM that is off is started paused, or its disks are streamed.",
    ),
    begin(
        "qemuMigrationSrcBeginPhase",
        "zero-copy without parallel, and copies of disks that are tunnelled",
        &[],
        "Domicile asks for neither. (9.0 reports the second and goes on.)",
    ),
    begin(
        "qemuMigrationSrcBeginPhaseValidateDiskTargetList",
        "disks to copy that the VM does not have; 11.3 also a list of disks without a copy",
        &["disk-missing"],
        "The list comes from the VM's own definition, and is left out where nothing is copied.",
    ),
    begin(
        "qemuMigrationSrcBeginPhaseBlockDirtyBitmaps",
        "disks whose images cannot be asked for their bitmaps",
        &["io-error"],
        "A QEMU that does not answer is no state that can be read beforehand.",
    ),
    begin(
        "qemuDomainCheckABIStability, virDomainDefCheckABIStability",
        "a definition for the destination in which the guest would see another machine: type, CPU, memory, devices and their addresses",
        &["definition"],
        "Domicile rewrites nothing but sources of disks and connections of interfaces, which this does not compare.",
    ),
];
