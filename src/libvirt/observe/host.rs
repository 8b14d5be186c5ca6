//! One host, from its connection to [`Host`].
//!
//! Ten calls whatever it has: capabilities, name, two versions, VMs (three), pools, networks, interfaces. Two more
//! where VMs are looked into (who has snapshots, how fast they dirty memory) and three more where everything is wanted
//! (free memory, secrets, network filters).

use std::collections::BTreeSet;
use std::thread;

use super::questions::Questions;
use super::storage::Storage;
use super::vm::{Known, Seen};
use super::{capabilities, disks, monitor, network, parallel, storage, stores, vm};
use crate::hypervisor::{Depth, Look};
use crate::libvirt::error::CallError;
use crate::model::{Bytes, PoolName, VmName, VolumeFormat, VolumeName};
use crate::observed::{Disk, Host, QemuAnswer};

/// How a host is to be read.
#[derive(Debug, Clone)]
pub(super) struct Manner {
    /// How closely VMs are looked at.
    pub(super) depth: Depth,
    /// Running VMs whose QEMU is asked, of those that are looked into.
    pub(super) ask_qemu: BTreeSet<VmName>,
    /// Pools in which libvirt looks for volumes anew.
    pub(super) refresh: BTreeSet<PoolName>,
    /// Volumes that are looked into besides those of the VMs.
    pub(super) volumes: BTreeSet<(PoolName, VolumeName)>,
}

/// Reads the host. Parts that cannot be read are gaps; without capabilities, versions or VMs there is no reading.
pub(super) fn read(questions: &Questions, manner: &Manner) -> Result<Host, CallError> {
    let depth = &manner.depth;
    questions.about("its VMs, pools and networks");
    let (mut host, mut known, mut storage) = thread::scope(|scope| {
        let storage = scope.spawn(|| storage::list(questions, &manner.refresh));
        let networks = scope.spawn(|| network::connections(questions));
        let known = scope.spawn(|| vm::list(questions));
        let mut host = empty(questions, depth)?;
        let connections = joined(questions, networks)?;
        host.networks = connections.networks;
        host.bridges = connections.bridges.names;
        host.bridges_complete = connections.bridges.complete;
        Ok::<_, CallError>((
            host,
            joined(questions, known)??,
            joined(questions, storage)?,
        ))
    })?;
    questions.about("the definitions of its VMs");
    let wanted = |known: &&mut Known| depth.of(&known.name) != Look::No;
    let mut looked_into: Vec<&mut Known> = known.iter_mut().filter(wanted).collect();
    if !looked_into.is_empty() {
        look_into(questions, manner, &mut looked_into, &mut storage, &mut host);
    }
    if !manner.volumes.is_empty() {
        questions.about("its volumes");
        storage.look_into(questions, &manner.volumes);
    }
    if *depth == Depth::Full {
        questions.about("its volumes");
        storage.look_into_all(questions);
        host.offers.secrets = stores::secrets(questions);
        host.offers.nwfilters = stores::nwfilters(questions);
    }
    host.vms = known
        .into_iter()
        .map(|known| (known.name, known.vm))
        .collect();
    host.pools = storage.into_pools();
    host.gaps = questions.gaps();
    Ok(host)
}

/// What the VM's QEMU says, where it is to be asked. During a job libvirt would let the question wait.
fn asked(questions: &Questions, manner: &Manner, known: &Known, seen: &Seen) -> Option<QemuAnswer> {
    let can = known.vm.power.is_active() && seen.detail.job.is_none();
    (can && manner.ask_qemu.contains(&known.name)).then(|| monitor::ask(questions, &known.domain))
}

/// Looks into these VMs and the volumes that they use.
fn look_into(
    questions: &Questions,
    manner: &Manner,
    looked_into: &mut [&mut Known],
    storage: &mut Storage,
    host: &mut Host,
) {
    let with_snapshots = vm::with_snapshots(questions);
    let mut seen = parallel::each(looked_into, |known| {
        let look = manner.depth.of(&known.name);
        let mut seen = vm::look(questions, known, look, &with_snapshots)?;
        seen.detail.qemu = asked(questions, manner, known, &seen);
        Some(seen)
    });
    let memory = vm::memory(questions, looked_into);
    questions.about("its volumes");
    // What is below the disks of a running VM, its definition says; their sizes interest nobody beside.
    let details = seen
        .iter()
        .flatten()
        .filter(|seen| seen.closely || seen.detail.live_xml.is_none())
        .map(|seen| (seen.closely, &seen.detail.disks));
    let disks = details.flat_map(|(closely, disks)| {
        let stands = move |disk: &&Disk| closely || disk.format != VolumeFormat::Raw;
        disks.iter().filter(stands)
    });
    let (paths, names) = disks::sources(disks);
    storage.look_below(questions, paths, names);
    for (known, seen) in looked_into.iter_mut().zip(&mut seen) {
        let Some(Seen {
            mut detail,
            bridges,
            closely,
        }) = seen.take()
        else {
            continue;
        };
        for disk in &mut detail.disks {
            let measured = closely.then_some(&known.domain);
            disks::resolve(questions, measured, storage, disk);
        }
        let memory = memory.get(&known.vm.uuid).copied().filter(|_| closely);
        detail.dirty_rate = memory.and_then(|memory| memory.dirtied);
        detail.resident = memory.and_then(|memory| memory.resident);
        known.vm.detail = Some(Box::new(detail));
        host.bridges.extend(bridges);
    }
    host.bridges.sort();
    host.bridges.dedup();
}

fn joined<T>(
    questions: &Questions,
    handle: thread::ScopedJoinHandle<'_, T>,
) -> Result<T, CallError> {
    let host = &questions.connection().host;
    handle
        .join()
        .map_err(|_| CallError::ours(host, "reading it broke off, which is a fault of Domicile"))
}

/// What the host is, with nothing on it.
fn empty(questions: &Questions, depth: &Depth) -> Result<Host, CallError> {
    let name = &questions.connection().host;
    let text = questions.call(virt::connect::Connect::capabilities)?;
    let told = capabilities::read(&text)
        .map_err(|error| CallError::ours(name, format!("its capabilities: {error}")))?;
    let (cpus, memory) = if let Some(size) = told.size {
        size
    } else {
        let info = questions.call(virt::connect::Connect::node_info)?;
        (info.cpus, Bytes::from_kib(info.memory))
    };
    let memory_free = match depth {
        Depth::Full => questions.call(virt::connect::Connect::free_memory).ok(),
        Depth::Bulk | Depth::Named { .. } => None,
    };
    if told.uuid.is_empty() {
        questions.gap("it tells no host UUID, so that two names for one host cannot be told apart");
    }
    Ok(Host {
        uuid: told.uuid,
        hostname: questions.call(virt::connect::Connect::hostname)?,
        libvirt_version: questions.connection().version()?,
        hypervisor_version: questions.call(|connect| connect.hyp_version().map(u64::from))?,
        arch: told.arch,
        cpu_xml: told.cpu_xml,
        cpu_model: told.cpu_model,
        cpus,
        memory,
        memory_free: memory_free.map_or(Bytes::ZERO, Bytes),
        machines: told.machines,
        pools: std::collections::BTreeMap::new(),
        bridges: Vec::new(),
        bridges_complete: false,
        networks: std::collections::BTreeMap::new(),
        vms: std::collections::BTreeMap::new(),
        offers: told.offers,
        fits: std::collections::BTreeMap::new(),
        gaps: Vec::new(),
    })
}
