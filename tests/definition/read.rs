use domicile::definition::{DefinitionError, Facts, Mark, XmlError, read};
use domicile::model::{Bytes, CpuMode, DiskDevice, InterfaceSource, VolumeFormat};
use domicile::observed::Disk;
use proptest::prelude::*;

use super::{ALL, EVERYTHING, LIVE, LIVE_9, MIGRATABLE, PERSISTENT};

fn disk<'a>(facts: &'a Facts, target: &str) -> &'a Disk {
    let found = facts
        .disks
        .iter()
        .find(|disk| disk.target.as_str() == target);
    found.unwrap_or_else(|| panic!("no disk {target}"))
}

#[test]
fn a_running_vm_tells_the_chain_below_each_disk() {
    let facts = read(LIVE).unwrap();
    assert_eq!(facts.name.as_str(), "web-1");
    assert_eq!(facts.memory, Bytes::from_mib(160));
    assert_eq!(facts.vcpus, 1);
    assert_eq!(facts.machine, "pc-i440fx-10.0");
    assert_eq!(facts.cpu, CpuMode::Custom);
    let vda = disk(&facts, "vda");
    assert_eq!(vda.format, VolumeFormat::Qcow2);
    assert_eq!(vda.backing.len(), 1);
    assert_eq!(vda.backing[0].path, "/var/lib/libvirt/images/base.qcow2");
    assert_eq!(vda.backing[0].format, VolumeFormat::Qcow2);
    assert_eq!(disk(&facts, "vdb").backing, []);
    let nvram = "/var/lib/libvirt/qemu/nvram/web-1_VARS.fd";
    assert_eq!(facts.nvram.as_deref(), Some(nvram));
    assert!(!facts.tpm && !facts.spice && !facts.mirror);
    assert_eq!(facts.mark, Mark::None);
}

#[test]
fn every_kind_of_definition_of_one_vm_tells_the_same() {
    let live = read(LIVE).unwrap();
    for other in [MIGRATABLE, PERSISTENT] {
        let mut other = read(other).unwrap();
        assert_eq!(disk(&other, "vda").backing, []);
        other.disks.clone_from(&live.disks);
        // Only the running VM's names every feature, and what is fit for a migration names the chosen firmware alone.
        other.cpu_xml.clone_from(&live.cpu_xml);
        other.needs.firmware.clone_from(&live.needs.firmware);
        assert_eq!(other, live);
    }
}

#[test]
fn an_older_libvirt_is_read_alike() {
    let facts = read(LIVE_9).unwrap();
    assert_eq!(facts.name.as_str(), "old-web");
    assert_eq!(facts.machine, "pc-i440fx-7.2");
    assert_eq!(facts.disks.len(), 1);
}

#[test]
fn quotes_units_and_entities_do_not_matter() {
    let facts = read(EVERYTHING).unwrap();
    assert_eq!(facts.name.as_str(), "db & cache");
    assert_eq!(facts.uuid, "0ac53bb4-2b9c-4f0e-8a2f-3c4f9f6f1c55");
    assert_eq!(facts.memory, Bytes(8 << 30));
    assert_eq!(facts.vcpus, 2);
    assert_eq!(facts.cpu, CpuMode::HostPassthrough);
    assert_eq!(facts.nvram.as_deref(), Some("/srv/nvram/db_VARS.fd"));
    assert!(facts.tpm);
    assert!(facts.spice);
}

#[test]
fn every_kind_of_disk_source_is_told_apart() {
    let facts = read(EVERYTHING).unwrap();
    let told: Vec<(&str, &str, Option<&str>)> = facts
        .disks
        .iter()
        .map(|disk| {
            (
                disk.target.as_str(),
                disk.source_kind.as_str(),
                disk.path.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("vda", "volume", None),
            ("vdb", "file", Some("/srv/bulk/db\n'vdb'.raw")),
            ("sda", "block", Some("/dev/vg0/db-sda")),
            ("vdc", "network", Some("vms/db-vdc")),
            ("vdd", "nvme", Some("0000:01:00.0")),
            ("sdb", "file", None),
            ("sdc", "file", Some("/srv/iso/debian.iso")),
            ("fda", "file", Some("/srv/iso/drivers.img")),
        ]
    );
    let (pool, volume) = disk(&facts, "vda").volume.clone().unwrap();
    assert_eq!(
        (pool.as_str(), volume.as_str()),
        ("default", "db-vda.qcow2")
    );
    assert_eq!(disk(&facts, "vda").cache.as_deref(), Some("none"));
    assert!(disk(&facts, "vdb").shareable);
    assert!(disk(&facts, "vdc").transient);
    assert!(disk(&facts, "sdb").readonly);
    assert_eq!(disk(&facts, "sda").device, DiskDevice::Lun);
    assert_eq!(disk(&facts, "sdb").device, DiskDevice::Cdrom);
    assert_eq!(disk(&facts, "fda").device, DiskDevice::Floppy);
}

#[test]
fn every_kind_of_connection_is_told_apart() {
    let sources: Vec<InterfaceSource> = read(EVERYTHING)
        .unwrap()
        .interfaces
        .into_iter()
        .map(|interface| interface.source)
        .collect();
    assert_eq!(
        sources,
        [
            InterfaceSource::Network("default".into()),
            InterfaceSource::Bridge("br0".into()),
            InterfaceSource::Direct("eno2".into()),
            InterfaceSource::Other("hostdev".into()),
            InterfaceSource::Other("user".into()),
            InterfaceSource::Other("vdpa".into()),
        ]
    );
}

#[test]
fn what_ties_a_vm_to_its_host_is_listed() {
    let facts = read(EVERYTHING).unwrap();
    assert_eq!(
        facts.host_devices,
        [
            "disk nvme 0000:01:00.0",
            "interface hostdev 0000:3b:02.1",
            "interface vdpa /dev/vhost-vdpa-0",
            "hostdev pci 0000:06:12.5",
            "hostdev usb 1234:beef",
            "hostdev mdev c2177883-f1bb-47f0-914d-32a22e3a8804",
            "hostdev scsi scsi_host0:0:3:0",
            "filesystem virtiofs /srv/share",
            "filesystem 9p /srv/plain",
            "shmem ivshmem-plain lonely",
            "memory nvdimm /srv/nvdimm",
            "input evdev /dev/input/event3",
            "serial dev /dev/ttyS7",
        ]
    );
    assert_eq!(
        facts.local_paths,
        [
            "/boot/guest/initrd.img",
            "/boot/guest/vmlinuz",
            "/dev/dri/renderD128",
            "/srv/pipe",
            "/usr/share/OVMF/OVMF_CODE_4M.ms.fd",
        ]
    );
}

#[test]
fn a_copy_that_is_under_way_shows() {
    let copying = LIVE.replacen(
        "<target dev='vdb'",
        "<mirror type='file' job='copy' ready='yes'><source file='/x'/></mirror><target dev='vdb'",
        1,
    );
    let facts = read(&copying).unwrap();
    assert!(facts.mirror);
    let goes_to = |disk: &Disk| disk.copied_to.clone();
    let copies: Vec<_> = facts.disks.iter().filter_map(goes_to).collect();
    assert_eq!(copies, ["/x"]);
}

#[test]
fn what_is_no_definition_says_why() {
    let error = |text: &str| read(text).unwrap_err();
    assert!(matches!(
        error(""),
        DefinitionError::Xml(XmlError::Broken(_))
    ));
    assert_eq!(
        error("<network/>").to_string(),
        "the XML is a <network>, not a <domain>"
    );
    assert_eq!(
        error("<domain/>").to_string(),
        "the definition has no usable <name>"
    );
    assert_eq!(
        error("<domain><name>a</name><memory>lots</memory></domain>").to_string(),
        "the definition has no usable <memory>"
    );
    let up = error("<domain><name>../a</name></domain>");
    assert!(matches!(up, DefinitionError::Name(_)), "{up}");
}

proptest! {
    #[test]
    fn arbitrary_text_is_read_or_refused(text in any::<String>()) {
        drop(read(&text));
    }

    #[test]
    fn a_definition_with_a_part_overwritten_is_read_or_refused(
        which in 0..ALL.len(),
        at in any::<proptest::sample::Index>(),
        length in 0_usize..40,
        by in r#"[<>/='"&;!a-z\[\] -]{0,12}"#,
    ) {
        let text = ALL[which];
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        let start = at.index(places.len());
        let end = (start + length).min(places.len() - 1);
        let broken = format!("{}{by}{}", &text[..places[start]], &text[places[end]..]);
        drop(read(&broken));
    }
}

/// What is there and has no name is not taken for nothing.
#[test]
fn a_source_without_a_name_is_neither_an_empty_drive_nor_the_end_of_a_chain() {
    let with = |disk: &str| {
        let text = format!(
            "<domain><name>a</name><memory>1</memory><devices><disk {disk}<target dev='vda'/></disk></devices></domain>"
        );
        read(&text).unwrap().disks[0].clone()
    };
    let nbd = "<source protocol='nbd'><host name='store' port='10809'/></source>";
    let disk = with(&format!("type='network'>{nbd}"));
    assert_eq!(disk.path.as_deref(), Some("nbd at store, without a name"));
    let below = format!(
        "type='file'><source file='/a'/><backingStore type='network'><format type='raw'/>{nbd}<backingStore type='file'><source file='/base'/></backingStore></backingStore>"
    );
    let paths: Vec<String> = with(&below)
        .backing
        .into_iter()
        .map(|layer| layer.path)
        .collect();
    assert_eq!(paths, ["nbd at store, without a name", "/base"]);
    assert_eq!(with("type='file'>").path, None);
    assert_eq!(
        with("type='file'><source file='/a'/><backingStore/>").backing,
        []
    );
    assert!(with("type='later'><source what='x'/>").path.is_some());
}
