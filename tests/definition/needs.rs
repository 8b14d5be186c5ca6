use std::collections::BTreeSet;

use domicile::definition::{Facts, pending, read};
use domicile::model::{Bytes, DiskTarget, InterfaceSource};
use domicile::observed::{Agent, CpuFeature, FeaturePolicy, MemoryPages, Needs, SecretRef, Tpm};
use proptest::prelude::*;

use super::{EVERYTHING, LIVE, LIVE_9, PERSISTENT};

const DEMANDING: &str = include_str!("../data/definitions/demanding.xml");

fn demanding() -> Facts {
    read(DEMANDING).unwrap()
}

/// The definition with some text replaced, which must be there.
fn with(from: &str, to: &str) -> Facts {
    assert!(DEMANDING.contains(from), "{from}");
    read(&DEMANDING.replace(from, to)).unwrap()
}

#[test]
fn what_the_hypervisor_must_offer_is_read() {
    let needs = demanding().needs;
    assert_eq!(
        (needs.virt_type.as_str(), needs.arch.as_str()),
        ("kvm", "x86_64")
    );
    assert_eq!(needs.emulator.as_deref(), Some("/usr/libexec/qemu-kvm"));
    assert_eq!(needs.vcpus_max, 4);
    assert_eq!(needs.graphics, ["spice", "vnc"]);
    assert_eq!(needs.videos, ["qxl"]);
    let tpm = Tpm {
        model: "tpm-crb".into(),
        backend: "emulator".into(),
    };
    assert_eq!(needs.tpms, [tpm]);
    assert_eq!(needs.firmware.as_deref(), Some("efi"));
    assert_eq!(
        needs.loader.as_deref(),
        Some("/usr/share/OVMF/OVMF_CODE_4M.ms.fd")
    );
    assert!(needs.secure_boot && needs.without_acpi);
    assert_eq!(needs.launch_security.as_deref(), Some("sev-snp"));
    assert_eq!(needs.unfiltered_scsi, ["sda"]);
    assert!(!read(LIVE).unwrap().needs.without_acpi);
    assert_eq!(read(LIVE_9).unwrap().needs.virt_type, "qemu");
}

#[test]
fn what_the_cpu_demands_is_read_and_its_text_kept() {
    let facts = demanding();
    let feature = |name: &str, policy| CpuFeature {
        name: name.into(),
        policy,
    };
    assert_eq!(
        facts.needs.nested,
        [
            feature("svm", FeaturePolicy::Disable),
            feature("vmx", FeaturePolicy::Require)
        ]
    );
    assert_eq!(facts.needs.cpu_model.as_deref(), Some("EPYC-Milan"));
    assert!(facts.needs.invtsc_without_frequency);
    let timer = "<timer name='rtc' tickpolicy='catchup'/>";
    let with_frequency = with(timer, "<timer name='tsc' frequency='2000000000'/>");
    assert!(!with_frequency.needs.invtsc_without_frequency);
    let without = with(
        "policy='require' name='invtsc'",
        "policy='disable' name='invtsc'",
    );
    assert!(!without.needs.invtsc_without_frequency);
    let cpu = facts.cpu_xml.unwrap();
    assert!(cpu.starts_with("<cpu mode='custom'") && cpu.ends_with("</cpu>"));
    assert_eq!(
        read(EVERYTHING).unwrap().cpu_xml.unwrap(),
        "<cpu mode=\"host-passthrough\" check=\"none\" migratable=\"on\"/>"
    );
}

#[test]
fn memory_processors_and_cells_of_the_host_are_read() {
    let needs = demanding().needs;
    let sizes = BTreeSet::from([Bytes(2 << 20), Bytes(1 << 30)]);
    assert_eq!(needs.hugepages, Some(MemoryPages::Sizes(sizes)));
    assert_eq!(needs.highest_pinned_cpu, Some(12));
    assert_eq!(needs.numa_cells, BTreeSet::from([0, 1, 3]));
    assert_eq!(needs.unplaced_memory, ["memory dimm of 256.0 MiB"]);
    let default = with(
        "<page size='2048' unit='KiB' nodeset='0'/>\n      <page size='1' unit='GiB' nodeset='1'/>",
        "",
    );
    assert_eq!(default.needs.hugepages, Some(MemoryPages::Default));
}

#[test]
fn what_it_is_tied_to_on_its_host_is_read() {
    let facts = demanding();
    assert_eq!(facts.needs.listen_addresses, ["192.0.2.7"]);
    assert_eq!(
        facts.needs.sockets,
        [
            "/run/egd.sock",
            "/run/monitor.sock",
            "/run/ovs/vhu0",
            "/run/spdk/vhost.0"
        ]
    );
    assert_eq!(
        facts.needs.secrets,
        [
            SecretRef::Uuid("0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f".into()),
            SecretRef::Uuid("11111111-2222-3333-4444-555555555555".into()),
            SecretRef::Usage {
                kind: "ceph".into(),
                name: "client.web".into()
            },
        ]
    );
    assert_eq!(facts.needs.agent, Some(Agent::Connected));
    assert_eq!(facts.bridges, ["br0", "br-office"]);
    let [first, second, _] = &facts.interfaces[..] else {
        panic!("{:?}", facts.interfaces);
    };
    assert_eq!(
        (first.mtu, first.filter.as_deref()),
        (Some(9000), Some("clean-traffic"))
    );
    assert_eq!(second.source, InterfaceSource::Network("office".into()));
    let vda = &facts.disks[0];
    assert_eq!(vda.startup_policy.as_deref(), Some("optional"));
    assert_eq!(vda.serial.as_deref(), Some("WD-1234"));
}

#[test]
fn addresses_that_every_host_has_tie_it_to_none() {
    for everywhere in ["0.0.0.0", "127.0.0.1", "::", "::1", "localhost", ""] {
        let needs = with("192.0.2.7", everywhere).needs;
        assert_eq!(needs.listen_addresses, Vec::<String>::new(), "{everywhere}");
    }
    let named = with("192.0.2.7", "kvm1.example").needs;
    assert_eq!(named.listen_addresses, ["kvm1.example"]);
}

#[test]
fn a_plain_definition_demands_little() {
    let needs = read(LIVE).unwrap().needs;
    let little = Needs {
        virt_type: needs.virt_type.clone(),
        arch: needs.arch.clone(),
        emulator: needs.emulator.clone(),
        vcpus_max: 1,
        cpu_model: needs.cpu_model.clone(),
        loader: needs.loader.clone(),
        firmware: Some("efi".into()),
        ..Needs::default()
    };
    assert_eq!(needs, little);
}

#[test]
fn a_vm_that_runs_as_it_is_defined_has_nothing_pending() {
    let (live, persistent) = (read(LIVE).unwrap(), read(PERSISTENT).unwrap());
    assert_eq!(pending(&live, &persistent), Vec::<String>::new());
    let live = demanding();
    let persistent = with(
        "<interface type='bridge'>\n      <mac address='52:54:00:00:00:02'/>\n      <source network='office' portid='3f4e1b6a-4f1c-4c0e-9a43-2c6f6f9a2f10' bridge='br-office'/>",
        "<interface type='network'><mac address='52:54:00:00:00:02'/><source network='office'/>",
    );
    assert_eq!(pending(&live, &persistent), Vec::<String>::new());
    // QEMU rounds memory up.
    let odd = with("<memory unit='KiB'>4194304", "<memory unit='KiB'>4193700");
    assert_eq!(pending(&live, &odd), Vec::<String>::new());
}

#[test]
fn what_the_next_start_changes_is_told() {
    let live = demanding();
    let mut later = with("<memory unit='KiB'>4194304", "<memory unit='KiB'>2097152");
    later.vcpus = 3;
    "pc-q35-10.0".clone_into(&mut later.machine);
    later.disks[0].path = Some("/srv/other.qcow2".into());
    later.disks[1].target = DiskTarget::new("vdz").unwrap();
    later.interfaces[0].source = InterfaceSource::Bridge("br1".into());
    assert_eq!(
        pending(&live, &later),
        [
            "its memory becomes 2.0 GiB, now it is 4.0 GiB",
            "its number of vCPUs becomes 3, now it is 2",
            "its machine type becomes pc-q35-10.0, now it is pc-q35-9.2",
            "disk vdb goes: its persistent definition does not have it",
            "disk vda gets /srv/other.qcow2, now it has /srv/vda.qcow2",
            "disk vdz comes with vms/web: the running VM does not have it",
            "interface 52:54:00:00:00:01 comes on bridge br1, now it is on bridge br0",
        ]
    );
}

proptest! {
    #[test]
    fn sets_of_numbers_of_any_form_are_no_trouble(text in "[-0-9,^a-f ]{0,40}") {
        let text = format!(
            "<domain><name>a</name><memory>1</memory><vcpu cpuset='{text}'>1</vcpu>
             <numatune><memory nodeset='{text}'/></numatune></domain>"
        );
        let needs = read(&text).unwrap().needs;
        prop_assert!(needs.numa_cells.iter().all(|cell| *cell < 1024));
    }
}
