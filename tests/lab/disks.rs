//! Disks that change their pool while the VM stays on its host.

use crate::lab::Lab;

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn disks_of_a_running_vm_change_their_pools_and_a_clone_keeps_its_base() {
    let lab = Lab::up(&["kvm1"]);
    lab.lab("base", &["kvm1", "default", "golden.qcow2", "48"]);
    lab.guest(
        "kvm1",
        "web",
        &[
            "--disk",
            "vda=default:qcow2:64M:golden.qcow2",
            "--disk",
            "vdb=default:raw:32M",
        ],
    );
    lab.apply(&lab.manifest("vms:\n  web: { host: kvm1, disks: { vda: fast, vdb: bulk } }\n"));
    lab.assert_moved_live("web");
    assert_eq!(lab.volumes("kvm1", "default"), ["golden.qcow2"]);
    assert_eq!(lab.volumes("kvm1", "bulk"), ["web-vdb.raw"]);
    let info = lab.on(
        "kvm1",
        &["qemu-img", "info", "-U", "/srv/fast/web-vda.qcow2"],
    );
    assert!(
        info.contains("backing file: /var/lib/libvirt/images/golden.qcow2"),
        "{info}"
    );
    let persistent = lab.on("kvm1", &["virsh", "dumpxml", "web", "--inactive"]);
    assert!(
        persistent.contains("/srv/fast/web-vda.qcow2")
            && persistent.contains("/srv/bulk/web-vdb.raw")
    );
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn disks_of_a_vm_that_is_off_change_their_pools() {
    let lab = Lab::up(&["kvm1"]);
    lab.guest("kvm1", "web", &["--fill", "8"]);
    lab.on("kvm1", &["virsh", "shutdown", "web"]);
    for _ in 0..60 {
        if lab.on("kvm1", &["virsh", "domstate", "web"]) == "shut off" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    lab.apply(&lab.manifest("vms:\n  web: { host: kvm1, disks: { vda: fast } }\n"));
    assert_eq!(lab.volumes("kvm1", "default"), [""; 0]);
    assert_eq!(lab.on("kvm1", &["virsh", "domstate", "web"]), "shut off");
    lab.on("kvm1", &["qemu-img", "check", "/srv/fast/web-vda.qcow2"]);
    lab.on("kvm1", &["virsh", "start", "web"]);
    lab.assert_moved_cold("web");
}
