//! Running VMs that move without a reboot.

use crate::lab::Lab;

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_vm_on_storage_that_both_hosts_see_moves_live_and_its_disk_stays() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--disk", "vda=shared:qcow2:64M"]);
    let manifest = lab.manifest("pools:\n  shared: { shared: true }\nvms:\n  web: kvm2\n");
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_live("web");
    assert_eq!(lab.volumes("kvm2", "shared"), ["web-vda.qcow2"]);
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn local_disks_of_both_formats_move_live_to_the_pools_that_the_manifest_names() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest(
        "kvm1",
        "web",
        &[
            "--disk",
            "vda=default:qcow2:64M",
            "--disk",
            "vdb=default:raw:32M",
            "--fill",
            "16",
        ],
    );
    let manifest = lab.manifest("vms:\n  web: { host: kvm2, disks: { vdb: bulk } }\n");
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_live("web");
    assert_eq!(lab.volumes("kvm2", "default"), ["web-vda.qcow2"]);
    assert_eq!(lab.volumes("kvm2", "bulk"), ["web-vdb.raw"]);
    let persistent = lab.on("kvm2", &["virsh", "dumpxml", "web", "--inactive"]);
    assert!(persistent.contains("/srv/bulk/web-vdb.raw"), "{persistent}");
    lab.on(
        "kvm2",
        &[
            "qemu-img",
            "check",
            "-U",
            "/var/lib/libvirt/images/web-vda.qcow2",
        ],
    );
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn shared_and_local_disks_of_one_vm_move_together_to_different_pools() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    let disks = [
        "--disk",
        "vda=shared:qcow2:64M",
        "--disk",
        "vdb=default:qcow2:32M",
        "--disk",
        "vdc=fast:raw:32M",
    ];
    lab.guest("kvm1", "db", &disks);
    let manifest = lab.manifest(
        "pools:\n  shared: { shared: true }\nvms:\n  db: { host: kvm2, disks: { vdb: fast, vdc: bulk }, method: live }\n",
    );
    lab.apply(&manifest);
    lab.assert_lives("db", "kvm2", "kvm1");
    lab.assert_moved_live("db");
    assert_eq!(lab.volumes("kvm2", "fast"), ["db-vdb.qcow2"]);
    assert_eq!(lab.volumes("kvm2", "bulk"), ["db-vdc.raw"]);
    assert_eq!(lab.volumes("kvm2", "shared"), ["db-vda.qcow2"]);
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn two_vms_change_places_at_once() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "left", &["--fill", "8"]);
    lab.guest("kvm2", "right", &["--fill", "8"]);
    let manifest = lab.manifest("vms:\n  left: kvm2\n  right: kvm1\n");
    lab.apply(&manifest);
    lab.assert_lives("left", "kvm2", "kvm1");
    lab.assert_lives("right", "kvm1", "kvm2");
    lab.assert_moved_live("left");
    lab.assert_moved_live("right");
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_managed_migration_serves_where_the_hosts_daemons_do_not_reach_each_other() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &[]);
    let manifest = lab.manifest("migration: { driver: managed }\nvms:\n  web: kvm2\n");
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_live("web");
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_vm_moves_live_from_an_older_host_to_a_newer_one() {
    let lab = Lab::up(&["old1:bookworm", "kvm1"]);
    lab.guest("old1", "web", &["--machine", "pc-i440fx-7.2"]);
    let manifest = lab.manifest("vms:\n  web: { host: kvm1, disks: { vda: fast } }\n");
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm1", "old1");
    lab.assert_moved_live("web");
}
