//! Images that are written anew for a move: the room that this takes, the names, and what a checker demands of it.

use domicile::desired::ColdCopy;
use domicile::model::{Bytes, HostName, VolumeName};
use domicile::plan::{Action, Plan, Slot, check};

use super::fleet::{Fleet, GIB, acts, blocks, pool_name};

/// `web` on kvm1, running, to be shrunk on its way to kvm2.
fn shrinking() -> Fleet {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web", 4);
    fleet.wants("web", "kvm2").migration.shrink = Some(true);
    fleet
}

/// `clone` on kvm1, which occupies 1 GiB on a base of 2 GiB, to stand alone on kvm2.
fn flattening() -> Fleet {
    let mut fleet = Fleet::new(2, 64);
    fleet.clone_of_golden("kvm1", "clone");
    fleet.wants("clone", "kvm2").migration.flatten = Some(true);
    fleet
}

fn available(fleet: &mut Fleet, host: &str, gib: u64) {
    let pool = fleet.host(host).pools.get_mut("default").unwrap();
    pool.available = Bytes(gib * GIB);
}

fn violations(plan: &Plan) -> Vec<String> {
    let found = check::check_alone(plan);
    found.into_iter().map(|found| found.what).collect()
}

#[test]
fn a_compacted_copy_needs_room_in_the_pool_of_its_original() {
    let mut fleet = shrinking();
    available(&mut fleet, "kvm1", 1);
    assert_eq!(blocks(&fleet.plan()), [""; 0]);
    available(&mut fleet, "kvm1", 0);
    assert_eq!(blocks(&fleet.plan()), ["pool-space"]);
}

#[test]
fn a_compacted_copy_takes_no_name_that_somebody_has() {
    let mut fleet = shrinking();
    let pool = fleet.host("kvm1").pools.get_mut("default").unwrap();
    let taken = VolumeName::new("web.qcow2.compact").unwrap();
    let volume = pool.volumes["web.qcow2"].clone();
    pool.volumes.insert(taken, volume);
    let acts = acts(&fleet.plan());
    let own = "compact kvm1:default/web.qcow2 into kvm1:default/kvm1-web-vda.compact";
    assert!(acts.iter().any(|act| act == own), "{acts:?}");
}

#[test]
fn a_clone_that_stands_alone_needs_room_for_all_that_it_reads() {
    let mut fleet = flattening();
    available(&mut fleet, "kvm2", 3);
    assert_eq!(blocks(&fleet.plan()), [""; 0]);
    available(&mut fleet, "kvm2", 2);
    assert_eq!(blocks(&fleet.plan()), ["pool-space"]);
}

#[test]
fn a_clone_that_a_stream_carries_is_written_anew_and_its_base_stays() {
    let mut fleet = flattening();
    let wanted = fleet.wants("clone", "kvm2");
    wanted.method = domicile::desired::Method::Cold;
    wanted.migration.flatten = Some(true);
    wanted.migration.remove_unused_bases = Some(true);
    wanted.migration.cold_copy = Some(ColdCopy::Stream);
    let acts = acts(&fleet.plan());
    assert!(
        acts.iter().any(|act| act.starts_with("compact")),
        "{acts:?}"
    );
    assert!(!acts.iter().any(|act| act.contains("golden")), "{acts:?}");
}

#[test]
fn the_checker_wants_the_copy_named_in_the_mark_and_gone_before_the_mark() {
    let plan = shrinking().plan();
    let mut unnamed = plan.clone();
    for step in &mut unnamed.steps {
        if let Action::Mark { mark, .. } = &mut step.action {
            mark.temporary_volumes.clear();
        }
    }
    let told = violations(&unnamed);
    assert!(
        told.iter().any(|what| what.contains("before a mark")),
        "{told:?}"
    );
    let mut left = plan.clone();
    for step in &mut left.steps {
        if let Action::DeleteVolume { at, .. } = &mut step.action {
            at.pool = pool_name("fast");
        }
    }
    let told = violations(&left);
    assert!(
        told.iter().any(|what| what.contains("loses its mark")),
        "{told:?}"
    );
}

#[test]
fn the_checker_wants_the_copy_complete_before_it_is_carried() {
    let mut plan = shrinking().plan();
    for step in &mut plan.steps {
        if let Action::CompactVolume { spec, .. } = &mut step.action {
            let spec = spec.clone();
            step.action = Action::CreateVolume { spec };
        }
    }
    let told = violations(&plan);
    let early = "is copied before it is known to be complete";
    assert!(told.iter().any(|what| what.contains(early)), "{told:?}");
}

#[test]
fn a_compaction_counts_as_a_transfer_of_its_host() {
    let plan = shrinking().plan();
    let mut compactions = plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, Action::CompactVolume { .. }));
    let compaction = compactions.next().unwrap();
    let kvm1 = HostName::new("kvm1").unwrap();
    assert_eq!(compaction.uses, [(Slot::Out(kvm1), 1)]);
}
