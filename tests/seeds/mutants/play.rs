//! Plans carried out on hosts in memory, one step after the other, in orders that the waits allow.

use std::collections::{BTreeMap, BTreeSet};

use domicile::definition;
use domicile::desired::Desired;
use domicile::hypervisor::{Hypervisor as _, Unwatched};
use domicile::model::{HostName, VmName};
use domicile::observed::{Host, Observed, Reading};
use domicile::plan::{Action, Plan};

use super::cases::Case;
use crate::dice::Dice;

/// In how many orders a plan is carried out.
const ORDERS: usize = 12;

/// What comes of a plan in every order that was tried.
pub(super) struct Played {
    end: BTreeMap<HostName, Reading>,
    /// VMs whose guests were shut down.
    stopped: BTreeSet<VmName>,
    /// VMs that are neither where they shall be nor refused.
    silent: BTreeSet<VmName>,
}

/// Which of the steps that may be done comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taste {
    First,
    Last,
    /// What takes room comes before what gives it back.
    Greedy,
    Any,
}

impl Taste {
    fn of(order: usize) -> Self {
        match order {
            0 => Self::First,
            1 => Self::Last,
            2..=4 => Self::Greedy,
            _ => Self::Any,
        }
    }

    fn pick(self, ready: &[usize], plan: &Plan, dice: &mut Dice) -> usize {
        let takes: Vec<usize> = ready
            .iter()
            .copied()
            .filter(|step| plan.steps[*step].frees.is_empty())
            .collect();
        match self {
            Self::First => ready[0],
            Self::Last => ready[ready.len() - 1],
            Self::Greedy if !takes.is_empty() => *dice.one_of(&takes),
            Self::Greedy | Self::Any => *dice.one_of(ready),
        }
    }
}

impl Played {
    /// Carries out a plan in many orders; the first thing that goes wrong is an error.
    pub(super) fn of(case: &Case, plan: &Plan, dice: &mut Dice) -> Result<Self, String> {
        let mut first: Option<Self> = None;
        for order in 0..ORDERS {
            let played = in_order(case, plan, Taste::of(order), dice)?;
            match &first {
                None => first = Some(played),
                Some(first) if first.end != played.end => {
                    let how = difference(&first.end, &played.end);
                    return Err(format!("two orders end in different states: {how}"));
                }
                Some(_) => {}
            }
        }
        first.ok_or_else(|| "no order was tried".into())
    }

    /// The same hosts without these VMs.
    fn without(
        vms: &BTreeSet<VmName>,
        hosts: &BTreeMap<HostName, Reading>,
    ) -> BTreeMap<HostName, Reading> {
        let mut hosts = hosts.clone();
        for reading in hosts.values_mut() {
            if let Reading::Reached(host) = reading {
                host.vms.retain(|vm, _| !vms.contains(vm));
            }
        }
        hosts
    }

    /// What is worse about a changed plan, if anything.
    pub(super) fn harm_of(
        &self,
        case: &Case,
        original: &Plan,
        mutant: &Plan,
        dice: &mut Dice,
    ) -> Option<String> {
        let played = match Self::of(case, mutant, dice) {
            Ok(played) => played,
            Err(why) => return Some(why),
        };
        let left = left_alone(case, mutant);
        let (end, other) = (
            Self::without(&left, &self.end),
            Self::without(&left, &played.end),
        );
        if other != end {
            return Some(format!("it ends otherwise: {}", difference(&end, &other)));
        }
        if let Some(vm) = played.silent.difference(&self.silent).next() {
            return Some(format!(
                "{vm} is not where it shall be, and nobody says why"
            ));
        }
        let told: BTreeSet<&VmName> = mutant
            .moves
            .iter()
            .filter(|one| one.reboots)
            .map(|one| &one.vm)
            .collect();
        if let Some(vm) = played.stopped.iter().find(|vm| !told.contains(vm)) {
            return Some(format!("{vm} is shut down, and nobody says so"));
        }
        untrue(original, mutant, &left)
    }
}

/// VMs that are refused and to which nothing is done: that is what a refusal says, also where another plan would have
/// cleared up after an earlier apply.
fn left_alone(case: &Case, plan: &Plan) -> BTreeSet<VmName> {
    let mut left: BTreeSet<VmName> = plan.refused().into_iter().cloned().collect();
    left.retain(|vm| case.desired.vms.contains_key(vm));
    let touched = plan.steps.iter().flat_map(|step| &step.vms);
    for vm in touched {
        left.remove(vm);
    }
    left
}

/// A move that is told otherwise, while nothing else happens.
fn untrue(original: &Plan, mutant: &Plan, left: &BTreeSet<VmName>) -> Option<String> {
    let told = |plan: &Plan| -> BTreeSet<_> {
        let moves = plan.moves.iter().filter(|one| !left.contains(&one.vm));
        moves
            .map(|one| {
                let kind = format!("{:?} {:?}", one.kind, one.detour);
                (
                    one.vm.clone(),
                    kind,
                    one.from.clone(),
                    one.to.clone(),
                    one.reboots,
                )
            })
            .collect()
    };
    let (is, was) = (told(mutant), told(original));
    if let Some(other) = is.symmetric_difference(&was).next() {
        return Some(format!("it does the same and tells otherwise: {other:?}"));
    }
    let down = |plan: &Plan| -> BTreeMap<_, _> {
        let moves = plan.moves.iter().filter(|one| !left.contains(&one.vm));
        moves
            .map(|one| ((one.vm.clone(), one.from.clone()), one.downtime.0 > 0))
            .collect()
    };
    (down(original) != down(mutant)).then(|| "a guest stands still, and nobody says so".into())
}

fn difference(one: &BTreeMap<HostName, Reading>, other: &BTreeMap<HostName, Reading>) -> String {
    for (host, reading) in one {
        let (Reading::Reached(one), Some(Reading::Reached(other))) = (reading, other.get(host))
        else {
            continue;
        };
        for name in one.vms.keys().chain(other.vms.keys()) {
            if one.vms.get(name) != other.vms.get(name) {
                let defined = (one.vms.contains_key(name), other.vms.contains_key(name));
                return format!("{name} on {host} {defined:?}");
            }
        }
        for (pool, state) in &one.pools {
            let (was, is) = (&state.volumes, &other.pools[pool].volumes);
            for name in was.keys().chain(is.keys()) {
                if was.get(name) != is.get(name) {
                    return format!("volume {host}:{pool}/{name}");
                }
            }
        }
    }
    "somewhere".into()
}

fn in_order(case: &Case, plan: &Plan, taste: Taste, dice: &mut Dice) -> Result<Played, String> {
    let hosts = case.start();
    let mut done = vec![false; plan.steps.len()];
    let mut stopped = BTreeSet::new();
    let start = over(&case.desired, case.observed.reached());
    for _ in 0..plan.steps.len() {
        let ready: Vec<usize> = (0..done.len())
            .filter(|step| {
                !done[*step] && plan.steps[*step].after.iter().all(|wait| done[wait.step.0])
            })
            .collect();
        if ready.is_empty() {
            return Err("its steps wait for each other".into());
        }
        let next = taste.pick(&ready, plan, dice);
        let action = &plan.steps[next].action;
        if let Action::ShutDown { host, vm, .. } = action {
            let is_active = hosts.ask(|hosts| {
                let found = hosts.get(host).and_then(|host| host.vms.get(vm));
                found.is_some_and(|vm| vm.power.is_active())
            });
            if is_active {
                stopped.insert(vm.clone());
            }
        }
        hosts
            .perform(action, &Unwatched)
            .map_err(|error| error.to_string())?;
        done[next] = true;
        if let Some(breach) = hosts.breaches().first() {
            return Err(format!("{action}: {breach}"));
        }
        let now = hosts.ask(|hosts| over(&case.desired, hosts));
        if let Some((limit, _)) = now
            .iter()
            .find(|(limit, more)| start.get(*limit) < Some(*more))
        {
            return Err(format!("{action}: too much of {limit}"));
        }
    }
    let refused = plan.refused();
    if let Some(vm) = hosts.stopped().iter().find(|vm| !refused.contains(vm)) {
        return Err(format!("{vm} is left off"));
    }
    let end = hosts.observed();
    let silent = silent(&case.desired, &end, plan);
    Ok(Played {
        end: settled(end),
        stopped,
        silent,
    })
}

/// Without what tells only of the order: until its next start a VM shows the mark with which it was started, and that
/// lists volumes as they were made. Nobody reads it there.
fn settled(end: Observed) -> BTreeMap<HostName, Reading> {
    let mut hosts = end.hosts;
    for reading in hosts.values_mut() {
        let Reading::Reached(host) = reading else {
            continue;
        };
        let details = host.vms.values_mut().filter_map(|vm| vm.detail.as_mut());
        for text in details.filter_map(|detail| detail.live_xml.as_mut()) {
            if let Ok(plain) = definition::without_mark(text) {
                *text = plain;
            }
        }
    }
    hosts
}

/// Every limit that is exceeded, and by how much.
fn over<'h>(
    desired: &Desired,
    hosts: impl IntoIterator<Item = (&'h HostName, &'h Host)>,
) -> BTreeMap<String, u64> {
    let mut over = BTreeMap::new();
    let mut count = |what: &str, host: &HostName, used: u64, limit: u64| {
        if used > limit {
            over.insert(format!("{what} of {host}"), used - limit);
        }
    };
    for (host, reading) in hosts {
        let Some(declared) = desired.hosts.get(host) else {
            continue;
        };
        let active = || reading.vms.values().filter(|vm| vm.power.is_active());
        let memory = active().map(|vm| vm.memory.0).sum();
        let limit = reading.memory.0.saturating_sub(declared.reserve.memory.0);
        count("memory", host, memory, limit);
        if let Some(limit) = declared.limits.vms {
            count("VMs", host, active().count() as u64, u64::from(limit));
        }
        if let Some(ratio) = declared.limits.vcpu_ratio {
            let cpus = f64::from(reading.cpus.saturating_sub(declared.reserve.vcpus)) * ratio;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a few CPUs"
            )]
            let limit = cpus.floor() as u64;
            let used = active().map(|vm| u64::from(vm.vcpus)).sum();
            count("vCPUs", host, used, limit);
        }
        for (number, group) in desired.apart.iter().enumerate() {
            let there = group.iter().filter(|vm| reading.vms.contains_key(*vm));
            let group = format!("group {number}");
            count(&group, host, there.count() as u64, 1);
        }
    }
    over
}

fn is_there(desired: &Desired, host: &HostName, reading: &Host, vm: &VmName) -> bool {
    let wanted = &desired.vms[vm];
    let Some(found) = reading.vms.get(vm) else {
        return false;
    };
    let mut disks = found.detail.iter().flat_map(|detail| &detail.disks);
    disks.all(|disk| {
        let pool = disk
            .volume
            .as_ref()
            .map(|(pool, _)| desired.pool_named(pool, host));
        match (wanted.disks.get(&disk.target), pool) {
            (Some(wanted), Some(pool)) => *wanted == pool,
            _ => true,
        }
    })
}

/// VMs that are not where they shall be although no finding refuses them.
fn silent(desired: &Desired, end: &Observed, plan: &Plan) -> BTreeSet<VmName> {
    let refused = plan.refused();
    let wanted = desired.vms.iter().filter(|(vm, wanted)| {
        let reading = end.host(&wanted.host);
        !reading.is_some_and(|reading| is_there(desired, &wanted.host, reading, vm))
    });
    wanted
        .map(|(vm, _)| vm)
        .filter(|vm| !refused.contains(vm))
        .cloned()
        .collect()
}
