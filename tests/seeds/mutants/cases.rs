//! Valid plans of every kind, with what they were made of.

use domicile::desired::Desired;
use domicile::model::{HostName, VmName};
use domicile::observed::Observed;
use domicile::plan::Plan;
use domicile::planner::plan;
use domicile::simulator::{Faults, Simulator};

use crate::dice::Dice;
use crate::inputs;
use crate::trial::Trial;

/// A plan and what it was made of.
pub(super) struct Case {
    pub(super) desired: Desired,
    pub(super) observed: Observed,
    pub(super) plan: Plan,
    /// The hosts of that reading, with what an earlier apply has under way on them.
    hosts: Simulator,
}

impl Case {
    fn of(desired: Desired, hosts: Simulator) -> Self {
        let observed = hosts.observed();
        let plan = plan(&desired, &observed);
        Self {
            desired,
            observed,
            plan,
            hosts,
        }
    }

    /// Hosts on which nothing of the plan was done yet.
    pub(super) fn start(&self) -> Simulator {
        self.hosts.fork()
    }

    /// The hosts that answer.
    pub(super) fn hosts(&self) -> Vec<HostName> {
        self.observed
            .reached()
            .map(|(host, _)| host.clone())
            .collect()
    }
}

/// Whether a VM was read while libvirt was doing something with it, of which hosts in memory know nothing.
fn is_any_busy(observed: &Observed) -> bool {
    let vms = observed.reached().flat_map(|(_, host)| host.vms.values());
    let mut details = vms.filter_map(|vm| vm.detail.as_ref());
    details.any(|detail| detail.job.is_some())
}

/// Those of `tests/scenarios`.
pub(super) fn scenarios() -> Vec<impl Fn() -> Case + Sync> {
    let all = inputs::scenarios().into_iter();
    let all = all.filter(|(_, observed)| !is_any_busy(observed));
    all.map(|(desired, observed)| {
        move || {
            let managed = desired.vms.keys().cloned().collect();
            let hosts = Simulator::new(observed.clone()).managing(managed);
            Case::of(desired.clone(), hosts)
        }
    })
    .collect()
}

/// That of a random fleet, every third time after an apply that went wrong.
pub(super) fn of_seed(seed: u64) -> Result<Case, String> {
    let mut trial = Trial::new(seed);
    if seed.is_multiple_of(3) {
        trial.run_with(Faults::from_seed(seed), Some(seed / 3 % 40))?;
        trial.hosts.heal();
    } else {
        limit(
            &mut trial.fleet.desired,
            &trial.fleet.observed,
            &mut Dice::new(seed),
        );
    }
    Ok(Case::of(trial.fleet.desired, trial.hosts))
}

/// Limits that no host of the random fleets has by itself.
fn limit(desired: &mut Desired, observed: &Observed, dice: &mut Dice) {
    for (host, declared) in &mut desired.hosts {
        let vms = observed.host(host).map_or(0, |host| host.vms.len());
        let active = u32::try_from(vms).unwrap_or(0);
        let limits = &mut declared.limits;
        match dice.below(4) {
            0 => limits.vms = Some(active.max(1)),
            1 => limits.vcpu_ratio = Some(f64::from(active.max(1)) / 8.0),
            2 => limits.parallel_in = Some(1),
            _ => {}
        }
    }
    let vms: Vec<VmName> = desired.vms.keys().cloned().collect();
    if vms.len() > 1 && dice.below(2) == 0 {
        let group = [dice.one_of(&vms).clone(), dice.one_of(&vms).clone()];
        desired.apart.push(group.into());
    }
}
