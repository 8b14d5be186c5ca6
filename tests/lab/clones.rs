//! Linked clones: they stay thin, and their base is carried once.

use crate::lab::Lab;

/// Three clones of one base on kvm1, running.
fn fleet_of_clones() -> Lab {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.lab("base", &["kvm1", "default", "golden.qcow2", "48"]);
    for name in ["web-1", "web-2"] {
        lab.guest(
            "kvm1",
            name,
            &["--disk", "vda=default:qcow2:64M:golden.qcow2"],
        );
    }
    lab
}

fn assert_thin(lab: &Lab, path: &str, base: &str) {
    let info = lab.on("kvm2", &["qemu-img", "info", "-U", path]);
    assert!(info.contains(&format!("backing file: {base}")), "{info}");
    let kib: u64 = lab
        .on("kvm2", &["du", "-k", path])
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        kib < 8 * 1024,
        "{path} takes {kib} KiB: its base was copied into it"
    );
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn linked_clones_move_cold_by_default_and_stay_thin_on_one_base() {
    let lab = fleet_of_clones();
    let manifest = lab.manifest("vms:\n  web-1: { host: kvm2, disks: { vda: fast } }\n  web-2: { host: kvm2, disks: { vda: fast } }\n");
    let plan = lab.plan(&manifest);
    assert!(plan.contains("linked-clone"), "{plan}");
    assert!(plan.contains("2 cold (2 reboots)"), "{plan}");
    lab.apply(&manifest);
    for name in ["web-1", "web-2"] {
        lab.assert_lives(name, "kvm2", "kvm1");
        lab.assert_moved_cold(name);
        assert_thin(
            &lab,
            &format!("/srv/fast/{name}-vda.qcow2"),
            "/srv/fast/golden.qcow2",
        );
    }
    assert_eq!(lab.volumes("kvm2", "fast").len(), 3);
    assert_eq!(
        lab.volumes("kvm1", "default"),
        ["golden.qcow2"],
        "the base stays unless the manifest says otherwise"
    );
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn linked_clones_move_live_when_asked_and_an_unused_base_goes_when_asked() {
    let lab = fleet_of_clones();
    let manifest = lab.manifest(
        "migration: { live_clones: true, remove_unused_bases: true }\nvms:\n  web-1: kvm2\n  web-2: kvm2\n",
    );
    lab.apply(&manifest);
    for name in ["web-1", "web-2"] {
        lab.assert_lives(name, "kvm2", "kvm1");
        lab.assert_moved_live(name);
        let path = format!("/var/lib/libvirt/images/{name}-vda.qcow2");
        assert_thin(&lab, &path, "/var/lib/libvirt/images/golden.qcow2");
    }
    assert_eq!(lab.volumes("kvm1", "default"), [""; 0]);
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn an_identical_base_is_used_and_another_of_the_same_name_is_refused() {
    let lab = fleet_of_clones();
    // The same bytes, brought by somebody else.
    let image = "/var/lib/libvirt/images/golden.qcow2";
    lab.on("kvm1", &["cp", image, "/srv/shared/carried"]);
    lab.on("kvm2", &["cp", "/srv/shared/carried", image]);
    lab.on("kvm2", &["chmod", "444", image]);
    lab.on("kvm2", &["virsh", "pool-refresh", "default"]);
    let manifest = lab.manifest("vms:\n  web-1: { host: kvm2, method: live }\n");
    let plan = lab.plan(&manifest);
    assert!(plan.contains("verify"), "{plan}");
    lab.apply(&manifest);
    lab.assert_moved_live("web-1");

    // One byte differs: whoever stood on that base would read other data.
    lab.lab("base", &["kvm2", "fast", "golden.qcow2", "48"]);
    let manifest =
        lab.manifest("vms:\n  web-2: { host: kvm2, method: live, disks: { vda: fast } }\n");
    let output = lab.domicile(&["apply", "-f", manifest.to_str().unwrap(), "--auto-approve"]);
    assert!(!output.status.success());
    assert!(lab.vms("kvm1").contains(&"web-2".to_owned()));
    lab.assert_moved_live("web-2");
}
