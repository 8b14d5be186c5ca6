//! The state of all simulated hosts with what befell them, and the course of an action on it, watched by the
//! invariants.

use std::collections::{BTreeMap, BTreeSet};

use super::effects::{Cost, Timing};
use super::faults::Faults;
use super::invariants::{Breach, Invariants};
use super::world::World;
use crate::hypervisor::Outcome;
use crate::lock::HeldLock;
use crate::model::{HostName, VmName};
use crate::plan::Action;

/// How often each host has lost what was under way on it.
pub(super) type Epochs = BTreeMap<HostName, u64>;

/// The lock on each machine, by its UUID, or its name where it has none.
pub(super) type HostLocks = BTreeMap<String, KeptLock>;

/// A lock, and whether somebody has claimed it.
#[derive(Debug, Clone)]
pub(super) struct KeptLock {
    pub(super) lock: HeldLock,
    pub(super) is_claimed: bool,
}

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) world: World,
    pub(super) invariants: Invariants,
    pub(super) breaches: BTreeSet<Breach>,
    pub(super) faults: Faults,
    pub(super) attempts: BTreeMap<String, u32>,
    pub(super) struck: Vec<String>,
    /// Whether the process that uses the hosts has died.
    pub(super) dead: bool,
    /// Hosts that do not answer.
    pub(super) gone: BTreeSet<HostName>,
    /// Of those, the hosts that are without power.
    pub(super) down: BTreeSet<HostName>,
    /// Hosts that do not reach each other, the first by name before the other.
    pub(super) cut: BTreeSet<(HostName, HostName)>,
    pub(super) epochs: Epochs,
    pub(super) locks: HostLocks,
    /// VMs that an action has named.
    named: BTreeSet<VmName>,
}

pub(super) fn machine(state: &State, host: &HostName) -> String {
    let uuid = state.world.hosts.get(host).map(|host| host.uuid.clone());
    uuid.filter(|uuid| !uuid.is_empty())
        .unwrap_or_else(|| host.to_string())
}

/// Whether anything changes already when the action begins.
fn is_long(action: &Action) -> bool {
    matches!(
        action,
        Action::CopyVolume { .. }
            | Action::CompactVolume { .. }
            | Action::BlockCopy { .. }
            | Action::MigrateLive { .. }
            | Action::MigratePaused { .. }
    )
}

impl State {
    /// Hosts on which nothing was done yet and nothing fails, where these VMs may be touched.
    pub(super) fn new(world: World, managed: BTreeSet<VmName>) -> Self {
        Self {
            invariants: Invariants::new(&world, managed),
            world,
            breaches: BTreeSet::new(),
            faults: Faults::none(),
            attempts: BTreeMap::new(),
            struck: Vec::new(),
            dead: false,
            gone: BTreeSet::new(),
            down: BTreeSet::new(),
            cut: BTreeSet::new(),
            epochs: Epochs::new(),
            locks: HostLocks::new(),
            named: BTreeSet::new(),
        }
    }

    /// Forgets what was broken, and takes the present state for that of the start.
    pub(super) fn count_from_now(&mut self) {
        self.breaches.clear();
        self.invariants = self.invariants.counted_from(&self.world);
    }

    pub(super) fn begin(&mut self, action: &Action, timing: &Timing) -> Result<Cost, String> {
        self.check_answers(action)?;
        self.check_link(action)?;
        self.world.check(action)?;
        if let Some(vm) = action.vm() {
            self.named.insert(vm.clone());
        }
        let cost = self.world.cost(action, timing);
        self.world.begin(action)?;
        if is_long(action) {
            self.judge();
        }
        Ok(cost)
    }

    pub(super) fn finish(
        &mut self,
        action: &Action,
        timing: &Timing,
        notes: &mut Vec<String>,
    ) -> Result<Outcome, String> {
        // Whatever was copied while a guest ran is history by now.
        self.world.guests_write(&self.named);
        let result = self.world.finish(action, timing, notes);
        if let (
            Ok(_),
            Action::CreateVolume { spec }
            | Action::CopyVolume { spec, .. }
            | Action::CompactVolume { spec, .. },
        ) = (&result, action)
        {
            let place = self.world.place_at(&spec.at);
            self.invariants.made(place);
        }
        if result.is_err() {
            self.world.break_off(action, true);
        }
        self.judge();
        result
    }

    pub(super) fn break_off(&mut self, action: &Action, stop: impl FnOnce(&mut World)) {
        if let Action::CreateVolume { spec }
        | Action::CopyVolume { spec, .. }
        | Action::CompactVolume { spec, .. } = action
        {
            let place = self.world.place_at(&spec.at);
            self.invariants.made(place);
        }
        stop(&mut self.world);
        self.judge();
    }

    pub(super) fn judge(&mut self) {
        let breaches = self.invariants.check(&self.world);
        self.breaches.extend(breaches);
    }
}
