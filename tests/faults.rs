//! Whatever goes wrong, and whenever a person stops it, no invariant breaks, no VM stays off without a word, and
//! planning and applying again brings every VM to where it shall be.
//!
//! Each seed makes a fleet and what befalls its plan while it is carried out. A seed that fails prints the command
//! that runs it alone.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Debug;

use domicile::apply::{CancelHandle, Event, Happening, Options, Summary, run};
use domicile::model::{DiskTarget, HostName, PoolName, RunState, VmName};
use domicile::plan::{Plan, check::check};
use domicile::planner::plan;
use domicile::simulator::{Faults, Simulator};

use crate::support::{Fleet, build, of_seed};

/// Applies without faults within which a fleet must be where it shall be: one to clear up, one to move, one to spare.
const ROUNDS: usize = 3;

/// A fleet on simulated hosts.
struct Trial {
    fleet: Fleet,
    hosts: Simulator,
    failures: Vec<String>,
}

/// Where every VM is, whether it runs, and in which pool each disk is. Volumes may be called otherwise where an
/// earlier attempt left one of the name.
type Placement = BTreeMap<(VmName, HostName), (bool, BTreeMap<DiskTarget, Option<PoolName>>)>;

impl Trial {
    fn new(seed: u64) -> Self {
        let fleet = build(&of_seed(seed));
        let hosts = Simulator::new(fleet.observed.clone()).managing(fleet.managed());
        Self {
            fleet,
            hosts,
            failures: Vec::new(),
        }
    }

    fn plan(&self) -> Plan {
        plan(&self.fleet.desired, &self.hosts.observed())
    }

    fn apply(&mut self, plan: &Plan, mut seen: impl FnMut(&Event, &CancelHandle)) -> Summary {
        let options = Options::new(self.fleet.desired.hosts.clone());
        let cancel = CancelHandle::new();
        self.failures.clear();
        run(plan, &self.hosts, &options, &cancel, &mut |event| {
            seen(event, &cancel);
            if let Happening::StepFailed { what, why, .. }
            | Happening::NotRestored { what, why, .. } = &event.what
            {
                self.failures.push(format!("{what}: {why}"));
            }
        })
    }

    /// What is wrong, with what led to it.
    fn wrong<T>(&self, what: &str, detail: &impl Debug) -> Result<T, String> {
        Err(format!(
            "{what}: {detail:#?}\nfaults: {:#?}\nfailures: {:#?}\nbreaches: {:#?}",
            self.hosts.struck(),
            self.failures,
            self.hosts.breaches()
        ))
    }

    /// After an apply that went as it may: nothing is broken, and every VM that is off because of us was named.
    fn check_end(&self, summary: &Summary) -> Result<(), String> {
        let breaches = self.hosts.breaches();
        if !breaches.is_empty() {
            return self.wrong("an invariant was broken", &breaches);
        }
        let off = self.hosts.stopped();
        let unnamed = off.iter().find(|vm| !summary.stranded.contains(vm));
        match unnamed {
            // Nobody is left to bring it back or to say so.
            Some(_) if self.hosts.is_dead() => Ok(()),
            Some(vm) => self.wrong("left off without a word", vm),
            None => Ok(()),
        }
    }

    /// Plans and applies without faults until there is nothing to do.
    fn settle(&mut self) -> Result<(), String> {
        self.hosts.heal();
        for _ in 0..ROUNDS {
            let next = self.plan();
            let violations = check(&self.fleet.desired, &self.hosts.observed(), &next);
            if !violations.is_empty() {
                return self.wrong("a plan fails the check", &violations);
            }
            if next.steps.is_empty() {
                let off = self.hosts.stopped();
                return if off.is_empty() {
                    Ok(())
                } else {
                    self.wrong("off at the end", &(off, next.findings))
                };
            }
            let summary = self.apply(&next, |_, _| {});
            self.check_end(&summary)?;
            if let Some(failure) = self.failures.first() {
                return self.wrong("a step failed without a fault", failure);
            }
        }
        self.wrong("still something to do", &self.plan().steps)
    }

    fn placement(&self) -> Placement {
        let mut all = Placement::new();
        for (host, state) in self.hosts.observed().reached() {
            for (name, vm) in &state.vms {
                let disks = vm.detail.iter().flat_map(|detail| &detail.disks);
                let disks = disks.map(|disk| {
                    let pool = disk.volume.as_ref().map(|(pool, _)| pool.clone());
                    (disk.target.clone(), pool)
                });
                let runs = vm.power.state == RunState::Running;
                all.insert((name.clone(), host.clone()), (runs, disks.collect()));
            }
        }
        all
    }

    /// Whether every VM is where it is when nothing goes wrong.
    fn check_placement(&self, seed: u64) -> Result<(), String> {
        let mut calm = Self::new(seed);
        calm.settle()?;
        let (wanted, found) = (calm.placement(), self.placement());
        let differs = |(place, state): &(&_, &_)| found.get(*place) != Some(*state);
        match wanted.iter().find(differs) {
            Some(missing) => self.wrong("not where it shall be", &(missing, self.plan().findings)),
            None => Ok(()),
        }
    }
}

/// Runs every seed, or the one that the environment names.
fn each_seed(count: u64, trial: impl Fn(u64) -> Result<(), String> + Sync) {
    let named = env::var("DOMICILE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seeds = named.map_or(0..count, |seed: u64| seed..seed + 1);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut failed: Vec<(u64, String)> = std::thread::scope(|scope| {
        let shares = (0..workers).map(|share| {
            let (seeds, trial) = (seeds.clone(), &trial);
            let own = move || seeds.skip(share).step_by(workers);
            scope.spawn(move || -> Vec<_> {
                own()
                    .filter_map(|seed| Some((seed, trial(seed).err()?)))
                    .collect()
            })
        });
        let shares: Vec<_> = shares.collect();
        let ended = shares
            .into_iter()
            .map(|share| share.join().expect("a trial panicked"));
        ended.flatten().collect()
    });
    failed.sort();
    let Some((seed, why)) = failed.first() else {
        return;
    };
    let all: Vec<String> = failed
        .iter()
        .map(|(seed, why)| {
            let start: Vec<&str> = why.lines().take(6).map(str::trim).collect();
            format!("{seed}: {}", start.join(" "))
        })
        .collect();
    let list = all.join("\n");
    panic!(
        "{} seeds fail:\n{list}\n\nThe first:\n{why}\n\nDOMICILE_SEED={seed} cargo test --test runner faults",
        failed.len()
    );
}

#[test]
fn whatever_fails_nothing_is_lost_and_applying_again_finishes_it() {
    each_seed(2000, |seed| {
        let mut trial = Trial::new(seed);
        trial.hosts.set_faults(Faults::from_seed(seed));
        let first = trial.plan();
        let summary = trial.apply(&first, |_, _| {});
        trial.check_end(&summary)?;
        trial.settle()?;
        trial.check_placement(seed)
    });
}

#[test]
fn wherever_it_is_stopped_nothing_is_lost_and_applying_again_finishes_it() {
    each_seed(500, |seed| {
        let mut trial = Trial::new(seed);
        let first = trial.plan();
        // The first press comes somewhere in the first few events, the second, if any, soon after.
        let (once, twice) = (seed % 23, seed % 23 + seed % 5);
        let mut count = 0;
        let summary = trial.apply(&first, |_, cancel| {
            if count == once || (count == twice && seed.is_multiple_of(2)) {
                cancel.press();
            }
            count += 1;
        });
        trial.check_end(&summary)?;
        if !summary.stranded.is_empty() || !summary.failed.is_empty() {
            return trial.wrong("stopping made steps fail", &summary);
        }
        trial.settle()?;
        trial.check_placement(seed)
    });
}

#[test]
fn a_seed_gives_the_same_events_each_time_with_many_steps_at_once() {
    for seed in 0..30 {
        let events = || {
            let mut trial = Trial::new(seed);
            trial.hosts.set_faults(Faults::from_seed(seed));
            let first = trial.plan();
            let mut events = Vec::new();
            trial.apply(&first, |event, _| events.push(event.clone()));
            events
        };
        assert_eq!(events(), events(), "seed {seed}");
    }
}
