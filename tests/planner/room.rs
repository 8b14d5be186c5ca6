//! Room at every moment, and order where there is little of it.

use domicile::model::{Bytes, DiskTarget, VolumeFormat};
use domicile::plan::{Action, Plan, StepId, Why};

use super::fleet::{Fleet, GIB, blocks, pool_name};

fn migration_of(plan: &Plan, name: &str) -> StepId {
    let found = plan.steps.iter().position(
        |step| matches!(&step.action, Action::MigrateLive { vm, .. } if vm.as_str() == name),
    );
    StepId(found.unwrap_or_else(|| panic!("{name} does not migrate")))
}

#[test]
fn who_needs_the_room_waits_for_who_leaves_it() {
    let mut fleet = Fleet::new(3, 10);
    fleet.vm("kvm1", "big", 8);
    fleet.vm("kvm2", "other", 8);
    fleet.wants("big", "kvm2");
    fleet.wants("other", "kvm3");
    let plan = fleet.plan();
    let leaves = migration_of(&plan, "other");
    let first = plan
        .moves
        .iter()
        .find(|one| one.vm.as_str() == "big")
        .unwrap()
        .steps[0];
    assert!(
        plan.step(first)
            .after
            .iter()
            .any(|wait| wait.step == leaves && wait.why == Why::FreesRoom)
    );
}

#[test]
fn a_full_host_is_refused_with_what_is_missing() {
    let mut fleet = Fleet::new(2, 10);
    fleet.vm("kvm1", "big", 8);
    fleet.vm("kvm2", "settled", 8);
    fleet.wants("big", "kvm2");
    let plan = fleet.plan();
    assert_eq!(blocks(&plan), ["capacity"]);
    assert!(
        plan.findings[0].remedy.contains("6.0 GiB"),
        "{:?}",
        plan.findings
    );
}

#[test]
fn the_reserve_of_a_host_is_kept_free() {
    let mut fleet = Fleet::new(2, 10);
    fleet.vm("kvm1", "big", 8);
    fleet.wants("big", "kvm2");
    fleet.desired.hosts.get_mut("kvm2").unwrap().reserve.memory = Bytes(4 * GIB);
    assert_eq!(blocks(&fleet.plan()), ["capacity"]);
}

#[test]
fn a_full_pool_is_refused_and_the_rest_still_moves() {
    let mut fleet = Fleet::new(3, 64);
    fleet.vm("kvm1", "web", 1);
    fleet.vm("kvm1", "db", 1);
    fleet.wants("web", "kvm2");
    fleet.wants("db", "kvm3");
    fleet
        .host("kvm2")
        .pools
        .get_mut("default")
        .unwrap()
        .available = Bytes(GIB / 2);
    let plan = fleet.plan();
    assert_eq!(blocks(&plan), ["pool-space"]);
    assert_eq!(plan.moves.len(), 1);
    assert_eq!(plan.moves[0].vm.as_str(), "db");
}

#[test]
fn disks_may_swap_pools_only_where_one_has_room_first() {
    let mut fleet = Fleet::new(1, 64);
    fleet.vm("kvm1", "web", 1);
    fleet
        .wants("web", "kvm1")
        .disks
        .insert(DiskTarget::new("vda").unwrap(), pool_name("fast"));
    fleet.host("kvm1").pools.get_mut("fast").unwrap().available = Bytes::ZERO;
    assert_eq!(blocks(&fleet.plan()), ["pool-space"]);
}

#[test]
fn no_more_transfers_run_at_once_than_a_host_may_have() {
    let mut fleet = Fleet::new(2, 640);
    for number in 0..7 {
        fleet.vm("kvm1", &format!("vm-{number}"), 4);
        fleet.wants(&format!("vm-{number}"), "kvm2");
    }
    fleet.desired.migration.fleet.parallel = Some(3);
    let plan = fleet.plan();
    let runs: Vec<_> = plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, Action::MigrateLive { .. }))
        .map(|step| (step.start, step.start.plus(step.forecast.duration)))
        .collect();
    let at_once = |moment| {
        runs.iter()
            .filter(|(start, end)| *start <= moment && moment < *end)
            .count()
    };
    assert_eq!(runs.iter().map(|(start, _)| at_once(*start)).max(), Some(3));
}

#[test]
fn a_ring_without_a_free_place_is_refused_and_never_half_done() {
    let mut fleet = Fleet::new(2, 10);
    fleet.vm("kvm1", "left", 8);
    fleet.vm("kvm2", "right", 8);
    for (name, host) in [("left", "kvm2"), ("right", "kvm1")] {
        fleet.wants(name, host).migration.allow_reboot = Some(false);
    }
    let plan = fleet.plan();
    assert_eq!(blocks(&plan), ["capacity", "capacity"]);
    assert!(plan.steps.is_empty());
}

#[test]
fn a_drain_of_a_large_fleet_is_planned_in_one_go() {
    let mut fleet = Fleet::new(200, 64);
    for number in 0..2000 {
        let host = format!("kvm{}", number % 200 + 1);
        fleet.vm(&host, &format!("vm-{number}"), 1);
        let wanted = if number % 200 < 20 {
            format!("kvm{}", 21 + number % 180)
        } else {
            host
        };
        fleet.wants(&format!("vm-{number}"), &wanted);
    }
    let plan = fleet.plan();
    assert_eq!((plan.moves.len(), plan.is_blocked()), (200, false));
}

#[test]
fn a_raw_disk_that_qemu_copies_needs_room_for_all_of_it() {
    let mut fleet = Fleet::new(2, 64);
    let vm = fleet.vm("kvm1", "web", 1);
    vm.detail.as_mut().unwrap().disks[0].format = VolumeFormat::Raw;
    fleet.wants("web", "kvm2");
    // A gigabyte is written of ten.
    fleet
        .host("kvm2")
        .pools
        .get_mut("default")
        .unwrap()
        .available = Bytes(5 * GIB);
    assert_eq!(blocks(&fleet.plan()), ["pool-space"]);
}
