//! What there is before the first step: room and limits, worked out anew from the reading and the manifest, and not
//! taken from the plan.

use std::collections::BTreeMap;

use crate::desired::{Desired, MigrationSettings};
use crate::model::{BytesPerSecond, HostName, JobKind, PoolName, RunState, VmName, VolumeRef};
use crate::observed::{Host, Observed, Vm};
use crate::plan::{Action, Resource, Slot};

/// How much there is of a resource, and how much of it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) limit: u64,
    pub(super) used: u64,
}

/// A pool of a host.
pub(super) type PoolOf<'a> = (&'a HostName, &'a PoolName);

/// The reading and the manifest, as far as a plan rests on them.
pub(super) struct Given<'a> {
    pub(super) desired: &'a Desired,
    pub(super) observed: &'a Observed,
    /// Where each VM was found.
    places: BTreeMap<&'a VmName, Vec<(&'a HostName, &'a Vm)>>,
    /// For every pool that may be the same storage as another: the first host and pool that are it.
    firsts: BTreeMap<PoolOf<'a>, PoolOf<'a>>,
}

impl<'a> Given<'a> {
    pub(super) fn of(desired: &'a Desired, observed: &'a Observed) -> Self {
        let mut places: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (host, reading) in observed.reached() {
            for (name, vm) in &reading.vms {
                places.entry(name).or_default().push((host, vm));
            }
        }
        Self {
            desired,
            observed,
            places,
            firsts: firsts(desired, observed),
        }
    }

    /// Where a VM was found.
    pub(super) fn places(&self, vm: &VmName) -> &[(&'a HostName, &'a Vm)] {
        self.places.get(vm).map_or(&[], Vec::as_slice)
    }

    /// The first host and pool that are the same storage as this pool.
    pub(super) fn storage<'b>(
        &self,
        host: &'b HostName,
        pool: &'b PoolName,
    ) -> (&'b HostName, &'b PoolName)
    where
        'a: 'b,
    {
        let first = self.firsts.get(&(host, pool)).copied();
        first.unwrap_or((host, pool))
    }

    /// Every pool that may be the same storage as another, with the first that is.
    pub(super) fn shared(&self) -> impl Iterator<Item = (PoolOf<'a>, PoolOf<'a>)> {
        self.firsts.iter().map(|(pool, first)| (*pool, *first))
    }

    /// The resource that the bytes of a volume come from.
    pub(super) fn pool(&self, at: &VolumeRef) -> Resource {
        let (host, pool) = self.storage(&at.host, &at.pool);
        Resource::Pool(host.clone(), pool.clone())
    }

    /// Whether a VM counts on a host: it runs there, or has to be started there again.
    pub(super) fn occupies(&self, host: &HostName, vm: &VmName) -> bool {
        let reading = self.observed.host(host);
        reading.is_some_and(|reading| {
            let found = reading.vms.get(vm);
            found.is_some_and(|found| self.is_occupied_by(reading, vm, found))
        })
    }

    /// What there is of a resource; `None` where nothing limits it.
    pub(super) fn room(&self, resource: &Resource) -> Option<Room> {
        match resource {
            Resource::Memory(host) => {
                let reading = self.observed.host(host)?;
                let declared = self.desired.hosts.get(host);
                let reserve = declared.map_or(0, |declared| declared.reserve.memory.0);
                let used = self.occupants(host).map(|vm| vm.memory.0);
                Some(Room {
                    limit: reading.memory.0.saturating_sub(reserve),
                    used: used.fold(0, u64::saturating_add),
                })
            }
            Resource::Vcpus(host) => {
                let reading = self.observed.host(host)?;
                let declared = self.desired.hosts.get(host)?;
                let ratio = declared.limits.vcpu_ratio?;
                let cpus = f64::from(reading.cpus.saturating_sub(declared.reserve.vcpus));
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a ratio is positive and finite, and the cast saturates"
                )]
                let limit = (cpus * ratio).floor() as u64;
                let used = self.occupants(host).map(|vm| u64::from(vm.vcpus)).sum();
                Some(Room { limit, used })
            }
            Resource::Vms(host) => {
                let limit = u64::from(self.desired.hosts.get(host)?.limits.vms?);
                let used = self.occupants(host).count() as u64;
                Some(Room { limit, used })
            }
            Resource::Pool(host, pool) => {
                let pool = self.observed.host(host)?.pools.get(pool)?;
                pool.active.then(|| Room {
                    limit: pool.capacity.0,
                    used: pool.capacity.0.saturating_sub(pool.available.0),
                })
            }
            Resource::Apart(group, host) => {
                let group = self.desired.apart.get(*group)?;
                let reading = self.observed.host(host)?;
                let there = group.iter().filter(|vm| reading.vms.contains_key(*vm));
                let used = there.count() as u64;
                // Where they are together already, no more may come.
                Some(Room {
                    limit: used.max(1),
                    used,
                })
            }
        }
    }

    fn occupants(&self, host: &HostName) -> impl Iterator<Item = &'a Vm> {
        let reading = self.observed.host(host);
        reading.into_iter().flat_map(move |reading| {
            let counted = move |(name, vm): &(&VmName, &Vm)| self.is_occupied_by(reading, name, vm);
            reading.vms.iter().filter(counted).map(|(_, vm)| vm)
        })
    }

    fn is_occupied_by(&self, host: &Host, name: &VmName, vm: &Vm) -> bool {
        runs(host, vm) || (self.may_return(host, name, vm) && self.has_kept_room(host))
    }

    /// Whether it has to be possible to start it there, since an earlier apply has shut it down.
    fn may_return(&self, host: &Host, name: &VmName, vm: &Vm) -> bool {
        returns(host, vm) && !self.is_whole_elsewhere(host, name) || arrives(host, vm)
    }

    /// Whether the machine has memory for all that runs on it and all that may have to be started there again.
    fn has_kept_room(&self, host: &Host) -> bool {
        let mut left = Some(host.memory.0);
        for (name, vm) in &host.vms {
            if runs(host, vm) || self.may_return(host, name, vm) {
                left = left.and_then(|left| left.checked_sub(vm.memory.0));
            }
        }
        left.is_some()
    }

    /// Whether another host has all of a VM that an earlier apply shut down: only there it is started.
    fn is_whole_elsewhere(&self, host: &Host, name: &VmName) -> bool {
        let mut found = self.places(name).iter();
        found.any(|(place, vm)| {
            let other = self.observed.host(place);
            vm.mark().is_some_and(|mark| mark.complete)
                && other.is_some_and(|other| other.uuid != host.uuid)
        })
    }

    /// How much of a slot there is; `None` where nothing limits it.
    pub(super) fn limit(&self, slot: &Slot) -> Option<u64> {
        let limits = |host: &HostName| self.desired.hosts.get(host).map(|host| host.limits);
        let rate = |rate: Option<BytesPerSecond>| rate.map(|rate| rate.0);
        match slot {
            Slot::Out(host) => {
                let own = limits(host).and_then(|limits| limits.parallel_out);
                Some(u64::from(own.unwrap_or_else(|| self.parallel(host))))
            }
            Slot::In(host) => {
                let own = limits(host).and_then(|limits| limits.parallel_in);
                Some(u64::from(own.unwrap_or_else(|| self.parallel(host))))
            }
            Slot::Link(from, to) => {
                let mut pairs = self.desired.migration.pairs.iter();
                let (_, _, settings) = pairs.find(|(one, other, _)| (one, other) == (from, to))?;
                settings.parallel.map(u64::from)
            }
            Slot::Cluster(cluster) => {
                let cluster = self.desired.clusters.get(cluster)?;
                cluster.limits.parallel.map(u64::from)
            }
            Slot::Fleet => self.desired.limits.parallel.map(u64::from),
            Slot::Upload(host) => rate(limits(host)?.upload),
            Slot::Download(host) => rate(limits(host)?.download),
        }
    }

    fn parallel(&self, host: &HostName) -> u32 {
        let declared = self.desired.hosts.get(host);
        let own = declared.and_then(|declared| declared.limits.parallel);
        let migration = &self.desired.migration;
        let cluster = declared.and_then(|declared| declared.cluster.as_ref());
        own.or_else(|| migration.clusters.get(cluster?)?.parallel)
            .or(migration.fleet.parallel)
            .unwrap_or(MigrationSettings::default().parallel)
    }

    /// What a step must use while it runs, by what it does. A rate is that to which the act is held, and where a budget
    /// is there and no rate, it is everything.
    pub(super) fn uses(&self, action: &Action) -> BTreeMap<Slot, u64> {
        let mut uses = BTreeMap::new();
        let Some(transfer) = Transfer::of(action) else {
            return uses;
        };
        let (from, to) = (transfer.from, transfer.to);
        let mut slots = vec![
            Slot::Out(from.clone()),
            Slot::Link(from.clone(), to.clone()),
            Slot::Fleet,
        ];
        if from != to {
            slots.push(Slot::In(to.clone()));
        }
        for host in [from, to] {
            let declared = self.desired.hosts.get(host);
            let cluster = declared.and_then(|declared| declared.cluster.clone());
            slots.extend(cluster.map(Slot::Cluster));
        }
        slots.sort();
        slots.dedup();
        let limited = slots.into_iter().filter(|slot| self.limit(slot).is_some());
        uses.extend(limited.map(|slot| (slot, 1)));
        for slot in transfer.network {
            if self.limit(&slot).is_some() {
                // Without a rate it would take whatever there is, and more.
                let rate = transfer.rate.map_or(u64::MAX, |rate| rate.0);
                let sum = uses.entry(slot).or_insert(0);
                *sum = u64::saturating_add(*sum, rate);
            }
        }
        uses
    }
}

/// Which way bytes go in an act, and how fast they may.
struct Transfer<'a> {
    from: &'a HostName,
    to: &'a HostName,
    network: Vec<Slot>,
    rate: Option<BytesPerSecond>,
}

impl<'a> Transfer<'a> {
    fn of(action: &'a Action) -> Option<Self> {
        let (from, to, rate) = match action {
            Action::MigrateLive {
                from, to, options, ..
            }
            | Action::MigratePaused {
                from, to, options, ..
            } => (from, to, options.bandwidth),
            Action::CopyVolume {
                from,
                spec,
                bandwidth,
            } => (&from.host, &spec.at.host, *bandwidth),
            Action::VerifyVolume {
                from,
                to,
                bandwidth,
            } => (&from.host, &to.host, *bandwidth),
            Action::AwaitMigration { from, to, .. } => (from, to, None),
            Action::BlockCopy {
                host, bandwidth, ..
            } => (host, host, *bandwidth),
            Action::CompactVolume { from, spec } => (&from.host, &spec.at.host, None),
            _ => return None,
        };
        let (up, down) = (Slot::Upload(from.clone()), Slot::Download(to.clone()));
        let network = match action {
            // Within the host; or nobody knows at which rate an earlier apply began it.
            Action::BlockCopy { .. }
            | Action::CompactVolume { .. }
            | Action::AwaitMigration { .. } => Vec::new(),
            Action::VerifyVolume { .. } => vec![up, Slot::Upload(to.clone())],
            _ => vec![up, down],
        };
        Some(Self {
            from,
            to,
            network,
            rate,
        })
    }
}

/// An instance that was started paused to be carried, and never ran: it is ended before anything else.
fn never_ran(host: &Host, vm: &Vm) -> bool {
    let Some(detail) = &vm.detail else {
        return false;
    };
    let Some(mark) = detail.mark.as_ref().filter(|mark| mark.cold) else {
        return false;
    };
    let comes = vm.power.reason == "migration" && host.uuid != mark.from_uuid;
    let job = detail.job;
    let goes = job == Some(JobKind::MigrationOut) || job == Some(JobKind::MigrationIn);
    vm.power.state == RunState::Paused && !comes && !goes
}

/// Whether it runs, as far as guests are concerned.
pub(super) fn runs(host: &Host, vm: &Vm) -> bool {
    vm.power.is_active() && !never_ran(host, vm)
}

/// Whether its guest ran, or has to run again. An instance that was started paused to be carried and is still on its way
/// is none of a VM that was off.
pub(super) fn ran(host: &Host, vm: &Vm) -> bool {
    let was_off = vm.mark().is_some_and(|mark| mark.cold && !mark.was_active);
    runs(host, vm) && !(was_off && vm.power.state == RunState::Paused)
}

/// Whether a migration that went wrong has left it paused at its source, where only we let it go on.
pub(super) fn is_stalled(host: &Host, vm: &Vm) -> bool {
    let by_migration = matches!(vm.power.reason.as_str(), "migration" | "starting up");
    vm.power.state == RunState::Paused
        && by_migration
        && vm
            .mark()
            .is_some_and(|mark| mark.from_uuid == host.uuid && !mark.cold)
}

/// Whether an earlier apply shut it down there and may have to start it there again.
fn returns(host: &Host, vm: &Vm) -> bool {
    vm.mark()
        .is_some_and(|mark| mark.was_active && mark.from_uuid == host.uuid)
}

/// Whether an earlier apply has carried all of it there and may not have started it.
fn arrives(host: &Host, vm: &Vm) -> bool {
    vm.mark()
        .is_some_and(|mark| mark.was_active && mark.complete && mark.to_uuid == host.uuid)
}

/// Pools that are one storage: declared so in the manifest, or described by libvirt in the same words.
fn firsts<'a>(desired: &'a Desired, observed: &'a Observed) -> BTreeMap<PoolOf<'a>, PoolOf<'a>> {
    let mut by_name: BTreeMap<PoolName, (&HostName, &PoolName)> = BTreeMap::new();
    let mut by_storage: BTreeMap<&str, (&HostName, &PoolName)> = BTreeMap::new();
    let mut firsts = BTreeMap::new();
    for (host, reading) in observed.reached() {
        for (name, pool) in &reading.pools {
            let named = desired.pool_named(name, host);
            let declared = desired
                .is_shared(&named)
                .then(|| *by_name.entry(named).or_insert((host, name)));
            let storage = pool.storage.as_deref();
            let known = storage.map(|storage| *by_storage.entry(storage).or_insert((host, name)));
            let first = match (declared, known) {
                (Some(declared), Some(known)) if known.0 < declared.0 => Some(known),
                (declared, known) => declared.or(known),
            };
            if let Some(first) = first {
                firsts.insert((host, name), first);
            }
        }
    }
    firsts
}
