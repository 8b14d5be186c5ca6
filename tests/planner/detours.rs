//! Hosts that are full: by way of a third host where one has room, with a stop where none has, else a refusal that
//! says what is missing.

use domicile::plan::{Half, MoveKind, Plan};
use domicile::planner;

use super::carried_out::carry_out;
use super::fleet::{Fleet, GIB, acts, blocks, vm_name};
use domicile::desired::{self, Method};
use domicile::model::{Bytes, VolumeFormat};

/// Two hosts of 10 GiB that are full and trade their VMs, and a third one with as much room as is said.
fn trade(third_gib: u64) -> Fleet {
    let mut fleet = Fleet::new(3, 10);
    fleet.host("kvm3").memory = Bytes(third_gib * GIB);
    for (host, other, names) in [("kvm1", "kvm2", ["a", "b"]), ("kvm2", "kvm1", ["c", "d"])] {
        for name in names {
            fleet.vm(host, name, 5);
            fleet.wants(name, other);
        }
    }
    fleet
}

fn detours(plan: &Plan) -> Vec<&str> {
    let firsts = plan.moves.iter().filter(|one| {
        one.detour
            .as_ref()
            .is_some_and(|detour| detour.half == Half::First)
    });
    firsts.map(|one| one.vm.as_str()).collect()
}

#[test]
fn full_hosts_trade_their_vms_by_way_of_a_third_host_and_nobody_is_stopped() {
    let fleet = trade(5);
    let plan = fleet.plan();
    assert!(!plan.is_blocked(), "{:#?}", plan.findings);
    assert_eq!(detours(&plan).len(), 1, "{:#?}", acts(&plan));
    assert!(plan.moves.iter().all(|one| one.kind == MoveKind::Live));
    let (done, _) = carry_out(fleet);
    assert_eq!(done, plan);
}

#[test]
fn what_could_not_be_read_on_a_third_host_is_told_where_somebody_goes_by_way_of_it() {
    let mut fleet = trade(5);
    fleet.host("kvm3").gaps = vec!["its secrets could not be listed".to_owned()];
    let told = |fleet: &Fleet| {
        let mut found = fleet.plan().findings.into_iter();
        let incomplete = found.find(|finding| finding.code == "reading-incomplete");
        incomplete.and_then(|finding| finding.host)
    };
    assert_eq!(told(&fleet).unwrap().as_str(), "kvm3");
    fleet.desired.gates.max_detours = Some(0);
    assert_eq!(told(&fleet), None, "nobody goes there");
}

#[test]
fn a_detour_is_two_moves_of_the_vm_and_says_why() {
    let plan = trade(5).plan();
    let name = detours(&plan)[0];
    let halves: Vec<_> = plan
        .moves
        .iter()
        .filter(|one| one.vm.as_str() == name)
        .collect();
    assert_eq!(halves.len(), 2);
    let (first, second) = (halves[0], halves[1]);
    assert_eq!(first.to, second.from);
    assert_eq!(first.to.as_str(), "kvm3");
    assert!(first.reason.contains("waits on kvm3"), "{}", first.reason);
    let end = plan.step(*first.steps.last().unwrap());
    let begin = plan.step(second.steps[0]);
    assert!(begin.start >= end.start.plus(end.forecast.duration));
    let note = plan
        .findings
        .iter()
        .find(|finding| finding.code == "detour")
        .unwrap();
    assert!(note.message.contains("kvm3"), "{}", note.message);
}

#[test]
fn where_no_host_has_room_one_vm_is_stopped_and_starts_where_it_goes() {
    let mut fleet = Fleet::new(2, 10);
    for (host, other, name) in [("kvm1", "kvm2", "a"), ("kvm2", "kvm1", "b")] {
        fleet.vm(host, name, 8);
        fleet.wants(name, other);
    }
    let plan = fleet.plan();
    assert!(!plan.is_blocked(), "{:#?}", plan.findings);
    let kinds: Vec<_> = plan.moves.iter().map(|one| one.kind).collect();
    assert_eq!(plan.totals().reboots, 1, "{kinds:?}");
    let stopped = plan.moves.iter().find(|one| one.reboots).unwrap();
    assert!(stopped.reason.starts_with("capacity"), "{}", stopped.reason);
    carry_out(fleet);
}

/// Two full hosts, alone, that trade their VMs `a` and `b`.
fn trade_of_two(each: impl Fn(&mut desired::Vm)) -> Fleet {
    let mut fleet = Fleet::new(2, 10);
    for (host, other, name) in [("kvm1", "kvm2", "a"), ("kvm2", "kvm1", "b")] {
        fleet.vm(host, name, 8);
        each(fleet.wants(name, other));
    }
    fleet
}

#[test]
fn where_no_host_has_room_and_none_may_be_stopped_the_refusal_names_who_waits_for_whom() {
    let plan = trade_of_two(|vm| vm.migration.allow_reboot = Some(false)).plan();
    assert_eq!(blocks(&plan), ["capacity", "capacity"]);
    for finding in plan.findings.iter().filter(|one| one.code == "capacity") {
        assert!(
            finding.message.contains("waiting for each other: a, b"),
            "{finding:?}"
        );
        assert!(finding.remedy.contains("6.0 GiB"), "{finding:?}");
    }
}

#[test]
fn vms_that_are_moved_cold_in_any_case_give_each_other_their_room() {
    let fleet = trade_of_two(|vm| vm.method = Method::Cold);
    let plan = fleet.plan();
    assert!(!plan.is_blocked(), "{:#?}", plan.findings);
    assert_eq!(plan.totals().reboots, 2);
    carry_out(fleet);
}

#[test]
fn a_vm_that_is_moved_cold_in_any_case_makes_way_before_another_is_stopped() {
    let mut fleet = trade_of_two(|_| {});
    fleet.desired.vms.get_mut("b").unwrap().method = Method::Cold;
    let plan = fleet.plan();
    let reboots = plan.moves.iter().filter(|one| one.reboots);
    let names: Vec<_> = reboots.map(|one| one.vm.as_str()).collect();
    assert_eq!((names, plan.is_blocked()), (vec!["b"], false));
}

#[test]
fn a_vm_with_a_raw_disk_that_has_holes_is_stopped_like_any_other() {
    let mut fleet = trade_of_two(|_| {});
    for (host, name) in [("kvm1", "a"), ("kvm2", "b")] {
        let vm = fleet.host(host).vms.get_mut(name).unwrap();
        vm.detail.as_mut().unwrap().disks[0].format = VolumeFormat::Raw;
        let pool = fleet.host(host).pools.get_mut("default").unwrap();
        for volume in pool.volumes.values_mut() {
            volume.detail.as_mut().unwrap().format = VolumeFormat::Raw;
        }
    }
    let plan = fleet.plan();
    assert!(!plan.is_blocked(), "{:#?}", plan.findings);
    assert_eq!(plan.totals().reboots, 1);
}

#[test]
fn vms_that_need_the_room_of_nobody_who_leaves_do_not_wait_for_each_other() {
    let mut fleet = Fleet::new(2, 10);
    for name in ["a", "b"] {
        fleet.vm("kvm1", name, 3);
        fleet.wants(name, "kvm2");
    }
    fleet.vm("kvm2", "settled", 8);
    for finding in fleet.plan().findings {
        let told = "all of these need such room there: a, b";
        assert!(finding.message.contains(told), "{finding:?}");
        // Both need 6 GiB, and 2 are left.
        let relief = "4.0 GiB more (memory of kvm2) would do for all of them";
        assert!(finding.remedy.contains(relief), "{finding:?}");
    }
}

#[test]
fn vms_that_are_kept_apart_do_not_meet_on_a_third_host() {
    let mut fleet = Fleet::new(5, 10);
    for (host, other, name) in [
        ("kvm1", "kvm2", "a"),
        ("kvm2", "kvm1", "b"),
        ("kvm4", "kvm5", "c"),
        ("kvm5", "kvm4", "d"),
    ] {
        fleet.vm(host, name, 10);
        let may_detour = ["a", "c"].contains(&name);
        fleet.wants(name, other).migration.allow_detour = Some(may_detour);
    }
    fleet.host("kvm3").memory = Bytes(20 * GIB);
    fleet.desired.apart = vec![["a", "c"].map(vm_name).into()];
    // Its check knows whether they meet.
    let plan = fleet.plan();
    assert!(!plan.is_blocked(), "{:#?}", plan.findings);
    assert_eq!(detours(&plan).len(), 2);
}

#[test]
fn a_vm_that_may_take_no_detour_takes_none() {
    let mut fleet = trade(5);
    for name in ["a", "b", "c"] {
        let wanted = fleet.desired.vms.get_mut(name).unwrap();
        wanted.migration.allow_detour = Some(false);
    }
    assert_eq!(detours(&fleet.plan()), ["d"]);
    fleet.desired.gates.max_detours = Some(0);
    fleet.desired.gates.no_reboot = true;
    assert_eq!(blocks(&fleet.plan()).len(), 4);
}

#[test]
fn a_host_in_maintenance_takes_nobody_for_a_while() {
    let mut fleet = trade(5);
    fleet.desired.hosts.get_mut("kvm3").unwrap().maintenance = true;
    let plan = fleet.plan();
    assert_eq!(detours(&plan), Vec::<&str>::new());
    assert_eq!(plan.totals().reboots, 1);
}

#[test]
fn nobody_waits_on_a_host_of_which_not_everything_is_known() {
    let mut fleet = trade(6);
    fleet.vm("kvm3", "stays", 1);
    let known = planner::third_hosts(&fleet.desired, &fleet.observed);
    assert_eq!(known.beside.len(), 0);
    let name = detours(&fleet.plan())[0].to_owned();
    let asked: Vec<_> = known.questions.iter().collect();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].0.as_str(), asked[0].1.as_str()), (&*name, "kvm3"));

    let stays = vm_name("stays");
    let there = fleet.host("kvm3").vms.get_mut(&stays).unwrap();
    let detail = there.detail.take();
    assert_eq!(detours(&fleet.plan()), [""; 0]);
    let third = planner::third_hosts(&fleet.desired, &fleet.observed);
    assert_eq!(third.beside, [stays.clone()].into());
    fleet.host("kvm3").vms.get_mut(&stays).unwrap().detail = detail;
    assert_eq!(detours(&fleet.plan()), [name]);
}
