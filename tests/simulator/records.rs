//! What real hosts would let happen and must not: simulated hosts let it happen too, and record it.

use std::collections::{BTreeMap, BTreeSet};

use domicile::hypervisor::{Depth, Hypervisor, ObserveRequest};
use domicile::model::{BytesPerSecond, Millis};
use domicile::observed::Reading;
use domicile::plan::CopyMode;
use domicile::simulator::{Breach, Simulator, Timing};

use super::{
    copy, create, define, delete, migrate, perform, shut_down, start, two_hosts, undefine,
};
use crate::planner::fleet::{Fleet, host_name, vm_name};

#[test]
fn a_vm_that_is_started_while_it_runs_elsewhere() {
    let hosts = Simulator::new(two_hosts().observed);
    perform(&hosts, &shut_down("kvm1")).unwrap();
    perform(&hosts, &copy("kvm1", "kvm2")).unwrap();
    perform(&hosts, &define()).unwrap();
    perform(&hosts, &start("kvm1", &[])).unwrap();
    assert_eq!(hosts.breaches(), []);
    perform(&hosts, &start("kvm2", &[])).unwrap();
    assert!(hosts.breaches().contains(&Breach::ActiveTwice {
        vm: vm_name("web"),
        hosts: vec![host_name("kvm1"), host_name("kvm2")],
    }));
}

#[test]
fn a_vm_that_is_started_on_a_copy_that_is_out_of_date() {
    let hosts = Simulator::new(two_hosts().observed);
    for action in [
        shut_down("kvm1"),
        copy("kvm1", "kvm2"),
        define(),
        start("kvm1", &[]),
        shut_down("kvm1"),
    ] {
        perform(&hosts, &action).unwrap();
    }
    assert_eq!(hosts.breaches(), []);
    perform(&hosts, &start("kvm2", &[])).unwrap();
    assert_eq!(
        hosts.breaches(),
        [Breach::DiskStale {
            vm: vm_name("web"),
            host: host_name("kvm2"),
            disk: "vda".parse().unwrap(),
        }]
    );
}

#[test]
fn the_loss_of_the_last_complete_copy() {
    let hosts = Simulator::new(two_hosts().observed);
    for action in [
        shut_down("kvm1"),
        // A volume of the name is there, and nothing is in it.
        create("kvm2", "web.qcow2"),
        define(),
        undefine("kvm1", "kvm2"),
    ] {
        perform(&hosts, &action).unwrap();
    }
    assert_eq!(hosts.breaches(), []);
    // No definition names the original any more, so no host protects it.
    perform(&hosts, &delete("kvm1", "web.qcow2")).unwrap();
    assert_eq!(
        hosts.breaches(),
        [Breach::DiskLost {
            vm: vm_name("web"),
            disk: "vda".parse().unwrap(),
        }]
    );
}

#[test]
fn a_touch_of_what_nobody_named() {
    let mut fleet = two_hosts();
    fleet.vm("kvm1", "other", 1);
    let managed = BTreeSet::from([vm_name("other")]);
    let hosts = Simulator::new(fleet.observed).managing(managed);
    perform(&hosts, &shut_down("kvm1")).unwrap();
    let breaches = hosts.breaches();
    assert_eq!(
        breaches,
        [Breach::Touched {
            what: "VM web on kvm1".into()
        }]
    );
}

#[test]
fn a_vm_that_was_shut_down_and_not_started_again() {
    let hosts = Simulator::new(two_hosts().observed);
    perform(&hosts, &shut_down("kvm1")).unwrap();
    assert_eq!(hosts.stopped(), [vm_name("web")]);
    perform(&hosts, &start("kvm1", &[])).unwrap();
    assert_eq!(hosts.stopped(), []);
}

#[test]
fn a_migrated_vm_is_at_its_destination_alone_with_its_disk_and_nothing_is_lost() {
    let hosts = Simulator::new(two_hosts().observed);
    perform(&hosts, &create("kvm2", "web.qcow2")).unwrap();
    let outcome = perform(&hosts, &migrate(CopyMode::Full)).unwrap();
    let observed = hosts.observed();
    assert!(observed.host(&host_name("kvm1")).unwrap().vms.is_empty());
    let vm = &observed.host(&host_name("kvm2")).unwrap().vms["web"];
    assert!(vm.power.is_active() && vm.persistent);
    // 4 GiB of memory and 1 GiB of data.
    assert_eq!(outcome.bytes.0, 5 << 30);
    assert_eq!(outcome.downtime, Some(Timing::default().switch));
    assert_eq!(hosts.breaches(), []);
}

#[test]
fn a_transfer_takes_its_bytes_divided_by_the_bandwidth() {
    let timing = Timing {
        bandwidth: BytesPerSecond(1 << 29),
        call: Millis(5),
        ..Timing::default()
    };
    let hosts = Simulator::new(two_hosts().observed).with_timing(timing);
    perform(&hosts, &create("kvm2", "web.qcow2")).unwrap();
    perform(&hosts, &migrate(CopyMode::Full)).unwrap();
    assert_eq!(hosts.now(), Millis(5 + 5 + 10_000));
}

#[test]
fn time_can_be_spent_so_that_a_person_can_follow() {
    let hosts = Simulator::new(two_hosts().observed).with_pace(0.01);
    let before = std::time::Instant::now();
    perform(&hosts, &shut_down("kvm1")).unwrap();
    assert!(before.elapsed().as_millis() >= 50);
}

#[test]
fn a_reading_is_as_close_as_it_was_asked_for() {
    let fleet: Fleet = two_hosts();
    let hosts = Simulator::new(fleet.observed);
    let mut request = ObserveRequest {
        hosts: fleet.desired.hosts.clone(),
        depth: Depth::Bulk,
        fits: Vec::new(),
        ask_qemu: BTreeSet::new(),
        refresh: BTreeMap::new(),
        volumes: BTreeMap::new(),
        timeout: Millis(1000),
    };
    let vm_detail = |request: &ObserveRequest| {
        let observed = hosts.observe(request);
        let host = observed.host(&host_name("kvm1")).unwrap().clone();
        let volume = host.pools["default"].volumes["web.qcow2"].detail.is_some();
        (host.vms["web"].detail.is_some(), volume)
    };
    assert_eq!(vm_detail(&request), (false, false));
    request.depth = Depth::Named {
        closely: BTreeSet::from([vm_name("web")]),
        beside: BTreeSet::new(),
    };
    assert_eq!(vm_detail(&request), (true, true));

    let unknown = host_name("kvm9");
    request.hosts = BTreeMap::from([(unknown.clone(), fleet.desired.hosts["kvm1"].clone())]);
    let observed = hosts.observe(&request);
    assert!(matches!(
        observed.hosts[&unknown],
        Reading::Unreachable { .. }
    ));
    assert_eq!(observed.hosts.len(), 1);
}

#[test]
fn every_lab_test_that_the_table_of_faults_names_is_there() {
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(top.join("src/simulator/FAULTS.md")).unwrap();
    let words = table.split('`').filter_map(|word| word.split_once("::"));
    let named: Vec<_> = words.filter(|(module, _)| *module != "module").collect();
    assert!(named.len() >= 8, "{named:?}");
    for (module, test) in named {
        let source = std::fs::read_to_string(top.join(format!("tests/lab/{module}.rs"))).unwrap();
        assert!(source.contains(&format!("fn {test}(")), "{module}::{test}");
    }
}
