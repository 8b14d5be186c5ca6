//! One fleet on simulated hosts, and applies to it of which each knows nothing of those before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use domicile::apply::{CancelHandle, Event, Happening, Options, Summary, run};
use domicile::hypervisor::{Depth, Hypervisor, ObserveRequest};
use domicile::model::{DiskTarget, HostName, Millis, PoolName, RunState, VmName};
use domicile::observed::Observed;
use domicile::plan::{Finding, Plan, Severity, Step, StepId, check::check};
use domicile::planner::plan;
use domicile::simulator::{Faults, Simulator};

use crate::dice::Dice;
use crate::each::is_replay;
use crate::support::sketch::of_seed;
use crate::support::{Fleet, build};

/// Applies without faults within which a fleet must be where it shall be: one to clear up, one to move, one to spare.
const ROUNDS: usize = 3;

/// A fleet on simulated hosts.
pub(crate) struct Trial {
    pub(crate) fleet: Fleet,
    pub(crate) hosts: Simulator,
    failures: Vec<String>,
    /// Whether the manifest is another one than in the beginning.
    is_mind_changed: bool,
    /// What was done, step by step, where a person replays one seed.
    told: Vec<String>,
}

/// Where every VM is, whether it runs, and in which pool each disk is. Volumes may be called otherwise where an
/// earlier attempt left one of the name.
type Placement = BTreeMap<(VmName, HostName), (bool, BTreeMap<DiskTarget, Option<PoolName>>)>;

/// VMs whose change is refused, and why.
fn refused(plan: &Plan) -> BTreeSet<VmName> {
    plan.refused().into_iter().cloned().collect()
}

fn in_words(plan: &Plan, event: &Event) -> Option<String> {
    let step = |id: &StepId| &plan.steps[id.0].action;
    Some(match &event.what {
        Happening::StepDone { step: id, .. } => format!("done: {}", step(id)),
        Happening::StepFailed { step: id, why, .. } => format!("FAILED: {}: {why}", step(id)),
        Happening::StepNote { step: id, text } => format!("note: {}: {text}", step(id)),
        Happening::StepSkipped { step: id, .. } => format!("skipped: {}", step(id)),
        Happening::Restored { vm, host, .. } => format!("brought back: {vm} on {host}"),
        Happening::NotRestored { vm, why, .. } => format!("NOT BROUGHT BACK: {vm}: {why}"),
        _ => return None,
    })
}

/// How many volumes there are in each pool.
fn volumes(observed: &Observed) -> BTreeMap<(HostName, PoolName), usize> {
    let hosts = observed.reached();
    let pools = hosts.flat_map(|(host, state)| {
        let pools = state.pools.iter();
        pools.map(move |(pool, state)| ((host.clone(), pool.clone()), state.volumes.len()))
    });
    pools.collect()
}

/// VMs that were stopped to give others their room and for which this plan finds none. Each is told to be off.
fn left_off_for_want_of_room(plan: &Plan) -> Vec<VmName> {
    let is_told = |finding: &&Finding| {
        let off = "where an earlier apply has left it off";
        finding.severity == Severity::Blocks
            && finding.code == "capacity"
            && finding.message.contains(off)
    };
    let told = plan.findings.iter().filter(is_told);
    told.filter_map(|told| told.vm.clone()).collect()
}

impl Trial {
    pub(crate) fn new(seed: u64) -> Self {
        let fleet = build(&of_seed(seed));
        let hosts = Simulator::new(fleet.observed.clone()).managing(fleet.managed());
        Self {
            fleet,
            hosts,
            failures: Vec::new(),
            is_mind_changed: false,
            told: Vec::new(),
        }
    }

    /// What a new run reads, hosts that do not answer it included.
    fn read(&self) -> Observed {
        let pools = self.fleet.observed.reached().map(|(host, state)| {
            let pools: BTreeSet<PoolName> = state.pools.keys().cloned().collect();
            (host.clone(), pools)
        });
        self.hosts.observe(&ObserveRequest {
            hosts: self.fleet.desired.hosts.clone(),
            depth: Depth::Full,
            fits: Vec::new(),
            ask_qemu: BTreeSet::new(),
            refresh: pools.collect(),
            volumes: BTreeMap::new(),
            timeout: Millis(1000),
        })
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.fleet.desired, &self.read())
    }

    pub(crate) fn apply(
        &mut self,
        plan: &Plan,
        mut seen: impl FnMut(&Event, &CancelHandle),
    ) -> Summary {
        let options = Options::new(self.fleet.desired.hosts.clone());
        let cancel = CancelHandle::new();
        self.failures.clear();
        if is_replay() {
            let refused = refused(plan);
            self.told
                .push(format!("== a run; silent or refused: {refused:?}"));
            let blocking = plan
                .findings
                .iter()
                .filter(|finding| finding.severity == Severity::Blocks);
            self.told
                .extend(blocking.map(|finding| format!("refused: {}", finding.message)));
        }
        run(plan, &self.hosts, &options, &cancel, &mut |event| {
            seen(event, &cancel);
            if is_replay() {
                self.told.extend(in_words(plan, event));
            }
            if let Happening::StepFailed { what, why, .. }
            | Happening::NotRestored { what, why, .. } = &event.what
            {
                self.failures.push(format!("{what}: {why}"));
            }
        })
    }

    /// What is wrong, with what led to it.
    pub(crate) fn wrong<T>(&self, what: &str, detail: &impl Debug) -> Result<T, String> {
        Err(format!(
            "{what}: {detail:#?}\nfaults: {:#?}\nfailures: {:#?}\nbreaches: {:#?}\n{}",
            self.hosts.struck(),
            self.failures,
            self.hosts.breaches(),
            self.told.join("\n"),
        ))
    }

    /// After an apply that went as it may: nothing is broken, and every VM that is off because of it was named.
    pub(crate) fn check_end(&self, summary: &Summary, off_before: &[VmName]) -> Result<(), String> {
        let breaches = self.hosts.breaches();
        if !breaches.is_empty() {
            return self.wrong("an invariant was broken", &breaches);
        }
        // Nobody is left to bring a VM back or to say so.
        if self.hosts.is_dead() {
            return Ok(());
        }
        let off = self.hosts.stopped();
        // Who ran when he was looked at may heed a request later of which nobody knows what became; that it failed is told.
        let may_still_heed = |vm: &VmName| {
            let asked = format!("shut down {vm} on ");
            let mut failures = self.failures.iter();
            failures.any(|told| told.starts_with(&asked) && told.contains("what became of it"))
        };
        let is_named = |vm: &VmName| {
            summary.stranded.contains(vm) || off_before.contains(vm) || may_still_heed(vm)
        };
        match off.iter().find(|vm| !is_named(vm)) {
            Some(vm) => self.wrong("left off without a word", vm),
            None => Ok(()),
        }
    }

    /// One run with faults, from reading to the end, by a process that knows nothing of those before. A person may
    /// press Ctrl-C at that event.
    pub(crate) fn run_with(&mut self, faults: Faults, press: Option<u64>) -> Result<(), String> {
        self.hosts.revive();
        self.hosts.set_faults(faults);
        let plan = self.checked_plan()?;
        let off = self.hosts.stopped();
        let mut events = 0;
        let summary = self.apply(&plan, |_, cancel| {
            if press == Some(events) {
                cancel.press();
            }
            events += 1;
        });
        self.check_end(&summary, &off)
    }

    /// One run without new faults, while what is broken stays so: what is not done has a reason, or is still planned.
    pub(crate) fn run_on(&mut self) -> Result<(), String> {
        self.run_with(Faults::none(), None)?;
        let plan = self.checked_plan()?;
        let unseen = plan
            .findings
            .iter()
            .any(|finding| finding.code == "host-unreachable");
        let (has, refused) = (placement(&self.hosts.observed()), refused(&plan));
        let planned = |vm: &VmName| plan.steps.iter().any(|step: &Step| step.vms.contains(vm));
        let mut wanted = self.fleet.desired.vms.keys();
        let without_reason = |vm: &&VmName| {
            !(self.is_there(&has, vm) || refused.contains(*vm) || planned(vm) || unseen)
        };
        match wanted.find(without_reason) {
            Some(vm) => self.wrong("not where it shall be, and nobody says why", vm),
            None => Ok(()),
        }
    }

    fn checked_plan(&self) -> Result<Plan, String> {
        let observed = self.read();
        let plan = plan(&self.fleet.desired, &observed);
        let violations = check(&self.fleet.desired, &observed, &plan);
        if violations.is_empty() {
            Ok(plan)
        } else {
            let steps: Vec<String> = plan
                .steps
                .iter()
                .map(|step| step.action.to_string())
                .collect();
            self.wrong("a plan fails the check", &(violations, steps))
        }
    }

    /// Somebody writes another host for half of the VMs into the manifest, and another pool for a quarter of their disks.
    pub(crate) fn change_mind(&mut self, seed: u64) {
        let mut dice = Dice::new(seed);
        let hosts: Vec<HostName> = self.fleet.desired.hosts.keys().cloned().collect();
        let pools = self.fleet.observed.reached();
        let pools = pools.flat_map(|(_, host)| host.pools.keys());
        let pools: Vec<PoolName> = pools
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let found = self.fleet.observed.places();
        for (name, wanted) in &mut self.fleet.desired.vms {
            if dice.below(2) == 0 {
                dice.one_of(&hosts).clone_into(&mut wanted.host);
            }
            let details = found[name].iter().filter_map(|(_, vm)| vm.detail.as_ref());
            for disk in details.flat_map(|detail| &detail.disks) {
                if !disk.readonly && disk.volume.is_some() && dice.below(4) == 0 {
                    let pool = dice.one_of(&pools).clone();
                    wanted.disks.insert(disk.target.clone(), pool);
                }
            }
        }
        // Bases that were somebody's, and that clones have come to stand on, go with the last of them where that is asked.
        self.hosts.manage_what_is_used();
        self.is_mind_changed = true;
    }

    /// Plans and applies without faults until there is nothing to do; the VMs that are refused by then.
    pub(crate) fn settle(&mut self) -> Result<BTreeSet<VmName>, String> {
        self.hosts.heal();
        if self.is_mind_changed {
            self.hosts.manage_what_is_used();
        }
        // What was under way is finished where it was going before it can go where it is wanted by now.
        for _ in 0..ROUNDS + usize::from(self.is_mind_changed) {
            let next = self.checked_plan()?;
            let left_off = left_off_for_want_of_room(&next);
            if next.steps.is_empty() {
                let off = self.hosts.stopped();
                let is_told = |vm| self.is_mind_changed && left_off.contains(vm);
                return if off.iter().all(is_told) {
                    Ok(refused(&next))
                } else {
                    self.wrong("off at the end", &(off, next.findings))
                };
            }
            let summary = self.apply(&next, |_, _| {});
            self.check_end(&summary, &left_off)?;
            if let Some(failure) = self.failures.first() {
                return self.wrong("a step failed without a fault", failure);
            }
        }
        self.wrong("still something to do", &self.plan().steps)
    }

    /// Whether every VM is where it shall be or refused with a reason, and what ran runs. Where no host lost power, for
    /// one seed in four, all is as when nothing goes wrong, with nothing left over; unless the manifest has changed.
    pub(crate) fn check_placement(
        &self,
        seed: u64,
        refused: &BTreeSet<VmName>,
    ) -> Result<(), String> {
        let found = self.hosts.observed();
        let has = placement(&found);
        self.check_wanted(&has, refused)?;
        let struck = self.hosts.struck();
        let lost_power = struck.iter().any(|fault| fault.contains("HostCrashes"));
        // Doing it all once more costs as much as all that was looked at so far.
        let is_other = lost_power || self.is_mind_changed;
        if is_other || !seed.is_multiple_of(4) && !is_replay() {
            return Ok(());
        }
        let mut calm = Self::new(seed);
        let refused_anyhow = calm.settle()?;
        let wanted = calm.hosts.observed();
        let wants = placement(&wanted);
        // Where room is scarce, who goes first may be another.
        let is_there = |place: &(VmName, HostName), state: &_| {
            let vm = &place.0;
            refused.contains(vm) || refused_anyhow.contains(vm) || has.get(place) == Some(state)
        };
        if let Some(missing) = wants.iter().find(|(place, state)| !is_there(place, state)) {
            return self.wrong("not where it shall be", &(missing, self.plan().findings));
        }
        if *refused != refused_anyhow {
            return Ok(());
        }
        let (wanted, found) = (volumes(&wanted), volumes(&found));
        match found
            .iter()
            .find(|(pool, count)| wanted.get(*pool) != Some(*count))
        {
            Some(more) => self.wrong("not as many volumes as shall be", &(more, wanted)),
            None => Ok(()),
        }
    }

    /// Whether a VM of the manifest is where that says.
    fn is_there(&self, has: &Placement, vm: &VmName) -> bool {
        let wanted = &self.fleet.desired.vms[vm];
        let at = has.get(&(vm.clone(), wanted.host.clone()));
        at.is_some_and(|(_, disks)| {
            let mut named = wanted.disks.iter();
            named.all(|(disk, pool)| disks.get(disk).is_none_or(|at| at.as_ref() == Some(pool)))
        })
    }

    fn check_wanted(&self, has: &Placement, refused: &BTreeSet<VmName>) -> Result<(), String> {
        // Who lost power is not started again unless it was being moved.
        let crashed = self.hosts.crashed();
        let mut wanted = self.fleet.desired.vms.keys();
        let lost = wanted.find(|vm| !(self.is_there(has, vm) || refused.contains(*vm)));
        if let Some(name) = lost {
            return self.wrong("neither where it shall be nor refused", name);
        }
        for ((name, _), (ran, _)) in placement(&self.fleet.observed) {
            let runs = has.iter().any(|((vm, _), (runs, _))| *vm == name && *runs);
            let is_told =
                crashed.contains(&name) || self.is_mind_changed && refused.contains(&name);
            if ran && !runs && !is_told {
                return self.wrong("it ran and does not run", &name);
            }
        }
        let begun = starts_with_their_hosts(&self.fleet.observed);
        let ended = starts_with_their_hosts(&self.hosts.observed());
        let mut changed = begun.symmetric_difference(&ended);
        match changed.find(|vm| !refused.contains(*vm)) {
            Some(vm) => self.wrong("its autostart is not what it was", vm),
            None => Ok(()),
        }
    }
}

fn starts_with_their_hosts(of: &Observed) -> BTreeSet<VmName> {
    let vms = of.reached().flat_map(|(_, state)| &state.vms);
    let starting = vms.filter(|(_, vm)| vm.autostart);
    starting.map(|(name, _)| name.clone()).collect()
}

fn placement(of: &Observed) -> Placement {
    let mut all = Placement::new();
    for (host, state) in of.reached() {
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
