//! A reading to a manifest and back.

use std::collections::BTreeMap;

use domicile::manifest::write::manifest_of;
use domicile::manifest::{Source, load};
use domicile::model::{HostName, PoolName, VmName};
use domicile::observed::{Host, Observed, Reading};
use domicile::planner::plan;
use proptest::prelude::*;

use crate::planner::fleet::{Fleet, host_name, pool_name};
use crate::support::build;
use crate::support::sketch::sketches;

fn uris(observed: &Observed) -> BTreeMap<HostName, String> {
    let names = observed.hosts.keys().enumerate();
    names
        .map(|(number, name)| (name.clone(), format!("qemu+ssh://root@host{number}/system")))
        .collect()
}

/// The manifest of a reading; it must load, name each VM where it is, and leave nothing to do.
fn imported(observed: &Observed) -> String {
    let text = manifest_of(observed, &uris(observed));
    let desired = match load(&[Source::new("fleet.yaml", text.as_str())]) {
        Ok(loaded) => loaded.desired,
        Err(faults) => panic!("{faults:#?}\n{text}"),
    };
    let hosts: Vec<&HostName> = desired.hosts.keys().collect();
    assert_eq!(hosts, observed.hosts.keys().collect::<Vec<_>>());
    for (host_name, host) in observed.reached() {
        for name in host.vms.keys() {
            let wanted = desired.vms.get(name).map(|vm| &vm.host);
            let once = observed.hosts_of(name).count() == 1;
            assert_eq!(wanted, once.then_some(host_name), "{name} in\n{text}");
        }
    }
    let plan = plan(&desired, observed);
    assert!(plan.changes.is_empty(), "{:#?}\n{text}", plan.changes);
    text
}

#[test]
fn the_manifest_says_beside_each_vm_what_a_person_wants_to_know() {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web-1", 4);
    fleet.clone_of_golden("kvm1", "desktop-01");
    let vm = fleet.vm("kvm2", "db", 16);
    vm.vcpus = 8;
    vm.managed_save = true;
    vm.power.state = domicile::model::RunState::ShutOff;
    let detail = vm.detail.as_mut().unwrap();
    detail.snapshots = vec!["before".into(), "after".into()];
    detail.host_devices = vec!["PCI 0000:03:00.0".into()];
    detail.local_paths = vec!["/srv/kernel".into()];
    detail.disks[0].volume = None;
    fleet.vm("kvm1", "twin", 1);
    fleet.vm("kvm2", "twin", 1);
    fleet.host("kvm2").bridges = vec!["br-pub".into()];
    for host in ["kvm1", "kvm2"] {
        let pool = fleet.host(host).pools.get_mut("fast").unwrap();
        pool.storage = Some("nfs://nas/export".into());
    }
    let gone = Reading::Unreachable {
        reason: "no answer\non port 22".into(),
        after: domicile::model::Millis(5000),
    };
    fleet.observed.hosts.insert(host_name("kvm3"), gone);
    insta::assert_snapshot!(imported(&fleet.observed));
}

#[test]
fn names_that_yaml_would_take_for_something_else_come_back() {
    let mut fleet = Fleet::new(1, 64);
    let names = [
        "null",
        "1e3",
        "yes",
        "a: b",
        "#x",
        "-",
        "100",
        "0x1f",
        "~",
        "true",
        "[a]",
        "{",
        "*a",
        "&b",
        "!c",
        "'q'",
        "\"d\"",
        "x-y",
        "<<",
        "a #b",
        " lead",
        "trail ",
        "Ünïcode 日本",
        "\u{202e}rtl",
        "C:\\vm",
        "%d",
        "@e",
        "`f`",
        "?",
        "012",
        "12:30",
        "2024-01-01",
        "=",
        "a\u{2028}b",
    ];
    for name in names {
        fleet.vm("kvm1", name, 1);
    }
    let text = imported(&fleet.observed);
    // Another reader, of YAML's older rules, takes them for the same names.
    let read: serde_yaml::Value = serde_yaml::from_str(&text).expect("YAML");
    for name in names {
        assert_eq!(
            read["vms"][name].as_str(),
            Some("kvm1"),
            "{name:?} in {text}"
        );
    }
}

#[test]
fn a_pool_of_the_same_name_on_another_host_is_not_taken_for_shared_storage() {
    let mut fleet = Fleet::new(3, 64);
    for host in ["kvm1", "kvm2"] {
        let pools = &mut fleet.host(host).pools;
        pools.get_mut("fast").unwrap().storage = Some("nfs://nas/export".into());
    }
    fleet.vm("kvm1", "web-1", 1);
    let text = imported(&fleet.observed);
    let desired = load(&[Source::new("fleet.yaml", text)]).unwrap().desired;
    let shared = PoolName::new("fast-shared-1").unwrap();
    assert!(desired.is_shared(&shared));
    let named = |host: &str| desired.pool_named(&pool_name("fast"), &host_name(host));
    assert_eq!(named("kvm1"), shared);
    assert_eq!(named("kvm2"), shared);
    assert_eq!(named("kvm3"), pool_name("fast"));
}

#[test]
fn a_fleet_without_hosts_is_said_to_have_no_vms() {
    let mut observed = Fleet::new(0, 0).observed;
    observed.hosts.clear();
    assert!(imported(&observed).contains("# There are no VMs."));
}

/// Gives a host's VMs and pools other names, and its pools storage that others may have, too.
fn renamed(host: &mut Host, names: &[String], storages: &[Option<u8>]) {
    let vms = std::mem::take(&mut host.vms);
    for (index, (old, vm)) in vms.into_iter().enumerate() {
        let new = names
            .get(index)
            .and_then(|name| VmName::new(name.as_str()).ok());
        host.vms.insert(new.unwrap_or(old), vm);
    }
    for (pool, storage) in host.pools.values_mut().zip(storages) {
        pool.storage = storage.map(|number| format!("nfs://nas/{number}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_there_comes_back_from_its_manifest(
        sketch in sketches(),
        names in prop::collection::vec("\\PC{1,12}", 0..4),
        storages in prop::collection::vec(prop::option::of(0..3_u8), 0..6),
        twin in any::<bool>(),
    ) {
        let mut observed = build(&sketch).observed;
        let mut turn = 0;
        for reading in observed.hosts.values_mut() {
            if let Reading::Reached(host) = reading {
                let own: Vec<String> = names.iter().map(|name| if twin { name.clone() } else { format!("{name}{turn}") }).collect();
                let mut storages = storages.clone();
                let length = storages.len().max(1);
                storages.rotate_left(turn % length);
                renamed(host, &own, &storages);
                turn += 1;
            }
        }
        imported(&observed);
    }
}
