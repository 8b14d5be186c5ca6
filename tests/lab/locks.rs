//! Two applies at once, an owner that dies, and a host that hangs.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::lab::{Lab, kill_domicile, signal};
use crate::refusals::says;

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What `domicile unlock` lists.
fn locks(lab: &Lab, manifest: &Path) -> Vec<String> {
    let listed = lab.domicile(&["unlock", "-f", manifest.to_str().unwrap()]);
    let text = out(&listed);
    let lines = text.lines().filter(|line| line.contains("is locked by"));
    lines.map(str::to_owned).collect()
}

fn wait_for_locks(lab: &Lab, manifest: &Path, count: usize) -> Vec<String> {
    for _ in 0..100 {
        let found = locks(lab, manifest);
        if found.len() == count {
            return found;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("there are never {count} locks");
}

/// An apply of one VM of the manifest.
fn apply(lab: &Lab, manifest: &Path, vm: &str, more: &[&str]) -> Output {
    let path = manifest.to_str().unwrap();
    let line = ["apply", "-f", path, "--auto-approve", "--target", vm];
    lab.domicile(&[&line, more].concat())
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn of_two_applies_on_one_host_the_second_is_refused_or_waits_and_both_arrive() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--fill", "32"]);
    lab.guest("kvm1", "db", &[]);
    let manifest = lab.manifest("vms:\n  web: kvm2\n  db: kvm2\n");
    lab.lab("link", &["kvm1", "40mbit"]);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| apply(&lab, &manifest, "web", &[]));
        let held = wait_for_locks(&lab, &manifest, 2);
        assert!(held[0].contains("an apply (web)"), "{held:?}");

        let began = Instant::now();
        let at_once = apply(&lab, &manifest, "db", &["--lock-timeout", "0s"]);
        assert_eq!(at_once.status.code(), Some(8));
        assert!(err(&at_once).contains("is locked by"), "{}", err(&at_once));
        let plan = lab.domicile(&["plan", "-f", manifest.to_str().unwrap(), "--target", "db"]);
        assert_eq!(plan.status.code(), Some(0), "plans need no lock");
        assert!(
            err(&plan).contains("note: kvm1 is locked"),
            "{}",
            err(&plan)
        );
        assert!(began.elapsed() < Duration::from_secs(30));

        let waits = apply(&lab, &manifest, "db", &["--lock-timeout", "5m"]);
        assert_eq!(waits.status.code(), Some(0), "{}", err(&waits));
        assert!(err(&waits).contains("Waiting: kvm"), "{}", err(&waits));
        assert_eq!(first.join().unwrap().status.code(), Some(0));
    });
    assert_eq!(locks(&lab, &manifest), Vec::<String>::new());
    lab.lab("link", &["kvm1", "free"]);
    for vm in ["web", "db"] {
        lab.assert_lives(vm, "kvm2", "kvm1");
        lab.assert_moved_live(vm);
    }
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn the_lock_of_an_apply_that_was_killed_is_removed_by_its_id_or_taken_over_when_it_is_dead() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--fill", "32"]);
    let manifest = lab.manifest("vms:\n  web: kvm2\n");
    lab.lab("link", &["kvm1", "40mbit"]);
    let start = || {
        let path = manifest.to_str().unwrap();
        let child = lab.start_domicile(&["apply", "-f", path, "--auto-approve"]);
        wait_for_locks(&lab, &manifest, 2);
        child
    };
    kill_domicile(start());

    let refused = apply(&lab, &manifest, "web", &["--lock-timeout", "0s"]);
    assert_eq!(refused.status.code(), Some(8));
    let held = locks(&lab, &manifest);
    assert_eq!(held.len(), 2);
    let id = held[0]
        .rsplit_once("lock ")
        .unwrap()
        .1
        .trim_end_matches(')');
    let path = manifest.to_str().unwrap();
    let other = lab.domicile(&["unlock", "00000000-0000-0000-0000-000000000001", "-f", path]);
    assert_eq!(other.status.code(), Some(1));
    assert_eq!(locks(&lab, &manifest), held);
    let removed = lab.domicile(&["unlock", id, "-f", path]);
    assert_eq!(removed.status.code(), Some(0));
    assert_eq!(out(&removed).matches("Removed: ").count(), 2);
    assert_eq!(locks(&lab, &manifest), Vec::<String>::new());

    kill_domicile(start());
    lab.lab("link", &["kvm1", "free"]);
    let began = Instant::now();
    // Both locks are known to be dead after the half minute of one.
    let taken_over = apply(&lab, &manifest, "web", &["--lock-timeout", "50s"]);
    assert_eq!(taken_over.status.code(), Some(0), "{}", err(&taken_over));
    assert!(
        began.elapsed() > Duration::from_secs(25),
        "it was watched first"
    );
    assert_eq!(locks(&lab, &manifest), Vec::<String>::new());
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_live("web");
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn an_apply_that_is_stopped_in_mid_move_leaves_no_lock_and_the_guest_where_it_ran() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--fill", "32"]);
    let manifest = lab.manifest("vms:\n  web: kvm2\n");
    lab.lab("link", &["kvm1", "20mbit"]);
    let path = manifest.to_str().unwrap();
    let mut child = lab.start_domicile(&["apply", "-f", path, "--auto-approve"]);
    wait_for_locks(&lab, &manifest, 2);
    std::thread::sleep(Duration::from_secs(3));
    signal(&child, "INT");
    signal(&child, "TERM");
    // A third changes nothing.
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(6));
    assert_eq!(locks(&lab, &manifest), Vec::<String>::new());
    assert_eq!(lab.vms("kvm1"), ["web"]);
    lab.lab("link", &["kvm1", "free"]);
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_live("web");
}

/// What is known of the VM's migration on its source.
fn job(lab: &Lab, vm: &str) -> String {
    let ask = format!("virsh domjobinfo {vm} || true");
    lab.on("kvm1", &["sh", "-c", &ask])
}

fn is_moving(lab: &Lab, vm: &str) -> bool {
    job(lab, vm).contains("Outgoing migration")
}

/// Applies, and does that to the lab as soon as it is so far.
fn apply_and(lab: &Lab, manifest: &Path, so_far: impl Fn() -> bool, then: impl Fn()) -> Output {
    let path = manifest.to_str().unwrap();
    let line = ["apply", "-f", path, "--auto-approve", "--no-color"];
    let began = Instant::now();
    let ended = std::thread::scope(|scope| {
        let applying = scope.spawn(|| lab.domicile(&line));
        while !so_far() {
            assert!(!applying.is_finished(), "it never comes so far");
            std::thread::sleep(Duration::from_millis(100));
        }
        then();
        applying.join().unwrap()
    });
    assert_eq!(
        ended.status.code(),
        Some(5),
        "some moves failed, the rest is done"
    );
    // Keepalive takes 30 seconds, calling for the host again a minute, and so does giving up on its lock.
    assert!(
        began.elapsed() < Duration::from_secs(200),
        "{:?}",
        began.elapsed()
    );
    let told = out(&ended);
    assert!(told.contains("FAILED"), "{told}");
    assert!(told.contains("kvm3"), "{told}");
    ended
}

fn assert_arrived_without_a_lost_beat(lab: &Lab, vm: &str) {
    lab.assert_lives(vm, "kvm3", "kvm1");
    lab.assert_beats_on(vm);
    let beats = lab.beats(vm);
    assert_eq!(
        (beats.boots, beats.lost, beats.twice),
        (1, 0, false),
        "{beats:?}"
    );
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_daemon_that_hangs_fails_its_own_move_in_time_and_no_other() {
    let lab = Lab::up(&["kvm1", "kvm2", "kvm3"]);
    lab.guest("kvm1", "web", &["--fill", "16"]);
    lab.guest("kvm1", "far", &["--fill", "16"]);
    let manifest = lab.manifest("vms:\n  web: kvm2\n  far: kvm3\n");
    lab.lab("link", &["kvm1", "60mbit"]);
    let tell = |what: &str| {
        let kill = format!("kill -{what} $(cat /run/libvirtd.pid)");
        lab.on("kvm3", &["sh", "-c", &kill]);
    };
    apply_and(&lab, &manifest, || is_moving(&lab, "far"), || tell("STOP"));
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_live("web");
    assert_eq!(lab.vms("kvm1"), ["far"]);
    lab.assert_beats_on("far");

    lab.lab("link", &["kvm1", "free"]);
    tell("CONT");
    // A daemon that was silent ends what was on its way to it, as soon as it sees that nobody sends any more.
    for _ in 0..100 {
        if lab.vms("kvm3").is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    lab.apply(&manifest);
    assert_arrived_without_a_lost_beat(&lab, "far");
}

/// Of the two that go there, one has its disk copied when the link is cut, and one its memory carried. QEMU waits on
/// for both: for what it has written of their disks. Only closing its connections ends that at once.
#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_host_whose_link_is_cut_fails_its_own_moves_in_time_and_no_other() {
    let lab = Lab::up(&["kvm1", "kvm2", "kvm3"]);
    lab.guest("kvm1", "web", &["--disk", "vda=default:qcow2:8M"]);
    lab.guest("kvm1", "far", &["--fill", "48"]);
    lab.guest("kvm1", "late", &["--disk", "vda=default:qcow2:8M"]);
    let manifest =
        lab.manifest("migration: { parallel: 3 }\nvms:\n  web: kvm2\n  far: kvm3\n  late: kvm3\n");
    lab.lab("link", &["kvm1", "60mbit"]);
    let so_far = || {
        let (disk, memory) = (job(&lab, "far"), job(&lab, "late"));
        disk.contains("File processed") && memory.contains("Memory processed")
    };
    let cut = || {
        assert!(!job(&lab, "far").contains("Memory processed"));
        lab.lab("link", &["kvm3", "down"]);
    };
    let told = out(&apply_and(&lab, &manifest, so_far, cut));
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_live("web");
    assert_eq!(lab.vms("kvm1"), ["far", "late"]);
    for vm in ["far", "late"] {
        let hangs = format!("its job still hangs in QEMU on kvm1; {vm} is running on kvm1");
        assert!(told.contains(&hangs), "{told}");
        assert!(is_moving(&lab, vm));
        lab.assert_beats_on(vm);
    }

    let path = manifest.to_str().unwrap();
    let line = ["plan", "-f", path, "--no-color", "--timeout", "5s"];
    let plan = out(&lab.domicile(&line));
    for vm in ["far", "late"] {
        assert!(says(&plan, "blocks", "unfinished", vm), "{plan}");
    }
    // What the failure advises.
    lab.on("kvm1", &["ss", "--kill", "dst", "10.77.0.13"]);
    for _ in 0..100 {
        if !["far", "late"].iter().any(|vm| is_moving(&lab, vm)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    lab.lab("link", &["kvm1", "free"]);
    lab.lab("link", &["kvm3", "up"]);
    lab.apply(&manifest);
    for vm in ["far", "late"] {
        assert_arrived_without_a_lost_beat(&lab, vm);
    }
}
