//! A sketch to the manifest and the reading that it stands for.

use std::fmt::Write;

use domicile::desired::Gates;
use domicile::manifest::{self, Source};
use domicile::model::{Bytes, Millis, PowerState, RunState, VolumeFormat, VolumeName};
use domicile::observed::{self, Volume};

use super::sketch::{Host, Method, Pool, Sketch, Vm};
use crate::planner::fleet::{Fleet, GIB, pool_name};

pub(super) fn host_name(number: usize) -> String {
    format!("kvm{}", number + 1)
}

pub(super) fn vm_name(number: usize) -> String {
    format!("vm-{number}")
}

pub(super) fn host_number(name: &str) -> usize {
    let number: usize = name.strip_prefix("kvm").unwrap().parse().unwrap();
    number - 1
}

pub(super) fn vm_number(name: &str) -> usize {
    name.strip_prefix("vm-").unwrap().parse().unwrap()
}

pub(super) fn pool_text(pool: Pool) -> &'static str {
    match pool {
        Pool::Default => "default",
        Pool::Fast => "fast",
        Pool::Nas => "nas",
    }
}

/// The manifest as its user would write it.
pub(super) fn manifest(sketch: &Sketch) -> String {
    let mut text = "version: 1\nhosts:\n".to_owned();
    for (number, host) in sketch.hosts.iter().enumerate() {
        let (name, line) = (host_name(number), host_line(host));
        writeln!(text, "  {name}: {{ uri: qemu+tcp://{name}/system{line} }}").unwrap();
    }
    let groups = |groups: &[Vec<usize>]| {
        let names = |group: &Vec<usize>| {
            let names: Vec<String> = group.iter().map(|vm| vm_name(*vm)).collect();
            format!("[{}]", names.join(", "))
        };
        let all: Vec<String> = groups.iter().map(names).collect();
        all.join(", ")
    };
    let (apart, together) = (groups(&sketch.apart), groups(&sketch.together));
    writeln!(
        text,
        "placement: {{ apart: [{apart}], together: [{together}] }}\nvms:"
    )
    .unwrap();
    for (number, vm) in sketch.vms.iter().enumerate() {
        if let Some(goal) = vm.goal {
            let line = vm_line(vm);
            let (name, goal) = (vm_name(number), host_name(goal));
            writeln!(text, "  {name}: {{ host: {goal}{line} }}").unwrap();
        }
    }
    text
}

fn host_line(host: &Host) -> String {
    let mut line = format!(
        ", reserve: {{ memory: {}GiB, vcpus: {} }}",
        host.reserve, host.reserved_cpus
    );
    let vms = host.vms.map(|vms| format!("vms: {vms}"));
    let ratio = host.counts_vcpus.then(|| "vcpu_ratio: 1.5".to_owned());
    let limits: Vec<String> = vms.into_iter().chain(ratio).collect();
    if !limits.is_empty() {
        write!(line, ", limits: {{ {} }}", limits.join(", ")).unwrap();
    }
    if host.is_in_maintenance {
        line += ", maintenance: true";
    }
    line
}

fn vm_line(vm: &Vm) -> String {
    let mut line = String::new();
    if vm.pool != vm.goal_pool {
        write!(line, ", disks: {{ vda: {} }}", pool_text(vm.goal_pool)).unwrap();
    }
    line += match vm.method {
        Method::Auto => "",
        Method::Live => ", method: live",
        Method::Cold => ", method: cold",
    };
    let mut settings = Vec::new();
    if !vm.may_stop {
        settings.push("allow_reboot: false");
    }
    if !vm.may_detour {
        settings.push("allow_detour: false");
    }
    if !settings.is_empty() {
        write!(line, ", migration: {{ {} }}", settings.join(", ")).unwrap();
    }
    line
}

/// The fleet as the planner is given it.
pub(super) fn fleet(sketch: &Sketch) -> Fleet {
    let text = manifest(sketch);
    let loaded = manifest::load(&[Source::new("fleet.yaml", &*text)]);
    let loaded = loaded.unwrap_or_else(|faults| panic!("{faults:?}\n{text}"));
    let mut fleet = Fleet::new(sketch.hosts.len(), 0);
    fleet.desired = loaded.desired;
    fleet.desired.gates = Gates {
        max_detours: sketch.max_detours.map(|most| u32::try_from(most).unwrap()),
        plan_time: Some(Millis(sketch.plan_time)),
        ..Gates::default()
    };
    for (number, host) in sketch.hosts.iter().enumerate() {
        let there = fleet.host(&host_name(number));
        there.memory = Bytes(host.memory * GIB);
        there.cpus = u32::try_from(host.cpus).unwrap();
        there.pools.insert(pool_name("nas"), nas());
    }
    for (number, vm) in sketch.vms.iter().enumerate() {
        add(&mut fleet, number, vm);
    }
    for (number, host) in sketch.hosts.iter().enumerate() {
        for (pool, room) in [Pool::Default, Pool::Fast].into_iter().zip(host.room) {
            let pools = &mut fleet.host(&host_name(number)).pools;
            pools.get_mut(pool_text(pool)).unwrap().available = Bytes(room * GIB);
        }
    }
    fleet
}

fn nas() -> observed::Pool {
    observed::Pool {
        kind: "netfs".into(),
        active: true,
        path: "/mnt/nas".into(),
        storage: Some("nfs://nas/export".into()),
        capacity: Bytes(1000 * GIB),
        available: Bytes(900 * GIB),
        volumes: std::collections::BTreeMap::new(),
        refreshed: false,
    }
}

fn add(fleet: &mut Fleet, number: usize, sketch: &Vm) {
    let (host, name) = (host_name(sketch.home), vm_name(number));
    let vm = fleet.vm(&host, &name, sketch.memory);
    vm.vcpus = u32::try_from(sketch.vcpus).unwrap();
    if !sketch.is_running {
        vm.power = PowerState {
            state: RunState::ShutOff,
            reason: "shutdown".into(),
        };
    }
    let size = Bytes(sketch.disk * GIB);
    let disk = &mut vm.detail.as_mut().unwrap().disks[0];
    disk.allocation = Some(size);
    if sketch.holes > 0 {
        disk.format = VolumeFormat::Raw;
        disk.capacity = Some(Bytes((sketch.disk + sketch.holes) * GIB));
    }
    let (format, capacity) = (disk.format.clone(), disk.capacity.unwrap());
    let (_, volume) = disk.volume.clone().unwrap();
    let pool = pool_name(pool_text(sketch.pool));
    disk.volume = Some((pool.clone(), volume.clone()));
    let pools = &mut fleet.host(&host).pools;
    let mut detail = pools
        .get_mut("default")
        .unwrap()
        .volumes
        .remove(&volume)
        .unwrap();
    detail.path = format!("{}/{volume}", pools[&pool].path);
    let volume_detail = detail.detail.as_mut().unwrap();
    (
        volume_detail.allocation,
        volume_detail.format,
        volume_detail.capacity,
    ) = (size, format, capacity);
    let path = Some(detail.path.clone());
    let there = |fleet: &mut Fleet, host: &str, volume: &Volume| {
        let pool = fleet.host(host).pools.get_mut(&pool).unwrap();
        let name = volume.path.rsplit('/').next().unwrap();
        pool.volumes
            .insert(VolumeName::new(name).unwrap(), volume.clone());
    };
    there(fleet, &host, &detail);
    if sketch.pool == Pool::Nas {
        for other in 0..fleet.observed.hosts.len() {
            there(fleet, &host_name(other), &detail);
        }
    }
    let vm = fleet.host(&host).vms.get_mut(name.as_str()).unwrap();
    vm.detail.as_mut().unwrap().disks[0].path = path;
}
