//! A step fails: what does not run, what does, and where the VM is afterwards.

use domicile::apply::Happening;
use domicile::desired::{self, ColdCopy};
use domicile::hypervisor::{Hypervisor, ObserveRequest, Outcome, StepError, Watch};
use domicile::model::{Millis, VolumeName};
use domicile::observed::{Observed, Volume};
use domicile::plan::Action;
use domicile::simulator::Simulator;

use super::{Applied, cold_move, cold_move_by, fill_memory, is_start, state_on, step_of};
use crate::planner::fleet::{Fleet, pool_name, vm_name};

/// A volume of that name appears on a host after the plan was made.
fn occupy(fleet: &mut Fleet, host: &str, name: &str) {
    let pool = fleet
        .host(host)
        .pools
        .get_mut(&pool_name("default"))
        .unwrap();
    let path = format!("{}/{name}", pool.path);
    pool.volumes.insert(
        VolumeName::new(name).unwrap(),
        Volume { path, detail: None },
    );
}

#[test]
fn what_depends_on_a_failed_step_does_not_run_and_all_else_does() {
    let mut fleet = Fleet::new(2, 64);
    for vm in ["db", "web"] {
        fleet.vm("kvm1", vm, 4);
        fleet.wants(vm, "kvm2");
    }
    let plan = fleet.plan();
    occupy(&mut fleet, "kvm2", "db.qcow2");
    let hosts = Simulator::new(fleet.observed.clone());
    let applied = Applied::of(&plan, &hosts, &fleet);

    assert_eq!(applied.summary.failed, [vm_name("db")]);
    assert_eq!(applied.summary.moved, [vm_name("web")]);
    assert_eq!(state_on(&hosts, "kvm1", "db"), "Running");
    assert_eq!(state_on(&hosts, "kvm2", "web"), "Running");
    let story = applied.story();
    assert!(
        story.contains(&"failed: create volume kvm2:default/db.qcow2".into()),
        "{story:#?}"
    );
    assert!(
        story.contains(&"skipped: migrate db live from kvm1 to kvm2".into()),
        "{story:#?}"
    );
    assert_eq!(hosts.breaches(), []);
}

#[test]
fn a_vm_whose_copy_fails_after_its_shutdown_runs_again_where_it_ran() {
    let mut fleet = cold_move();
    let plan = fleet.plan();
    occupy(&mut fleet, "kvm2", "web.qcow2");
    let hosts = Simulator::new(fleet.observed.clone());
    let applied = Applied::of(&plan, &hosts, &fleet);
    assert_eq!(
        applied.story(),
        [
            "done: mark web on kvm1",
            "done: shut down web on kvm1",
            "failed: copy kvm1:default/web.qcow2 to kvm2:default/web.qcow2",
            "skipped: define web on kvm2",
            "skipped: start web on kvm2",
            "skipped: remove the definition of web on kvm1",
            "skipped: delete volume kvm1:default/web.qcow2",
            "skipped: remove the mark of web on kvm2",
            "web runs again on kvm1",
        ]
    );
    assert_eq!(applied.summary.restored, [vm_name("web")]);
    assert_eq!(state_on(&hosts, "kvm1", "web"), "Running");
    assert_eq!(hosts.stopped(), []);
    assert_eq!(hosts.breaches(), []);
}

#[test]
fn a_vm_that_cannot_be_started_at_its_destination_runs_again_and_is_forgotten_there() {
    let mut fleet = cold_move();
    let plan = fleet.plan();
    fill_memory(&mut fleet, "kvm2");
    let hosts = Simulator::new(fleet.observed.clone());
    let applied = Applied::of(&plan, &hosts, &fleet);
    let story = applied.story();
    assert!(
        story.contains(&"failed: start web on kvm2".into()),
        "{story:#?}"
    );
    assert!(
        story.contains(&"web runs again on kvm1".into()),
        "{story:#?}"
    );
    // A definition left there would claim copies that are history as soon as the guest writes.
    assert_eq!(state_on(&hosts, "kvm2", "web"), "-");
    assert_eq!(hosts.breaches(), []);
}

#[test]
fn a_vm_that_can_be_started_nowhere_is_reported_as_off_with_what_to_do() {
    let mut fleet = cold_move_by(ColdCopy::Direct);
    let plan = fleet.plan();
    fill_memory(&mut fleet, "kvm2");
    let hosts = Simulator::new(fleet.observed.clone());
    let applied = Applied::of(&plan, &hosts, &fleet);
    assert_eq!(applied.summary.stranded, [vm_name("web")]);
    assert_eq!(state_on(&hosts, "kvm2", "web"), "ShutOff");
    let told = applied.events.iter().find_map(|event| match &event.what {
        Happening::NotRestored { why, help, .. } => Some((why.clone(), help.clone())),
        _ => None,
    });
    let (why, help) = told.unwrap();
    assert!(why.contains("memory"), "{why}");
    assert!(help.unwrap().contains("plan and apply again"));
}

#[test]
fn a_vm_whose_shutdown_fails_and_that_runs_on_is_left_alone() {
    let mut fleet = cold_move();
    let plan = fleet.plan();
    fleet.host("kvm1").vms.get_mut("web").unwrap().persistent = true;
    let refusing = Refusing {
        hosts: Simulator::new(fleet.observed.clone()),
        refused: "shut down",
        panics: false,
    };
    let applied = Applied::of(&plan, &refusing, &fleet);
    assert_eq!(state_on(&refusing.hosts, "kvm1", "web"), "Running");
    assert_eq!(applied.summary.restored, []);
    assert!(!applied.story().iter().any(|line| line.contains("again")));
}

#[test]
fn a_panic_in_one_step_is_a_failure_of_that_step_alone() {
    let mut fleet = Fleet::new(2, 64);
    for vm in ["db", "web"] {
        fleet.vm("kvm1", vm, 4);
        fleet.wants(vm, "kvm2");
    }
    let plan = fleet.plan();
    let refusing = Refusing {
        hosts: Simulator::new(fleet.observed.clone()),
        refused: "migrate db",
        panics: true,
    };
    let applied = Applied::of(&plan, &refusing, &fleet);
    assert_eq!(applied.summary.failed, [vm_name("db")]);
    assert_eq!(applied.summary.moved, [vm_name("web")]);
    let failed = step_of(&plan, "migrate db");
    let told = applied.events.iter().find_map(|event| match &event.what {
        Happening::StepFailed { step, why, .. } if *step == failed => Some(why.clone()),
        _ => None,
    });
    assert!(told.unwrap().contains("out of its mind"));
}

#[test]
fn a_guest_that_is_off_for_its_move_is_brought_back_after_a_panic_too() {
    let fleet = cold_move();
    let plan = fleet.plan();
    let refusing = Refusing {
        hosts: Simulator::new(fleet.observed.clone()),
        refused: "copy",
        panics: true,
    };
    let applied = Applied::of(&plan, &refusing, &fleet);
    assert_eq!(applied.summary.restored, [vm_name("web")]);
    assert_eq!(state_on(&refusing.hosts, "kvm1", "web"), "Running");
    let start = plan
        .steps
        .iter()
        .position(|step| is_start(&step.action))
        .unwrap();
    assert!(
        applied
            .story()
            .contains(&format!("skipped: {}", plan.steps[start].action))
    );
}

/// Simulated hosts of which one refuses an act, or is out of its mind.
pub(super) struct Refusing {
    pub(super) hosts: Simulator,
    refused: &'static str,
    panics: bool,
}

impl Refusing {
    pub(super) fn new(hosts: Simulator, refused: &'static str) -> Self {
        Self {
            hosts,
            refused,
            panics: false,
        }
    }
}

impl Hypervisor for Refusing {
    fn observe(&self, request: &ObserveRequest) -> Observed {
        self.hosts.observe(request)
    }
    fn perform(&self, action: &Action, watch: &dyn Watch) -> Result<Outcome, StepError> {
        let text = action.to_string();
        if !text.starts_with(self.refused) {
            return self.hosts.perform(action, watch);
        }
        assert!(!self.panics, "out of its mind");
        Err(StepError::new(text, "refused"))
    }
    fn under_way(&self, steps: usize) {
        self.hosts.under_way(steps);
    }
    fn now(&self) -> Millis {
        self.hosts.now()
    }
}

#[test]
fn a_vm_is_not_brought_back_while_its_other_host_does_not_answer() {
    let mut fleet = cold_move();
    let plan = fleet.plan();
    fill_memory(&mut fleet, "kvm2");
    // The executor is not told how to reach the destination, as if it had gone silent.
    let hosts = Simulator::new(fleet.observed.clone());
    fleet
        .desired
        .hosts
        .retain(|name, _: &mut desired::Host| name.as_str() == "kvm1");
    let applied = Applied::of(&plan, &hosts, &fleet);
    assert_eq!(applied.summary.stranded, [vm_name("web")]);
    assert_eq!(state_on(&hosts, "kvm1", "web"), "ShutOff");
}
