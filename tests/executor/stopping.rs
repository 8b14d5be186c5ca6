//! A person asks to stop, once or twice.

use domicile::apply::{CancelHandle, Happening};
use domicile::hypervisor::Cancel;
use domicile::plan::Plan;
use domicile::simulator::Simulator;

use super::{Applied, cold_move, state_on, step_of};
use crate::planner::fleet::{Fleet, vm_name};

/// Asks so when a step starts.
fn at_start_of(
    plan: &Plan,
    text: &str,
    ask: Cancel,
) -> impl FnMut(&Happening, &CancelHandle) + use<> {
    let step = step_of(plan, text);
    move |what, cancel| {
        if *what == (Happening::StepStarted { step }) {
            cancel.ask(ask);
        }
    }
}

#[test]
fn once_what_runs_is_finished_and_nothing_new_starts() {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web", 4);
    fleet.wants("web", "kvm2");
    let plan = fleet.plan();
    let hosts = Simulator::new(fleet.observed.clone());
    let ask = at_start_of(&plan, "migrate web", Cancel::Drain);
    let applied = Applied::watched(&plan, &hosts, &fleet, ask);
    assert_eq!(
        applied.story()[2..],
        [
            "done: migrate web live from kvm1 to kvm2",
            "not started: delete volume kvm1:default/web.qcow2",
            "not started: remove the mark of web on kvm2",
        ]
    );
    assert!(applied.summary.cancelled);
    assert_eq!(applied.summary.left, [vm_name("web")]);
    assert!(applied.summary.failed.is_empty());
}

#[test]
fn once_a_vm_that_is_off_for_its_move_is_carried_on_until_it_runs() {
    let mut fleet = cold_move();
    fleet.vm("kvm1", "db", 4);
    fleet.wants("db", "kvm2").method = domicile::desired::Method::Live;
    fleet.desired.migration.fleet.parallel = Some(1);
    let plan = fleet.plan();
    let hosts = Simulator::new(fleet.observed.clone());
    let ask = at_start_of(&plan, "shut down web", Cancel::Drain);
    let applied = Applied::watched(&plan, &hosts, &fleet, ask);
    let story = applied.story();
    for line in [
        "done: start web on kvm2",
        "done: remove the definition of web on kvm1",
        "not started: delete volume kvm1:default/web.qcow2",
        "not started: remove the mark of web on kvm2",
    ] {
        assert!(story.contains(&line.into()), "{line}: {story:#?}");
    }
    assert_eq!(state_on(&hosts, "kvm2", "web"), "Running");
    assert_eq!(state_on(&hosts, "kvm1", "web"), "-");
    assert_eq!(hosts.breaches(), []);
}

#[test]
fn once_a_vm_that_still_runs_stays_where_it_is() {
    let fleet = cold_move();
    let plan = fleet.plan();
    let hosts = Simulator::new(fleet.observed.clone());
    let ask = at_start_of(&plan, "mark web", Cancel::Drain);
    let applied = Applied::watched(&plan, &hosts, &fleet, ask);
    assert_eq!(applied.summary.steps_done, 1);
    assert_eq!(state_on(&hosts, "kvm1", "web"), "Running");
}

#[test]
fn twice_a_copy_is_cancelled_and_its_vm_runs_again_where_it_ran() {
    let fleet = cold_move();
    let plan = fleet.plan();
    let hosts = Simulator::new(fleet.observed.clone());
    let ask = at_start_of(&plan, "copy kvm1", Cancel::Now);
    let applied = Applied::watched(&plan, &hosts, &fleet, ask);
    let story = applied.story();
    assert_eq!(
        story[2],
        "cancelled: copy kvm1:default/web.qcow2 to kvm2:default/web.qcow2"
    );
    assert!(
        story.contains(&"web runs again on kvm1".into()),
        "{story:#?}"
    );
    assert_eq!(state_on(&hosts, "kvm1", "web"), "Running");
    // Cancelled on request is not failed.
    assert_eq!(applied.summary.left, [vm_name("web")]);
    assert!(applied.summary.failed.is_empty());
    assert_eq!(hosts.breaches(), []);
}

#[test]
fn twice_between_shutdown_and_start_the_vm_runs_again() {
    let fleet = cold_move();
    let plan = fleet.plan();
    for step in ["shut down web", "define web", "copy kvm1"] {
        let hosts = Simulator::new(fleet.observed.clone());
        let ask = at_start_of(&plan, step, Cancel::Now);
        Applied::watched(&plan, &hosts, &fleet, ask);
        assert_eq!(state_on(&hosts, "kvm1", "web"), "Running", "{step}");
        assert_eq!(hosts.stopped(), [], "{step}");
        assert_eq!(hosts.breaches(), [], "{step}");
    }
}
