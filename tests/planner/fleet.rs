//! Readings made by hand, in a few words.

use std::collections::BTreeMap;

use domicile::desired::{self, Desired};
use domicile::model::{
    BackingLayer, Bytes, CpuMode, DiskDevice, DiskTarget, HostName, Interface, InterfaceSource,
    MacAddress, PoolName, PowerState, RunState, VmName, VolumeFormat, VolumeName,
};
use domicile::observed::{
    Disk, Host, Observed, Offers, Pool, Reading, Vm, VmDetail, Volume, VolumeDetail,
};

/// A fleet and what is wanted of it.
pub(crate) struct Fleet {
    pub(crate) observed: Observed,
    pub(crate) desired: Desired,
}

pub(crate) fn host_name(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

pub(crate) fn vm_name(name: &str) -> VmName {
    VmName::new(name).unwrap()
}

pub(crate) fn pool_name(name: &str) -> PoolName {
    PoolName::new(name).unwrap()
}

pub(crate) const GIB: u64 = 1 << 30;

impl Fleet {
    /// Hosts `kvm1` to `kvm<count>`, each with this much memory and the pools `default` and `fast`.
    pub(crate) fn new(count: usize, memory_gib: u64) -> Self {
        let mut fleet = Self {
            observed: Observed {
                format_version: domicile::observed::FORMAT_VERSION.into(),
                taken_at: 0,
                hosts: BTreeMap::new(),
            },
            desired: Desired::default(),
        };
        for number in 1..=count {
            fleet.add_host(number, memory_gib);
        }
        fleet
    }

    fn add_host(&mut self, number: usize, memory_gib: u64) {
        let name = host_name(&format!("kvm{number}"));
        let pool = |path: &str| Pool {
            kind: "dir".into(),
            active: true,
            path: path.into(),
            storage: None,
            capacity: Bytes(100 * GIB),
            available: Bytes(100 * GIB),
            volumes: BTreeMap::new(),
            refreshed: false,
        };
        let host = Host {
            uuid: format!("00000000-0000-0000-0000-{number:012}"),
            hostname: name.to_string(),
            libvirt_version: 11_003_000,
            hypervisor_version: 10_000_002,
            arch: "x86_64".into(),
            cpu_xml: String::new(),
            cpu_model: "qemu64".into(),
            cpus: 8,
            memory: Bytes(memory_gib * GIB),
            memory_free: Bytes(memory_gib * GIB),
            machines: vec!["pc-q35-10.0".into()],
            pools: BTreeMap::from([
                (pool_name("default"), pool("/var/lib/libvirt/images")),
                (pool_name("fast"), pool("/srv/fast")),
            ]),
            bridges: vec!["br0".into()],
            bridges_complete: true,
            networks: BTreeMap::new(),
            vms: BTreeMap::new(),
            offers: Offers::default(),
            fits: BTreeMap::new(),
            gaps: Vec::new(),
        };
        self.observed
            .hosts
            .insert(name.clone(), Reading::Reached(Box::new(host)));
        let declared = desired::Host {
            uri: format!("qemu+tcp://{name}/system"),
            cluster: None,
            peer_uri: None,
            address: None,
            reserve: desired::Reserve::default(),
            limits: desired::HostLimits::default(),
            maintenance: false,
        };
        self.desired.hosts.insert(name, declared);
    }

    pub(crate) fn host(&mut self, name: &str) -> &mut Host {
        match self.observed.hosts.get_mut(name) {
            Some(Reading::Reached(host)) => host,
            _ => panic!("no host {name}"),
        }
    }

    fn next_interface(&self) -> Interface {
        let number: usize = self
            .observed
            .reached()
            .map(|(_, host)| host.vms.len())
            .sum();
        let (high, low) = (number / 256, number % 256);
        Interface {
            mac: MacAddress::new(&format!("52:54:00:00:{high:02x}:{low:02x}")).unwrap(),
            source: InterfaceSource::Bridge("br0".into()),
            mtu: None,
            filter: None,
        }
    }

    /// A running VM with one qcow2 disk of 1 GiB data in pool `default`.
    pub(crate) fn vm(&mut self, host: &str, name: &str, memory_gib: u64) -> &mut Vm {
        let volume = VolumeName::new(format!("{name}.qcow2")).unwrap();
        let path = format!("/var/lib/libvirt/images/{volume}");
        let detail = VolumeDetail {
            format: VolumeFormat::Qcow2,
            capacity: Bytes(10 * GIB),
            allocation: Bytes(GIB),
            backing: None,
        };
        let interface = self.next_interface();
        let host_reading = self.host(host);
        let pool = host_reading.pools.get_mut("default").unwrap();
        pool.available = pool.available.minus(Bytes(GIB));
        pool.volumes.insert(
            volume.clone(),
            Volume {
                path: path.clone(),
                detail: Some(detail),
            },
        );
        let disk = Disk {
            target: DiskTarget::new("vda").unwrap(),
            device: DiskDevice::Disk,
            bus: "virtio".into(),
            source_kind: "file".into(),
            path: Some(path),
            volume: Some((pool_name("default"), volume)),
            format: VolumeFormat::Qcow2,
            capacity: Some(Bytes(10 * GIB)),
            allocation: Some(Bytes(GIB)),
            backing: Vec::new(),
            readonly: false,
            shareable: false,
            transient: false,
            cache: None,
            startup_policy: None,
            serial: None,
            copied_to: None,
        };
        let vm = Vm {
            uuid: format!("{host}-{name}"),
            power: PowerState {
                state: RunState::Running,
                reason: "booted".into(),
            },
            persistent: true,
            memory: Bytes(memory_gib * GIB),
            vcpus: 1,
            managed_save: false,
            autostart: false,
            detail: Some(Box::new(VmDetail {
                machine: "pc-q35-10.0".into(),
                cpu: CpuMode::HostModel,
                disks: vec![disk],
                interfaces: vec![interface],
                ..VmDetail::default()
            })),
        };
        host_reading.vms.insert(vm_name(name), vm);
        host_reading.vms.get_mut(name).unwrap()
    }

    /// The same VM as a linked clone of the base `golden.qcow2` (2 GiB) in its pool.
    pub(crate) fn clone_of_golden(&mut self, host: &str, name: &str) {
        let base = VolumeName::new("golden.qcow2").unwrap();
        let path = "/var/lib/libvirt/images/golden.qcow2".to_owned();
        self.vm(host, name, 1);
        let layer = BackingLayer {
            path: path.clone(),
            format: VolumeFormat::Qcow2,
            capacity: Some(Bytes(10 * GIB)),
            allocation: Some(Bytes(2 * GIB)),
            volume: Some((pool_name("default"), base.clone())),
        };
        let reading = self.host(host);
        let pool = reading.pools.get_mut("default").unwrap();
        let golden = VolumeDetail {
            format: VolumeFormat::Qcow2,
            capacity: Bytes(10 * GIB),
            allocation: Bytes(2 * GIB),
            backing: None,
        };
        let volume = Volume {
            path: path.clone(),
            detail: Some(golden),
        };
        if pool.volumes.insert(base, volume).is_none() {
            pool.available = pool.available.minus(Bytes(2 * GIB));
        }
        let own = pool
            .volumes
            .get_mut(format!("{name}.qcow2").as_str())
            .unwrap();
        own.detail.as_mut().unwrap().backing = Some((path, VolumeFormat::Qcow2));
        reading
            .vms
            .get_mut(name)
            .unwrap()
            .detail
            .as_mut()
            .unwrap()
            .disks[0]
            .backing = vec![layer];
    }

    pub(crate) fn wants(&mut self, vm: &str, host: &str) -> &mut desired::Vm {
        let wanted = desired::Vm {
            host: host_name(host),
            disks: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            method: desired::Method::Auto,
            migration: desired::MigrationOverrides::default(),
        };
        self.desired.vms.insert(vm_name(vm), wanted);
        self.desired.vms.get_mut(vm).unwrap()
    }

    /// The plan, which must pass the check.
    pub(crate) fn plan(&self) -> domicile::plan::Plan {
        let plan = domicile::planner::plan(&self.desired, &self.observed);
        assert_eq!(
            domicile::plan::check::check(&self.desired, &self.observed, &plan),
            Vec::new(),
            "{plan:#?}"
        );
        plan
    }
}

/// The plan's acts, one a line.
pub(crate) fn acts(plan: &domicile::plan::Plan) -> Vec<String> {
    plan.steps
        .iter()
        .map(|step| step.action.to_string())
        .collect()
}

/// The codes of the findings that block.
pub(crate) fn blocks(plan: &domicile::plan::Plan) -> Vec<&str> {
    let blocking = plan
        .findings
        .iter()
        .filter(|finding| finding.severity == domicile::plan::Severity::Blocks);
    blocking.map(|finding| finding.code.as_str()).collect()
}
