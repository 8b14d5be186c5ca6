//! A reading that holds one of everything that is shown.

use std::collections::BTreeMap;

use domicile::model::{
    BackingLayer, Bytes, CpuMode, DiskDevice, Interface, InterfaceSource, MacAddress, Millis,
    PowerState, RunState, VolumeFormat, VolumeName,
};
use domicile::observed::{self, Disk, Observed, Offers, Reading, Vm, VmDetail};

use super::sample::{disk, host, pool, vm};

/// Two hosts, one of which does not answer.
pub(super) fn observed() -> Observed {
    let host_there = observed::Host {
        uuid: "11111111-1111-1111-1111-111111111111".into(),
        hostname: "kvm1".into(),
        libvirt_version: 11_003_000,
        hypervisor_version: 10_000_013,
        arch: "x86_64".into(),
        cpu_xml: String::new(),
        cpu_model: "EPYC-Milan".into(),
        cpus: 32,
        memory: Bytes::from_mib(131_072),
        memory_free: Bytes::from_mib(65_536),
        machines: vec![],
        pools: [(pool("default"), local_pool())].into(),
        bridges: vec!["br0".into()],
        bridges_complete: true,
        networks: BTreeMap::new(),
        vms: [(vm("web-1"), running()), (vm("old"), off())].into(),
        offers: Offers::default(),
        fits: BTreeMap::new(),
        gaps: vec!["pool backup: it is not active".into()],
    };
    let silent = Reading::Unreachable {
        reason: "ssh: connect to host kvm9 port 22: No route to host".into(),
        after: Millis(10_000),
    };
    Observed {
        format_version: observed::FORMAT_VERSION.into(),
        taken_at: 1_790_000_000_000,
        hosts: [
            (host("kvm1"), Reading::Reached(Box::new(host_there))),
            (host("kvm9"), silent),
        ]
        .into(),
    }
}

fn local_pool() -> observed::Pool {
    observed::Pool {
        kind: "dir".into(),
        active: true,
        path: "/var/lib/libvirt/images".into(),
        storage: None,
        capacity: Bytes::from_mib(1_048_576),
        available: Bytes::from_mib(524_288),
        volumes: BTreeMap::new(),
        refreshed: false,
    }
}

fn off() -> Vm {
    Vm {
        uuid: "33333333-3333-3333-3333-333333333333".into(),
        power: PowerState {
            state: RunState::ShutOff,
            reason: "shutdown".into(),
        },
        persistent: true,
        memory: Bytes::from_mib(512),
        vcpus: 1,
        managed_save: true,
        autostart: false,
        detail: None,
    }
}

fn running() -> Vm {
    let layer = BackingLayer {
        path: "/var/lib/libvirt/images/debian-13.qcow2".into(),
        format: VolumeFormat::Qcow2,
        capacity: None,
        allocation: None,
        volume: Some((
            pool("default"),
            VolumeName::new("debian-13.qcow2").expect("a valid name"),
        )),
    };
    let disk = Disk {
        target: disk("vda"),
        device: DiskDevice::Disk,
        bus: "virtio".into(),
        source_kind: "file".into(),
        path: Some("/var/lib/libvirt/images/web-1.qcow2".into()),
        volume: Some((
            pool("default"),
            VolumeName::new("web-1.qcow2").expect("a valid name"),
        )),
        format: VolumeFormat::Qcow2,
        capacity: Some(Bytes::from_mib(20_480)),
        allocation: Some(Bytes::from_mib(1331)),
        backing: vec![layer],
        readonly: false,
        shareable: false,
        transient: false,
        cache: None,
        startup_policy: None,
        serial: None,
        copied_to: None,
    };
    let detail = VmDetail {
        inactive_xml: "<domain/>".into(),
        machine: "pc-q35-10.0".into(),
        cpu: CpuMode::HostModel,
        disks: vec![disk],
        interfaces: vec![Interface {
            mac: MacAddress::new("52:54:00:00:00:01").expect("a valid name"),
            source: InterfaceSource::Bridge("br0".into()),
            mtu: None,
            filter: None,
        }],
        nvram: Some("/var/lib/libvirt/qemu/nvram/web-1.fd".into()),
        tpm: true,
        host_devices: vec!["PCI 0000:01:00.0".into()],
        snapshots: vec!["before-upgrade".into()],
        ..VmDetail::default()
    };
    Vm {
        uuid: "44444444-4444-4444-4444-444444444444".into(),
        power: PowerState {
            state: RunState::Running,
            reason: "booted".into(),
        },
        persistent: true,
        memory: Bytes::from_mib(2048),
        vcpus: 2,
        managed_save: false,
        autostart: true,
        detail: Some(Box::new(detail)),
    }
}
