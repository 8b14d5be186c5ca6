//! A VM that is stopped so that others can come into its room, and what becomes of it when they do not.

use domicile::plan::Plan;
use domicile::simulator::Simulator;

use super::failures::Refusing;
use super::{Applied, state_on};
use crate::planner::fleet::{Fleet, acts, vm_name};

/// Two full hosts: `big` goes from kvm1 to kvm2, `one` and `two` go where it was. Only `big` may be stopped.
fn trade() -> (Fleet, Plan) {
    let mut fleet = Fleet::new(2, 10);
    fleet.vm("kvm1", "big", 10);
    fleet.wants("big", "kvm2");
    for name in ["one", "two"] {
        fleet.vm("kvm2", name, 5);
        fleet.wants(name, "kvm1").migration.allow_reboot = Some(false);
    }
    let plan = fleet.plan();
    let stopped = plan.moves.iter().filter(|one| one.reboots);
    let stopped: Vec<_> = stopped.map(|one| one.vm.as_str()).collect();
    assert_eq!(stopped, ["big"], "{:#?}", acts(&plan));
    (fleet, plan)
}

/// The trade where the hosts refuse one act.
fn refusing(refused: &'static str) -> (Applied, Refusing) {
    let (fleet, plan) = trade();
    let hosts = Refusing::new(Simulator::new(fleet.observed.clone()), refused);
    let applied = Applied::of(&plan, &hosts, &fleet);
    assert_eq!(hosts.hosts.breaches(), []);
    (applied, hosts)
}

#[test]
fn whoever_gave_its_room_up_has_it_again_when_one_for_whom_it_did_cannot_come() {
    let (applied, hosts) = refusing("mark two on kvm2");
    let story = applied.story();
    let skipped = "skipped: migrate one live from kvm2 to kvm1".to_owned();
    assert!(
        story.contains(&skipped),
        "it would take the room: {story:#?}"
    );
    assert_eq!(applied.summary.restored, [vm_name("big")]);
    assert_eq!(state_on(&hosts.hosts, "kvm1", "big"), "Running");
    for stays in ["one", "two"] {
        assert_eq!(state_on(&hosts.hosts, "kvm2", stays), "Running");
    }
}

#[test]
fn whose_room_others_have_already_is_not_started_beside_them_and_a_person_is_told() {
    let (applied, hosts) = refusing("start big on kvm2");
    assert_eq!(applied.summary.stranded, [vm_name("big")]);
    for host in ["kvm1", "kvm2"] {
        assert_eq!(state_on(&hosts.hosts, host, "big"), "ShutOff");
    }
    for came in ["one", "two"] {
        assert_eq!(state_on(&hosts.hosts, "kvm1", came), "Running");
    }
}

#[test]
fn what_was_left_in_the_midst_of_a_trade_is_finished_by_the_next_apply() {
    let (fleet, plan) = trade();
    let hosts = Refusing::new(Simulator::new(fleet.observed.clone()), "migrate two live");
    let applied = Applied::of(&plan, &hosts, &fleet);
    let mut fleet = fleet;
    fleet.observed = hosts.hosts.observed();
    let next = fleet.plan();
    assert!(!next.is_blocked(), "{:#?}", next.findings);
    let again = Applied::of(&next, &hosts.hosts, &fleet);
    assert_eq!(again.summary.failed, [], "{:#?}", applied.story());
    for came in ["one", "two"] {
        assert_eq!(state_on(&hosts.hosts, "kvm1", came), "Running");
    }
    assert_eq!(state_on(&hosts.hosts, "kvm2", "big"), "Running");
    assert_eq!(hosts.hosts.breaches(), []);
}
