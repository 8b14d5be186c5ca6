//! An apply that is undone: by its journal, and after a failure.

use std::collections::BTreeSet;

use domicile::apply::journal::Journal;
use domicile::apply::records::Times;
use domicile::apply::undo::{Undo, UndoError, started_by};
use domicile::apply::{CancelHandle, Happening, Options, Summary, run};
use domicile::desired::Desired;
use domicile::model::{DiskTarget, InterfaceSource, NetworkName};
use domicile::plan::{Plan, StepId, check::check};
use domicile::planner;
use domicile::simulator::Simulator;

use super::state_on;
use crate::planner::fleet::{Fleet, acts, blocks, host_name, pool_name, vm_name};

/// `web` and `db` run on kvm1 and are to go to kvm2, `web` into another pool.
fn two_to_move() -> Fleet {
    let mut fleet = Fleet::new(3, 64);
    for vm in ["db", "web"] {
        fleet.vm("kvm1", vm, 4);
        fleet.wants(vm, "kvm2");
    }
    let wanted = fleet.wants("web", "kvm2");
    wanted
        .disks
        .insert(DiskTarget::new("vda").unwrap(), pool_name("fast"));
    fleet
}

/// Applies with a journal and gives its text.
fn apply(plan: &Plan, hosts: &Simulator, options: &Options) -> (Summary, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("apply.jsonl");
    let mut journal = Journal::create(&path, plan, Times::Measured).unwrap();
    let summary = run(plan, hosts, options, &CancelHandle::new(), &mut |event| {
        journal.write(event).unwrap();
    });
    (summary, std::fs::read_to_string(&path).unwrap())
}

fn planned(desired: &Desired, hosts: &Simulator) -> Plan {
    let observed = hosts.observed();
    let plan = planner::plan(desired, &observed);
    assert_eq!(check(desired, &observed, &plan), Vec::new());
    plan
}

fn carried_out(fleet: &mut Fleet) -> (Simulator, String) {
    let plan = fleet.plan();
    let hosts = Simulator::new(fleet.observed.clone());
    let options = Options::new(fleet.desired.hosts.clone());
    let (summary, journal) = apply(&plan, &hosts, &options);
    assert_eq!(summary.moved.len(), plan.moves.len());
    (hosts, journal)
}

#[test]
fn every_vm_and_disk_comes_back_to_where_it_was_by_a_plan_like_any_other() {
    let mut fleet = two_to_move();
    let before = fleet.observed.clone();
    let (hosts, journal) = carried_out(&mut fleet);
    let undo = Undo::read(&journal).unwrap();
    let desired = undo.desired(&fleet.desired).unwrap();
    undo.expect_places(&hosts.observed()).unwrap();
    let back = planned(&desired, &hosts);
    assert!(acts(&back).contains(&"migrate web live from kvm2 to kvm1".into()));
    let options = Options::new(desired.hosts.clone());
    let (summary, _) = apply(&back, &hosts, &options);
    assert_eq!(summary.moved, [vm_name("db"), vm_name("web")]);
    assert_eq!(hosts.breaches(), []);
    let now = hosts.observed();
    for host in ["kvm1", "kvm2"] {
        let host = host_name(host);
        let (was, is) = (before.host(&host).unwrap(), now.host(&host).unwrap());
        let disks = |host: &domicile::observed::Host| -> Vec<_> {
            let details = host.vms.values().filter_map(|vm| vm.detail.clone());
            details.map(|detail| detail.disks[0].path.clone()).collect()
        };
        assert_eq!(disks(was), disks(is));
        for (pool, was) in &was.pools {
            let (was, is) = (&was.volumes, &is.pools[pool].volumes);
            assert!(was.keys().eq(is.keys()), "{pool} on {host}");
        }
    }
}

#[test]
fn what_was_not_begun_is_not_undone_and_what_was_left_unfinished_is_taken_back() {
    let fleet = two_to_move();
    let plan = fleet.plan();
    let hosts = Simulator::new(fleet.observed.clone());
    let options = Options::new(fleet.desired.hosts.clone());
    let (_, journal) = apply(&plan, &hosts, &options);
    // The apply died after the mark of web was written, and nothing else was begun.
    let mark = plan
        .steps
        .iter()
        .position(|step| step.action.to_string() == "mark web on kvm1")
        .unwrap();
    let header = journal.lines().next().unwrap();
    let cut = format!(
        "{header}\n{{\"time\":\"\",\"event\":{{\"at\":0,\"what\":{{\"type\":\"step-started\",\"step\":{mark}}}}}}}\n{{\"time\":\"2"
    );
    let hosts = Simulator::new(fleet.observed.clone());
    crate::simulator::perform(&hosts, &plan.steps[mark].action).unwrap();
    let undo = Undo::read(&cut).unwrap();
    let desired = undo.desired(&fleet.desired).unwrap();
    assert_eq!(desired.vms.keys().collect::<Vec<_>>(), [&vm_name("web")]);
    assert_eq!(
        acts(&planned(&desired, &hosts)),
        ["remove the mark of web on kvm1"]
    );
}

#[test]
fn undoing_keeps_to_the_rules_and_to_the_room_there_is_now() {
    let mut fleet = two_to_move();
    let (hosts, journal) = carried_out(&mut fleet);
    let undo = Undo::read(&journal).unwrap();
    let mut manifest = fleet.desired.clone();
    let kvm1 = manifest.hosts.get_mut(&host_name("kvm1")).unwrap();
    kvm1.maintenance = true;
    let desired = undo.desired(&manifest).unwrap();
    let back = planned(&desired, &hosts);
    assert_eq!(blocks(&back), ["host-maintenance", "host-maintenance"]);
    assert!(back.steps.is_empty());
    // Somebody has filled the host meanwhile.
    let desired = undo.desired(&fleet.desired).unwrap();
    let mut observed = hosts.observed();
    if let Some(domicile::observed::Reading::Reached(host)) =
        observed.hosts.get_mut(&host_name("kvm1"))
    {
        host.memory = domicile::model::Bytes(1);
    }
    let back = planner::plan(&desired, &observed);
    assert!(back.steps.is_empty());
    assert_eq!(blocks(&back), ["capacity", "capacity"]);
}

#[test]
fn what_the_manifest_no_longer_names_or_somebody_has_moved_since_is_not_touched() {
    let mut fleet = two_to_move();
    let (hosts, journal) = carried_out(&mut fleet);
    let undo = Undo::read(&journal).unwrap();
    let mut manifest = fleet.desired.clone();
    manifest.vms.remove(&vm_name("web"));
    let vm = vm_name("web");
    assert_eq!(
        undo.desired(&manifest),
        Err(UndoError::NotNamed { vm: vm.clone() })
    );
    let mut manifest = fleet.desired.clone();
    manifest.hosts.remove(&host_name("kvm1"));
    assert!(matches!(
        undo.desired(&manifest),
        Err(UndoError::NoHost { .. })
    ));
    fleet.observed = hosts.observed();
    let moved = fleet.host("kvm2").vms.remove(&vm).unwrap();
    fleet.host("kvm3").vms.insert(vm.clone(), moved);
    let host = host_name("kvm3");
    assert_eq!(
        undo.expect_places(&fleet.observed),
        Err(UndoError::Elsewhere { vm, host })
    );
}

#[test]
fn a_text_that_is_no_journal_is_refused_with_the_line() {
    let mut fleet = two_to_move();
    let (_, journal) = carried_out(&mut fleet);
    let (header, rest) = journal.split_once('\n').unwrap();
    let broken = format!("{header}\nno event\n{rest}");
    for (text, at) in [("", 1), ("{}", 1), (broken.as_str(), 2)] {
        match Undo::read(text) {
            Err(UndoError::NotAJournal(error)) => assert_eq!(error.line, at),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_network_that_the_move_changed_is_changed_back_where_it_has_a_name() {
    let mut fleet = two_to_move();
    let (public, bridge) = (NetworkName::new("public").unwrap(), "br0".to_owned());
    let on = [("kvm1", "br0"), ("kvm2", "br7")];
    let on = on.map(|(host, name)| (host_name(host), name.to_owned()));
    fleet.desired.networks.insert(public, on.into());
    fleet.host("kvm2").bridges = vec!["br7".into()];
    let (hosts, journal) = carried_out(&mut fleet);
    let bridge_of = |hosts: &Simulator, host: &str| {
        let observed = hosts.observed();
        let vm = observed.host(&host_name(host)).unwrap().vms["web"].clone();
        vm.detail.unwrap().interfaces[0].source.clone()
    };
    assert_eq!(
        bridge_of(&hosts, "kvm2"),
        InterfaceSource::Bridge("br7".into())
    );
    let desired = Undo::read(&journal)
        .unwrap()
        .desired(&fleet.desired)
        .unwrap();
    let back = planned(&desired, &hosts);
    apply(&back, &hosts, &Options::new(desired.hosts.clone()));
    assert_eq!(bridge_of(&hosts, "kvm1"), InterfaceSource::Bridge(bridge));
}

#[test]
fn where_a_failure_stops_an_apply_nothing_new_starts_and_what_was_begun_can_be_undone() {
    let mut fleet = two_to_move();
    // One at a time, so that the second has not begun when the first fails.
    for host in fleet.desired.hosts.values_mut() {
        host.limits.parallel = Some(1);
    }
    let plan = fleet.plan();
    let first = plan.moves[0].vm.clone();
    let at = plan.moves[0].disks[0].to.clone().unwrap();
    let pool = fleet.host("kvm2").pools.get_mut(&at.pool).unwrap();
    let path = format!("{}/{}", pool.path, at.volume);
    let volume = domicile::observed::Volume { path, detail: None };
    pool.volumes.insert(at.volume.clone(), volume);
    let hosts = Simulator::new(fleet.observed.clone());
    let mut options = Options::new(fleet.desired.hosts.clone());
    options.stops_on_failure = true;
    options.at_once = std::num::NonZeroUsize::MIN;
    let mut started: BTreeSet<StepId> = BTreeSet::new();
    let mut failed = None;
    let summary = run(
        &plan,
        &hosts,
        &options,
        &CancelHandle::new(),
        &mut |event| {
            if let Some(step) = started_by(event) {
                assert_eq!(failed, None, "step {step} started after a failure");
                started.insert(step);
            }
            if let Happening::StepFailed { step, .. } = event.what {
                failed = Some(step);
            }
        },
    );
    assert_eq!(summary.failed, std::slice::from_ref(&first));
    assert!(!summary.cancelled);
    let desired = Undo::of(&plan, &started).desired(&fleet.desired).unwrap();
    let back = planned(&desired, &hosts);
    let (summary, _) = apply(&back, &hosts, &Options::new(desired.hosts.clone()));
    assert_eq!((summary.failed, summary.left), (vec![], vec![]));
    for vm in ["db", "web"] {
        assert_eq!(state_on(&hosts, "kvm1", vm), "Running");
        assert_eq!(state_on(&hosts, "kvm2", vm), "-");
    }
    // The volume that was in the way is somebody's, and is there.
    assert!(hosts.observed().volume(&at).is_some());
}
