//! What an earlier apply left, and the way out of it.

use domicile::model::{JobKind, MoveMark, PowerState, RunState, VolumeName, VolumeRef};
use domicile::observed::Vm;
use domicile::plan::{Action, MoveKind};
use domicile::simulator::Simulator;

use super::fleet::{Fleet, acts, blocks, host_name, pool_name, vm_name};

pub(super) fn mark() -> MoveMark {
    let volume = (pool_name("default"), VolumeName::new("web.qcow2").unwrap());
    MoveMark {
        version: MoveMark::VERSION,
        from: host_name("kvm1"),
        from_uuid: "00000000-0000-0000-0000-000000000001".into(),
        to: host_name("kvm2"),
        to_uuid: "00000000-0000-0000-0000-000000000002".into(),
        was_active: true,
        autostart: false,
        cold: false,
        complete: false,
        source_volumes: vec![volume.clone()],
        created_volumes: vec![volume.clone()],
        created_bases: Vec::new(),
        temporary_volumes: Vec::new(),
        claimed: Vec::new(),
        made: vec![volume],
        made_at_source: Vec::new(),
        source_bases: Vec::new(),
        kept_bases: Vec::new(),
    }
}

pub(super) fn power(state: RunState, reason: &str) -> PowerState {
    PowerState {
        state,
        reason: reason.into(),
    }
}

/// A fleet in which `web` was being moved from kvm1 to kvm2, found on these hosts.
pub(super) fn interrupted(places: &[(&str, PowerState)]) -> Fleet {
    let mut fleet = Fleet::new(2, 64);
    for (host, power) in places {
        let vm: &mut Vm = fleet.vm(host, "web", 4);
        vm.uuid = "web".into();
        vm.power = power.clone();
        vm.detail.as_mut().unwrap().mark = Some(mark());
    }
    // Both volumes are there: the original and the copy.
    for (here, there) in [("kvm1", "kvm2"), ("kvm2", "kvm1")] {
        let volumes = fleet.host(here).pools["default"].volumes.clone();
        fleet
            .host(there)
            .pools
            .get_mut("default")
            .unwrap()
            .volumes
            .extend(volumes);
    }
    fleet.wants("web", "kvm2");
    fleet
}

#[test]
fn a_move_that_arrived_is_brought_to_its_end() {
    let plan = interrupted(&[("kvm2", power(RunState::Running, "migrated"))]).plan();
    assert_eq!(plan.moves[0].kind, MoveKind::Finish);
    assert_eq!(
        acts(&plan),
        [
            "delete volume kvm1:default/web.qcow2",
            "remove the mark of web on kvm2"
        ]
    );
}

/// Nobody else would ever know of it: the clone that stood on it is gone from there.
#[test]
fn a_base_that_the_move_was_to_take_along_goes_before_the_mark_that_names_it() {
    let golden = VolumeName::new("golden.qcow2").unwrap();
    let find = |removes: bool| {
        let mut fleet = interrupted(&[("kvm2", power(RunState::Running, "migrated"))]);
        for host in ["kvm1", "kvm2"] {
            let pool = fleet.host(host).pools.get_mut("default").unwrap();
            let base = pool.volumes["web.qcow2"].clone();
            pool.volumes.insert(golden.clone(), base);
        }
        let there = fleet.host("kvm2").vms.get_mut("web").unwrap();
        let mark = there.detail.as_mut().unwrap().mark.as_mut().unwrap();
        mark.source_bases = vec![(pool_name("default"), golden.clone())];
        mark.kept_bases.clone_from(&mark.source_bases);
        let wanted = fleet.wants("web", "kvm2");
        wanted.migration.remove_unused_bases = Some(removes);
        acts(&fleet.plan())
    };
    let ends = "remove the mark of web on kvm2";
    let original = "delete volume kvm1:default/web.qcow2";
    let base = "delete volume kvm1:default/golden.qcow2";
    assert_eq!(find(true), [original, base, ends]);
    assert_eq!(find(false), [original, ends]);
}

#[test]
fn a_source_that_was_left_defined_is_undefined_and_never_started() {
    let source = power(RunState::ShutOff, "migrated");
    let plan = interrupted(&[
        ("kvm1", source),
        ("kvm2", power(RunState::Running, "migrated")),
    ])
    .plan();
    assert_eq!(
        acts(&plan),
        [
            "remove the definition of web on kvm1",
            "delete volume kvm1:default/web.qcow2",
            "remove the mark of web on kvm2"
        ]
    );
}

#[test]
fn a_vm_that_arrived_off_is_started_where_it_was_going() {
    let plan = interrupted(&[("kvm2", power(RunState::ShutOff, "destroyed"))]).plan();
    assert_eq!(acts(&plan)[0], "start web on kvm2");
}

#[test]
fn a_move_that_did_not_arrive_is_cleaned_up_and_made_again() {
    let plan = interrupted(&[("kvm1", power(RunState::Running, "booted"))]).plan();
    assert_eq!(
        acts(&plan),
        [
            "delete volume kvm2:default/web.qcow2",
            "mark web on kvm1",
            "create volume kvm2:default/web.qcow2",
            "migrate web live from kvm1 to kvm2",
            "delete volume kvm1:default/web.qcow2",
            "remove the mark of web on kvm2",
        ]
    );
}

/// A run that dies after the old mark is gone and before the new one is written would leave a VM of which nobody knows
/// that it has to run.
#[test]
fn a_vm_that_we_shut_down_is_at_no_moment_without_a_mark_before_it_runs_again() {
    let plan = interrupted(&[("kvm1", power(RunState::ShutOff, "shutdown"))]).plan();
    let acts = acts(&plan);
    let place = |wanted: &str| acts.iter().position(|act| act.starts_with(wanted));
    assert!(place("mark web") < place("start web"), "{acts:?}");
    assert!(place("start web") < place("remove the mark"), "{acts:?}");
}

/// After the mark nobody would know of it, and a later move of another clone would take it for whole.
#[test]
fn a_base_that_may_be_half_written_goes_before_the_mark_that_names_it() {
    let mut fleet = interrupted(&[("kvm1", power(RunState::Running, "booted"))]);
    let base = VolumeName::new("golden.qcow2").unwrap();
    let pool = fleet.host("kvm2").pools.get_mut("default").unwrap();
    let half = pool.volumes["web.qcow2"].clone();
    pool.volumes.insert(base.clone(), half);
    let here = fleet.host("kvm1").vms.get_mut("web").unwrap();
    let mark = here.detail.as_mut().unwrap().mark.as_mut().unwrap();
    mark.created_bases = vec![(pool_name("default"), base.clone())];
    mark.made.push((pool_name("default"), base));
    fleet.wants("web", "kvm1");
    assert_eq!(
        acts(&fleet.plan()),
        [
            "delete volume kvm2:default/web.qcow2",
            "delete volume kvm2:default/golden.qcow2",
            "remove the mark of web on kvm1",
        ]
    );
}

#[test]
fn a_source_that_a_broken_migration_left_paused_runs_again_first() {
    let plan = interrupted(&[("kvm1", power(RunState::Paused, "migration"))]).plan();
    assert_eq!(acts(&plan)[0], "resume web on kvm1");
}

#[test]
fn a_compacted_copy_that_was_never_carried_goes_before_the_move_is_made_again() {
    let mut fleet = interrupted(&[("kvm1", power(RunState::ShutOff, "shutdown"))]);
    let passing = VolumeName::new("web.qcow2.compact").unwrap();
    let source = fleet.host("kvm1");
    let pool = source.pools.get_mut("default").unwrap();
    let half = pool.volumes["web.qcow2"].clone();
    pool.volumes.insert(passing.clone(), half);
    let detail = source.vms.get_mut("web").unwrap().detail.as_mut().unwrap();
    let mark = detail.mark.as_mut().unwrap();
    mark.temporary_volumes = vec![(pool_name("default"), passing)];
    mark.made_at_source.clone_from(&mark.temporary_volumes);
    assert_eq!(
        acts(&fleet.plan())[..3],
        [
            "delete volume kvm2:default/web.qcow2",
            "delete volume kvm1:default/web.qcow2.compact",
            "mark web on kvm1",
        ]
    );
}

#[test]
fn a_vm_that_we_shut_down_is_started_at_its_destination() {
    let plan = interrupted(&[("kvm1", power(RunState::ShutOff, "shutdown"))]).plan();
    assert!(
        acts(&plan).contains(&"start web on kvm2".into()),
        "{:?}",
        acts(&plan)
    );
    assert!(!acts(&plan).iter().any(|act| act.starts_with("shut down")));
}

#[test]
fn a_vm_that_we_shut_down_is_started_where_it_was_when_the_manifest_turned_back() {
    let mut fleet = interrupted(&[("kvm1", power(RunState::ShutOff, "shutdown"))]);
    fleet.wants("web", "kvm1");
    assert_eq!(
        acts(&fleet.plan()),
        [
            "delete volume kvm2:default/web.qcow2",
            "start web on kvm1",
            "remove the mark of web on kvm1"
        ]
    );
}

#[test]
fn incomplete_copies_are_never_started() {
    let off = || power(RunState::ShutOff, "shutdown");
    let mut fleet = interrupted(&[("kvm1", off()), ("kvm2", off())]);
    let told = blocks(&fleet.plan()).join(" ");
    assert_eq!(told, "unfinished", "it may have arrived live and run there");
    for host in ["kvm1", "kvm2"] {
        cold(&mut fleet, host);
    }
    assert_eq!(
        acts(&fleet.plan())[0],
        "remove the definition of web on kvm2"
    );
}

#[test]
fn complete_copies_count_from_the_moment_they_are_proven() {
    let off = || power(RunState::ShutOff, "shutdown");
    let mut fleet = interrupted(&[("kvm1", off()), ("kvm2", off())]);
    let there = fleet.host("kvm2").vms.get_mut("web").unwrap();
    there
        .detail
        .as_mut()
        .unwrap()
        .mark
        .as_mut()
        .unwrap()
        .complete = true;
    assert_eq!(
        acts(&fleet.plan())[..2],
        ["start web on kvm2", "remove the definition of web on kvm1"]
    );
}

#[test]
fn a_vm_that_runs_twice_is_left_for_a_person() {
    let running = || power(RunState::Running, "booted");
    let mut fleet = interrupted(&[("kvm1", running()), ("kvm2", running())]);
    fleet.vm("kvm1", "other", 4);
    fleet.wants("other", "kvm2");
    let plan = fleet.plan();
    assert_eq!(blocks(&plan), ["unfinished"]);
    assert!(plan.steps.iter().all(|step| step.vms == [vm_name("other")]));
    assert!(!plan.steps.is_empty());
    assert_eq!(
        plan.findings[0].message,
        "an earlier apply left its move from kvm1 to kvm2 unfinished: it is running, booted on kvm1 and running, booted \
         on kvm2; it may run twice"
    );
    assert!(
        plan.findings[0]
            .remedy
            .contains("virsh domstate --reason web")
    );
    assert!(plan.findings[0].remedy.contains("virsh destroy"));
}

#[test]
fn what_waits_for_a_migration_that_is_over_ends_and_the_move_is_made_again() {
    let places = [
        ("kvm1", power(RunState::Running, "migration canceled")),
        ("kvm2", power(RunState::Paused, "migration")),
    ];
    let plan = interrupted(&places).plan();
    assert_eq!(
        acts(&plan)[..3],
        [
            "end the paused web on kvm2",
            "remove the definition of web on kvm2",
            "delete volume kvm2:default/web.qcow2",
        ]
    );
}

#[test]
fn a_broken_post_copy_is_left_for_a_person_who_is_told_to_end_neither_side() {
    let torn = |state| power(state, "post-copy failed");
    for places in [
        vec![
            ("kvm1", torn(RunState::Paused)),
            ("kvm2", torn(RunState::Running)),
        ],
        vec![("kvm1", torn(RunState::Paused))],
        vec![("kvm2", torn(RunState::Running))],
    ] {
        let plan = interrupted(&places).plan();
        assert_eq!(blocks(&plan), ["unfinished"]);
        assert!(plan.steps.is_empty());
        assert!(plan.findings[0].remedy.contains("--postcopy-resume"));
    }
}

#[test]
fn a_migration_that_is_not_ours_is_not_joined() {
    let mut fleet = interrupted(&[("kvm1", power(RunState::Running, "booted"))]);
    let here = fleet.host("kvm1").vms.get_mut("web").unwrap();
    here.detail.as_mut().unwrap().job = Some(JobKind::MigrationOut);
    let plan = fleet.plan();
    assert_eq!(blocks(&plan), ["job-active"]);
    assert!(plan.steps.is_empty());
}

#[test]
fn a_backup_of_a_vm_that_an_apply_left_is_waited_for() {
    let mut fleet = interrupted(&[("kvm1", power(RunState::Running, "booted"))]);
    let here = fleet.host("kvm1").vms.get_mut("web").unwrap();
    here.detail.as_mut().unwrap().job = Some(JobKind::Other);
    let plan = fleet.plan();
    assert_eq!(blocks(&plan), ["job-active"]);
    assert!(plan.steps.is_empty());
}

#[test]
fn a_mark_of_another_version_on_either_host_blocks_its_vm_and_no_other() {
    for host in ["kvm1", "kvm2"] {
        let places = [
            ("kvm1", power(RunState::ShutOff, "shutdown")),
            ("kvm2", power(RunState::Running, "migrated")),
        ];
        let mut fleet = interrupted(&places);
        let vm = fleet.host(host).vms.get_mut("web").unwrap();
        let detail = vm.detail.as_mut().unwrap();
        detail.mark = None;
        detail.unreadable_mark = Some("its mark of a move is of layout 9".into());
        fleet.vm("kvm1", "other", 4);
        fleet.wants("other", "kvm2");
        let plan = fleet.plan();
        assert_eq!(blocks(&plan), ["unreadable-mark"]);
        assert!(!plan.steps.is_empty());
        assert!(plan.steps.iter().all(|step| step.vms == [vm_name("other")]));
    }
}

#[test]
fn marks_that_contradict_each_other_are_left_for_a_person() {
    let off = || power(RunState::ShutOff, "shutdown");
    let mut fleet = interrupted(&[("kvm1", off()), ("kvm2", off())]);
    let there = fleet.host("kvm2").vms.get_mut("web").unwrap();
    let mark = there.detail.as_mut().unwrap().mark.as_mut().unwrap();
    mark.created_volumes.clear();
    mark.source_volumes.clear();
    let plan = fleet.plan();
    assert_eq!(blocks(&plan), ["unfinished"]);
    assert!(plan.steps.is_empty());
}

pub(super) fn cold(fleet: &mut Fleet, host: &str) {
    let vm = fleet.host(host).vms.get_mut("web").unwrap();
    vm.detail.as_mut().unwrap().mark.as_mut().unwrap().cold = true;
}

#[test]
fn an_instance_that_was_started_paused_to_be_carried_is_ended_and_the_move_made_again() {
    let mut fleet = interrupted(&[("kvm1", power(RunState::Paused, "user"))]);
    cold(&mut fleet, "kvm1");
    let acts = acts(&fleet.plan());
    assert_eq!(acts[0], "end the paused web on kvm1");
    assert!(acts.contains(&"start web on kvm2".into()), "{acts:?}");
    assert!(
        !acts.iter().any(|act| act.starts_with("shut down")),
        "{acts:?}"
    );
}

#[test]
fn an_instance_that_was_carried_and_never_ran_is_ended_and_started_afresh() {
    let mut fleet = interrupted(&[("kvm2", power(RunState::Paused, "user"))]);
    cold(&mut fleet, "kvm2");
    assert_eq!(
        acts(&fleet.plan()),
        [
            "end the paused web on kvm2",
            "start web on kvm2",
            "delete volume kvm1:default/web.qcow2",
            "remove the mark of web on kvm2"
        ]
    );
}

#[test]
fn a_guest_that_a_person_paused_stays_paused() {
    let plan = interrupted(&[("kvm2", power(RunState::Paused, "user"))]).plan();
    assert!(
        !acts(&plan)
            .iter()
            .any(|act| act.starts_with("start") || act.starts_with("end"))
    );
}

#[test]
fn a_source_that_lost_only_the_confirmation_is_ended_and_never_resumed() {
    let places = [
        ("kvm1", power(RunState::Paused, "migration")),
        ("kvm2", power(RunState::Running, "migrated")),
    ];
    let plan = interrupted(&places).plan();
    assert_eq!(acts(&plan)[0], "end the paused web on kvm1");
    assert_eq!(acts(&plan)[1], "remove the definition of web on kvm1");
}

#[test]
fn a_volume_that_somebody_else_made_under_our_name_is_never_removed() {
    let mut fleet = interrupted(&[("kvm1", power(RunState::Running, "booted"))]);
    let here = fleet.host("kvm1").vms.get_mut("web").unwrap();
    here.detail
        .as_mut()
        .unwrap()
        .mark
        .as_mut()
        .unwrap()
        .made
        .clear();
    let plan = fleet.plan();
    assert_eq!(acts(&plan), ["remove the mark of web on kvm1"]);
    assert_eq!(blocks(&plan), ["volume-taken"]);
    assert!(
        plan.findings
            .iter()
            .any(|finding| finding.code == "unproven-leftover")
    );
}

#[test]
fn an_original_stays_where_the_vm_was_not_seen_on_its_copy() {
    let mut fleet = interrupted(&[("kvm2", power(RunState::Running, "migrated"))]);
    let there = fleet.host("kvm2").vms.get_mut("web").unwrap();
    for disk in &mut there.detail.as_mut().unwrap().disks {
        disk.volume = None;
        disk.path = Some("/elsewhere/web.qcow2".into());
    }
    let plan = fleet.plan();
    assert_eq!(acts(&plan), ["remove the mark of web on kvm2"]);
    assert!(
        plan.findings
            .iter()
            .any(|finding| finding.code == "unproven-leftover")
    );
}

#[test]
fn a_volume_that_was_only_claimed_goes_only_while_nothing_is_written_in_it() {
    let mut fleet = interrupted(&[("kvm1", power(RunState::Running, "booted"))]);
    let here = fleet.host("kvm1").vms.get_mut("web").unwrap();
    let mark = here.detail.as_mut().unwrap().mark.as_mut().unwrap();
    mark.claimed = std::mem::take(&mut mark.made);
    let plan = fleet.plan();
    assert_eq!(acts(&plan)[0], "delete volume kvm2:default/web.qcow2");
    assert!(matches!(
        plan.steps[0].action,
        Action::DeleteVolume {
            only_if_empty: true,
            ..
        }
    ));
    // Something is written in it here, so it stays.
    let hosts = Simulator::new(fleet.observed.clone());
    crate::simulator::perform(&hosts, &plan.steps[0].action).unwrap();
    let left = VolumeRef {
        host: host_name("kvm2"),
        pool: pool_name("default"),
        volume: VolumeName::new("web.qcow2").unwrap(),
    };
    assert!(hosts.observed().volume(&left).is_some());
}
