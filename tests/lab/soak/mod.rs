//! The soak: demands and troubles by chance, round after round, in one lab.
//!
//! In each round somebody wants any placement of six guests on three hosts, and applies that; now and then somebody
//! else wants another one at the same time. Meanwhile up to three troubles befall the process, the hosts or the links.
//! When that has ended, an operator sees to the hosts, starts guests that lost power, and applies the same demand, or
//! another one where he changed his mind or was refused. Then the census holds, no guest was rebooted unless a plan
//! said so, and none was silent for longer than the forecasts say, something was broken, and nobody was at work.
//!
//! A plain run takes two rounds. `DOMICILE_SOAK=60` goes on for so many minutes, and `DOMICILE_SEED` says with which
//! round it begins. What is thrown is the same for the same seed; when it hits differs.

mod demand;
mod trouble;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use domicile::definition::{self, Mark};
use serde_json::Value;

use crate::census::{self, Census};
use crate::dice::Dice;
use crate::lab::Lab;

use demand::{Demand, GUESTS, HOSTS, make_guests};
use trouble::{Befell, Kind, heal, strike};

/// Rounds of a plain run.
const FEW: u64 = 2;
/// A boot without hardware virtualisation on a busy machine, beyond what a forecast says of it.
const SLOW_BOOT: Duration = Duration::from_secs(60);
/// What stands still for longer than this, with nothing broken, was not moved live.
const STILL_MAX: Duration = Duration::from_secs(8);
/// A lock of an apply that died is taken over after half a minute without a sign of life.
const TAKING_OVER: Duration = Duration::from_secs(35);
/// How an apply may end, as the README has it.
const ENDS: [i32; 7] = [0, 1, 3, 5, 6, 7, 8];
/// What may be refused of what is wanted: a linked clone is not streamed away from its base's path.
const REFUSED: &str = "thin-stream";

fn asked(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

/// What one apply told and how it ended; no code if it was killed.
struct Applied {
    heard: Vec<Value>,
    code: Option<i32>,
    ended: Instant,
}

/// Starts an apply and a thread that listens to it.
fn begin(lab: &Lab, demand: &Demand) -> (Child, thread::JoinHandle<Vec<Value>>) {
    let path = demand.manifest.to_str().unwrap();
    let line = [
        "apply",
        "-f",
        path,
        "--auto-approve",
        "--json",
        "--lock-timeout",
        "90s",
    ];
    let mut child = lab.start_domicile_to(&line, Stdio::piped());
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let listening = thread::spawn(move || {
        let lines = lines.map_while(Result::ok);
        lines
            .filter_map(|line| serde_json::from_str(&line).ok())
            .collect()
    });
    (child, listening)
}

fn end((mut child, listening): (Child, thread::JoinHandle<Vec<Value>>)) -> Applied {
    let status = child.wait().unwrap();
    let heard: Vec<Value> = listening.join().unwrap();
    let ended = Instant::now();
    for event in &heard {
        if event["type"] != "apply_progress" {
            eprintln!("  {} {}", event["@timestamp"], event["@message"]);
        }
    }
    // `timeout`, which runs it, ends as if it were killed itself, or by a code.
    let code = status.code().filter(|code| *code != 137);
    if let Some(code) = code {
        assert!(ENDS.contains(&code), "an apply ended with {code}");
    }
    Applied { heard, code, ended }
}

/// Since when what an apply had begun may wait for the next one: the first end that was not a success. Of two applies the
/// second waits for the lock of a dead one, and need not go on with its moves at once, or at all.
fn first_left_undone(applied: &[Applied]) -> Instant {
    let undone = applied.iter().filter(|one| one.code != Some(0));
    let first = undone.map(|one| one.ended).min();
    first.unwrap_or_else(|| applied.iter().map(|one| one.ended).max().unwrap())
}

/// Whether a VM has the mark of a move to another host.
fn is_being_moved(definition: &str) -> bool {
    match definition::read(definition).expect("a definition").mark {
        Mark::None => false,
        Mark::Read(mark) => mark.from != mark.to,
        Mark::Unreadable(why) => panic!("{why}"),
    }
}

/// What was announced of a guest in one round, and what counts for all.
#[derive(Debug, Default, Clone)]
struct Announced {
    reboots: u32,
    downtime: Duration,
}

#[derive(Debug, Default)]
struct Tally {
    rounds: u64,
    ends: BTreeMap<String, usize>,
    troubles: BTreeMap<Kind, usize>,
    moves: BTreeMap<String, usize>,
    others: usize,
    reboots: u32,
    longest_still: Duration,
}

struct Soak<'l> {
    lab: &'l Lab,
    census: &'l Census<'l>,
    memory: u64,
    tally: Tally,
}

impl Soak<'_> {
    fn boots(&self) -> BTreeMap<&'static str, u32> {
        let running = GUESTS.iter().filter(|guest| guest.runs);
        running
            .map(|guest| (guest.name, self.lab.beats(guest.name).boots))
            .collect()
    }

    /// Adds what a plan announced.
    fn announce(&mut self, moves: &[Value], to: &mut BTreeMap<String, Announced>) {
        for one in moves {
            let kind = one["kind"].as_str().unwrap().to_owned();
            *self.tally.moves.entry(kind).or_default() += 1;
            let announced = to
                .entry(one["vm"].as_str().unwrap().to_owned())
                .or_default();
            announced.reboots += u32::from(one["reboots"].as_bool().unwrap());
            announced.downtime += Duration::from_millis(one["downtime"].as_u64().unwrap());
        }
    }

    /// Guests that lost power with their host are started by an operator, unless somebody was in the midst of moving them
    /// to another host: whether those were shut down for that nobody else knows, so that is seen to by the next apply.
    fn start_those_without_power(&self, dark: &[&str]) {
        let has = |host: &str, vm: &str| self.lab.vms(host).iter().any(|it| it == vm);
        for host in dark {
            let running = GUESTS.iter().filter(|guest| guest.runs);
            for vm in running.map(|guest| guest.name).filter(|vm| has(host, vm)) {
                let definition = self.lab.on(host, &["virsh", "dumpxml", vm, "--inactive"]);
                let is_moved = is_being_moved(&definition);
                let is_off = self.lab.on(host, &["virsh", "domstate", vm]) == "shut off";
                let mut others = HOSTS.iter().filter(|other| *other != host);
                if is_off && !is_moved && !others.any(|other| has(other, vm)) {
                    self.lab.on(host, &["virsh", "start", vm]);
                }
            }
        }
    }

    /// Whether something is wanted that is refused whatever else there is.
    fn is_refused(&self, demand: &Demand) -> bool {
        let plan = self.lab.planned(&demand.manifest);
        let mut findings = plan["findings"].as_array().unwrap().iter();
        findings.any(|told| told["severity"] == "blocks" && told["code"] == REFUSED)
    }

    /// Applies a demand while troubles befall it, and perhaps another one at the same time.
    fn disturbed(&mut self, dice: &mut Dice, demand: &Demand) -> (Vec<Applied>, Befell) {
        let rate = *dice.one_of(&["100mbit", "200mbit", "400mbit"]);
        for host in HOSTS {
            self.lab.lab("link", &[host, rate]);
        }
        let mut applying = vec![begin(self.lab, demand)];
        if dice.below(5) == 0 {
            let other = Demand::any(self.lab, dice, "other.yaml", self.memory);
            thread::sleep(Duration::from_millis(500));
            applying.push(begin(self.lab, &other));
            self.tally.others += 1;
        }
        let befell = strike(self.lab, dice, &mut applying[0].0, rate);
        (applying.into_iter().map(end).collect(), befell)
    }

    fn round(&mut self, seed: u64) {
        eprintln!("==== round {seed}");
        let mut dice = Dice::new(seed);
        let mut demand = Demand::any(self.lab, &mut dice, "fleet.yaml", self.memory);
        let (began, boots) = (SystemTime::now(), self.boots());
        let (applied, befell) = self.disturbed(&mut dice, &demand);
        let mut announced = BTreeMap::new();
        for one in &applied {
            self.announce(&census::announced(&one.heard), &mut announced);
            let code = one
                .code
                .map_or("killed".to_owned(), |code| code.to_string());
            *self.tally.ends.entry(code).or_default() += 1;
        }
        heal(self.lab);
        self.start_those_without_power(&befell.dark);
        let mut wants_another = dice.below(3) == 0;
        while wants_another || self.is_refused(&demand) {
            wants_another = false;
            demand = Demand::any(self.lab, &mut dice, "fleet.yaml", self.memory);
        }
        let is_lock_left = dice.below(3) == 0;
        if !is_lock_left {
            self.lab.remove_locks_left(&demand.manifest);
        }
        let of_the_dead = self.lab.locks(&demand.manifest);
        let planned = self.census.assert_applied(&demand.manifest, &demand.places);
        // They are taken over where something is done, and only there.
        let left = &self.lab.locks(&demand.manifest) & &of_the_dead;
        self.lab.unlock(&demand.manifest, &left);
        self.census.assert_holds(&demand.places);
        self.announce(&planned.moves, &mut announced);
        let mut idle = planned.at.duration_since(first_left_undone(&applied));
        if is_lock_left && applied.iter().any(|one| one.code.is_none()) {
            idle += TAKING_OVER;
        }
        // Who lost power in the midst of a move is started when that has been made.
        if !befell.dark.is_empty() {
            idle += planned.lasts;
        }
        self.assert_told(seed, began, &boots, &announced, &befell, idle);
        for (kind, count) in befell.counts {
            *self.tally.troubles.entry(kind).or_default() += count;
        }
        self.tally.rounds += 1;
    }

    /// Fails unless every reboot and every silence of a guest since then was announced or had another's fault.
    fn assert_told(
        &mut self,
        seed: u64,
        began: SystemTime,
        boots: &BTreeMap<&str, u32>,
        announced: &BTreeMap<String, Announced>,
        befell: &Befell,
        idle: Duration,
    ) {
        for (vm, before) in boots {
            let told = announced.get(*vm).cloned().unwrap_or_default();
            let reboots = self.lab.beats(vm).boots - before;
            let silent = self.lab.longest_gap_since(vm, began);
            let mut most = STILL_MAX + befell.lasted + idle;
            if told.reboots > 0 || !befell.dark.is_empty() {
                most += told.downtime + SLOW_BOOT;
            } else {
                self.tally.longest_still = self.tally.longest_still.max(silent);
            }
            eprintln!("== {vm}: {reboots} reboots, silent for {silent:?} of {most:?}, {told:?}");
            self.tally.reboots += reboots;
            if befell.dark.is_empty() {
                assert!(
                    reboots <= told.reboots,
                    "round {seed}: {vm} was rebooted without a word"
                );
            }
            assert!(
                silent <= most,
                "round {seed}: {vm} was silent for {silent:?}"
            );
        }
    }
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn whatever_is_asked_and_whatever_befalls_no_vm_is_lost() {
    let lab = Lab::up(&HOSTS);
    make_guests(&lab);
    // Which copies of a base stay behind is up to the manifest.
    let census = Census::of(&lab).with_spare(&["/thin-base.qcow2"]);
    let mut soak = Soak {
        lab: &lab,
        census: &census,
        memory: lab.memory_mib(HOSTS[0]),
        tally: Tally::default(),
    };
    let began = Instant::now();
    let minutes = asked("DOMICILE_SOAK");
    let first = asked("DOMICILE_SEED").unwrap_or(0);
    for seed in first.. {
        let is_over = match minutes {
            Some(minutes) => began.elapsed() >= Duration::from_secs(60 * minutes),
            None => seed - first >= FEW,
        };
        if is_over {
            break;
        }
        soak.round(seed);
        eprintln!("==== after {:?}: {:?}", began.elapsed(), soak.tally);
    }
}
