//! What must hold at every moment, whatever was planned and whatever failed. Knows the invariants and the state, and
//! nothing of actions.

use std::collections::{BTreeMap, BTreeSet};

use super::images::{DiskKey, Place};
use super::world::{World, never_ran};
use crate::model::{DiskTarget, HostName, JobKind, RunState, VmName};
use crate::observed::{Host, Vm};

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Breach {
    /// A VM is active on several hosts.
    #[error("{vm} is active on {}", names(.hosts))]
    ActiveTwice {
        /// The VM.
        vm: VmName,
        /// Where.
        hosts: Vec<HostName>,
    },
    /// A VM that was active is active nowhere, and was not shut down for its move.
    #[error("{vm} was active and is active nowhere")]
    ActiveNowhere {
        /// The VM.
        vm: VmName,
    },
    /// A VM is known to no host.
    #[error("{vm} is defined and active nowhere")]
    Gone {
        /// The VM.
        vm: VmName,
    },
    /// No complete copy of a disk is left.
    #[error("no complete copy of disk {disk} of {vm} is left")]
    DiskLost {
        /// The VM.
        vm: VmName,
        /// The disk.
        disk: DiskTarget,
    },
    /// A VM is active on a disk that is not what it wrote last.
    #[error("{vm} is active on {host} with a disk {disk} that is not what it wrote last")]
    DiskStale {
        /// The VM.
        vm: VmName,
        /// Where.
        host: HostName,
        /// The disk.
        disk: DiskTarget,
    },
    /// A definition names a volume that is not there any more.
    #[error("{vm} on {host} has a disk {disk}, whose volume or one below it is gone")]
    Dangling {
        /// The VM.
        vm: VmName,
        /// On which host.
        host: HostName,
        /// The disk.
        disk: DiskTarget,
    },
    /// Something that nobody named was changed.
    #[error("{what} was touched, and nobody named it")]
    Touched {
        /// What.
        what: String,
    },
}

fn names(hosts: &[HostName]) -> String {
    let names: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
    names.join(" and ")
}

/// The state at the start, as far as the invariants speak of it.
#[derive(Debug, Clone)]
pub(super) struct Invariants {
    before: BTreeMap<HostName, Host>,
    /// By UUID: names of VMs, and whether each was active.
    vms: BTreeMap<String, (VmName, bool)>,
    /// UUIDs that were active on several hosts before anything was done.
    twice: BTreeSet<String>,
    /// Disks that could be read at the start.
    disks: BTreeMap<DiskKey, VmName>,
    /// Disks whose volume was missing at the start.
    dangling: BTreeSet<DiskKey>,
    /// VMs that may be touched.
    managed: BTreeSet<VmName>,
    /// Volumes that may be removed.
    pub(super) removable: BTreeSet<Place>,
}

impl Invariants {
    /// The invariants of this state, of which only these VMs may be touched.
    pub(super) fn new(world: &World, managed: BTreeSet<VmName>) -> Self {
        let mut vms: BTreeMap<String, (VmName, bool)> = BTreeMap::new();
        for (_, name, vm) in world.each_vm() {
            let known = vms.entry(vm.uuid.clone()).or_insert((name.clone(), false));
            known.1 |= vm.power.is_active() && !never_ran(vm);
        }
        let truths = world.images.truths.keys();
        let disks = truths.filter_map(|key| Some((key.clone(), vms.get(&key.0)?.0.clone())));
        let mut invariants = Self {
            before: world.hosts.clone(),
            twice: active_on(world)
                .into_iter()
                .filter(|(_, on)| on.len() > 1)
                .map(|(uuid, _)| uuid.to_owned())
                .collect(),
            disks: disks.collect(),
            vms,
            dangling: BTreeSet::new(),
            removable: BTreeSet::new(),
            managed,
        };
        invariants.dangling = invariants.missing(world).into_keys().collect();
        invariants.removable = invariants.own_volumes(world);
        invariants
    }

    /// The same VMs' invariants, of this state.
    pub(super) fn counted_from(&self, world: &World) -> Self {
        Self::new(world, self.managed.clone())
    }

    /// Volumes of the managed VMs: their disks, what is below those, and what a mark says was made for them.
    pub(super) fn own_volumes(&self, world: &World) -> BTreeSet<Place> {
        let mut own = BTreeSet::new();
        for (host, name, vm) in world.each_vm() {
            let Some(detail) = vm.detail.as_deref().filter(|_| self.managed.contains(name)) else {
                continue;
            };
            for disk in &detail.disks {
                let below = disk.backing.iter().map(|layer| layer.path.as_str());
                let paths = disk.path.as_deref().into_iter().chain(below);
                own.extend(paths.filter_map(|path| world.place_of(host, path)));
            }
            if let Some(mark) = &detail.mark {
                let at_source = mark
                    .source_volumes
                    .iter()
                    .map(|volume| (&mark.from, volume));
                let passing = mark.temporary_volumes.iter().chain(&mark.source_bases);
                let at_source = at_source.chain(passing.map(|volume| (&mark.from, volume)));
                let made = mark.created_volumes.iter().chain(&mark.created_bases);
                let made = made.map(|volume| (&mark.to, volume));
                own.extend(
                    at_source
                        .chain(made)
                        .map(|(host, (pool, name))| world.place(host, pool, name)),
                );
            }
        }
        own
    }

    /// Takes note that a volume was made here, and so may be removed.
    pub(super) fn made(&mut self, place: Place) {
        self.removable.insert(place);
    }

    /// Takes note that something other than an apply has changed the VMs of a host, which nobody may touch.
    pub(super) fn excuse(&mut self, world: &World, host: &HostName) {
        let (Some(before), Some(now)) = (self.before.get_mut(host), world.hosts.get(host)) else {
            return;
        };
        for (name, vm) in &mut before.vms {
            if let Some(now) = now.vms.get(name) {
                vm.clone_from(now);
            }
        }
    }

    /// What is broken now.
    pub(super) fn check(&self, world: &World) -> BTreeSet<Breach> {
        let mut breaches = BTreeSet::new();
        self.check_activity(world, &mut breaches);
        self.check_disks(world, &mut breaches);
        let missing = self.missing(world).into_iter();
        let dangling = missing.map(|((_, disk), (vm, host))| Breach::Dangling { vm, host, disk });
        breaches.extend(dangling);
        self.check_untouched(world, &mut breaches);
        breaches
    }

    fn check_activity(&self, world: &World, breaches: &mut BTreeSet<Breach>) {
        let active = active_on(world);
        let known: BTreeSet<&str> = world.each_vm().map(|(_, _, vm)| vm.uuid.as_str()).collect();
        let anywhere = world.each_vm().filter(|(_, _, vm)| vm.power.is_active());
        let anywhere: BTreeSet<&str> = anywhere.map(|(_, _, vm)| vm.uuid.as_str()).collect();
        for (uuid, (vm, was_active)) in &self.vms {
            let vm = || vm.clone();
            let on = active.get(uuid.as_str()).map_or(&[][..], Vec::as_slice);
            if on.len() > 1 && !self.twice.contains(uuid) {
                let (vm, hosts) = (vm(), on.iter().copied().cloned().collect());
                breaches.insert(Breach::ActiveTwice { vm, hosts });
            } else if !known.contains(uuid.as_str()) {
                breaches.insert(Breach::Gone { vm: vm() });
            } else if *was_active
                && !anywhere.contains(uuid.as_str())
                && !world.stopped.contains(uuid)
                && !world.crashed.contains(uuid)
            {
                breaches.insert(Breach::ActiveNowhere { vm: vm() });
            }
        }
    }

    fn check_disks(&self, world: &World, breaches: &mut BTreeSet<Breach>) {
        let mut readable = BTreeSet::new();
        for (host, state) in &world.hosts {
            for volume in state.pools.values().flat_map(|pool| pool.volumes.values()) {
                readable.extend(world.read(host, &volume.path));
            }
        }
        for (key, vm) in &self.disks {
            let Some(truth) = world.images.truths.get(key) else {
                continue;
            };
            if truth.is_disjoint(&readable) {
                let (vm, disk) = (vm.clone(), key.1.clone());
                breaches.insert(Breach::DiskLost { vm, disk });
            }
        }
        for (host, name, vm) in world.each_vm() {
            if !holds_guest(vm) {
                continue;
            }
            for disk in vm.detail.iter().flat_map(|detail| &detail.disks) {
                let key = (vm.uuid.clone(), disk.target.clone());
                let truth = world
                    .images
                    .truths
                    .get(&key)
                    .filter(|_| self.disks.contains_key(&key));
                let read = disk.path.as_deref().and_then(|path| world.read(host, path));
                if truth.is_some_and(|truth| read.is_none_or(|read| !truth.contains(&read))) {
                    breaches.insert(Breach::DiskStale {
                        vm: name.clone(),
                        host: host.clone(),
                        disk: disk.target.clone(),
                    });
                }
            }
        }
    }

    /// Disks of which a volume that their definition names is in no pool, with where they are.
    fn missing(&self, world: &World) -> BTreeMap<DiskKey, (VmName, HostName)> {
        let is_gone = |host: &HostName, path: &str| {
            let pools = world.hosts.get(host).into_iter();
            let mut own = pools
                .flat_map(|state| state.pools.values())
                .filter_map(|pool| {
                    let file = path.strip_prefix(&pool.path)?.strip_prefix('/')?;
                    Some((pool, file))
                });
            own.any(|(pool, file)| !pool.volumes.contains_key(file))
        };
        let mut missing = BTreeMap::new();
        for (host, name, vm) in world.each_vm() {
            for disk in vm.detail.iter().flat_map(|detail| &detail.disks) {
                let below = disk.backing.iter().map(|layer| layer.path.as_str());
                let mut paths = disk.path.as_deref().into_iter().chain(below);
                if !paths.any(|path| is_gone(host, path)) {
                    continue;
                }
                let key = (vm.uuid.clone(), disk.target.clone());
                if !self.dangling.contains(&key) {
                    missing.insert(key, (name.clone(), host.clone()));
                }
            }
        }
        missing
    }

    fn check_untouched(&self, world: &World, breaches: &mut BTreeSet<Breach>) {
        let mut touched = |what: String| {
            breaches.insert(Breach::Touched { what });
        };
        for (host, before) in &self.before {
            let Some(now) = world.hosts.get(host) else {
                continue;
            };
            let names = before.vms.keys().chain(now.vms.keys());
            let others: BTreeSet<&VmName> =
                names.filter(|name| !self.managed.contains(*name)).collect();
            for name in others {
                if before.vms.get(name) != now.vms.get(name) {
                    touched(format!("VM {name} on {host}"));
                }
            }
            for (pool, state) in &before.pools {
                let left = now.pools.get(pool).map(|pool| &pool.volumes);
                for volume in state.volumes.keys() {
                    let is_there = left.is_some_and(|volumes| volumes.contains_key(volume));
                    let may_go = || self.removable.contains(&world.place(host, pool, volume));
                    if !is_there && !may_go() {
                        touched(format!("volume {host}:{pool}/{volume}"));
                    }
                }
            }
        }
    }
}

/// The hosts on which each VM is active, by UUID.
fn active_on(world: &World) -> BTreeMap<&str, Vec<&HostName>> {
    let mut found: BTreeMap<&str, Vec<&HostName>> = BTreeMap::new();
    for (host, _, vm) in world.each_vm().filter(|(_, _, vm)| holds_guest(vm)) {
        found.entry(&vm.uuid).or_default().push(host);
    }
    found
}

/// Whether the VM's guest is here. During a migration the destination holds an empty shell, and one that broke off
/// after the guest had left holds an abandoned one; libvirt calls both active.
fn holds_guest(vm: &Vm) -> bool {
    let incoming = vm.detail.as_deref().and_then(|detail| detail.job) == Some(JobKind::MigrationIn);
    let shell = vm.power.state == RunState::Paused && vm.power.reason == "migration";
    vm.power.is_active() && !incoming && !shell
}
