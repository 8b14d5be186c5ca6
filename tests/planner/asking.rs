//! What hosts are asked before a plan is made, besides what is read of them anyway.

use std::collections::{BTreeMap, BTreeSet};

use domicile::desired::{Driver, Method, MigrationOverrides, Pool};
use domicile::hypervisor::{Depth, Hypervisor, ObserveRequest};
use domicile::model::{Millis, PowerState, RunState};
use domicile::observed::QemuAnswer;
use domicile::plan::Action;
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

#[test]
fn a_shared_pool_is_looked_into_anew_only_where_it_does_not_list_a_disk() {
    let mut fleet = moving();
    let unlisted = |fleet: &Fleet| planner::unlisted(&fleet.desired, &fleet.observed);
    assert_eq!(unlisted(&fleet), BTreeMap::new());
    let shared = Pool {
        shared: true,
        on: BTreeMap::new(),
    };
    fleet.desired.pools.insert(pool_name("default"), shared);
    let there = BTreeMap::from([(host_name("kvm2"), BTreeSet::from([pool_name("default")]))]);
    assert_eq!(unlisted(&fleet), there);

    let listed = fleet.host("kvm1").pools[&pool_name("default")]
        .volumes
        .clone();
    let pool = fleet
        .host("kvm2")
        .pools
        .get_mut(&pool_name("default"))
        .unwrap();
    pool.kind = "rbd".into();
    assert_eq!(unlisted(&fleet), BTreeMap::new());
    let pool = fleet
        .host("kvm2")
        .pools
        .get_mut(&pool_name("default"))
        .unwrap();
    pool.kind = "netfs".into();
    pool.volumes = listed;
    assert_eq!(unlisted(&fleet), BTreeMap::new());
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
