//! Whose transfer is next on a slot where several are prepared at once.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use domicile::apply::{Event, Happening};
use domicile::hypervisor::{Hypervisor, ObserveRequest, Outcome, StepError, Watch};
use domicile::model::{Millis, VmName};
use domicile::observed::Observed;
use domicile::plan::{Action, Plan};
use domicile::simulator::Simulator;

use super::Applied;
use crate::planner::fleet::Fleet;

/// Longer than anything here takes on a busy machine: who still waits then would do so for ever.
const FOR_EVER: Duration = Duration::from_secs(30);
/// A coordinator that hears of a step's end has long started the next one.
const A_MOMENT: Duration = Duration::from_millis(100);

/// Hosts on which the mark of one VM takes its time: until a step of another VM is done, and a moment more.
struct Slow {
    inner: Simulator,
    vm: VmName,
    until: fn(&Action) -> bool,
    is_over: Mutex<bool>,
    changed: Condvar,
    began: Instant,
    /// How much faster than a clock on the wall the hosts' clock is.
    speed: u64,
}

impl Slow {
    fn is_over(&self) -> MutexGuard<'_, bool> {
        self.is_over.lock().unwrap()
    }
}

impl Hypervisor for Slow {
    fn observe(&self, request: &ObserveRequest) -> Observed {
        self.inner.observe(request)
    }

    fn perform(&self, action: &Action, watch: &dyn Watch) -> Result<Outcome, StepError> {
        if matches!(action, Action::Mark { vm, .. } if *vm == self.vm) {
            let waited = self
                .changed
                .wait_timeout_while(self.is_over(), FOR_EVER, |is_over| !*is_over);
            if waited.unwrap().1.timed_out() {
                return Err(StepError::new("mark", "the other VM waits for this one"));
            }
            std::thread::sleep(A_MOMENT);
        }
        let outcome = self.inner.perform(action, watch);
        if (self.until)(action) {
            *self.is_over() = true;
            self.changed.notify_all();
        }
        outcome
    }

    fn now(&self) -> Millis {
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap();
        Millis(elapsed * self.speed)
    }
}

/// Two VMs move from two hosts to a third, which takes one at a time.
fn two_to_one() -> Fleet {
    let mut fleet = Fleet::new(3, 64);
    for (host, vm) in [("kvm1", "a"), ("kvm2", "b")] {
        fleet.vm(host, vm, 1);
        fleet.wants(vm, "kvm3");
    }
    let receiver = fleet.desired.hosts.get_mut("kvm3").unwrap();
    receiver.limits.parallel_in = Some(1);
    fleet
}

/// The VMs in order of their migrations, by what the plan says.
fn planned(plan: &Plan) -> Vec<VmName> {
    let mut steps: Vec<_> = plan.steps.iter().collect();
    steps.sort_by_key(|step| step.start);
    let migrated = steps.iter().filter_map(|step| migrates(&step.action));
    migrated.collect()
}

/// The same by what was done.
fn done(applied: &Applied) -> Vec<VmName> {
    let started = applied.events.iter().filter_map(|event| match event {
        Event {
            what: Happening::StepStarted { step },
            ..
        } => migrates(&applied.plan.step(*step).action),
        _ => None,
    });
    started.collect()
}

fn migrates(action: &Action) -> Option<VmName> {
    match action {
        Action::MigrateLive { vm, .. } => Some(vm.clone()),
        _ => None,
    }
}

/// Carries the plan out while the mark of the VM that is to go first waits for a step of the other.
fn with_a_slow_first(until: fn(&Action) -> bool, speed: u64) -> Applied {
    let fleet = two_to_one();
    let plan = fleet.plan();
    let hosts = Slow {
        inner: Simulator::new(fleet.observed.clone()),
        vm: planned(&plan)[0].clone(),
        until,
        is_over: Mutex::new(false),
        changed: Condvar::new(),
        began: Instant::now(),
        speed,
    };
    let applied = Applied::of(&plan, &hosts, &fleet);
    assert_eq!(
        applied.summary.steps_done,
        plan.steps.len(),
        "{:?}",
        applied.story()
    );
    applied
}

#[test]
fn a_transfer_whose_preparation_ends_first_does_not_overtake_the_one_that_the_plan_puts_first() {
    let applied = with_a_slow_first(|action| matches!(action, Action::CreateVolume { .. }), 1);
    assert_eq!(done(&applied), planned(&applied.plan));
}

#[test]
fn a_preparation_that_takes_too_long_holds_nobody_up() {
    let applied = with_a_slow_first(|action| matches!(action, Action::MigrateLive { .. }), 20);
    let mut order = planned(&applied.plan);
    order.reverse();
    assert_eq!(done(&applied), order);
}
