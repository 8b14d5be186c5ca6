//! Which acts a move consists of, and why it is made in that way.

use domicile::desired::{ColdCopy, Method};
use domicile::model::{
    Bytes, DiskTarget, HostName, MoveMark, PowerState, RunState, VolumeFormat, VolumeName,
};
use domicile::plan::{Action, CopyMode, MoveKind, Plan, StepId, Tight};

use super::fleet::{Fleet, GIB, acts, blocks, pool_name};
use super::recovery::{mark, power};

#[test]
fn a_vm_that_is_where_it_shall_be_gives_an_empty_plan() {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web", 4);
    fleet.wants("web", "kvm1");
    let plan = fleet.plan();
    assert!(plan.is_empty(), "{plan:#?}");
}

/// A plan from a file may name any.
#[test]
fn a_step_that_is_not_there_is_noticed_wherever_a_plan_names_it() {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web", 4);
    fleet.wants("web", "kvm2");
    let plan = fleet.plan();
    assert_eq!(plan.missing_step(), None);
    let none = StepId(plan.steps.len());
    let ways: [fn(&mut Plan, StepId); 5] = [
        |plan, none| plan.moves[0].steps.push(none),
        |plan, none| plan.critical.push(none),
        |plan, none| plan.bound.by = Some(Tight::Chain(none)),
        |plan, none| plan.steps[1].after[0].step = none,
        |plan, none| plan.steps[1].held.as_mut().unwrap().by = none,
    ];
    for way in ways {
        let mut changed = plan.clone();
        way(&mut changed, none);
        assert_eq!(changed.missing_step(), Some(none));
    }
}

#[test]
fn a_vm_that_the_manifest_does_not_name_is_not_touched() {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web", 4);
    fleet.vm("kvm1", "stranger", 4);
    fleet.wants("web", "kvm2");
    assert!(
        acts(&fleet.plan())
            .iter()
            .all(|act| !act.contains("stranger"))
    );
}

#[test]
fn a_running_vm_with_a_local_disk_moves_live_and_leaves_the_source_clean() {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web", 4);
    fleet.wants("web", "kvm2");
    let plan = fleet.plan();
    assert_eq!(
        acts(&plan),
        [
            "mark web on kvm1",
            "create volume kvm2:default/web.qcow2",
            "migrate web live from kvm1 to kvm2",
            "delete volume kvm1:default/web.qcow2",
            "remove the mark of web on kvm2",
        ]
    );
    assert_eq!(plan.moves[0].kind, MoveKind::Live);
    assert_eq!(plan.moves[0].bytes, Bytes(5 * GIB));
}

#[test]
fn disks_on_storage_that_both_hosts_see_are_not_copied() {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web", 4);
    fleet.wants("web", "kvm2");
    for host in ["kvm1", "kvm2"] {
        let pool = fleet.host(host).pools.get_mut("default").unwrap();
        pool.storage = Some("nfs://nas/vms".into());
    }
    let acts = acts(&fleet.plan());
    assert_eq!(
        acts,
        [
            "mark web on kvm1",
            "migrate web live from kvm1 to kvm2",
            "remove the mark of web on kvm2"
        ]
    );
}

#[test]
fn a_linked_clone_moves_cold_and_its_base_comes_first() {
    let mut fleet = Fleet::new(2, 64);
    fleet.clone_of_golden("kvm1", "web");
    fleet.wants("web", "kvm2");
    let plan = fleet.plan();
    assert_eq!(plan.moves[0].kind, MoveKind::Cold);
    assert!(plan.moves[0].reason.starts_with("linked-clone"));
    assert!(plan.moves[0].reboots);
    assert_eq!(
        acts(&plan),
        [
            "mark web on kvm1",
            "copy kvm1:default/golden.qcow2 to kvm2:default/golden.qcow2",
            "create volume kvm2:default/web.qcow2",
            "shut down web on kvm1",
            "carry web with its disks from kvm1 to kvm2",
            "start web on kvm2",
            "delete volume kvm1:default/web.qcow2",
            "remove the mark of web on kvm2",
        ]
    );
}

#[test]
fn ten_clones_of_one_base_bring_it_once() {
    let mut fleet = Fleet::new(2, 64);
    for number in 0..10 {
        fleet.clone_of_golden("kvm1", &format!("web-{number}"));
        fleet.wants(&format!("web-{number}"), "kvm2").method = Method::Live;
    }
    let plan = fleet.plan();
    let copies = plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, Action::CopyVolume { .. }));
    assert_eq!(copies.count(), 1);
    let incremental = |step: &&domicile::plan::Step| matches!(&step.action, Action::MigrateLive { options, .. } if options.copy == CopyMode::Incremental);
    assert_eq!(plan.steps.iter().filter(incremental).count(), 10);
}

#[test]
fn a_base_that_is_there_already_is_verified_and_not_copied() {
    let mut fleet = Fleet::new(2, 64);
    fleet.clone_of_golden("kvm1", "web");
    fleet.wants("web", "kvm2");
    let golden = fleet.host("kvm1").pools["default"].volumes["golden.qcow2"].clone();
    let pool = fleet.host("kvm2").pools.get_mut("default").unwrap();
    pool.volumes.insert("golden.qcow2".parse().unwrap(), golden);
    let acts = acts(&fleet.plan());
    assert!(acts.contains(
        &"verify that kvm2:default/golden.qcow2 equals kvm1:default/golden.qcow2".into()
    ));
    assert!(!acts.iter().any(|act| act.starts_with("copy")));
}

#[test]
fn a_vm_that_is_off_moves_and_stays_off() {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web", 4).power = PowerState {
        state: RunState::ShutOff,
        reason: String::new(),
    };
    fleet.wants("web", "kvm2");
    let plan = fleet.plan();
    assert_eq!(plan.moves[0].kind, MoveKind::Offline);
    assert!(
        !acts(&plan)
            .iter()
            .any(|act| act.starts_with("start") || act.starts_with("shut"))
    );
}

#[test]
fn a_cold_move_by_streams_undefines_the_source_only_after_the_start() {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web", 4);
    let wanted = fleet.wants("web", "kvm2");
    wanted.method = Method::Cold;
    wanted.migration.cold_copy = Some(ColdCopy::Stream);
    assert_eq!(
        acts(&fleet.plan()),
        [
            "mark web on kvm1",
            "shut down web on kvm1",
            "copy kvm1:default/web.qcow2 to kvm2:default/web.qcow2",
            "define web on kvm2",
            "start web on kvm2",
            "remove the definition of web on kvm1",
            "delete volume kvm1:default/web.qcow2",
            "remove the mark of web on kvm2",
        ]
    );
}

#[test]
fn a_running_vm_changes_the_pool_of_a_disk_without_moving() {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web", 4);
    fleet
        .wants("web", "kvm1")
        .disks
        .insert(DiskTarget::new("vda").unwrap(), pool_name("fast"));
    let plan = fleet.plan();
    assert_eq!(plan.moves[0].kind, MoveKind::DiskOnly);
    assert_eq!(
        acts(&plan),
        [
            "mark web on kvm1",
            "create volume kvm1:fast/web.qcow2",
            "copy disk vda of web on kvm1 to /srv/fast/web.qcow2 and switch to it",
            "delete volume kvm1:default/web.qcow2",
            "remove the mark of web on kvm1",
        ]
    );
}

#[test]
fn snapshots_refuse_live_and_the_plan_falls_back_to_a_byte_copy() {
    let mut fleet = Fleet::new(2, 64);
    fleet
        .vm("kvm1", "web", 4)
        .detail
        .as_mut()
        .unwrap()
        .snapshots = vec!["before-upgrade".into()];
    fleet.wants("web", "kvm2");
    let plan = fleet.plan();
    assert!(plan.moves[0].reason.starts_with("snapshots"));
    assert!(acts(&plan).contains(&"copy kvm1:default/web.qcow2 to kvm2:default/web.qcow2".into()));
}

#[test]
fn a_vm_that_may_not_be_rebooted_is_refused_where_live_is_impossible() {
    let mut fleet = Fleet::new(2, 64);
    fleet
        .vm("kvm1", "web", 4)
        .detail
        .as_mut()
        .unwrap()
        .snapshots = vec!["before-upgrade".into()];
    fleet.wants("web", "kvm2").method = Method::Live;
    let plan = fleet.plan();
    assert_eq!(blocks(&plan), ["snapshots"]);
    assert!(plan.steps.is_empty());
}

#[test]
fn each_obstacle_is_named_by_its_rule() {
    type Obstacle = fn(&mut Fleet);
    let obstacles: [(&str, Obstacle); 8] = [
        ("pool-missing", |fleet| {
            fleet.host("kvm2").pools.remove("default");
        }),
        ("pool-inactive", |fleet| {
            fleet.host("kvm2").pools.get_mut("default").unwrap().active = false;
        }),
        ("network-missing", |fleet| {
            fleet.host("kvm2").bridges.clear();
        }),
        ("machine-type", |fleet| {
            fleet.host("kvm2").machines = vec!["pc-q35-7.2".into()];
        }),
        ("host-maintenance", |fleet| {
            fleet.desired.hosts.get_mut("kvm2").unwrap().maintenance = true;
        }),
        ("managed-save", |fleet| {
            fleet.host("kvm1").vms.get_mut("web").unwrap().managed_save = true;
        }),
        ("volume-taken", |fleet| {
            let volumes = fleet.host("kvm1").pools["default"].volumes.clone();
            fleet.host("kvm2").pools.get_mut("default").unwrap().volumes = volumes;
        }),
        ("same-host-uuid", |fleet| {
            fleet.host("kvm2").uuid = fleet.host("kvm1").uuid.clone();
        }),
    ];
    for (code, hinder) in obstacles {
        let mut fleet = Fleet::new(2, 64);
        fleet.vm("kvm1", "web", 4);
        fleet.wants("web", "kvm2");
        hinder(&mut fleet);
        let plan = fleet.plan();
        assert_eq!(blocks(&plan), [code]);
        assert!(plan.steps.is_empty(), "{code} must stop the move");
    }
}

#[test]
fn a_vm_that_is_nowhere_or_twice_is_not_guessed_about() {
    let mut fleet = Fleet::new(3, 64);
    fleet.vm("kvm1", "web", 4);
    fleet.vm("kvm2", "web", 4);
    fleet.wants("web", "kvm3");
    fleet.wants("db", "kvm3");
    let plan = fleet.plan();
    assert_eq!(blocks(&plan), ["vm-missing", "vm-twice"]);
    assert!(plan.steps.is_empty());
}

#[test]
fn the_definition_follows_the_networks_of_the_manifest() {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web", 4);
    fleet.wants("web", "kvm2");
    fleet.host("kvm2").bridges = vec!["br-pub".into()];
    let on = [("kvm1", "br0"), ("kvm2", "br-pub")];
    let on = on.map(|(host, bridge)| (HostName::new(host).unwrap(), bridge.to_owned()));
    fleet
        .desired
        .networks
        .insert("public".parse().unwrap(), on.into());
    let plan = fleet.plan();
    let rewritten = plan.steps.iter().find_map(|step| match &step.action {
        Action::MigrateLive { options, .. } => options.rewrite.interfaces.values().next(),
        _ => None,
    });
    assert_eq!(
        rewritten,
        Some(&domicile::model::InterfaceSource::Bridge("br-pub".into()))
    );
}

#[test]
fn a_vm_that_stays_is_not_cut_off_from_its_network() {
    let mut fleet = Fleet::new(1, 64);
    fleet.vm("kvm1", "web", 4);
    let mac = fleet.host("kvm1").vms["web"]
        .detail
        .as_ref()
        .unwrap()
        .interfaces[0]
        .mac
        .clone();
    fleet
        .wants("web", "kvm1")
        .interfaces
        .insert(mac, "public".parse().unwrap());
    fleet.host("kvm1").bridges.push("br-pub".into());
    let on = [(HostName::new("kvm1").unwrap(), "br-pub".to_owned())];
    fleet
        .desired
        .networks
        .insert("public".parse().unwrap(), on.into());
    let plan = fleet.plan();
    assert!(plan.is_empty());
    assert_eq!(plan.findings[0].code, "network-differs");
}

/// Without a mark that names it, nobody would know of a base that is left.
#[test]
fn a_base_goes_with_its_last_clone_and_before_that_ones_mark() {
    let mut fleet = Fleet::new(2, 64);
    for vm in ["web-1", "web-2"] {
        fleet.clone_of_golden("kvm1", vm);
        let wanted = fleet.wants(vm, "kvm2");
        wanted.migration.remove_unused_bases = Some(true);
    }
    let acts = acts(&fleet.plan());
    let place = |wanted: &str| acts.iter().position(|act| act == wanted).unwrap();
    let base = place("delete volume kvm1:default/golden.qcow2");
    for number in [1, 2] {
        assert!(place(&format!("delete volume kvm1:default/web-{number}.qcow2")) < base);
    }
    assert_eq!(acts.len(), base + 2, "{acts:?}");
    assert!(acts[base + 1].starts_with("remove the mark of web-"));
}

/// Of two moves that were left, neither knows whether the other has gone from the base.
#[test]
fn a_base_that_two_interrupted_moves_name_goes_once_after_both_and_before_one_of_their_marks() {
    let mut fleet = Fleet::new(2, 64);
    let golden = VolumeName::new("golden.qcow2").unwrap();
    for vm in ["web-1", "web-2"] {
        let mut left = mark();
        let volume = VolumeName::new(format!("{vm}.qcow2")).unwrap();
        left.source_volumes = vec![(pool_name("default"), volume)];
        left.created_volumes.clone_from(&left.source_volumes);
        left.made.clone_from(&left.source_volumes);
        left.source_bases = vec![(pool_name("default"), golden.clone())];
        left.kept_bases.clone_from(&left.source_bases);
        for (host, state, reason) in [
            ("kvm1", RunState::ShutOff, "migrated"),
            ("kvm2", RunState::Running, "migrated"),
        ] {
            let found = fleet.vm(host, vm, 4);
            found.uuid = vm.into();
            found.power = power(state, reason);
            found.detail.as_mut().unwrap().mark = Some(left.clone());
        }
        fleet.wants(vm, "kvm2").migration.remove_unused_bases = Some(true);
    }
    for host in ["kvm1", "kvm2"] {
        let pool = fleet.host(host).pools.get_mut("default").unwrap();
        let base = pool.volumes["web-1.qcow2"].clone();
        pool.volumes.insert(golden.clone(), base);
    }
    let plan = fleet.plan();
    let acts = acts(&plan);
    let removals = |act: &&String| act.contains("golden");
    assert_eq!(acts.iter().filter(removals).count(), 1, "{acts:?}");
    let place = |wanted: &str| acts.iter().position(|act| act == wanted).unwrap();
    let base = place("delete volume kvm1:default/golden.qcow2");
    let waits: Vec<_> = plan.steps[base].after.iter().map(|on| on.step.0).collect();
    for vm in ["web-1", "web-2"] {
        assert!(place(&format!("remove the definition of {vm} on kvm1")) < base);
        let last = place(&format!("delete volume kvm1:default/{vm}.qcow2"));
        assert!(waits.contains(&last), "{acts:?}");
    }
    assert!(
        acts[base + 1].starts_with("remove the mark of web-"),
        "{acts:?}"
    );
}

/// With the mark it does not start with its host, so the mark has to know that it did, also a second time.
#[test]
fn a_mark_knows_that_its_vm_starts_with_its_host() {
    let mut fleet = Fleet::new(2, 64);
    for (name, autostart) in [("plain", false), ("web", true)] {
        fleet.vm("kvm1", name, 4);
        fleet.host("kvm1").vms.get_mut(name).unwrap().autostart = autostart;
        fleet.wants(name, "kvm2");
    }
    let marks = |fleet: &Fleet| -> Vec<MoveMark> {
        let steps = fleet.plan().steps.into_iter();
        let marks = steps.filter_map(|step| match step.action {
            Action::Mark { mark, .. } => Some(mark),
            _ => None,
        });
        marks.collect()
    };
    let written = marks(&fleet);
    let known: Vec<bool> = written.iter().map(|mark| mark.autostart).collect();
    assert_eq!(known, [false, true]);

    let web = fleet.host("kvm1").vms.get_mut("web").unwrap();
    web.autostart = false;
    web.detail.as_mut().unwrap().mark = Some(written[1].clone());
    assert!(marks(&fleet).iter().any(|mark| mark.autostart));
}

/// A guest can write the header of an image into its raw disk, and the pool then tells of that image.
#[test]
fn a_raw_disk_that_looks_like_an_image_is_carried_as_the_raw_disk_that_it_is() {
    for (method, copy) in [
        (Method::Auto, ColdCopy::Auto),
        (Method::Cold, ColdCopy::Direct),
        (Method::Cold, ColdCopy::Stream),
    ] {
        let mut fleet = Fleet::new(2, 64);
        let vm = fleet.vm("kvm1", "web", 4);
        let disk = &mut vm.detail.as_mut().unwrap().disks[0];
        disk.format = VolumeFormat::Raw;
        disk.capacity = Some(Bytes(20 * GIB));
        let wanted = fleet.wants("web", "kvm2");
        wanted.method = method;
        wanted.migration.cold_copy = Some(copy);
        let plan = fleet.plan();
        assert_eq!(blocks(&plan), [""; 0]);
    }
}
