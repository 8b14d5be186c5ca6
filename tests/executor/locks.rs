//! The locks of two who apply at once, on simulated hosts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use domicile::apply::lock::{LockError, Locks, Pace, Wanted};
use domicile::apply::{CancelHandle, Event, Happening, Options, Summary, run};
use domicile::hypervisor::Cancel;
use domicile::lock::{HeldLock, Kept, LockRecord, Locking};
use domicile::model::{HostName, Millis};
use domicile::plan::Plan;
use domicile::simulator::{Faults, Simulator};
use uuid::Uuid;

use super::{cold_move, state_on};
use crate::planner::fleet::{Fleet, host_name, vm_name};

/// Fast enough for a test, slow enough for a busy machine.
const PACE: Pace = Pace {
    beat_every: Millis(100),
    look_every: Millis(20),
    hopeless_after: Millis(1500),
    release_within: Millis(2000),
};

/// One who uses the hosts, and may sleep: then nothing of what it does reaches them.
struct Operator {
    hosts: Arc<Simulator>,
    sleeps: AtomicBool,
}

impl Operator {
    fn new(hosts: &Arc<Simulator>) -> Arc<Self> {
        Arc::new(Self {
            hosts: Arc::clone(hosts),
            sleeps: AtomicBool::new(false),
        })
    }

    fn sleep(&self, sleeps: bool) {
        self.sleeps.store(sleeps, Ordering::SeqCst);
    }

    fn awake(&self) -> Result<&Simulator, String> {
        if self.sleeps.load(Ordering::SeqCst) {
            return Err("asleep".into());
        }
        Ok(&self.hosts)
    }

    fn lock(self: &Arc<Self>, hosts: &[&str], patience: Option<u64>) -> Result<Locks, LockError> {
        let locking: Arc<dyn Locking> = Arc::<Self>::clone(self);
        let named = hosts.iter().map(|name| (host_name(name), String::new()));
        let wanted = Wanted {
            hosts: named.collect::<BTreeMap<_, _>>(),
            record: LockRecord {
                version: LockRecord::VERSION,
                owner: "ann@ws".into(),
                pid: 1,
                purpose: "an apply".into(),
                since: 0,
                beats_every: PACE.beat_every,
            },
            patience: patience.map(Millis),
            pace: PACE,
        };
        Locks::take(&locking, &wanted, &CancelHandle::new(), &mut |_, _| {})
    }
}

impl Locking for Operator {
    fn take(
        &self,
        host: &HostName,
        id: Uuid,
        record: &LockRecord,
    ) -> Result<Option<HeldLock>, String> {
        self.awake()?.take(host, id, record)
    }
    fn look(&self, host: &HostName) -> Result<Option<HeldLock>, String> {
        self.awake()?.look(host)
    }
    fn beat(&self, host: &HostName, id: Uuid, beat: u64) -> Result<Kept, String> {
        self.awake()?.beat(host, id, beat)
    }
    fn claim(&self, host: &HostName, id: Uuid) -> Result<(), String> {
        self.awake()?.claim(host, id)
    }
    fn remove(&self, host: &HostName, id: Uuid) -> Result<bool, String> {
        self.awake()?.remove(host, id)
    }
}

fn hosts_of(fleet: &Fleet) -> Arc<Simulator> {
    Arc::new(Simulator::new(fleet.observed.clone()))
}

/// Applies under locks; what happened in words, and the end.
fn apply(
    plan: &Plan,
    hosts: &Simulator,
    fleet: &Fleet,
    locks: Locks,
    mut seen: impl FnMut(&Happening),
) -> (Vec<String>, Summary) {
    let mut options = Options::new(fleet.desired.hosts.clone());
    options.locks = Some(Arc::new(locks));
    let mut failures = Vec::new();
    let mut sink = |event: &Event| {
        seen(&event.what);
        if let Happening::StepFailed { what, why, .. } | Happening::NotRestored { what, why, .. } =
            &event.what
        {
            failures.push(format!("{what}: {why}"));
        }
    };
    let summary = run(plan, hosts, &options, &CancelHandle::new(), &mut sink);
    (failures, summary)
}

#[test]
fn the_second_of_two_is_told_who_is_at_work_and_gets_the_hosts_when_the_first_has_ended() {
    let hosts = hosts_of(&Fleet::new(3, 16));
    let (ann, bob) = (Operator::new(&hosts), Operator::new(&hosts));
    let first = ann.lock(&["kvm1", "kvm2"], Some(0)).unwrap();
    for patience in [Some(0), None, Some(300)] {
        let Err(LockError::Held { host, by }) = bob.lock(&["kvm2", "kvm3"], patience) else {
            panic!("{patience:?}: it is held");
        };
        assert_eq!(host, host_name("kvm2"));
        assert_eq!(by.record.unwrap().owner, "ann@ws");
    }
    // Hosts that the first does not touch are free, those of the second were given back.
    drop(bob.lock(&["kvm3"], Some(0)).unwrap());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| bob.lock(&["kvm2", "kvm3"], Some(30_000)));
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(!waiting.is_finished());
        drop(first);
        assert!(waiting.join().unwrap().is_ok());
    });
    assert_eq!(hosts.look(&host_name("kvm1")), Ok(None));
    assert_eq!(hosts.look(&host_name("kvm3")), Ok(None));
}

#[test]
fn who_asks_to_stop_while_waiting_is_let_go_and_nothing_is_held() {
    let hosts = hosts_of(&Fleet::new(2, 16));
    let _first = Operator::new(&hosts).lock(&["kvm2"], Some(0)).unwrap();
    let locking: Arc<dyn Locking> = Arc::<Simulator>::clone(&hosts);
    let cancel = CancelHandle::new();
    let wanted = Wanted {
        hosts: ["kvm1", "kvm2"]
            .map(|name| (host_name(name), String::new()))
            .into(),
        record: LockRecord {
            version: LockRecord::VERSION,
            owner: "bob@ws".into(),
            pid: 2,
            purpose: "an apply".into(),
            since: 0,
            beats_every: PACE.beat_every,
        },
        patience: Some(Millis(60_000)),
        pace: PACE,
    };
    let ended = Locks::take(&locking, &wanted, &cancel, &mut |_, _| {
        cancel.ask(Cancel::Drain);
    });
    assert!(matches!(ended, Err(LockError::Cancelled)));
    assert_eq!(hosts.look(&host_name("kvm1")), Ok(None));
}

#[test]
fn the_lock_of_a_dead_owner_is_taken_over_and_the_owner_that_wakes_up_starts_nothing() {
    let fleet = cold_move();
    let hosts = hosts_of(&fleet);
    let (ann, bob) = (Operator::new(&hosts), Operator::new(&hosts));
    let asleep = ann.lock(&["kvm1", "kvm2"], Some(0)).unwrap();
    ann.sleep(true);
    // Without a word on patience it is watched until it is known to be dead.
    let second = bob.lock(&["kvm1", "kvm2"], None).unwrap();
    ann.sleep(false);
    let (failures, summary) = apply(&fleet.plan(), &hosts, &fleet, asleep, |_| {});
    assert_eq!(summary.steps_done, 0);
    assert!(
        failures[0].contains("the lock of kvm1 is lost"),
        "{failures:?}"
    );
    // What the late owner does at its end does not touch the lock of the other.
    assert!(hosts.look(&host_name("kvm1")).unwrap().is_some());
    let (failures, summary) = apply(&fleet.plan(), &hosts, &fleet, second, |_| {});
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!(summary.moved, [vm_name("web")]);
    assert_eq!(hosts.look(&host_name("kvm1")), Ok(None));
}

#[test]
fn who_has_the_patience_for_one_dead_lock_gets_all_the_hosts_of_its_owner() {
    let hosts = hosts_of(&Fleet::new(4, 16));
    let names = ["kvm1", "kvm2", "kvm3", "kvm4"];
    let ann = Operator::new(&hosts);
    let _asleep = ann.lock(&names, Some(0)).unwrap();
    ann.sleep(true);
    let patience = 2 * PACE.dead_after().0;
    assert!(Operator::new(&hosts).lock(&names, Some(patience)).is_ok());
}

#[test]
fn an_owner_whose_host_forgets_the_lock_starts_nothing_more_and_brings_its_vm_back() {
    let fleet = cold_move();
    let hosts = Arc::new(Simulator::new(fleet.observed.clone()).with_pace(0.2));
    let locks = Operator::new(&hosts)
        .lock(&["kvm1", "kvm2"], Some(0))
        .unwrap();
    let plan = fleet.plan();
    let down = super::step_of(&plan, "shut down web");
    let (failures, summary) = apply(&plan, &hosts, &fleet, locks, |what| {
        if *what == (Happening::StepStarted { step: down }) {
            hosts.restart_daemon(&host_name("kvm1"));
        }
    });
    assert!(
        failures[0].contains("the lock of kvm1 is lost"),
        "{failures:?}"
    );
    assert_eq!(summary.restored, [vm_name("web")]);
    assert_eq!(state_on(&hosts, "kvm1", "web"), "Running");
    assert_eq!(hosts.breaches(), []);
    assert_eq!(
        hosts.look(&host_name("kvm1")),
        Ok(None),
        "it was taken anew and let go"
    );
}

#[test]
fn a_vm_is_not_brought_back_on_a_host_that_somebody_else_has_locked() {
    let fleet = cold_move();
    let hosts = Arc::new(Simulator::new(fleet.observed.clone()).with_pace(0.2));
    let locks = Operator::new(&hosts)
        .lock(&["kvm1", "kvm2"], Some(0))
        .unwrap();
    let plan = fleet.plan();
    let down = super::step_of(&plan, "shut down web");
    let mut other = None;
    let (failures, summary) = apply(&plan, &hosts, &fleet, locks, |what| {
        if *what == (Happening::StepStarted { step: down }) {
            hosts.restart_daemon(&host_name("kvm1"));
            other = Operator::new(&hosts).lock(&["kvm1"], Some(0)).ok();
        }
    });
    assert!(other.is_some());
    assert_eq!(summary.stranded, [vm_name("web")]);
    assert!(
        failures.iter().any(|line| line.contains("bring web back")),
        "{failures:?}"
    );
}

#[test]
fn a_host_that_falls_silent_holds_up_its_own_steps_alone_and_they_fail_in_the_end() {
    let mut fleet = Fleet::new(3, 64);
    for (vm, to) in [("far", "kvm3"), ("web", "kvm2")] {
        fleet.vm("kvm1", vm, 4);
        fleet.wants(vm, to);
    }
    let hosts = Arc::new(Simulator::new(fleet.observed.clone()).with_pace(0.2));
    let locks = Operator::new(&hosts)
        .lock(&["kvm1", "kvm2", "kvm3"], Some(0))
        .unwrap();
    let plan = fleet.plan();
    let far = super::step_of(&plan, "mark far");
    let (failures, summary) = apply(&plan, &hosts, &fleet, locks, |what| {
        if *what == (Happening::StepStarted { step: far }) {
            hosts.silence(&host_name("kvm3"));
        }
    });
    assert_eq!(summary.moved, [vm_name("web")]);
    assert_eq!(summary.failed, [vm_name("far")], "{failures:?}");
    assert_eq!(state_on(&hosts, "kvm1", "far"), "Running");
}

#[test]
fn however_calls_fail_two_never_hold_the_same_host() {
    for seed in 0..8 {
        let hosts = hosts_of(&Fleet::new(2, 16));
        hosts.set_faults(Faults::from_seed(seed));
        // Where somebody must get it there is time for it on a busy machine, too.
        let patience = if seed == 0 { 2000 } else { 50 };
        let (at_work, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let operator = Operator::new(&hosts);
                    for _ in 0..20 {
                        if let Ok(locks) = operator.lock(&["kvm1", "kvm2"], Some(patience)) {
                            taken.fetch_add(1, Ordering::SeqCst);
                            assert_eq!(at_work.fetch_add(1, Ordering::SeqCst), 0);
                            std::thread::yield_now();
                            at_work.fetch_sub(1, Ordering::SeqCst);
                            drop(locks);
                        }
                    }
                });
            }
        });
        hosts.heal();
        assert!(seed != 0 || taken.load(Ordering::SeqCst) > 0);
    }
}
