//! A sketch to the reading and the manifest that it stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use domicile::desired::{self, Desired};
use domicile::model::{
    BackingLayer, Bytes, CpuMode, DiskDevice, DiskTarget, HostName, Interface, InterfaceSource,
    MacAddress, Millis, PoolName, PowerState, RunState, VmName, VolumeFormat, VolumeName,
};
use domicile::observed::{
    self, Disk, Observed, Offers, Pool, Reading, Vm, VmDetail, Volume, VolumeDetail,
};

use super::sketch::{HostSketch, Power, Sketch, VmSketch};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
const POOLS: [&str; 3] = ["default", "fast", "nas"];
const SIZE: Bytes = Bytes(10 * GIB);
const BASE_DATA: Bytes = Bytes(GIB);

/// A fleet and what is wanted of it.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    pub(crate) observed: Observed,
    pub(crate) desired: Desired,
}

impl Fleet {
    /// The VMs that the manifest names.
    pub(crate) fn managed(&self) -> BTreeSet<VmName> {
        self.desired.vms.keys().cloned().collect()
    }
}

fn host_name(index: usize) -> HostName {
    HostName::new(format!("kvm{}", index + 1)).unwrap()
}

fn pool_name(index: usize) -> PoolName {
    PoolName::new(POOLS[index % POOLS.len()]).unwrap()
}

fn folder(host: &HostSketch, pool: usize) -> &'static str {
    match pool % POOLS.len() {
        0 => "/var/lib/libvirt/images",
        1 if host.own_folder => "/srv/other",
        1 => "/srv/fast",
        _ => "/mnt/nas",
    }
}

/// The fleet that a sketch stands for.
pub(crate) fn build(sketch: &Sketch) -> Fleet {
    let count = sketch.hosts.len();
    let mut hosts: Vec<observed::Host> = sketch
        .hosts
        .iter()
        .enumerate()
        .map(|(index, host)| bare_host(index, host))
        .collect();
    for (index, host) in sketch.hosts.iter().enumerate() {
        for base in 0..2 {
            if host.has_bases {
                add_base(&mut hosts[index], host, 0, base);
            }
        }
    }
    for (number, vm) in sketch.vms.iter().enumerate() {
        let home = vm.host % count;
        add_vm(&mut hosts[home], &sketch.hosts[home], number, vm);
    }
    for (index, host) in sketch.hosts.iter().enumerate() {
        if host.has_strangers {
            add_strangers(&mut hosts[index]);
        }
    }
    share(&mut hosts);
    let named = hosts.into_iter().enumerate();
    let reached = named.map(|(index, host)| (host_name(index), Reading::Reached(Box::new(host))));
    Fleet {
        observed: Observed {
            format_version: observed::FORMAT_VERSION.into(),
            taken_at: 0,
            hosts: reached.collect(),
        },
        desired: manifest(sketch),
    }
}

fn bare_host(index: usize, sketch: &HostSketch) -> observed::Host {
    let pools = (0..POOLS.len()).map(|pool| {
        let room = if pool == 2 { 1000 } else { sketch.room_gib };
        let state = Pool {
            kind: if pool == 2 { "netfs" } else { "dir" }.into(),
            active: true,
            path: folder(sketch, pool).into(),
            storage: (pool == 2).then(|| "nfs://nas/export".into()),
            capacity: Bytes(2000 * GIB),
            available: Bytes(room * GIB),
            volumes: BTreeMap::new(),
            refreshed: false,
        };
        (pool_name(pool), state)
    });
    observed::Host {
        uuid: format!("00000000-0000-0000-0000-{:012}", index + 1),
        hostname: host_name(index).to_string(),
        libvirt_version: 11_003_000,
        hypervisor_version: 10_000_002,
        arch: "x86_64".into(),
        cpu_xml: String::new(),
        cpu_model: "qemu64".into(),
        cpus: 8,
        memory: Bytes(sketch.spare_gib * GIB),
        memory_free: Bytes(sketch.spare_gib * GIB),
        machines: vec!["pc-q35-10.0".into()],
        pools: pools.collect(),
        bridges: vec!["br0".into()],
        bridges_complete: true,
        networks: BTreeMap::new(),
        vms: BTreeMap::new(),
        offers: Offers::default(),
        fits: BTreeMap::new(),
        gaps: Vec::new(),
    }
}

fn add_volume(pool: &mut Pool, name: &str, detail: VolumeDetail) -> (VolumeName, String) {
    let name = VolumeName::new(name).unwrap();
    let path = format!("{}/{name}", pool.path);
    let volume = Volume {
        path: path.clone(),
        detail: Some(detail),
    };
    pool.volumes.insert(name.clone(), volume);
    (name, path)
}

/// Volumes of somebody else by the names that the first VMs' disks would get here.
fn add_strangers(host: &mut observed::Host) {
    let detail = VolumeDetail {
        format: VolumeFormat::Qcow2,
        capacity: SIZE,
        allocation: Bytes(MIB),
        backing: None,
    };
    for pool in [0, 1] {
        for vm in 0..3 {
            let pool = host.pools.get_mut(&pool_name(pool)).unwrap();
            let name = format!("vm-{vm}-0.qcow2");
            if !pool.volumes.contains_key(name.as_str()) {
                add_volume(pool, &name, detail.clone());
            }
        }
    }
}

fn add_base(
    host: &mut observed::Host,
    sketch: &HostSketch,
    pool: usize,
    base: usize,
) -> BackingLayer {
    let name = pool_name(pool);
    let state = host.pools.get_mut(&name).unwrap();
    assert_eq!(state.path, folder(sketch, pool));
    let detail = VolumeDetail {
        format: VolumeFormat::Qcow2,
        capacity: SIZE,
        allocation: BASE_DATA,
        backing: None,
    };
    let (volume, path) = add_volume(state, &format!("golden-{base}.qcow2"), detail);
    BackingLayer {
        path,
        format: VolumeFormat::Qcow2,
        capacity: Some(SIZE),
        allocation: Some(BASE_DATA),
        volume: Some((name, volume)),
    }
}

fn add_vm(host: &mut observed::Host, home: &HostSketch, number: usize, sketch: &VmSketch) {
    let name = format!("vm-{number}");
    let mut disks = Vec::new();
    for (index, disk) in sketch.disks.iter().enumerate() {
        let backing = disk.base.map(|base| add_base(host, home, disk.pool, base));
        let format = if disk.raw {
            VolumeFormat::Raw
        } else {
            VolumeFormat::Qcow2
        };
        let pool = pool_name(disk.pool);
        let detail = VolumeDetail {
            format: format.clone(),
            capacity: SIZE,
            allocation: Bytes(disk.data_mib * MIB),
            backing: backing
                .as_ref()
                .map(|base| (base.path.clone(), base.format.clone())),
        };
        let state = host.pools.get_mut(&pool).unwrap();
        let (volume, path) = add_volume(state, &format!("{name}-{index}.{format}"), detail);
        disks.push(Disk {
            target: DiskTarget::new(format!(
                "vd{}",
                char::from(b'a' + u8::try_from(index).unwrap())
            ))
            .unwrap(),
            device: DiskDevice::Disk,
            bus: "virtio".into(),
            source_kind: "file".into(),
            path: Some(path),
            volume: Some((pool, volume)),
            format,
            capacity: Some(SIZE),
            allocation: Some(Bytes(disk.data_mib * MIB)),
            backing: backing.into_iter().collect(),
            readonly: false,
            shareable: false,
            transient: false,
            cache: None,
            startup_policy: None,
            serial: None,
            copied_to: None,
        });
    }
    if sketch.cdrom {
        disks.push(empty_drive());
    }
    let vm = vm(number, sketch, disks);
    if vm.power.is_active() {
        host.memory = host.memory.plus(vm.memory);
    }
    host.vms.insert(VmName::new(name).unwrap(), vm);
}

fn empty_drive() -> Disk {
    Disk {
        target: DiskTarget::new("sda").unwrap(),
        device: DiskDevice::Cdrom,
        bus: "sata".into(),
        source_kind: "file".into(),
        path: None,
        volume: None,
        format: VolumeFormat::Raw,
        capacity: None,
        allocation: None,
        backing: Vec::new(),
        readonly: true,
        shareable: false,
        transient: false,
        cache: None,
        startup_policy: None,
        serial: None,
        copied_to: None,
    }
}

fn vm(number: usize, sketch: &VmSketch, disks: Vec<Disk>) -> Vm {
    let running = sketch.power == Power::Running;
    let mac = format!("52:54:00:00:00:{number:02x}");
    let text = definition(number, &disks, &mac);
    Vm {
        uuid: format!("00000000-0000-0000-0001-{number:012}"),
        power: PowerState {
            state: if running {
                RunState::Running
            } else {
                RunState::ShutOff
            },
            reason: if running { "booted" } else { "shutdown" }.into(),
        },
        persistent: true,
        memory: Bytes(sketch.memory_gib * GIB),
        vcpus: 1,
        managed_save: false,
        autostart: sketch.autostart,
        detail: Some(Box::new(VmDetail {
            live_xml: running.then(|| text.clone()),
            inactive_xml: text,
            machine: "pc-q35-10.0".into(),
            cpu: CpuMode::HostModel,
            disks,
            interfaces: vec![Interface {
                mac: MacAddress::new(&mac).unwrap(),
                source: InterfaceSource::Bridge("br0".into()),
                mtu: None,
                filter: None,
            }],
            ..VmDetail::default()
        })),
    }
}

fn definition(number: usize, disks: &[Disk], mac: &str) -> String {
    let mut text = format!(
        "<domain type='kvm'>\n  <name>vm-{number}</name>\n  <uuid>00000000-0000-0000-0001-{number:012}</uuid>\n  \
         <memory unit='GiB'>1</memory>\n  <vcpu>1</vcpu>\n  <os><type machine='pc-q35-10.0'>hvm</type></os>\n  <devices>\n"
    );
    for disk in disks {
        let device = if disk.device == DiskDevice::Cdrom {
            "cdrom"
        } else {
            "disk"
        };
        let source = disk
            .path
            .as_ref()
            .map(|path| format!("<source file='{path}'/>"))
            .unwrap_or_default();
        writeln!(
            text,
            "    <disk type='file' device='{device}'><driver name='qemu' type='{}'/>{source}<target dev='{}' bus='{}'/></disk>",
            disk.format, disk.target, disk.bus
        )
        .unwrap();
    }
    write!(
        text,
        "    <interface type='bridge'><mac address='{mac}'/><source bridge='br0'/></interface>\n  </devices>\n</domain>\n"
    )
    .unwrap();
    text
}

/// A shared pool shows the same volumes on every host.
fn share(hosts: &mut [observed::Host]) {
    let nas = pool_name(2);
    let all: BTreeMap<VolumeName, Volume> = hosts
        .iter()
        .flat_map(|host| host.pools[&nas].volumes.clone())
        .collect();
    for host in hosts {
        host.pools.get_mut(&nas).unwrap().volumes.clone_from(&all);
    }
}

fn manifest(sketch: &Sketch) -> Desired {
    let hosts = (0..sketch.hosts.len()).map(|index| {
        let name = host_name(index);
        let host = desired::Host {
            uri: format!("qemu+tcp://{name}/system"),
            cluster: None,
            peer_uri: None,
            address: None,
            reserve: desired::Reserve::default(),
            limits: desired::HostLimits::default(),
            maintenance: false,
        };
        (name, host)
    });
    let wanted = sketch.vms.iter().enumerate().filter_map(|(number, vm)| {
        let wanted = vm.wanted.as_ref()?;
        let pools = wanted.pools.iter().take(vm.disks.len()).enumerate();
        let disks = pools.filter_map(|(index, pool)| {
            let target = format!("vd{}", char::from(b'a' + u8::try_from(index).unwrap()));
            Some((DiskTarget::new(target).unwrap(), pool_name((*pool)?)))
        });
        let manifest = desired::Vm {
            host: host_name(wanted.host % sketch.hosts.len()),
            disks: disks.collect(),
            interfaces: BTreeMap::new(),
            method: wanted.method,
            migration: desired::MigrationOverrides::default(),
        };
        Some((VmName::new(format!("vm-{number}")).unwrap(), manifest))
    });
    Desired {
        hosts: hosts.collect(),
        vms: wanted.collect(),
        migration: desired::Migration {
            fleet: desired::MigrationOverrides {
                parallel: Some(sketch.parallel),
                live_clones: Some(sketch.live_clones),
                remove_unused_bases: Some(sketch.remove_unused_bases),
                cold_copy: Some(sketch.cold_copy),
                driver: Some(sketch.driver),
                shrink: Some(sketch.shrink),
                flatten: Some(sketch.flatten),
                ..desired::MigrationOverrides::default()
            },
            ..desired::Migration::default()
        },
        // Thousands of fleets are planned here; how short a plan is, others look at. Some are searched for a little.
        gates: desired::Gates {
            plan_time: Some(Millis(u64::from(sketch.vms.len().is_multiple_of(8)))),
            ..desired::Gates::default()
        },
        ..Desired::default()
    }
}
