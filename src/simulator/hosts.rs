//! The simulated hosts behind the trait: checks, time, faults and invariants around each action.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::clock::{Clock, Presence};
use super::effects::{Cost, Timing};
use super::faults::{Fault, Faults, Moment};
use super::invariants::{Breach, Invariants};
use super::reading;
use super::state::{Epochs, State};
use super::strikes::{Broken, OVERDUE};
use super::world::World;
use crate::hypervisor::{Cancel, Hypervisor, ObserveRequest, Outcome, Progress, StepError, Watch};
use crate::model::{Bytes, BytesPerSecond, HostName, Millis, PoolName, VmName, VolumeRef};
use crate::observed::{Host, Observed, Reading};
use crate::plan::Action;

/// Hosts in memory, made from a reading. Whatever is done to them, the invariants are checked after it.
#[derive(Debug)]
pub struct Simulator {
    clock: Clock,
    timing: Timing,
    /// When the reading was taken, in milliseconds since 1970.
    taken_at: u64,
    state: Mutex<State>,
}

impl Simulator {
    /// Hosts as they were read. Every VM may be touched, no call fails, time passes without waiting. Pools are shared
    /// where the reading says so.
    #[must_use]
    pub fn new(observed: Observed) -> Self {
        Self::with_shared_pools(observed, &[])
    }

    /// The same, where each of these groups of pools is one storage besides.
    #[must_use]
    pub fn with_shared_pools(observed: Observed, groups: &[Vec<(HostName, PoolName)>]) -> Self {
        let mut shared = BTreeMap::new();
        for (number, group) in groups.iter().enumerate() {
            shared.extend(
                group
                    .iter()
                    .map(|pool| (pool.clone(), format!("shared {number}"))),
            );
        }
        let taken_at = observed.taken_at;
        let world = World::new(observed, shared);
        let everything = world.each_vm().map(|(_, name, _)| name.clone()).collect();
        Self {
            clock: Clock::default(),
            timing: Timing::default(),
            taken_at,
            state: Mutex::new(State::new(world, everything)),
        }
    }

    /// The same hosts with other times.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// The same hosts, where that many seconds of real time are spent for each simulated second, so that a person
    /// can follow.
    #[must_use]
    pub fn with_pace(mut self, seconds: f64) -> Self {
        self.clock.pace = seconds.is_finite().then_some(seconds.max(0.0));
        self
    }

    /// The same hosts, where touching a VM other than these breaks an invariant.
    #[must_use]
    pub fn managing(self, vms: BTreeSet<VmName>) -> Self {
        {
            let mut state = self.state();
            state.invariants = Invariants::new(&state.world, vms);
        }
        self
    }

    /// From now on volumes may go, too, on which VMs stand by now that may be touched.
    pub fn manage_what_is_used(&self) {
        let mut state = self.state();
        let own = state.invariants.own_volumes(&state.world);
        state.invariants.removable.extend(own);
    }

    /// The same hosts, where this volume holds something else than the volumes of the same name, format and size.
    #[must_use]
    pub fn with_other_contents(self, at: &VolumeRef) -> Self {
        self.state().world.set_other_contents(at);
        self
    }

    /// Hosts of their own that are now as these are, with what is under way on them. What is done to the ones does not
    /// happen to the others, and the invariants count from now on.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut state = self.state().clone();
        state.count_from_now();
        Self {
            clock: Clock::at(self.clock.now(), self.clock.pace),
            timing: self.timing,
            taken_at: self.taken_at,
            state: Mutex::new(state),
        }
    }

    /// From now on these faults strike.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Every host answers again, another process uses them, and nothing fails any more.
    pub fn heal(&self) {
        let mut state = self.state();
        state.faults = Faults::none();
        state.recover();
    }

    /// Another process uses the hosts; whatever else is wrong stays so.
    pub fn revive(&self) {
        let mut state = self.state();
        state.dead = false;
        state.catch_up();
    }

    /// The whole state as a reading, hosts that do not answer included.
    #[must_use]
    pub fn observed(&self) -> Observed {
        let state = self.state();
        reading::whole(
            &state.world,
            self.taken_at.saturating_add(self.clock.now().0),
        )
    }

    /// Asks something of the hosts as they are now, those that do not answer included, without a copy of all.
    pub fn ask<Answer>(
        &self,
        question: impl FnOnce(&BTreeMap<HostName, Host>) -> Answer,
    ) -> Answer {
        question(&self.state().world.hosts)
    }

    /// Every invariant that was broken at any moment so far.
    #[must_use]
    pub fn breaches(&self) -> Vec<Breach> {
        self.state().breaches.iter().cloned().collect()
    }

    /// VMs that are off because they were shut down here. None must be left when an apply has ended.
    #[must_use]
    pub fn stopped(&self) -> Vec<VmName> {
        let state = self.state();
        let stopped = state
            .world
            .each_vm()
            .filter(|(_, _, vm)| state.world.stopped.contains(&vm.uuid));
        let names: BTreeSet<VmName> = stopped.map(|(_, name, _)| name.clone()).collect();
        names.into_iter().collect()
    }

    /// VMs that are off because their host lost power, and that nobody has started since.
    #[must_use]
    pub fn crashed(&self) -> BTreeSet<VmName> {
        let state = self.state();
        let crashed = state
            .world
            .each_vm()
            .filter(|(_, _, vm)| state.world.crashed.contains(&vm.uuid));
        crashed.map(|(_, name, _)| name.clone()).collect()
    }

    /// Whether the process that uses the hosts has died by a fault.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// What went wrong so far by the seed, in words.
    #[must_use]
    pub fn struck(&self) -> Vec<String> {
        self.state().struck.clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the action's time pass, with progress; what stops it before its end is returned.
    fn spend(
        &self,
        presence: &Presence<'_>,
        action: &Action,
        (cost, since): (Cost, &Epochs),
        watch: &dyn Watch,
    ) -> Result<(), Stop> {
        let slice = self.clock.slice(cost.duration);
        let mut left = cost.duration;
        while left > Millis::ZERO {
            let part = slice.min(left);
            presence.wait(part);
            left = Millis(left.0 - part.0);
            let goes_on = self.state().check_goes_on(action, since);
            goes_on.map_err(Stop::Broken)?;
            if left > Millis::ZERO && watch.cancel() == Cancel::Now {
                return Err(Stop::Cancelled);
            }
            if cost.bytes > Bytes::ZERO {
                watch.progress(progress(cost, left));
            }
        }
        Ok(())
    }
}

/// What stops an action while its time passes.
enum Stop {
    Cancelled,
    Broken(Broken),
}

fn progress(cost: Cost, left: Millis) -> Progress {
    let part = |of: u64, by: u64, whole: u64| {
        let value = u128::from(of) * u128::from(by) / u128::from(whole.max(1));
        u64::try_from(value).unwrap_or(u64::MAX)
    };
    let spent = cost.duration.0 - left.0;
    Progress {
        done: Bytes(part(cost.bytes.0, spent, cost.duration.0)),
        total: cost.bytes,
        rate: Some(BytesPerSecond(part(cost.bytes.0, 1000, cost.duration.0))),
    }
}

impl Hypervisor for Simulator {
    fn observe(&self, request: &ObserveRequest) -> Observed {
        let state = self.state();
        let mut observed = reading::whole(
            &state.world,
            self.taken_at.saturating_add(self.clock.now().0),
        );
        observed
            .hosts
            .retain(|host, _| request.hosts.contains_key(host));
        for host in request.hosts.keys() {
            let reason = if state.dead {
                "this process has died".to_owned()
            } else if state.gone.contains(host) {
                format!("{host} does not answer")
            } else if observed.hosts.contains_key(host) {
                continue;
            } else {
                format!("the recorded state has no host {host}")
            };
            let after = request.timeout;
            observed
                .hosts
                .insert(host.clone(), Reading::Unreachable { reason, after });
        }
        reading::reduce(&mut observed, request);
        observed
    }

    fn perform(&self, action: &Action, watch: &dyn Watch) -> Result<Outcome, StepError> {
        let failed = |why: String| StepError::new(action.to_string(), why);
        let presence = self.clock.enter(action.to_string());
        let (cost, since, fault) = {
            let mut state = self.state();
            state.catch_up();
            state.check_answers(action).map_err(failed)?;
            let fault = state.strike(action);
            if fault == Some(Fault::Fails(Moment::Before)) {
                return Err(failed("refused by the simulation's faults".to_owned()));
            }
            let cost = state.begin(action, &self.timing).map_err(failed)?;
            (cost, state.epochs(action), fault)
        };
        let mut spent = self.spend(&presence, action, (cost, &since), watch);
        if let (Ok(()), Some(Fault::Hangs(_))) = (&spent, fault) {
            presence.wait(OVERDUE);
            spent = self
                .state()
                .check_goes_on(action, &since)
                .map_err(Stop::Broken);
        }
        let mut state = self.state();
        let broken = match spent {
            Ok(()) => fault.and_then(|fault| state.strike_midway(action, fault)),
            Err(Stop::Cancelled) => {
                state.break_off(action, |world| world.break_off(action, true));
                return Err(StepError::cancelled(action.to_string()));
            }
            Err(Stop::Broken(broken)) => Some(state.fall(action, &broken)),
        };
        if let Some(why) = broken {
            return Err(failed(why));
        }
        let mut notes = Vec::new();
        let result = state
            .finish(action, &self.timing, &mut notes)
            .map_err(failed);
        if let Some(Fault::Dies(Moment::After, _)) = fault {
            state.dead = true;
        }
        drop(state);
        for text in &notes {
            watch.note(text);
        }
        match fault {
            Some(Fault::Fails(Moment::After) | Fault::Hangs(_)) => {
                Err(failed("its answer was lost".to_owned()))
            }
            Some(Fault::Dies(..)) => Err(failed("this process has died".to_owned())),
            _ => result,
        }
    }

    fn under_way(&self, steps: usize) {
        self.clock.expect(steps);
    }

    fn now(&self) -> Millis {
        self.clock.now()
    }
}
