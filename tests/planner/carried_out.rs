//! Plans that are carried out on hosts in memory: the wanted state is reached, and planning again finds nothing.

use std::collections::{BTreeMap, BTreeSet};

use domicile::apply::{self, CancelHandle, Event, Happening, Options};
use domicile::desired::{ColdCopy, Method};
use domicile::hypervisor::{Depth, Hypervisor, ObserveRequest};
use domicile::model::{DiskTarget, Millis, PowerState, RunState};
use domicile::plan::{Action, Plan};
use domicile::simulator::Simulator;

use super::fleet::{Fleet, pool_name};

/// Applies the plan and gives what happened; the wanted state must be reached.
pub(crate) fn carry_out(mut fleet: Fleet) -> (Plan, Vec<Event>) {
    let plan = fleet.plan();
    assert!(!plan.is_blocked(), "{:?}", plan.findings);
    let simulator = Simulator::new(fleet.observed.clone());
    let mut events = Vec::new();
    let mut sink = |event: &Event| events.push(event.clone());
    let summary = apply::run(
        &plan,
        &simulator,
        &Options::new(fleet.desired.hosts.clone()),
        &CancelHandle::default(),
        &mut sink,
    );
    assert_eq!(simulator.breaches(), Vec::new());
    assert!(summary.failed.is_empty(), "{events:#?}");
    assert_eq!(summary.steps_done, plan.steps.len(), "{events:#?}");
    fleet.observed = simulator.observe(&ObserveRequest {
        hosts: fleet.desired.hosts.clone(),
        depth: Depth::Full,
        fits: Vec::new(),
        ask_qemu: BTreeSet::new(),
        refresh: BTreeMap::new(),
        volumes: BTreeMap::new(),
        timeout: Millis::from_secs(1),
    });
    let again = fleet.plan();
    assert!(again.is_empty(), "{again:#?}");
    (plan, events)
}

#[test]
fn every_kind_of_move_reaches_the_wanted_state() {
    let mut fleet = Fleet::new(3, 64);
    fleet.vm("kvm1", "live", 4);
    fleet.wants("live", "kvm2");
    fleet.clone_of_golden("kvm1", "clone-cold");
    fleet.wants("clone-cold", "kvm2");
    fleet.clone_of_golden("kvm1", "clone-live");
    fleet.wants("clone-live", "kvm3").method = Method::Live;
    fleet.vm("kvm1", "streamed", 4);
    let streamed = fleet.wants("streamed", "kvm3");
    streamed.method = Method::Cold;
    streamed.migration.cold_copy = Some(ColdCopy::Stream);
    fleet.vm("kvm2", "off", 4).power = PowerState {
        state: RunState::ShutOff,
        reason: String::new(),
    };
    let vda = DiskTarget::new("vda").unwrap();
    fleet
        .wants("off", "kvm3")
        .disks
        .insert(vda.clone(), pool_name("fast"));
    fleet.vm("kvm3", "disk-only", 4);
    fleet
        .wants("disk-only", "kvm3")
        .disks
        .insert(vda, pool_name("fast"));
    carry_out(fleet);
}

#[test]
fn no_more_moves_are_begun_than_can_soon_transfer() {
    let mut fleet = Fleet::new(2, 640);
    for number in 0..9 {
        fleet.vm("kvm1", &format!("vm-{number}"), 4);
        fleet.wants(&format!("vm-{number}"), "kvm2");
    }
    let (plan, events) = carry_out(fleet);
    let mut begun: usize = 0;
    for event in events {
        match event.what {
            Happening::StepStarted { step }
                if matches!(plan.step(step).action, Action::Mark { .. }) =>
            {
                begun += 1;
                assert!(begun <= 3, "two places, and one move in reserve");
            }
            Happening::StepDone { step, .. }
                if matches!(plan.step(step).action, Action::MigrateLive { .. }) =>
            {
                begun -= 1;
            }
            _ => {}
        }
    }
}

#[test]
fn a_vm_that_is_not_as_the_plan_saw_it_is_not_touched() {
    let mut fleet = Fleet::new(2, 64);
    let vm = fleet.vm("kvm1", "web", 4);
    let definition = "<domain><name>web</name><memory>1</memory><vcpu>1</vcpu></domain>";
    vm.detail.as_mut().unwrap().inactive_xml = definition.into();
    fleet.wants("web", "kvm2");
    let plan = fleet.plan();
    let vm = fleet.host("kvm1").vms.values_mut().next().unwrap();
    let detail = vm.detail.as_mut().unwrap();
    detail.snapshots.push("taken-meanwhile".into());
    let before = fleet.observed.clone();
    let simulator = Simulator::new(fleet.observed.clone());
    let mut events = Vec::new();
    let mut sink = |event: &Event| events.push(event.clone());
    let options = Options::new(fleet.desired.hosts.clone());
    let summary = apply::run(
        &plan,
        &simulator,
        &options,
        &CancelHandle::default(),
        &mut sink,
    );
    assert_eq!(summary.steps_done, 0);
    let told = format!("{events:?}");
    assert!(told.contains("it had 0 snapshots and has 1"), "{told}");
    let after = simulator.observe(&ObserveRequest {
        hosts: fleet.desired.hosts.clone(),
        depth: Depth::Full,
        fits: Vec::new(),
        ask_qemu: BTreeSet::new(),
        refresh: BTreeMap::new(),
        volumes: BTreeMap::new(),
        timeout: Millis::from_secs(1),
    });
    assert_eq!(after.hosts, before.hosts);
}
