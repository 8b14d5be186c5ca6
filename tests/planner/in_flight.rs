//! Migrations of an earlier apply that still run: they are joined.

use domicile::model::{JobKind, RunState};

use super::fleet::acts;
use super::recovery::{cold, interrupted, power};

#[test]
fn a_migration_under_way_is_awaited() {
    let mut fleet = interrupted(&[
        ("kvm1", power(RunState::Running, "booted")),
        ("kvm2", power(RunState::Paused, "migration")),
    ]);
    let here = fleet.host("kvm1").vms.get_mut("web").unwrap();
    here.detail.as_mut().unwrap().job = Some(JobKind::MigrationOut);
    assert_eq!(
        acts(&fleet.plan()),
        [
            "await the migration of web from kvm1 to kvm2, which is in flight",
            "delete volume kvm1:default/web.qcow2",
            "remove the mark of web on kvm2"
        ]
    );
}

#[test]
fn a_migration_whose_destination_is_only_just_starting_is_joined_too() {
    let mut fleet = interrupted(&[
        ("kvm1", power(RunState::Running, "booted")),
        ("kvm2", power(RunState::Paused, "starting up")),
    ]);
    let there = fleet.host("kvm2").vms.get_mut("web").unwrap();
    there.detail.as_mut().unwrap().job = Some(JobKind::Other);
    assert!(acts(&fleet.plan())[0].starts_with("await the migration of web"));
}

/// The move of a VM that is off, found while QEMU carries it from a source that was started paused for that.
fn carried(was_active: bool) -> Vec<String> {
    let mut fleet = interrupted(&[
        ("kvm1", power(RunState::Paused, "starting up")),
        ("kvm2", power(RunState::Paused, "migration")),
    ]);
    for (host, job) in [
        ("kvm1", JobKind::MigrationOut),
        ("kvm2", JobKind::MigrationIn),
    ] {
        cold(&mut fleet, host);
        let vm = fleet.host(host).vms.get_mut("web").unwrap();
        let detail = vm.detail.as_mut().unwrap();
        detail.job = Some(job);
        detail.mark.as_mut().unwrap().was_active = was_active;
    }
    acts(&fleet.plan())
}

#[test]
fn a_vm_that_is_carried_while_it_is_off_is_ended_where_it_arrives_and_stays_off() {
    assert_eq!(
        carried(false),
        [
            "await the migration of web from kvm1 to kvm2, which is in flight",
            "end the paused web on kvm2",
            "delete volume kvm1:default/web.qcow2",
            "remove the mark of web on kvm2"
        ]
    );
}

#[test]
fn a_vm_that_was_shut_down_to_be_carried_is_started_where_it_arrives() {
    let acts = carried(true);
    assert_eq!(
        acts[1..3],
        ["end the paused web on kvm2", "start web on kvm2"]
    );
}
