//! Images that are written anew for their move: compacted, or without their base.

use std::path::Path;
use std::time::Duration;

use crate::lab::{Lab, kill_domicile};

/// Where libvirt's pool `default` lies on every host.
const IMAGES: &str = "/var/lib/libvirt/images";

/// A VM that is off, with a second disk of which 48 MiB are zeros that were written and 1 MiB is data.
fn with_zeros(lab: &Lab, host: &str, name: &str) {
    let disks = [
        "--disk",
        "vda=default:qcow2:64M",
        "--disk",
        "vdb=default:qcow2:64M",
        "--off",
    ];
    lab.guest(host, name, &disks);
    fill_with_zeros(lab, host, name);
}

fn fill_with_zeros(lab: &Lab, host: &str, name: &str) {
    let image = format!("{IMAGES}/{name}-vdb.qcow2");
    let write = |what: &str| lab.on(host, &["qemu-io", "-f", "qcow2", "-c", what, &image]);
    write("write -q -P 0 4M 48M");
    write("write -q -P 7 60M 1M");
    assert!(mib(lab, host, &image) >= 49);
}

/// MiB that a file occupies.
fn mib(lab: &Lab, host: &str, path: &str) -> u64 {
    let told = lab.on(host, &["du", "-m", path]);
    told.split_whitespace().next().unwrap().parse().unwrap()
}

/// Keeps a copy of an image where every host sees it.
fn keep(lab: &Lab, host: &str, image: &str) {
    lab.on(host, &["cp", image, "/srv/shared/kept"]);
}

/// Fails unless a guest reads from the image what it read from the one that was kept.
fn assert_same(lab: &Lab, host: &str, image: &str) {
    lab.on(
        host,
        &["qemu-img", "compare", "-U", "/srv/shared/kept", image],
    );
    lab.on(host, &["qemu-img", "check", "-U", image]);
}

fn assert_stands_alone(lab: &Lab, host: &str, image: &str) {
    let info = lab.on(host, &["qemu-img", "info", "-U", image]);
    assert!(!info.contains("backing file"), "{info}");
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_vm_that_is_off_moves_without_the_zeros_of_its_disk() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    with_zeros(&lab, "kvm1", "archive");
    keep(&lab, "kvm1", &format!("{IMAGES}/archive-vdb.qcow2"));
    let manifest = lab.manifest(
        "vms:\n  archive: { host: kvm2, disks: { vdb: bulk }, migration: { shrink: true } }\n",
    );
    let plan = lab.plan(&manifest);
    assert!(plan.contains("at most"), "{plan}");
    let told = lab.apply(&manifest);
    assert!(told.contains("saved by shrinking"), "{told}");
    lab.assert_lives("archive", "kvm2", "kvm1");
    let moved = "/srv/bulk/archive-vdb.qcow2";
    assert_same(&lab, "kvm2", moved);
    let mib = mib(&lab, "kvm2", moved);
    assert!(mib < 4, "{moved} still takes {mib} MiB");
    let state = lab.on("kvm2", &["virsh", "domstate", "archive"]);
    assert_eq!(state, "shut off");
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_running_vm_is_shut_down_to_be_shrunk_and_a_disk_shrinks_from_pool_to_pool() {
    let lab = Lab::up(&["kvm1", "old1:bookworm"]);
    let options = [
        "--machine",
        "pc-i440fx-7.2",
        "--disk",
        "vda=default:qcow2:64M",
        "--disk",
        "vdb=default:qcow2:64M",
        "--off",
    ];
    lab.guest("old1", "web", &options);
    fill_with_zeros(&lab, "old1", "web");
    lab.on("old1", &["virsh", "start", "web"]);
    lab.assert_starts("web");
    let manifest = lab.manifest("migration: { shrink: true }\nvms:\n  web: kvm1\n");
    let plan = lab.plan(&manifest);
    assert!(plan.contains("cold: shrink:"), "{plan}");
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm1", "old1");
    lab.assert_moved_cold("web");
    let image = format!("{IMAGES}/web-vdb.qcow2");
    assert!(mib(&lab, "kvm1", &image) < 4);

    lab.on("kvm1", &["virsh", "destroy", "web"]);
    fill_with_zeros(&lab, "kvm1", "web");
    keep(&lab, "kvm1", &image);
    let manifest = lab.manifest(
        "migration: { shrink: true }\nvms:\n  web: { host: kvm1, disks: { vdb: fast } }\n",
    );
    lab.apply(&manifest);
    assert_same(&lab, "kvm1", "/srv/fast/web-vdb.qcow2");
    assert!(mib(&lab, "kvm1", "/srv/fast/web-vdb.qcow2") < 4);
    assert_eq!(lab.volumes("kvm1", "default"), ["web-vda.qcow2"]);
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn an_image_that_holds_more_than_its_guest_reads_is_refused_before_anything_is_done() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &[]);
    let image = format!("{IMAGES}/web-vda.qcow2");
    lab.on("kvm1", &["virsh", "destroy", "web"]);
    lab.on("kvm1", &["qemu-img", "bitmap", "--add", &image, "backup"]);
    lab.on("kvm1", &["virsh", "start", "web"]);
    lab.assert_starts("web");
    let manifest = lab.manifest("vms:\n  web: { host: kvm2, migration: { shrink: true } }\n");
    let output = lab.domicile(&["apply", "-f", manifest.to_str().unwrap(), "--auto-approve"]);
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("bitmaps"), "{told}");
    assert_eq!(lab.on("kvm1", &["virsh", "domstate", "web"]), "running");
    lab.assert_beats_on("web");
    assert_eq!(lab.volumes("kvm1", "default"), ["web-vda.qcow2"]);
}

/// Kills `domicile` as soon as these files are there, and fails where that does not come about.
fn killed_when(lab: &Lab, manifest: &Path, there: &[(&str, &str)]) {
    let path = manifest.to_str().unwrap();
    let mut child = lab.start_domicile(&["apply", "-f", path, "--auto-approve"]);
    let is_there = |(host, file): &(&str, &str)| {
        let files = lab.on(host, &["ls", IMAGES]);
        files.lines().any(|line| line == *file)
    };
    while !there.iter().all(is_there) {
        assert!(child.try_wait().unwrap().is_none(), "it was too fast");
        std::thread::sleep(Duration::from_millis(50));
    }
    kill_domicile(child);
    lab.remove_locks(manifest);
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_compacted_copy_goes_when_we_die_while_it_is_carried() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--fill", "32"]);
    let passing = "web-vda.qcow2.compact".to_owned();
    let manifest = lab.manifest("vms:\n  web: { host: kvm2, migration: { shrink: true } }\n");
    lab.lab("link", &["kvm1", "40mbit"]);
    let copies = [("kvm1", passing.as_str()), ("kvm2", "web-vda.qcow2")];
    killed_when(&lab, &manifest, &copies);
    lab.lab("link", &["kvm1", "free"]);
    assert!(lab.volumes("kvm1", "default").contains(&passing));
    let plan = lab.plan(&manifest);
    let goes = format!("delete volume kvm1:default/{passing}");
    assert!(plan.contains(&goes), "{plan}");
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_cold("web");
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_copy_that_the_daemon_still_writes_when_we_have_died_is_waited_for_and_made_again() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    let disk = ["--disk", "vda=default:qcow2:2G", "--off"];
    lab.guest("kvm1", "web", &disk);
    let image = format!("{IMAGES}/web-vda.qcow2");
    let write = "write -q -P 7 0 1G";
    lab.on("kvm1", &["qemu-io", "-f", "qcow2", "-c", write, &image]);
    let manifest = lab.manifest("vms:\n  web: { host: kvm2, migration: { shrink: true } }\n");
    killed_when(&lab, &manifest, &[("kvm1", "web-vda.qcow2.compact")]);
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    let check = ["qemu-io", "-f", "qcow2", "-c", "read -q -P 7 0 1G", &image];
    lab.on("kvm2", &check);
}

/// A linked clone on kvm1 whose base has 48 MiB of data.
fn clone_on(lab: &Lab, options: &[&str]) {
    lab.lab("base", &["kvm1", "default", "golden.qcow2", "48"]);
    let disk = ["--disk", "vda=default:qcow2:64M:golden.qcow2"];
    lab.guest("kvm1", "web", &[&disk, options].concat());
}

fn sum_of_base(lab: &Lab) -> String {
    let command = format!("sha256sum < {IMAGES}/golden.qcow2");
    lab.on("kvm1", &["sh", "-c", &command])
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_linked_clone_becomes_a_volume_of_its_own_while_it_runs() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    clone_on(&lab, &[]);
    let base = sum_of_base(&lab);
    let manifest = lab.manifest(
        "vms:\n  web: { host: kvm2, disks: { vda: fast }, migration: { flatten: true } }\n",
    );
    let plan = lab.plan(&manifest);
    assert!(plan.contains("1 to migrate live"), "{plan}");
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_live("web");
    let image = "/srv/fast/web-vda.qcow2";
    assert_stands_alone(&lab, "kvm2", image);
    assert!(mib(&lab, "kvm2", image) >= 48);
    assert_eq!(sum_of_base(&lab), base);
    assert_eq!(lab.volumes("kvm1", "default"), ["golden.qcow2"]);
    assert_eq!(lab.volumes("kvm2", "default"), [""; 0]);
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_linked_clone_that_is_off_becomes_a_volume_of_its_own_by_every_way() {
    for way in ["direct", "stream"] {
        let lab = Lab::up(&["kvm1", "kvm2"]);
        clone_on(&lab, &["--off"]);
        let base = sum_of_base(&lab);
        let image = format!("{IMAGES}/web-vda.qcow2");
        lab.on("kvm1", &["qemu-io", "-c", "write -q -P 5 60M 1M", &image]);
        lab.on(
            "kvm1",
            &[
                "qemu-img",
                "convert",
                "-O",
                "qcow2",
                &image,
                "/srv/shared/kept",
            ],
        );
        let manifest = lab.manifest(&format!(
            "vms:\n  web: {{ host: kvm2, disks: {{ vda: fast }}, migration: {{ flatten: true, cold_copy: {way} }} }}\n"
        ));
        lab.apply(&manifest);
        lab.assert_lives("web", "kvm2", "kvm1");
        assert_stands_alone(&lab, "kvm2", "/srv/fast/web-vda.qcow2");
        assert_same(&lab, "kvm2", "/srv/fast/web-vda.qcow2");
        assert_eq!(sum_of_base(&lab), base);
        assert_eq!(lab.volumes("kvm1", "default"), ["golden.qcow2"]);
    }
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_linked_clone_becomes_a_volume_of_its_own_on_its_host() {
    let lab = Lab::up(&["kvm1"]);
    clone_on(&lab, &[]);
    let base = sum_of_base(&lab);
    let to = |pool: &str| {
        lab.manifest(&format!(
            "migration: {{ flatten: true }}\nvms:\n  web: {{ host: kvm1, disks: {{ vda: {pool} }} }}\n"
        ))
    };
    lab.apply(&to("fast"));
    lab.assert_moved_live("web");
    assert_stands_alone(&lab, "kvm1", "/srv/fast/web-vda.qcow2");
    assert!(mib(&lab, "kvm1", "/srv/fast/web-vda.qcow2") >= 48);
    assert_eq!(sum_of_base(&lab), base);
    assert_eq!(lab.volumes("kvm1", "default"), ["golden.qcow2"]);
}
