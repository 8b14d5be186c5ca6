//! What an apply that dies leaves, and that the next one finishes it.

use std::path::Path;
use std::time::Duration;

use crate::census::{self, Census};
use crate::lab::{Lab, kill_domicile};

/// Kills `domicile` while it moves `web`, whose link is slow, and gives the manifest.
fn killed_in_mid_move(lab: &Lab, vm: &str, after: Duration) -> std::path::PathBuf {
    lab.lab("link", &["kvm1", "40mbit"]);
    let manifest = lab.manifest(&format!("vms:\n  web: {vm}\n"));
    let child = lab.start_domicile(&["apply", "-f", manifest.to_str().unwrap(), "--auto-approve"]);
    std::thread::sleep(after);
    kill_domicile(child);
    lab.lab("link", &["kvm1", "free"]);
    lab.remove_locks(&manifest);
    manifest
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_peer_to_peer_migration_goes_on_when_we_die_and_the_next_apply_finishes_it() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--fill", "32"]);
    let manifest = killed_in_mid_move(
        &lab,
        "{ host: kvm2, migration: { driver: peer-to-peer } }",
        Duration::from_secs(6),
    );
    census::finish(&lab, &manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_live("web");
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_managed_migration_ends_with_us_and_the_next_apply_makes_it_anew() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--fill", "32"]);
    let manifest = killed_in_mid_move(
        &lab,
        "{ host: kvm2, migration: { driver: managed } }",
        Duration::from_secs(6),
    );
    census::finish(&lab, &manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_live("web");
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_cold_copy_that_was_cut_off_is_made_anew_and_the_vm_runs_again() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--fill", "32"]);
    let vm = "{ host: kvm2, method: cold, migration: { cold_copy: stream } }";
    let manifest = killed_in_mid_move(&lab, vm, Duration::from_secs(8));
    census::finish(&lab, &manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_cold("web");
}

/// Returns as soon as QEMU is being started for a VM.
const AWAIT_QEMU: &str = r#"until grep -qs "guest=$1" /proc/[0-9]*/cmdline; do sleep 0.01; done"#;

/// The daemon goes on to start it, and nobody is there to note what for. To libvirt it is then paused as by a person.
#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn what_was_being_started_to_be_carried_when_we_died_is_ended_by_the_next_apply() {
    let lab = Lab::up(&["old1:bookworm", "kvm1", "kvm2"]);
    let off = ["--machine", "pc-i440fx-7.2", "--off"];
    lab.guest("old1", "archive", &off);
    let census = Census::of(&lab);
    let mut here = "old1";
    for there in ["kvm1", "kvm2"] {
        let manifest = lab.manifest(&format!(
            "vms:\n  archive: {{ host: {there}, migration: {{ cold_copy: direct }} }}\n"
        ));
        let path = manifest.to_str().unwrap();
        let applying = lab.start_domicile(&["apply", "-f", path, "--auto-approve"]);
        let wait = ["timeout", "60", "sh", "-c", AWAIT_QEMU, "wait", "archive"];
        lab.on(here, &wait);
        kill_domicile(applying);
        lab.remove_locks(&manifest);
        let state = lab.on(here, &["virsh", "domstate", "archive"]);
        let live = lab.on(here, &["virsh", "dumpxml", "archive"]);
        assert!(state == "paused" && !live.contains("carried"), "{state}");
        census.assert_ends(&manifest, &[("archive", there)]);
        here = there;
    }
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_host_that_does_not_answer_is_named_in_time_and_nothing_is_changed() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &[]);
    lab.lab("link", &["kvm2", "down"]);
    let manifest = lab.manifest("vms:\n  web: kvm2\n");
    let began = std::time::Instant::now();
    let output = lab.domicile(&["apply", "-f", manifest.to_str().unwrap(), "--auto-approve"]);
    assert!(!output.status.success());
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(lab.vms("kvm1"), ["web"]);
    lab.assert_moved_live("web");
}

/// Applies, strikes as soon as the image has come there, and fails unless the apply does for that reason.
fn fails_because(
    lab: &Lab,
    manifest: &Path,
    is_so_far: impl Fn() -> bool,
    strike: impl FnOnce(),
) -> String {
    let path = manifest.to_str().unwrap();
    let line = ["apply", "-f", path, "--auto-approve", "--no-color"];
    let ended = std::thread::scope(|scope| {
        let applying = scope.spawn(|| lab.domicile(&line));
        while !is_so_far() {
            assert!(!applying.is_finished(), "it never comes so far");
            std::thread::sleep(Duration::from_millis(30));
        }
        strike();
        applying.join().unwrap()
    });
    assert_eq!(ended.status.code(), Some(5), "its move fails");
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

/// Whether a file is there that has more than that many KiB.
fn holds(lab: &Lab, host: &str, file: &str, kib: u64) -> bool {
    let ask = format!("du -k {file} 2>/dev/null || echo 0");
    let told = lab.on(host, &["sh", "-c", &ask]);
    told.split_whitespace()
        .next()
        .unwrap()
        .parse::<u64>()
        .unwrap()
        > kib
}

/// Fills the pool `tiny` when the image there holds more than so many KiB; in the host itself, for the copy is soon made.
const FILL: &str = r#"
    image=/srv/tiny/web-vda.qcow2
    until [ -e $image ] && [ "$(du -k $image | cut -f 1)" -gt "$1" ]; do :; done
    dd if=/dev/zero of=/srv/tiny/filler bs=64k 2>/dev/null || true
"#;

/// The pool `tiny` has 24 MiB. Somebody takes what is left of it while a disk of 14 MiB is carried there.
#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_pool_that_fills_up_in_mid_copy_fails_the_move_and_the_vm_stays_where_it_was() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    let disk = ["--disk", "vda=default:qcow2:48M", "--fill", "14"];
    lab.guest("kvm1", "web", &disk);
    let census = Census::of(&lab);
    let to = |host: &str, pool: &str, more: &str| {
        lab.manifest(&format!(
            "vms:\n  web: {{ host: {host}, disks: {{ vda: {pool} }}, {more} }}\n"
        ))
    };
    let fails_on = |host: &str, settings: &str, is_held_above: &str| {
        let manifest = to(host, "tiny", settings);
        let told = fails_because(
            &lab,
            &manifest,
            || true,
            || {
                let line = ["timeout", "60", "sh", "-c", FILL, "fill", is_held_above];
                lab.on(host, &line);
                if settings.contains("stream") {
                    // libvirt 11.3 dies of it; elsewhere systemd would start it again.
                    std::thread::sleep(Duration::from_secs(4));
                    lab.lab("restart", &[host]);
                }
            },
        );
        eprintln!("== {settings}: {told}");
        let at_its_making = |line: &str| line.contains("create volume") && line.contains("FAILED");
        assert!(!told.lines().any(at_its_making), "its volume was made");
        lab.on(host, &["rm", "/srv/tiny/filler"]);
        lab.assert_beats_on("web");
        census.assert_ends(&to("kvm1", "default", ""), &[("web", "kvm1")]);
    };
    // QEMU asks for up to 16 MiB at once, at whatever rate.
    let rate = "migration: { bandwidth: 4MiB/s";
    fails_on("kvm2", &format!("{rate}, driver: peer-to-peer }}"), "100");
    fails_on("kvm1", &format!("{rate} }}"), "100");
    lab.assert_moved_live("web");
    for (copy, is_held_above) in [("direct", "100"), ("stream", "3000")] {
        let settings = format!("method: cold, {rate}, cold_copy: {copy} }}");
        fails_on("kvm2", &settings, is_held_above);
    }
    census.assert_ends(&to("kvm2", "tiny", ""), &[("web", "kvm2")]);
}

/// The button is pressed by QEMU itself, since libvirt lets nobody ask a guest that is being migrated.
#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_guest_that_shuts_itself_down_in_mid_migration_runs_again_where_it_was_to_go() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--fill", "16"]);
    lab.lab("link", &["kvm1", "100mbit"]);
    let census = Census::of(&lab);
    let manifest = lab.manifest("vms:\n  web: kvm2\n");
    let is_so_far = || {
        let job = lab.on("kvm1", &["sh", "-c", "virsh domjobinfo web || true"]);
        job.contains("Memory processed")
    };
    let told = fails_because(&lab, &manifest, is_so_far, || {
        let press = [
            "virsh",
            "qemu-monitor-command",
            "web",
            "--hmp",
            "system_powerdown",
        ];
        lab.on("kvm1", &press);
    });
    eprintln!("== {told}");
    assert_eq!(lab.on("kvm1", &["virsh", "domstate", "web"]), "shut off");
    census.assert_ends(&manifest, &[("web", "kvm2")]);
    lab.assert_moved_cold("web");
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn two_applies_of_one_vm_at_once_move_it_once() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--fill", "16"]);
    let census = Census::of(&lab);
    let manifest = lab.manifest("vms:\n  web: kvm2\n");
    let path = manifest.to_str().unwrap();
    let line = [
        "apply",
        "-f",
        path,
        "--auto-approve",
        "--lock-timeout",
        "1m",
    ];
    std::thread::scope(|scope| {
        let applies: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| lab.domicile(&line)))
            .collect();
        for apply in applies {
            assert!(apply.join().unwrap().status.success());
        }
    });
    census.assert_holds(&[("web", "kvm2")]);
    lab.assert_moved_live("web");
}

fn volume_of_somebody(lab: &Lab, name: &str) {
    let make = [
        "virsh",
        "vol-create-as",
        "default",
        name,
        "32M",
        "--format",
        "qcow2",
    ];
    lab.on("kvm2", &make);
}

/// What changes behind a saved plan's back, before it is applied and while it is.
#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn volumes_that_change_behind_our_back_are_seen_and_neither_used_nor_removed() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    let disks = [
        "--disk",
        "vda=default:qcow2:32M",
        "--disk",
        "vdb=default:qcow2:32M",
        "--off",
    ];
    for vm in ["grown", "taken", "late"] {
        lab.guest("kvm1", vm, &disks);
        let image = format!("/var/lib/libvirt/images/{vm}-vda.qcow2");
        lab.on("kvm1", &["qemu-io", "-c", "write -q -P 7 4M 8M", &image]);
    }
    let manifest = |vm: &str| {
        lab.manifest(&format!(
            "vms:\n  {vm}: {{ host: kvm2, migration: {{ cold_copy: stream, bandwidth: 4MiB/s }} }}\n"
        ))
    };
    let saved = lab.shared().join("plan.json");
    let file = saved.to_str().unwrap();
    let refuses = |vm: &str, change: &dyn Fn()| {
        let path = manifest(vm);
        let plan = lab.domicile(&["plan", "-f", path.to_str().unwrap(), "--out", file]);
        assert!(plan.status.success());
        change();
        let apply = lab.domicile(&["apply", file, "--auto-approve"]);
        assert_eq!(apply.status.code(), Some(7), "it no longer applies");
        let why = String::from_utf8_lossy(&apply.stderr).into_owned();
        eprintln!("== {why}");
        std::fs::remove_file(&saved).unwrap();
        assert!(lab.vms("kvm1").contains(&vm.to_owned()));
    };
    let grow = [
        "virsh",
        "vol-resize",
        "grown-vda.qcow2",
        "48M",
        "--pool",
        "default",
    ];
    refuses("grown", &|| drop(lab.on("kvm1", &grow)));
    refuses("taken", &|| volume_of_somebody(&lab, "taken-vda.qcow2"));
    assert!(lab.plan(&manifest("taken")).contains("taken-vda.qcow2"));

    lab.on(
        "kvm2",
        &["virsh", "vol-delete", "taken-vda.qcow2", "default"],
    );

    let census = Census::of(&lab);
    census.assert_ends(&manifest("grown"), &[("grown", "kvm2")]);
    // Its first disk is under way when somebody takes the name of the second.
    let late = manifest("late");
    let is_so_far = || holds(&lab, "kvm2", "/var/lib/libvirt/images/late-vda.qcow2", 1000);
    let told = fails_because(&lab, &late, is_so_far, || {
        volume_of_somebody(&lab, "late-vdb.qcow2");
    });
    assert!(told.contains("late-vdb.qcow2"), "{told}");
    let there = lab.volumes("kvm2", "default");
    assert!(there.contains(&"late-vdb.qcow2".to_owned()), "{there:?}");
    lab.on(
        "kvm2",
        &["virsh", "vol-delete", "late-vdb.qcow2", "default"],
    );
    census.assert_ends(&late, &[("grown", "kvm2"), ("late", "kvm2")]);
}
