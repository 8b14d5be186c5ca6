use domicile::hypervisor::{Depth, Hypervisor};
use domicile::libvirt::LibvirtHosts;
use domicile::model::{Bytes, HostName, MoveMark, RunState, VolumeFormat};
use domicile::observed::{Disk, Host, Vm, VmDetail};

use super::{hosts, named, one, reached, read, request, test_host};

fn full() -> Host {
    reached(&read(&[("one", &one())], Depth::Full), "one").clone()
}

fn disk<'a>(vm: &'a Vm, target: &str) -> &'a Disk {
    let disks = &vm.detail.as_ref().unwrap().disks;
    disks
        .iter()
        .find(|disk| disk.target.as_str() == target)
        .unwrap()
}

fn volume_of(disk: &Disk) -> Option<(&str, &str)> {
    let (pool, volume) = disk.volume.as_ref()?;
    Some((pool.as_str(), volume.as_str()))
}

#[test]
fn a_host_is_read_with_its_pools_networks_and_bridges() {
    let host = full();
    assert_eq!((host.cpus, host.memory), (8, Bytes(16 << 30)));
    assert!(host.libvirt_version >= 9_000_000);
    assert!(host.networks["default"]);
    assert_eq!(host.bridges, ["br0"]);
    assert_eq!(host.has_bridge("br0"), Some(true));
    assert_eq!(host.has_bridge("br1"), Some(false));
    // The test driver has neither secrets nor filters, which is not the same as having none.
    assert_eq!(
        (&host.offers.secrets, &host.offers.nwfilters),
        (&None, &None)
    );
    let pool = &host.pools["default"];
    assert!(pool.active);
    assert_eq!((pool.kind.as_str(), pool.storage.as_deref()), ("dir", None));
    assert_eq!(pool.path, "/var/lib/libvirt/images");
    assert!(pool.available > Bytes::ZERO && pool.available < pool.capacity);
    assert_eq!(
        pool.volumes["base.qcow2"].path,
        "/var/lib/libvirt/images/base.qcow2"
    );
}

#[test]
fn state_size_and_kind_of_every_vm_come_in_bulk() {
    let observed = read(&[("one", &one())], Depth::Bulk);
    let vms = &reached(&observed, "one").vms;
    let web = &vms["web-1"];
    assert_eq!(web.uuid, "af904b2e-1af9-498e-b122-23c3367301aa");
    assert_eq!((web.memory, web.vcpus), (Bytes(2 << 30), 2));
    assert_eq!(web.power.state, RunState::Running);
    assert!(web.persistent && !web.managed_save && !web.autostart);
    let saved = &vms["saved-1"];
    assert_eq!(saved.power.state, RunState::ShutOff);
    assert!(saved.persistent && saved.managed_save);
    let passing = &vms["passing-1"];
    assert_eq!(passing.power.state, RunState::Paused);
    assert!(!passing.persistent && !passing.managed_save);
    assert!(vms.values().all(|vm| vm.detail.is_none()));
}

#[test]
fn only_vms_that_were_asked_for_and_their_volumes_are_looked_into() {
    let observed = read(&[("one", &one())], named(&["web-1", "nobody"]));
    let host = reached(&observed, "one");
    let looked_into: Vec<&str> = host
        .vms
        .iter()
        .filter(|(_, vm)| vm.detail.is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(looked_into, ["web-1"]);
    let known: Vec<&str> = host.pools["default"]
        .volumes
        .iter()
        .filter(|(_, volume)| volume.detail.is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        known,
        ["base.qcow2", "forged.raw", "root.raw", "web-1.qcow2"]
    );
}

#[test]
fn a_disks_chain_is_followed_through_the_volumes_to_its_root() {
    let host = full();
    let vda = disk(&host.vms["web-1"], "vda");
    assert_eq!(volume_of(vda), Some(("default", "web-1.qcow2")));
    assert_eq!(vda.capacity, Some(Bytes(1_000_000)));
    assert_eq!(vda.allocation, Some(Bytes(20)));
    let chain: Vec<(&str, &VolumeFormat, Option<Bytes>)> = vda
        .backing
        .iter()
        .map(|layer| (layer.path.as_str(), &layer.format, layer.allocation))
        .collect();
    assert_eq!(
        chain,
        [
            (
                "/var/lib/libvirt/images/base.qcow2",
                &VolumeFormat::Qcow2,
                Some(Bytes(500))
            ),
            (
                "/var/lib/libvirt/images/root.raw",
                &VolumeFormat::Raw,
                Some(Bytes(700))
            ),
        ]
    );
}

#[test]
fn a_volume_has_its_path_and_a_foreign_file_has_no_volume() {
    let host = full();
    let web = &host.vms["web-1"];
    let vdb = disk(web, "vdb");
    assert_eq!(
        vdb.path.as_deref(),
        Some("/var/lib/libvirt/images/root.raw")
    );
    assert_eq!(volume_of(vdb), Some(("default", "root.raw")));
    let vdc = disk(web, "vdc");
    assert_eq!(volume_of(vdc), None);
    assert!(vdc.capacity.is_some(), "libvirt looks at it by itself");
    assert_eq!(disk(web, "hda").path, None);
}

#[test]
fn a_guest_cannot_make_its_raw_disk_stand_on_a_file_of_the_host() {
    let host = full();
    let vdd = disk(&host.vms["web-1"], "vdd");
    assert_eq!(volume_of(vdd), Some(("default", "forged.raw")));
    assert_eq!(vdd.backing, []);
    assert_ne!(vdd.capacity, Some(Bytes(5)));
    assert!(vdd.capacity.is_some());
}

#[test]
fn snapshots_and_what_an_earlier_move_left_are_found() {
    let mark = MoveMark {
        version: MoveMark::VERSION,
        from: HostName::new("one").unwrap(),
        from_uuid: "a".into(),
        to: HostName::new("two").unwrap(),
        to_uuid: "b".into(),
        was_active: false,
        autostart: false,
        cold: false,
        complete: false,
        source_volumes: Vec::new(),
        created_volumes: Vec::new(),
        created_bases: Vec::new(),
        temporary_volumes: Vec::new(),
        claimed: Vec::new(),
        made: Vec::new(),
        made_at_source: Vec::new(),
        source_bases: Vec::new(),
        kept_bases: Vec::new(),
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let json = serde_json::to_string(&mark).unwrap();
    let text = include_str!("../data/hosts/one.xml").replace("MARK", &json);
    std::fs::write(file.path(), text).unwrap();
    let observed = read(&[("one", &test_host(file.path()))], Depth::Full);
    let detail = |vm: &str| reached(&observed, "one").vms[vm].detail.clone().unwrap();
    assert_eq!(detail("passing-1").snapshots, ["before"]);
    assert_eq!(detail("web-1").snapshots, Vec::<String>::new());
    assert_eq!(detail("saved-1").mark, Some(mark));
    let unreadable = detail("passing-1").unreadable_mark.unwrap();
    assert!(unreadable.contains("layout 7"), "{unreadable}");
    assert_eq!(detail("web-1").mark, None);
}

#[test]
fn a_vm_that_runs_has_both_definitions_and_one_that_is_off_has_one() {
    let host = full();
    let web = host.vms["web-1"].detail.clone().unwrap();
    assert!(web.live_xml.unwrap().contains("id='1'"));
    assert!(!web.inactive_xml.contains("id='1'"));
    assert_eq!(host.vms["saved-1"].detail.clone().unwrap().live_xml, None);
}

#[test]
fn a_reading_holds_no_secret_of_a_definition() {
    let devices = "<devices><graphics type='vnc' port='5901' passwd='hunter2'/></devices>";
    let told = "<sysinfo type='fwcfg'><entry name='opt/ignition'>hunter2</entry></sysinfo>";
    let vm = |name: &str, state: u8| {
        format!(
            "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>\
             <name>{name}</name><memory>1024</memory><os><type>hvm</type></os>{told}{devices}\
             <test:runstate>{state}</test:runstate></domain>"
        )
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!("<node>{}{}</node>", vm("on-1", 1), vm("off-1", 5));
    std::fs::write(file.path(), text).unwrap();
    let beside = Depth::Named {
        closely: std::collections::BTreeSet::new(),
        beside: ["on-1", "off-1"].map(|vm| vm.parse().unwrap()).into(),
    };
    for depth in [Depth::Full, beside] {
        let observed = read(&[("one", &test_host(file.path()))], depth);
        let json = serde_json::to_string(&observed).unwrap();
        assert!(json.contains("opt/ignition"), "{json}");
        assert!(!json.contains("hunter2"), "{json}");
    }
}

#[test]
fn a_vm_beside_a_move_is_known_by_its_disks_and_addresses_at_one_call() {
    let beside = |vms: &[&str]| Depth::Named {
        closely: std::collections::BTreeSet::new(),
        beside: vms.iter().map(|vm| vm.parse().unwrap()).collect(),
    };
    let observed = read(&[("one", &one())], beside(&["web-1", "saved-1"]));
    let (host, full) = (reached(&observed, "one"), full());
    for name in ["web-1", "saved-1"] {
        let (seen, whole) = (&host.vms[name].detail, &full.vms[name].detail);
        let (seen, whole) = (seen.as_ref().unwrap(), whole.as_ref().unwrap());
        assert_eq!(seen.interfaces, whole.interfaces);
        let uses = |detail: &VmDetail| {
            let disks = detail.disks.iter();
            disks.map(|disk| disk.volume.clone()).collect::<Vec<_>>()
        };
        assert_eq!(uses(seen), uses(whole));
    }
    assert!(host.vms["passing-1"].detail.is_none());

    let hosts = hosts(&[("one", &one())]);
    let fleet = LibvirtHosts::new(&hosts);
    let mut calls = Vec::new();
    for vms in [&["web-1"][..], &["web-1", "saved-1"][..]] {
        let before = fleet.calls().get("one").copied().unwrap_or_default();
        drop(fleet.observe(&request(&hosts, beside(vms))));
        calls.push(fleet.calls()["one"] - before);
    }
    // The first reading opens the connection, which is a call too.
    assert_eq!(calls[1], calls[0], "{calls:?}");
}
