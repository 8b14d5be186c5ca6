//! What an apply that dies leaves, and that the next one finishes it.

use std::time::Duration;

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
    lab.apply(&manifest);
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
    lab.apply(&manifest);
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
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_cold("web");
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
