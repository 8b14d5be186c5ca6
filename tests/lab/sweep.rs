//! The sweep: for each kind of move, `domicile` is killed at the boundaries of its steps and in the midst of every one
//! that takes time; then a fresh one plans and applies, with nothing but the manifest.
//!
//! A VM goes to and fro between two places, one kill on each way, so that one lab serves for many. After each, the
//! census holds, and the guest was never down for longer than the forecasts say and nobody was at work.
//!
//! Each kind names a few moments, and these are what a plain run tries. With `DOMICILE_SWEEP=all`, each kind is moved
//! once without a kill, and then killed at every moment that this has shown.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::census::{self, Census};
use crate::kinds::{Guest, HOME, Kind, Place};
use crate::lab::{Lab, is_everything_asked, process_of};

/// When a kill comes: so long after the apply has told of this for so many times.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Moment {
    /// `start`, `progress` or `complete`, and what the step does.
    what: String,
    times: usize,
    after: Duration,
}

/// A boot without hardware virtualisation on a busy machine, beyond what a forecast says of it.
const SLOW_BOOT: Duration = Duration::from_secs(20);

/// What stands still for longer than this was not moved live: emulated guests wait for a processor like everybody else.
const STILL_MAX: Duration = Duration::from_millis(4500);

/// What a line tells of a step; the words before the first name say what it does.
fn told(kind: &Kind, event: &Value) -> Option<String> {
    let what = event["type"].as_str()?.strip_prefix("apply_")?;
    let action = event["step"]["action"].as_str()?;
    let is_name = |word: &&str| *word == kind.vm || word.contains(':');
    let words = action.split(' ').take_while(|word| !is_name(word));
    let words: Vec<&str> = std::iter::once(what).chain(words).collect();
    Some(words.join(" "))
}

/// One kind of move in a lab.
struct Sweep<'l> {
    lab: &'l Lab,
    census: &'l Census<'l>,
    kind: &'l Kind,
    /// Where it goes next, of its kind's places.
    next: usize,
}

impl Sweep<'_> {
    fn manifest(&self) -> PathBuf {
        let Kind {
            vm, settings, top, ..
        } = self.kind;
        let (host, place) = self.kind.places[self.next];
        let entry = format!("{top}vms:\n  {vm}: {{ host: {host}{place}{settings} }}\n");
        self.lab.manifest(&entry)
    }

    /// Applies until that moment and is killed, or without one to the end; gives what it told, and whether it came so
    /// far.
    fn apply_until(&self, manifest: &Path, moment: Option<&Moment>) -> (Vec<Value>, bool) {
        let path = manifest.to_str().unwrap();
        let line = ["apply", "-f", path, "--auto-approve", "--json"];
        let mut child = self.lab.start_domicile_to(&line, Stdio::piped());
        let mut process = None;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut heard, mut times) = (Vec::new(), 0);
        for line in lines.map_while(Result::ok) {
            // Known before it matters, so that a kill is not late.
            process = process.or_else(|| process_of(&child));
            let event: Value = serde_json::from_str(&line).unwrap();
            let is_it =
                |moment: &&Moment| told(self.kind, &event).is_some_and(|told| told == moment.what);
            if let Some(moment) = moment.filter(is_it) {
                times += 1;
                if times == moment.times {
                    std::thread::sleep(moment.after);
                    kill_process(process.unwrap(), Signal::KILL).unwrap();
                    child.wait().unwrap();
                    return (heard, true);
                }
            }
            heard.push(event);
        }
        let ended = child.wait().unwrap();
        assert!(moment.is_some() || ended.success(), "{heard:?}");
        (heard, false)
    }

    /// Moves the VM to its next place, by a second apply if the first one is killed; gives what the first one told.
    fn round(&mut self, moment: Option<&Moment>) -> Vec<Value> {
        let Kind { name, vm, .. } = self.kind;
        eprintln!("== {name}, killed at {moment:?}");
        if self.kind.renewed {
            self.kind.renew(self.lab);
        }
        let began = SystemTime::now();
        let boots = self.boots();
        let manifest = self.manifest();
        let (heard, was_killed) = self.apply_until(&manifest, moment);
        let mut allowed = census::downtime(&census::announced(&heard));
        let (host, _) = self.kind.places[self.next];
        if let Some(moment) = moment {
            let killed = Instant::now();
            assert!(was_killed, "{moment:?} of {name} never comes: {heard:?}");
            self.lab.restart_hung_daemons();
            self.lab.remove_locks_left(&manifest);
            let planned = self.census.assert_ends(&manifest, &[(vm, host)]);
            allowed += planned.downtime() + planned.at.duration_since(killed);
        }
        if self.kind.guest == Guest::Reboots {
            self.lab.assert_boots(vm, boots + 1);
        }
        if moment.is_none() {
            self.census.assert_holds(&[(vm, host)]);
        }
        if self.kind.guest != Guest::Off {
            self.lab.assert_beats_on(vm);
            let gap = self.lab.longest_gap_since(vm, began);
            let (boots_more, most) = match self.kind.guest {
                Guest::Reboots => (1, allowed + SLOW_BOOT),
                _ => (0, STILL_MAX),
            };
            eprintln!("== {name}, killed at {moment:?}: down for {gap:?} of {most:?}");
            assert_eq!(self.boots(), boots + boots_more, "{name} at {moment:?}");
            assert!(
                gap <= most,
                "{name} at {moment:?}: down for {gap:?}, not {most:?}"
            );
        }
        if !self.kind.renewed {
            self.next = (self.next + 1) % self.kind.places.len();
        }
        heard
    }

    /// Where it is.
    fn place(&self) -> Place {
        let places = self.kind.places;
        places[(self.next + places.len() - 1) % places.len()]
    }

    fn boots(&self) -> u32 {
        match self.kind.guest {
            Guest::Off => 0,
            _ => self.lab.beats(self.kind.vm).boots,
        }
    }

    /// Every moment that an apply has shown: each boundary, thrice in the midst of what tells how far it is, and in
    /// the midst of every other step.
    fn moments(&self, heard: &[Value]) -> Vec<Moment> {
        let mut all: Vec<Moment> = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        for event in heard {
            let Some(what) = told(self.kind, event) else {
                continue;
            };
            seen.push(what.clone());
            let times = seen.iter().filter(|earlier| **earlier == what).count();
            let took = event["took"].as_u64().unwrap_or(0);
            let mut moment = |what: &str, times, millis| {
                all.push(Moment {
                    what: what.to_owned(),
                    times,
                    after: Duration::from_millis(millis),
                });
            };
            let Some(step) = what.strip_prefix("complete ") else {
                if !what.starts_with("progress") {
                    moment(&what, times, 0);
                }
                continue;
            };
            let progress = format!("progress {step}");
            match seen.iter().filter(|earlier| **earlier == progress).count() {
                0 => moment(&format!("start {step}"), times, took / 2),
                told => {
                    for times in BTreeSet::from([1, told / 2 + 1, told]) {
                        moment(&progress, times, 0);
                    }
                }
            }
            moment(&what, times, 0);
        }
        all
    }
}

/// Sweeps over these kinds in one lab.
fn sweep(names: &[&str]) {
    let kinds = names.iter().map(|name| Kind::named(name));
    let kinds: Vec<&Kind> = kinds.collect();
    let hosts = ["kvm1", "kvm2"];
    let lab = Lab::up(&hosts);
    let vms: BTreeMap<&str, &Kind> = kinds.iter().map(|kind| (kind.vm, *kind)).collect();
    std::thread::scope(|scope| {
        for kind in vms.into_values() {
            let lab = &lab;
            scope.spawn(move || kind.make(lab));
        }
    });
    for host in hosts {
        lab.lab("link", &[host, "400mbit"]);
    }
    // A clone that becomes a volume of its own leaves its base where it was.
    let census = Census::of(&lab).with_spare(&["/flat-base.qcow2"]);
    let began = Instant::now();
    let (mut kills, mut places) = (0, BTreeMap::new());
    for kind in kinds {
        let next = kind.next_from(*places.get(kind.vm).unwrap_or(&HOME));
        let mut sweep = Sweep {
            lab: &lab,
            census: &census,
            kind,
            next: next.unwrap_or(0),
        };
        if next.is_none() {
            sweep.round(None);
        }
        let moments: Vec<Moment> = if is_everything_asked() {
            let heard = sweep.round(None);
            sweep.moments(&heard)
        } else {
            let chosen = kind.kills.iter().map(|(what, times)| Moment {
                what: (*what).to_owned(),
                times: *times,
                after: Duration::ZERO,
            });
            chosen.collect()
        };
        for moment in &moments {
            sweep.round(Some(moment));
            kills += 1;
        }
        places.insert(kind.vm, sweep.place());
    }
    eprintln!("{kills} kills in {:?}", began.elapsed());
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_vm_that_moves_live_never_notices_that_we_are_killed() {
    sweep(&[
        "live",
        "live, managed",
        "live, shared",
        "from pool to pool",
        "live, clone",
    ]);
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_vm_that_moves_cold_runs_again_and_one_that_is_off_arrives_whole_though_we_are_killed() {
    sweep(&[
        "cold",
        "cold, through us",
        "off",
        "off, through us",
        "off, from pool to pool",
        "off, flattened",
        "off, shrunk",
    ]);
}
