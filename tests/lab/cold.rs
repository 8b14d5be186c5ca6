//! VMs that are shut down for the move, or are off already.

use crate::lab::Lab;
use crate::refusals::says;

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_running_vm_moves_cold_and_is_rebooted_once() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--fill", "8"]);
    let manifest =
        lab.manifest("vms:\n  web: { host: kvm2, method: cold, disks: { vda: fast } }\n");
    let plan = lab.plan(&manifest);
    assert!(plan.contains("1 reboot"), "{plan}");
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_cold("web");
    assert_eq!(lab.volumes("kvm2", "fast"), ["web-vda.qcow2"]);
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_running_vm_moves_cold_through_this_machine_to_an_older_host() {
    let lab = Lab::up(&["kvm1", "old1:bookworm"]);
    lab.guest(
        "kvm1",
        "web",
        &["--machine", "pc-i440fx-7.2", "--fill", "8"],
    );
    let manifest = lab.manifest("vms:\n  web: old1\n");
    let plan = lab.plan(&manifest);
    assert!(plan.contains("qemu-older"), "{plan}");
    lab.apply(&manifest);
    lab.assert_lives("web", "old1", "kvm1");
    lab.assert_moved_cold("web");
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_vm_that_is_off_moves_to_another_path_and_stays_off() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    let disks = [
        "--disk",
        "vda=default:qcow2:64M",
        "--disk",
        "vdb=default:raw:32M",
        "--off",
    ];
    lab.guest("kvm1", "archive", &disks);
    lab.on("kvm1", &["virsh", "autostart", "archive"]);
    let sum = lab.on(
        "kvm1",
        &[
            "sh",
            "-c",
            "sha256sum < /var/lib/libvirt/images/archive-vdb.raw",
        ],
    );
    let manifest =
        lab.manifest("vms:\n  archive: { host: kvm2, disks: { vda: fast, vdb: bulk } }\n");
    lab.apply(&manifest);
    lab.assert_lives("archive", "kvm2", "kvm1");
    assert_eq!(
        lab.on("kvm2", &["virsh", "domstate", "archive"]),
        "shut off"
    );
    assert_eq!(
        lab.on(
            "kvm2",
            &["sh", "-c", "sha256sum < /srv/bulk/archive-vdb.raw"]
        ),
        sum
    );
    let info = lab.on("kvm2", &["virsh", "dominfo", "archive"]);
    assert!(
        info.lines()
            .any(|line| line.starts_with("Autostart") && line.ends_with("enable")),
        "{info}"
    );
    lab.on(
        "kvm2",
        &["qemu-img", "check", "/srv/fast/archive-vda.qcow2"],
    );
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_guest_that_ignores_the_request_to_shut_down_runs_on_where_it_was() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--no-acpi"]);
    let manifest = lab.manifest(
        "migration: { shutdown_timeout: 5s }\nvms:\n  web: { host: kvm2, method: cold }\n",
    );
    let plan = lab.plan(&manifest);
    assert!(says(&plan, "note", "shutdown-unheard", "web"), "{plan}");
    let output = lab.domicile(&["apply", "-f", manifest.to_str().unwrap(), "--auto-approve"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(lab.vms("kvm1").contains(&"web".to_owned()));
    lab.assert_beats_on("web");
    let beats = lab.beats("web");
    assert_eq!((beats.boots, beats.twice), (1, false));
    assert_eq!(lab.vms("kvm2"), [""; 0]);
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn snapshots_of_a_vm_that_is_off_come_along() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--off"]);
    lab.on(
        "kvm1",
        &["virsh", "snapshot-create-as", "web", "before-upgrade"],
    );
    lab.apply(&lab.manifest("vms:\n  web: kvm2\n"));
    lab.assert_lives("web", "kvm2", "kvm1");
    assert_eq!(
        lab.on("kvm2", &["virsh", "snapshot-list", "web", "--name"]),
        "before-upgrade"
    );
    lab.on(
        "kvm2",
        &["virsh", "snapshot-revert", "web", "before-upgrade"],
    );
}
