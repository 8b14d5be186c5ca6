//! Two applies at once, an owner that dies, and a host that hangs.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::lab::{Lab, kill_domicile, signal};

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
    lab.apply(&manifest);
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

/// `web` goes to kvm2 and `far` to kvm3, which falls silent in the middle of it and is heard again afterwards.
fn while_a_host_hangs(silence: impl Fn(&Lab), wake: impl Fn(&Lab)) {
    let lab = Lab::up(&["kvm1", "kvm2", "kvm3"]);
    lab.guest("kvm1", "web", &["--fill", "16"]);
    lab.guest("kvm1", "far", &["--fill", "16"]);
    let manifest = lab.manifest("vms:\n  web: kvm2\n  far: kvm3\n");
    lab.lab("link", &["kvm1", "60mbit"]);
    let path = manifest.to_str().unwrap();
    let began = Instant::now();
    let line = ["apply", "-f", path, "--auto-approve", "--no-color"];
    let ended = std::thread::scope(|scope| {
        let applying = scope.spawn(|| lab.domicile(&line));
        let is_moving = || {
            let jobs = lab.on("kvm1", &["sh", "-c", "virsh domjobinfo far || true"]);
            jobs.contains("Migration") || jobs.contains("Unbounded")
        };
        while !is_moving() && !applying.is_finished() {
            std::thread::sleep(Duration::from_millis(200));
        }
        silence(&lab);
        applying.join().unwrap()
    });
    assert_eq!(
        ended.status.code(),
        Some(5),
        "some moves failed, the rest is done"
    );
    // Keepalive takes 30 seconds, calling for the host again a minute, and so does giving up on its lock.
    assert!(
        began.elapsed() < Duration::from_secs(240),
        "{:?}",
        began.elapsed()
    );
    let told = out(&ended);
    assert!(told.contains("FAILED"), "{told}");
    assert!(told.contains("kvm3"), "{told}");
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_live("web");
    assert_eq!(lab.vms("kvm1"), ["far"]);
    lab.assert_beats_on("far");

    lab.lab("link", &["kvm1", "free"]);
    wake(&lab);
    // A daemon that was silent ends what was on its way to it, as soon as it sees that nobody sends any more.
    for _ in 0..100 {
        if lab.vms("kvm3").is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    lab.apply(&manifest);
    lab.assert_lives("far", "kvm3", "kvm1");
    let beats = lab.beats("far");
    assert_eq!(
        (beats.boots, beats.lost, beats.twice),
        (1, 0, false),
        "{beats:?}"
    );
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_daemon_that_hangs_fails_its_own_move_in_time_and_no_other() {
    let tell = |what: &'static str| {
        move |lab: &Lab| {
            let kill = format!("kill -{what} $(cat /run/libvirtd.pid)");
            lab.on("kvm3", &["sh", "-c", &kill]);
        }
    };
    while_a_host_hangs(tell("STOP"), tell("CONT"));
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_host_whose_link_is_cut_fails_its_own_move_in_time_and_no_other() {
    let link = |state: &'static str| {
        move |lab: &Lab| {
            lab.lab("link", &["kvm3", state]);
        }
    };
    while_a_host_hangs(link("down"), link("up"));
}
