//! What hosts are asked before a plan is made, besides what is read of them anyway.

use std::collections::{BTreeMap, BTreeSet};

use domicile::desired::{Driver, Method, MigrationOverrides, Pool};
use domicile::hypervisor::{Depth, Hypervisor, ObserveRequest};
use domicile::model::{Bytes, Millis, MoveMark, PowerState, RunState, VolumeName};
use domicile::observed::{self, Observed, QemuAnswer, Reading};
use domicile::plan::{Action, Severity};
use domicile::planner;
use domicile::simulator::Simulator;

use super::fleet::{Fleet, host_name, pool_name, vm_name};

fn moving() -> Fleet {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web", 4);
    fleet.wants("web", "kvm2");
    fleet
}

fn asks_qemu(fleet: &mut Fleet) {
    fleet.desired.migration.fleet = MigrationOverrides {
        ask_qemu: Some(true),
        ..MigrationOverrides::default()
    };
}

#[test]
fn qemu_is_asked_only_on_demand_and_only_of_a_running_vm_that_may_go_live() {
    let mut fleet = moving();
    let asked = |fleet: &Fleet| planner::monitors(&fleet.desired, &fleet.observed);
    assert_eq!(asked(&fleet), BTreeSet::new());
    asks_qemu(&mut fleet);
    let web = vm_name("web");
    assert_eq!(asked(&fleet), BTreeSet::from([web.clone()]));

    fleet.desired.vms.get_mut(&web).unwrap().method = Method::Cold;
    assert_eq!(asked(&fleet), BTreeSet::new());
    fleet.wants("web", "kvm1");
    assert_eq!(asked(&fleet), BTreeSet::new());
    fleet.wants("web", "kvm2");
    let vm = fleet.host("kvm1").vms.get_mut(&web).unwrap();
    vm.power = PowerState {
        state: RunState::ShutOff,
        reason: "shutdown".into(),
    };
    assert_eq!(asked(&fleet), BTreeSet::new());
}

fn shares_its_pool(fleet: &mut Fleet) {
    let shared = Pool {
        shared: true,
        on: BTreeMap::new(),
    };
    fleet.desired.pools.insert(pool_name("default"), shared);
}

fn pool_of<'a>(fleet: &'a mut Fleet, host: &str) -> &'a mut observed::Pool {
    let pools = &mut fleet.host(host).pools;
    pools.get_mut(&pool_name("default")).unwrap()
}

#[test]
fn a_shared_pool_is_looked_into_anew_only_where_it_does_not_list_a_disk() {
    let mut fleet = moving();
    let unread = |fleet: &Fleet| planner::unread(&fleet.desired, &fleet.observed);
    assert!(unread(&fleet).is_empty());
    shares_its_pool(&mut fleet);
    let there = BTreeMap::from([(host_name("kvm2"), BTreeSet::from([pool_name("default")]))]);
    assert_eq!(unread(&fleet).pools, there);

    pool_of(&mut fleet, "kvm2").kind = "rbd".into();
    assert!(unread(&fleet).is_empty());
    let listed = pool_of(&mut fleet, "kvm1").volumes.clone();
    let pool = pool_of(&mut fleet, "kvm2");
    pool.kind = "netfs".into();
    pool.volumes = listed;
    assert!(unread(&fleet).is_empty());
}

/// The reading as the planner gets it: VMs of the manifest looked into, and besides what is left to ask.
fn read_for_a_plan(fleet: &Fleet) -> Observed {
    let hosts = Simulator::new(fleet.observed.clone());
    let mut request = ObserveRequest {
        hosts: fleet.desired.hosts.clone(),
        depth: Depth::Named {
            closely: fleet.desired.vms.keys().cloned().collect(),
            beside: BTreeSet::new(),
        },
        fits: Vec::new(),
        ask_qemu: BTreeSet::new(),
        refresh: BTreeMap::new(),
        volumes: BTreeMap::new(),
        timeout: Millis::from_secs(1),
    };
    let mut observed = hosts.observe(&request);
    let unread = planner::unread(&fleet.desired, &observed);
    request.depth = Depth::Bulk;
    request.hosts.retain(|host, _| unread.concerns(host));
    (request.refresh, request.volumes) = (unread.pools, unread.volumes);
    for (name, reading) in hosts.observe(&request).hosts {
        let (Some(Reading::Reached(host)), Reading::Reached(later)) =
            (observed.hosts.get_mut(&name), reading)
        else {
            panic!("{name} does not answer");
        };
        host.learn_volumes(*later);
    }
    observed
}

#[test]
fn a_volume_that_is_said_to_be_a_disk_which_stays_is_compared_though_no_vm_there_uses_it() {
    let mut fleet = moving();
    shares_its_pool(&mut fleet);
    let mut listed = pool_of(&mut fleet, "kvm1").volumes.clone();
    pool_of(&mut fleet, "kvm2").volumes = listed.clone();
    let verdicts = |fleet: &Fleet| {
        let plan = planner::plan(&fleet.desired, &read_for_a_plan(fleet));
        let about = plan.findings.into_iter();
        let about = about.filter(|finding| finding.code == "shared-differs");
        about.map(|finding| finding.severity).collect::<Vec<_>>()
    };
    assert_eq!(verdicts(&fleet), []);
    for volume in listed.values_mut() {
        volume.detail.as_mut().unwrap().capacity = Bytes(1);
    }
    pool_of(&mut fleet, "kvm2").volumes = listed;
    assert_eq!(verdicts(&fleet), [Severity::Blocks]);
    // One that no host lists yet is looked for, and read as soon as it is found.
    let observed = read_for_a_plan(&fleet);
    let pool = &observed.host(&host_name("kvm2")).unwrap().pools[&pool_name("default")];
    assert!(pool.volumes.values().all(|volume| volume.detail.is_some()));
}

#[test]
fn what_an_earlier_apply_made_is_measured_so_that_its_removal_makes_room() {
    let mut fleet = moving();
    let copy = (pool_name("default"), VolumeName::new("web.qcow2").unwrap());
    let (from, to) = (host_name("kvm1"), host_name("kvm2"));
    let uuid = |fleet: &Fleet, host| fleet.observed.host(host).unwrap().uuid.clone();
    let mark = MoveMark {
        version: MoveMark::VERSION,
        from_uuid: uuid(&fleet, &from),
        to_uuid: uuid(&fleet, &to),
        from: from.clone(),
        to: to.clone(),
        was_active: true,
        autostart: false,
        cold: false,
        complete: false,
        source_volumes: vec![copy.clone()],
        created_volumes: vec![copy.clone()],
        created_bases: Vec::new(),
        temporary_volumes: Vec::new(),
        claimed: Vec::new(),
        made: Vec::new(),
        made_at_source: Vec::new(),
        source_bases: Vec::new(),
        kept_bases: Vec::new(),
    };
    let vm = fleet.host("kvm1").vms.get_mut(&vm_name("web")).unwrap();
    vm.detail.as_mut().unwrap().mark = Some(mark);
    let left = pool_of(&mut fleet, "kvm1").volumes[&copy.1].clone();
    pool_of(&mut fleet, "kvm2")
        .volumes
        .insert(copy.1.clone(), left);
    let observed = read_for_a_plan(&fleet);
    let volume = &observed.host(&to).unwrap().pools[&copy.0].volumes[&copy.1];
    assert!(volume.detail.is_some());
}

#[test]
fn a_reading_has_what_it_was_asked_for_and_no_more() {
    let mut fleet = moving();
    let answer = QemuAnswer::Answered {
        version: 10_000_002,
        blockers: vec!["no".into()],
    };
    let web = vm_name("web");
    let vm = fleet.host("kvm1").vms.get_mut(&web).unwrap();
    vm.detail.as_mut().unwrap().qemu = Some(answer.clone());
    let hosts = Simulator::new(fleet.observed);
    let mut request = ObserveRequest {
        hosts: fleet.desired.hosts.clone(),
        depth: Depth::Named {
            closely: BTreeSet::from([web.clone()]),
            beside: BTreeSet::new(),
        },
        fits: Vec::new(),
        ask_qemu: BTreeSet::new(),
        refresh: BTreeMap::new(),
        volumes: BTreeMap::new(),
        timeout: Millis::from_secs(1),
    };
    let told = |request: &ObserveRequest| {
        let observed = hosts.observe(request);
        let vm = &observed.host(&host_name("kvm1")).unwrap().vms[&web];
        let pool = &observed.host(&host_name("kvm2")).unwrap().pools[&pool_name("default")];
        (vm.detail.as_ref().unwrap().qemu.clone(), pool.refreshed)
    };
    assert_eq!(told(&request), (None, false));
    request.ask_qemu.insert(web.clone());
    let pools = BTreeSet::from([pool_name("default")]);
    request.refresh.insert(host_name("kvm2"), pools);
    assert_eq!(told(&request), (Some(answer), true));
}

#[test]
fn a_host_whose_uri_leads_to_itself_is_migrated_to_from_here() {
    let mut fleet = moving();
    let driver = |fleet: &Fleet| {
        let plan = fleet.plan();
        let migrations = plan.steps.iter().filter_map(|step| match &step.action {
            Action::MigrateLive { options, .. } => Some(options.driver),
            _ => None,
        });
        migrations.collect::<Vec<_>>()
    };
    assert_eq!(driver(&fleet), [Driver::Auto]);
    let kvm2 = fleet.desired.hosts.get_mut(&host_name("kvm2")).unwrap();
    kvm2.uri = "qemu:///system".into();
    assert_eq!(driver(&fleet), [Driver::Managed]);
}
