//! Daemons that are killed under a live migration, in each of its phases, and links that fail it. The apply goes on
//! or fails, and the next one brings the VM to where it shall be.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, SystemTime};

use crate::census::Census;
use crate::lab::{Lab, is_everything_asked, kill_domicile};

/// How far a live migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its volume is made, and nothing is carried yet.
    Before,
    /// The disk is copied.
    Disk,
    /// The memory is copied.
    Memory,
    /// All is carried, the source has stopped, and the destination was not heard to go on (libvirt's `Finish`).
    Finish,
    /// The destination goes on, and the source has not heard it (libvirt's `Confirm`).
    Confirm,
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Source,
    Destination,
    /// The process that applies.
    Us,
}

/// A guest that goes to and fro.
struct Way<'l> {
    lab: &'l Lab,
    census: &'l Census<'l>,
    here: &'static str,
    there: &'static str,
}

fn signal_daemon(lab: &Lab, host: &str, signal: &str) {
    let kill = format!("kill -{signal} $(cat /run/libvirtd.pid)");
    lab.on(host, &["sh", "-c", &kill]);
}

/// What virsh says of the guest there, if it is there.
fn asked(lab: &Lab, host: &str, what: &str) -> String {
    let ask = format!("virsh {what} web 2>/dev/null || true");
    lab.on(host, &["sh", "-c", &ask])
}

fn await_that(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..400 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    panic!("it never comes about that {what}");
}

impl Way<'_> {
    fn manifest(&self, driver: &str) -> PathBuf {
        let there = self.there;
        self.lab.manifest(&format!(
            "vms:\n  web: {{ host: {there}, migration: {{ driver: {driver} }} }}\n"
        ))
    }

    fn begin(&self, manifest: &Path) -> Child {
        let path = manifest.to_str().unwrap();
        let line = ["apply", "-f", path, "--auto-approve", "--no-color"];
        self.lab.start_domicile(&line)
    }

    /// Waits until the migration is so far, and holds it there where that takes a hold.
    fn await_phase(&self, phase: Phase) {
        let (lab, here, there) = (self.lab, self.here, self.there);
        let job = |word: &str| asked(lab, here, "domjobinfo").contains(word);
        match phase {
            Phase::Before => await_that("the volume is made", || {
                let images = lab.on(there, &["ls", "/var/lib/libvirt/images"]);
                images.contains("web-vda.qcow2")
            }),
            Phase::Disk => await_that("the disk is copied", || job("File processed")),
            Phase::Memory => await_that("memory is copied", || job("Memory processed")),
            Phase::Finish | Phase::Confirm => {
                await_that("memory is copied", || job("Memory processed"));
                signal_daemon(lab, there, "STOP");
                await_that("the source stands still", || {
                    asked(lab, here, "domstate") == "paused"
                });
            }
        }
        if phase == Phase::Confirm {
            // Until it has told the destination, which hears it only now.
            std::thread::sleep(Duration::from_millis(700));
            signal_daemon(lab, here, "STOP");
            signal_daemon(lab, there, "CONT");
            await_that("the destination goes on", || {
                asked(lab, there, "domstate") == "running"
            });
        }
    }

    /// The guest was never two, never rebooted, and stood still for no longer than that; then it turns round.
    fn ends(&mut self, what: &str, manifest: &Path, began: SystemTime, still_max: Duration) {
        self.census.assert_ends(manifest, &[("web", self.there)]);
        let gap = self.lab.longest_gap_since("web", began);
        let beats = self.lab.beats("web");
        eprintln!("== {what}: still for {gap:?}, {beats:?}");
        assert_eq!((beats.boots, beats.lost), (1, 0), "{what}: {beats:?}");
        assert!(gap <= still_max, "{what}: still for {gap:?}");
        std::mem::swap(&mut self.here, &mut self.there);
    }

    fn killed_at(&mut self, driver: &str, phase: Phase, victims: &[Victim]) {
        let what = format!("{driver}, {victims:?} killed at {phase:?}");
        eprintln!("== {what}");
        let lab = self.lab;
        let began = SystemTime::now();
        let manifest = self.manifest(driver);
        let mut applying = Some(self.begin(&manifest));
        self.await_phase(phase);
        let mut killed = Vec::new();
        for victim in victims {
            match victim {
                Victim::Us => kill_domicile(applying.take().unwrap()),
                Victim::Source => killed.push(self.here),
                Victim::Destination => killed.push(self.there),
            }
        }
        for host in &killed {
            lab.lab("kill", &[host]);
        }
        std::thread::sleep(Duration::from_millis(500));
        for host in &killed {
            lab.lab("restart", &[host]);
        }
        let held: &[&str] = match phase {
            Phase::Finish => &[self.there],
            Phase::Confirm => &[self.here],
            _ => &[],
        };
        for host in held.iter().filter(|host| !killed.contains(host)) {
            signal_daemon(lab, host, "CONT");
        }
        if let Some(mut child) = applying {
            eprintln!("== {what}: the apply ends with {}", child.wait().unwrap());
        }
        lab.remove_locks_left(&manifest);
        let state = |host| asked(lab, host, "domstate --reason");
        let (here, there) = (state(self.here), state(self.there));
        eprintln!("== {what}: it is {here:?} here and {there:?} there");
        // Where the source stands still and nobody is left who would let it go on, the next apply does.
        let still_max = match phase {
            Phase::Finish if victims.contains(&Victim::Us) => Duration::from_secs(15),
            _ => Duration::from_millis(4500),
        };
        self.ends(&what, &manifest, began, still_max);
    }
}

/// The first two stand for all where not everything is asked for.
fn some_of<T>(all: &[T]) -> &[T] {
    if is_everything_asked() {
        all
    } else {
        &all[..2]
    }
}

/// Kills at all of these, or in a plain run only at the first ones.
fn kills(all: &[(&str, Phase, &[Victim])]) {
    let all = some_of(all);
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--fill", "16"]);
    for host in ["kvm1", "kvm2"] {
        lab.lab("link", &[host, "200mbit"]);
    }
    let census = Census::of(&lab);
    let mut way = Way {
        lab: &lab,
        census: &census,
        here: "kvm1",
        there: "kvm2",
    };
    for (driver, phase, victims) in all {
        way.killed_at(driver, *phase, victims);
    }
}

const PEER: &str = "peer-to-peer";

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn daemons_are_killed_in_each_phase_of_a_live_migration_and_the_guest_runs_on() {
    kills(&[
        (PEER, Phase::Memory, &[Victim::Source]),
        (PEER, Phase::Disk, &[Victim::Destination]),
        (PEER, Phase::Before, &[Victim::Source]),
        (PEER, Phase::Before, &[Victim::Destination]),
        (PEER, Phase::Disk, &[Victim::Source]),
        (PEER, Phase::Memory, &[Victim::Destination]),
        (PEER, Phase::Finish, &[Victim::Source]),
        (PEER, Phase::Finish, &[Victim::Destination]),
    ]);
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn whoever_is_killed_at_the_very_end_of_a_live_migration_the_guest_runs_once() {
    kills(&[
        (PEER, Phase::Confirm, &[Victim::Us, Victim::Source]),
        ("managed", Phase::Finish, &[Victim::Us]),
        (PEER, Phase::Confirm, &[Victim::Source]),
        (PEER, Phase::Finish, &[Victim::Us, Victim::Source]),
        (PEER, Phase::Finish, &[Victim::Us, Victim::Destination]),
        ("managed", Phase::Confirm, &[Victim::Us]),
        ("managed", Phase::Finish, &[Victim::Source]),
        ("managed", Phase::Finish, &[Victim::Destination]),
    ]);
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_link_that_is_slow_for_a_while_or_cut_for_a_moment_costs_time_and_no_guest() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--fill", "16"]);
    let census = Census::of(&lab);
    let mut way = Way {
        lab: &lab,
        census: &census,
        here: "kvm1",
        there: "kvm2",
    };
    let troubles = [
        (Phase::Memory, "down"),
        (Phase::Disk, "1mbit"),
        (Phase::Disk, "down"),
        (Phase::Memory, "1mbit"),
    ];
    for (phase, link) in some_of(&troubles) {
        for host in ["kvm1", "kvm2"] {
            lab.lab("link", &[host, "200mbit"]);
        }
        let what = format!("a link that is {link} at {phase:?}");
        eprintln!("== {what}");
        let began = SystemTime::now();
        let manifest = way.manifest(PEER);
        let mut applying = way.begin(&manifest);
        way.await_phase(*phase);
        lab.lab("link", &[way.here, link]);
        std::thread::sleep(Duration::from_secs(6));
        if *link == "down" {
            lab.lab("link", &[way.here, "up"]);
        }
        lab.lab("link", &[way.here, "free"]);
        assert!(applying.wait().unwrap().success(), "{what}");
        way.ends(&what, &manifest, began, Duration::from_secs(8));
    }
}
