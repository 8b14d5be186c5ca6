//! The state of all simulated hosts, and the questions that actions ask of it.

use std::collections::{BTreeMap, BTreeSet};

use super::images::{Image, Images, Place, Store, View};
use crate::model::{Bytes, HostName, PoolName, RunState, VmName, VolumeName, VolumeRef};
use crate::observed::{Disk, Host, Observed, Pool, Reading, Vm, VmDetail, Volume};
use crate::plan::Action;

/// Why a host refuses, in a sentence.
pub(super) type Refusal = String;

/// Sources that are files or devices of a host; any other is somewhere that every host reaches alike.
const LOCAL_SOURCES: [&str; 3] = ["file", "block", "volume"];

/// The state of all simulated hosts.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) hosts: BTreeMap<HostName, Host>,
    /// Hosts that the recorded reading could not reach.
    pub(super) closed: BTreeMap<HostName, Reading>,
    /// The storage that each pool is on.
    stores: BTreeMap<HostName, BTreeMap<PoolName, Store>>,
    pub(super) images: Images,
    /// Memory that a VM on its way in will need.
    pub(super) reserved: BTreeMap<(HostName, VmName), Bytes>,
    /// Migrations that go on in the hosts' daemons although nobody waits for them.
    pub(super) adrift: BTreeMap<VmName, Action>,
    /// UUIDs of VMs that are off because they were shut down here.
    pub(super) stopped: BTreeSet<String>,
    /// UUIDs of VMs that are off because their host lost power.
    pub(super) crashed: BTreeSet<String>,
    /// Calls that nobody waits for any more and that will still have their effect.
    pub(super) late: Vec<Action>,
    /// The room that somebody else has taken in pools.
    pub(super) filled: BTreeMap<(HostName, PoolName), Bytes>,
}

impl World {
    /// The hosts of a reading, where these pools are on storage of that name.
    pub(super) fn new(observed: Observed, shared: BTreeMap<(HostName, PoolName), String>) -> Self {
        let mut hosts = BTreeMap::new();
        let mut closed = BTreeMap::new();
        for (name, reading) in observed.hosts {
            match reading {
                Reading::Reached(host) => {
                    hosts.insert(name, *host);
                }
                Reading::Unreachable { .. } => {
                    closed.insert(name, reading);
                }
            }
        }
        let mut world = Self {
            stores: stores(&hosts, shared),
            hosts,
            closed,
            images: Images::default(),
            reserved: BTreeMap::new(),
            adrift: BTreeMap::new(),
            stopped: BTreeSet::new(),
            crashed: BTreeSet::new(),
            late: Vec::new(),
            filled: BTreeMap::new(),
        };
        world.fill_images();
        world
    }

    /// Gives every volume contents: a disk that a VM writes to has its own; any other volume has those of every
    /// volume of the same name, format and size, as copies of one base have.
    fn fill_images(&mut self) {
        let written: BTreeSet<Place> = self
            .each_disk()
            .filter(|(.., disk)| !disk.readonly)
            .filter_map(|(host, _, disk)| self.place_of(host, disk.path.as_deref()?))
            .collect();
        let mut images = Images::default();
        let hosts = self.hosts.iter();
        let every = hosts.flat_map(|(host, state)| {
            volumes_of(state).map(move |(pool, name, volume)| (host, pool, name, volume))
        });
        for (host, pool, name, volume) in every {
            let place = self.place(host, pool, name);
            if images.at(&place).is_some() {
                continue;
            }
            let what = volume.detail.as_ref();
            let what = what.map(|detail| (detail.format.clone(), detail.capacity));
            let view = if written.contains(&place) {
                images.fresh()
            } else {
                images.alike(format!("{name} {what:?}"))
            };
            let image = Image {
                view: Some(view),
                needs: None,
            };
            *images.entry(place) = image;
        }
        self.images = images;
        self.join_images();
    }

    /// Every image needs what is below it now.
    fn join_images(&mut self) {
        let mut needed: Vec<(Place, Option<View>)> = Vec::new();
        for (host, state) in &self.hosts {
            for (pool, name, volume) in volumes_of(state) {
                let below = volume
                    .detail
                    .as_ref()
                    .and_then(|detail| detail.backing.as_ref());
                let base = below.and_then(|(path, _)| self.images.at(&self.place_of(host, path)?));
                if let Some(base) = base {
                    needed.push((self.place(host, pool, name), base.view));
                }
            }
        }
        for (place, needs) in needed {
            if let Some(image) = self.images.at_mut(&place) {
                image.needs = needs;
            }
        }
        self.note_truths();
    }

    /// Gives a volume contents that no other has. What stands on it stands on those.
    pub(super) fn set_other_contents(&mut self, at: &VolumeRef) {
        let place = self.place_at(at);
        let view = self.images.fresh();
        self.images.entry(place).view = Some(view);
        self.join_images();
    }

    /// What each disk must read from now on: what it reads where its VM is active, else where it is defined.
    fn note_truths(&mut self) {
        let mut found = BTreeMap::new();
        for active in [true, false] {
            for (host, vm, disk) in self.each_disk() {
                let key = (vm.uuid.clone(), disk.target.clone());
                let settled = !active
                    && self
                        .each_vm()
                        .any(|(_, _, of)| of.uuid == vm.uuid && of.power.is_active());
                if disk.readonly || vm.power.is_active() != active || settled {
                    continue;
                }
                if let Some(view) = disk.path.as_deref().and_then(|path| self.read(host, path)) {
                    found.entry(key).or_insert_with(BTreeSet::new).insert(view);
                }
            }
        }
        self.images.truths = found;
    }

    /// Every VM on every host.
    pub(super) fn each_vm(&self) -> impl Iterator<Item = (&HostName, &VmName, &Vm)> {
        let hosts = self.hosts.iter();
        hosts.flat_map(|(host, state)| state.vms.iter().map(move |(name, vm)| (host, name, vm)))
    }

    /// Every disk that is known, on every host.
    pub(super) fn each_disk(&self) -> impl Iterator<Item = (&HostName, &Vm, &Disk)> {
        let vms = self.each_vm();
        let known = vms.filter_map(|(host, _, vm)| Some((host, vm, vm.detail.as_deref()?)));
        known.flat_map(|(host, vm, detail)| detail.disks.iter().map(move |disk| (host, vm, disk)))
    }

    /// The storage that a pool is on.
    pub(super) fn store(&self, host: &HostName, pool: &PoolName) -> Store {
        let known = self.stores.get(host).and_then(|pools| pools.get(pool));
        known.map_or_else(|| own_store(host, pool), Store::clone)
    }

    /// Every pool on that storage.
    pub(super) fn pools_on(&self, store: &str) -> Vec<(HostName, PoolName)> {
        let every = self.hosts.iter().flat_map(|(host, state)| {
            let pools = state.pools.keys();
            pools.map(move |pool| (host, pool))
        });
        let on_it = every.filter(|(host, pool)| self.store(host, pool).as_ref() == store);
        on_it
            .map(|(host, pool)| (host.clone(), pool.clone()))
            .collect()
    }

    pub(super) fn place(&self, host: &HostName, pool: &PoolName, volume: &VolumeName) -> Place {
        (self.store(host, pool), volume.clone())
    }

    pub(super) fn place_at(&self, at: &VolumeRef) -> Place {
        self.place(&at.host, &at.pool, &at.volume)
    }

    /// The place that a path is on a host, if it is in a pool there.
    pub(super) fn place_of(&self, host: &HostName, path: &str) -> Option<Place> {
        let (pool, volume, _) = locate(self.hosts.get(host)?, path)?;
        Some(self.place(host, pool, volume))
    }

    /// What a guest reads from that path on that host: nothing unless everything below is there and is what it was.
    pub(super) fn read(&self, host: &HostName, path: &str) -> Option<View> {
        const CHAIN_MAX: usize = 200;
        let (state, stores) = (self.hosts.get(host)?, self.stores.get(host)?);
        let (mut path, mut wanted, mut top) = (path, None, None);
        for _ in 0..CHAIN_MAX {
            let (pool, name, volume) = locate(state, path)?;
            let image = self.images.get(stores.get(pool)?, name)?;
            let view = image.view?;
            if wanted.is_some_and(|wanted| wanted != view) {
                return None;
            }
            top = top.or(Some(view));
            wanted = image.needs;
            if wanted.is_none() {
                return top;
            }
            path = volume.detail.as_ref()?.backing.as_ref()?.0.as_str();
        }
        None
    }

    pub(super) fn host(&self, name: &HostName) -> Result<&Host, Refusal> {
        self.hosts
            .get(name)
            .ok_or_else(|| format!("there is no host {name} here"))
    }

    pub(super) fn vm(&self, host: &HostName, vm: &VmName) -> Result<&Vm, Refusal> {
        let found = self.host(host)?.vms.get(vm);
        found.ok_or_else(|| format!("{vm} is not defined on {host}"))
    }

    pub(super) fn vm_mut(&mut self, host: &HostName, vm: &VmName) -> Result<&mut Vm, Refusal> {
        let state = self
            .hosts
            .get_mut(host)
            .ok_or_else(|| format!("there is no host {host} here"))?;
        state
            .vms
            .get_mut(vm)
            .ok_or_else(|| format!("{vm} is not defined on {host}"))
    }

    /// What only the VM's XML tells; an action on a VM that was never looked into is refused.
    pub(super) fn detail(&self, host: &HostName, vm: &VmName) -> Result<&VmDetail, Refusal> {
        let detail = self.vm(host, vm)?.detail.as_deref();
        detail.ok_or_else(|| format!("the reading does not hold the definition of {vm} on {host}"))
    }

    pub(super) fn detail_mut(
        &mut self,
        host: &HostName,
        vm: &VmName,
    ) -> Result<&mut VmDetail, Refusal> {
        let detail = self.vm_mut(host, vm)?.detail.as_deref_mut();
        detail.ok_or_else(|| format!("the reading does not hold the definition of {vm} on {host}"))
    }

    pub(super) fn is_active(&self, host: &HostName, vm: &VmName) -> bool {
        self.vm(host, vm).is_ok_and(|vm| vm.power.is_active())
    }

    pub(super) fn pool(&self, host: &HostName, pool: &PoolName) -> Result<&Pool, Refusal> {
        let found = self.host(host)?.pools.get(pool);
        let found = found.ok_or_else(|| format!("{host} has no pool {pool}"))?;
        if found.active {
            Ok(found)
        } else {
            Err(format!("pool {pool} of {host} is not active"))
        }
    }

    pub(super) fn volume(&self, at: &VolumeRef) -> Result<&Volume, Refusal> {
        let found = self.pool(&at.host, &at.pool)?.volumes.get(&at.volume);
        found.ok_or_else(|| format!("there is no volume {at}"))
    }

    /// The volume that a path is on a host.
    pub(super) fn volume_of(&self, host: &HostName, path: &str) -> Option<&Volume> {
        let (.., volume) = locate(self.hosts.get(host)?, path)?;
        Some(volume)
    }

    /// Whether that much more memory fits beside what active VMs and those on their way in are given.
    pub(super) fn check_memory(
        &self,
        host: &HostName,
        vm: &VmName,
        more: Bytes,
    ) -> Result<(), Refusal> {
        let state = self.host(host)?;
        let active = state
            .vms
            .iter()
            .filter(|(name, of)| *name != vm && of.power.is_active() && !never_ran(of));
        let given: Bytes = active.map(|(_, of)| of.memory).sum();
        let reserved = self
            .reserved
            .iter()
            .filter(|((on, of), _)| on == host && of != vm);
        let wanted = given
            .plus(reserved.map(|(_, bytes)| *bytes).sum())
            .plus(more);
        if wanted <= state.memory {
            Ok(())
        } else {
            Err(format!(
                "{host} would give {wanted} of memory to VMs and has {}",
                state.memory
            ))
        }
    }

    pub(super) fn check_room(
        &self,
        host: &HostName,
        pool: &PoolName,
        more: Bytes,
    ) -> Result<(), Refusal> {
        let room = self.pool(host, pool)?.available;
        if more <= room {
            Ok(())
        } else {
            Err(format!(
                "pool {pool} of {host} has {room} of room and {more} are needed"
            ))
        }
    }

    /// Changes a volume wherever its storage is seen.
    pub(super) fn on_each_pool(
        &mut self,
        host: &HostName,
        pool: &PoolName,
        mut change: impl FnMut(&mut Pool),
    ) {
        for (host, pool) in self.pools_on(&self.store(host, pool)) {
            if let Some(pool) = self
                .hosts
                .get_mut(&host)
                .and_then(|state| state.pools.get_mut(&pool))
            {
                change(pool);
            }
        }
    }

    /// Makes a volume occupy that much, taking or giving back room.
    pub(super) fn occupy(
        &mut self,
        host: &HostName,
        pool: &PoolName,
        volume: &VolumeName,
        bytes: Bytes,
    ) {
        self.on_each_pool(host, pool, |pool| {
            let Some(detail) = pool
                .volumes
                .get_mut(volume)
                .and_then(|volume| volume.detail.as_mut())
            else {
                return;
            };
            pool.available = pool.available.plus(detail.allocation).minus(bytes);
            detail.allocation = bytes;
        });
    }

    /// Every active guest of those VMs writes to its disks.
    pub(super) fn guests_write(&mut self, vms: &BTreeSet<VmName>) {
        let mut written = Vec::new();
        for (host, name, vm) in self.each_vm() {
            let runs = vm.power.state == crate::model::RunState::Running;
            if !runs || !vms.contains(name) {
                continue;
            }
            let disks = vm.detail.iter().flat_map(|detail| &detail.disks);
            for disk in disks.filter(|disk| !disk.readonly) {
                written.extend(
                    disk.path
                        .as_deref()
                        .and_then(|path| self.place_of(host, path)),
                );
            }
        }
        for place in written {
            self.images.write(&place);
        }
    }

    /// Who uses a volume as a disk or below one, on any host that sees its storage.
    pub(super) fn users(&self, place: &Place) -> Vec<(HostName, VmName)> {
        let mut users = Vec::new();
        for (host, name, vm) in self.each_vm() {
            let disks = vm.detail.iter().flat_map(|detail| &detail.disks);
            let is_on = |disk: &Disk| {
                let below = disk.backing.iter().map(|layer| layer.path.as_str());
                disk.path
                    .as_deref()
                    .into_iter()
                    .chain(below)
                    .any(|path| self.place_of(host, path).as_ref() == Some(place))
            };
            if disks.into_iter().any(is_on) {
                users.push((host.clone(), name.clone()));
            }
        }
        users
    }

    /// Whose disks are being copied to a volume, to be switched over to it.
    pub(super) fn copied_to(&self, place: &Place) -> Vec<(HostName, VmName)> {
        let is_to = |host: &HostName, disk: &Disk| {
            let path = disk.copied_to.as_deref();
            path.is_some_and(|path| self.place_of(host, path).as_ref() == Some(place))
        };
        let all = self.each_vm().filter(|(host, _, vm)| {
            let mut disks = vm.detail.iter().flat_map(|detail| &detail.disks);
            disks.any(|disk| is_to(host, disk))
        });
        all.map(|(host, vm, _)| (host.clone(), vm.clone()))
            .collect()
    }
}

fn volumes_of(host: &Host) -> impl Iterator<Item = (&PoolName, &VolumeName, &Volume)> {
    let pools = host.pools.iter();
    pools.flat_map(|(pool, state)| {
        let volumes = state.volumes.iter();
        volumes.map(move |(name, volume)| (pool, name, volume))
    })
}

/// A storage that nothing but this pool is on.
fn own_store(host: &HostName, pool: &PoolName) -> Store {
    format!("{host}:{pool}").into()
}

fn stores(
    hosts: &BTreeMap<HostName, Host>,
    shared: BTreeMap<(HostName, PoolName), String>,
) -> BTreeMap<HostName, BTreeMap<PoolName, Store>> {
    let mut stores: BTreeMap<HostName, BTreeMap<PoolName, Store>> = BTreeMap::new();
    for ((host, pool), name) in shared {
        stores.entry(host).or_default().insert(pool, name.into());
    }
    for (host, state) in hosts {
        let of_host = stores.entry(host.clone()).or_default();
        for (pool, state) in &state.pools {
            let own = || match &state.storage {
                Some(storage) => storage.as_str().into(),
                None => own_store(host, pool),
            };
            of_host.entry(pool.clone()).or_insert_with(own);
        }
    }
    stores
}

/// The volume that a path is on a host, with its pool and its name.
fn locate<'h>(host: &'h Host, path: &str) -> Option<(&'h PoolName, &'h VolumeName, &'h Volume)> {
    host.pools.iter().find_map(|(name, pool)| {
        let file = path.strip_prefix(pool.path.as_str())?.strip_prefix('/')?;
        let (volume, found) = pool.volumes.get_key_value(file)?;
        (found.path == path).then_some((name, volume, found))
    })
}

/// The pool and volume that a path is on a host.
pub(super) fn find(host: &Host, path: &str) -> Option<(PoolName, VolumeName)> {
    let (pool, volume, _) = locate(host, path)?;
    Some((pool.clone(), volume.clone()))
}

/// Whether a disk's source is a file or device of its host.
pub(super) fn is_local(disk: &Disk) -> bool {
    LOCAL_SOURCES.contains(&disk.source_kind.as_str())
}

/// Whether it was started paused to be carried: QEMU touches only the memory that the guest does.
pub(super) fn never_ran(vm: &Vm) -> bool {
    vm.power.state == RunState::Paused && vm.mark().is_some_and(|mark| mark.cold)
}
