//! What moves take and give back, and how much there is of it.

use std::collections::{BTreeMap, BTreeSet};

use super::intent::{Intent, Transfer};
use super::place::Way;
use super::storages::Storages;
use crate::desired::Desired;
use crate::model::{Bytes, HostName, VmName, VolumeFormat, VolumeName, VolumeRef};
use crate::observed::{Host, Observed, Vm};
use crate::plan::{Action, Capacity, DiskPlacement, MoveKind, Resource};

/// The resource that a volume's bytes come from.
pub(super) fn pool(way: &Way<'_>, at: &VolumeRef) -> Resource {
    way.storages.room(&at.host, &at.pool)
}

/// A volume as the storage has it, whichever hosts see that.
pub(super) type Stored = (Resource, VolumeName);

/// Where a volume is, whichever host names it.
pub(super) fn stored(way: &Way<'_>, at: &VolumeRef) -> Stored {
    (pool(way, at), at.volume.clone())
}

fn machine(intent: &Intent<'_>, host: &HostName) -> Vec<(Resource, u64)> {
    vec![
        (Resource::Memory(host.clone()), intent.vm.memory.0),
        (Resource::Vcpus(host.clone()), u64::from(intent.vm.vcpus)),
        (Resource::Vms(host.clone()), 1),
    ]
}

fn runs_at_the_end(intent: &Intent<'_>) -> bool {
    matches!(intent.kind, MoveKind::Live | MoveKind::Cold)
}

/// All that a move takes at its destination. What is started in passing where it is known to have run is counted
/// there already.
pub(super) fn takes(intent: &Intent<'_>) -> Vec<(Resource, u64)> {
    let mut takes = Vec::new();
    for action in &intent.prelude {
        if let Action::Start { host, .. } = action
            && !intent.source_counts(host)
        {
            takes.extend(machine(intent, host));
        }
    }
    if runs_at_the_end(intent) && !intent.hands_over {
        takes.extend(machine(intent, intent.way.to));
    }
    let mut pools: BTreeMap<Resource, u64> = BTreeMap::new();
    for disk in intent.disks.iter().filter(|disk| disk.carry.is_copied()) {
        if let Some(to) = &disk.to {
            let bytes = pools.entry(pool(&intent.way, to)).or_default();
            *bytes = bytes.saturating_add(occupied(intent, disk).0);
        }
        if let Some(via) = disk.carry.via() {
            let bytes = pools.entry(pool(&intent.way, via)).or_default();
            *bytes = bytes.saturating_add(disk.data().0);
        }
    }
    // What an earlier apply wrote there goes first, and its room is this move's.
    for (resource, bytes) in discarded(intent) {
        if let Some(needed) = pools.get_mut(&resource) {
            *needed = needed.saturating_sub(bytes);
        }
    }
    takes.extend(pools);
    takes.extend(places(intent, intent.way.to));
    takes
}

/// What a step takes that is not its move's first. Only a VM that hands its room over takes any so late.
pub(super) fn takes_late(intent: &Intent<'_>, action: &Action) -> Vec<(Resource, u64)> {
    match action {
        Action::Start { host, .. } if intent.hands_over && host == intent.way.to => {
            machine(intent, host)
        }
        _ => Vec::new(),
    }
}

/// The places on a host that a VM which changes it takes there or leaves, one for each group of VMs that must be
/// apart.
fn places(intent: &Intent<'_>, host: &HostName) -> Vec<(Resource, u64)> {
    let groups = intent.way.desired.apart.iter().enumerate();
    let own = groups.filter(|(_, group)| {
        group.contains(intent.name) && runs_or_stays(intent) && intent.way.from != intent.way.to
    });
    own.map(|(index, _)| (Resource::Apart(index, host.clone()), 1))
        .collect()
}

fn runs_or_stays(intent: &Intent<'_>) -> bool {
    runs_at_the_end(intent) || intent.kind == MoveKind::Offline
}

/// What a disk's copy comes to occupy. QEMU writes zeros into a raw volume where the original has holes, so a raw disk
/// that it copies takes all of its capacity; a stream leaves holes holes. A stop that breaks a circle takes what the move
/// without it would.
fn occupied(intent: &Intent<'_>, disk: &DiskPlacement) -> Bytes {
    let by_qemu = intent.transfer != Transfer::Stream || intent.hands_over;
    if by_qemu && disk.format == VolumeFormat::Raw {
        disk.capacity.max(disk.data())
    } else {
        disk.data()
    }
}

/// The room of half-written copies that the prelude deletes where this move writes anew, by the reading. What else it
/// deletes is given back by these steps themselves.
fn discarded<'a>(intent: &'a Intent<'_>) -> impl Iterator<Item = (Resource, u64)> + 'a {
    let written = |at: &VolumeRef| {
        let mut disks = intent.disks.iter();
        disks.any(|disk| disk.to.as_ref() == Some(at))
    };
    intent
        .prelude
        .iter()
        .filter_map(move |action| match action {
            Action::DeleteVolume {
                at,
                replaced_by: None,
                ..
            } if written(at) => {
                let detail = intent.way.observed.volume(at)?.detail.as_ref()?;
                Some((pool(&intent.way, at), detail.allocation.0))
            }
            _ => None,
        })
}

/// What a step gives back at its end. The source's memory is given back only when the VM runs at its destination,
/// so that it can always be started again where it was. One that hands its room over gives it back when it stands
/// defined and complete at both ends: as long as nobody has taken its room, it can be started where it was, and who
/// has taken it has left the room in which it can be started where it goes.
pub(super) fn frees(intent: &Intent<'_>, action: &Action) -> Vec<(Resource, u64)> {
    match action {
        Action::MigrateLive { from, .. } => machine(intent, from),
        // Until then it counts at both ends.
        Action::AwaitMigration { from, .. } if intent.source_counts(from) => machine(intent, from),
        Action::Define { from, .. } if intent.hands_over => machine(intent, from),
        Action::Start { .. } if intent.hands_over => Vec::new(),
        Action::Start { host, .. } if host == intent.way.to && intent.starts => {
            if intent.source_counts(intent.way.from) {
                machine(intent, intent.way.from)
            } else {
                Vec::new()
            }
        }
        Action::DeleteVolume {
            at,
            replaced_by: None,
            ..
        } if intent.disks.iter().any(|disk| makes(disk, at)) => Vec::new(),
        Action::DeleteVolume { at, .. } => {
            let passes = |disk: &&DiskPlacement| disk.carry.via() == Some(at);
            if let Some(disk) = intent.disks.iter().find(passes) {
                return vec![(pool(&intent.way, at), disk.data().0)];
            }
            let of_volume =
                |disk: &&DiskPlacement| disk.carry.is_copied() && disk.from.as_ref() == Some(at);
            let placed = intent
                .disks
                .iter()
                .find(of_volume)
                .map(|disk| disk.allocation);
            let read = || Some(intent.way.observed.volume(at)?.detail.as_ref()?.allocation);
            let bytes = placed.or_else(read);
            bytes
                .map(|bytes| (pool(&intent.way, at), bytes.0))
                .into_iter()
                .collect()
        }
        // A move's last act, when nothing of it is left at its source.
        Action::Unmark { host, .. } if host == intent.way.to => places(intent, intent.way.from),
        _ => Vec::new(),
    }
}

/// Whether the move makes this volume for the disk.
fn makes(disk: &DiskPlacement, at: &VolumeRef) -> bool {
    disk.to.as_ref() == Some(at) || disk.carry.via() == Some(at)
}

/// Whether an earlier apply has shut the VM down and may have to start it there: at its source until its destination has
/// everything, and from then on only there. Who waits for the room at its source may be who has to leave first.
fn may_start(observed: &Observed, host: &Host, name: &VmName, vm: &Vm) -> bool {
    let Some(mark) = vm.mark().filter(|mark| mark.was_active) else {
        return false;
    };
    if mark.to_uuid == host.uuid && mark.complete {
        return true;
    }
    let mut hosts = observed.reached().map(|(_, host)| host);
    let destination = hosts.find(|host| host.uuid == mark.to_uuid && host.uuid != mark.from_uuid);
    let there = destination.and_then(|host| host.vms.get(name));
    mark.from_uuid == host.uuid && !there.and_then(Vm::mark).is_some_and(|mark| mark.complete)
}

/// Whether a VM's memory counts as taken on the host: it is active there, or it may have to be started there and the
/// host has the memory for it. Where others were started meanwhile (with their host, after it lost power), it
/// waits for room like any VM that comes.
fn counts(observed: &Observed, host: &Host, name: &VmName, vm: &Vm) -> bool {
    let is_wanted =
        |name: &VmName, vm: &Vm| vm.power.is_active() || may_start(observed, host, name, vm);
    let is_kept = || {
        let wanted = host.vms.iter().filter(|(name, vm)| is_wanted(name, vm));
        wanted.map(|(_, vm)| vm.memory).sum::<Bytes>() <= host.memory
    };
    vm.power.is_active() || (may_start(observed, host, name, vm) && is_kept())
}

impl Intent<'_> {
    fn source_counts(&self, host: &HostName) -> bool {
        let observed = self.way.observed;
        observed.host(host).is_some_and(|reading| {
            let vm = reading.vms.get(self.name);
            vm.is_some_and(|vm| counts(observed, reading, self.name, vm))
        })
    }
}

fn machine_capacities(
    desired: &Desired,
    observed: &Observed,
    name: &HostName,
    host: &Host,
) -> Vec<Capacity> {
    let declared = desired.hosts.get(name);
    let reserve = declared.map(|host| host.reserve).unwrap_or_default();
    let limits = declared.map(|host| host.limits).unwrap_or_default();
    let counts = |(name, vm): &(&VmName, &Vm)| counts(observed, host, name, vm);
    let active = || host.vms.iter().filter(counts).map(|(_, vm)| vm);
    let memory = Capacity {
        resource: Resource::Memory(name.clone()),
        limit: host.memory.minus(reserve.memory).0,
        used: active().map(|vm| vm.memory).sum::<Bytes>().0,
    };
    let processors = f64::from(host.cpus.saturating_sub(reserve.vcpus));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a ratio is checked to be positive and finite when the manifest is read, and the cast saturates"
    )]
    let vcpus = limits.vcpu_ratio.map(|ratio| Capacity {
        resource: Resource::Vcpus(name.clone()),
        limit: (processors * ratio).floor() as u64,
        used: active().map(|vm| u64::from(vm.vcpus)).sum(),
    });
    let vms = limits.vms.map(|most| Capacity {
        resource: Resource::Vms(name.clone()),
        limit: u64::from(most),
        used: u64::try_from(active().count()).unwrap_or(u64::MAX),
    });
    [Some(memory), vcpus, vms].into_iter().flatten().collect()
}

/// How much there is of everything that these steps take or give back.
pub(super) fn capacities(
    desired: &Desired,
    observed: &Observed,
    storages: &Storages<'_>,
) -> Vec<Capacity> {
    let mut all = Vec::new();
    for (name, host) in observed.reached() {
        all.extend(machine_capacities(desired, observed, name, host));
        for (pool_name, pool) in host.pools.iter().filter(|(_, pool)| pool.active) {
            let resource = storages.room(name, pool_name);
            if resource == Resource::Pool(name.clone(), pool_name.clone()) {
                all.push(Capacity {
                    resource,
                    limit: pool.capacity.0,
                    used: pool.capacity.minus(pool.available).0,
                });
            }
        }
    }
    all.extend(places_apart(desired, observed));
    all
}

/// The place on each host for one VM of a group that is kept apart: wherever one of the group is or shall be, and
/// everywhere where several move, since these may meet on a third host.
fn places_apart(desired: &Desired, observed: &Observed) -> Vec<Capacity> {
    let mut groups_of: BTreeMap<&VmName, Vec<usize>> = BTreeMap::new();
    for (index, group) in desired.apart.iter().enumerate() {
        for vm in group {
            groups_of.entry(vm).or_default().push(index);
        }
    }
    let mut there: BTreeMap<(usize, &HostName), u64> = BTreeMap::new();
    let mut leaving: BTreeMap<usize, BTreeSet<&VmName>> = BTreeMap::new();
    if groups_of.is_empty() {
        return Vec::new();
    }
    for (name, host) in observed.reached() {
        let vms = host.vms.keys();
        for (vm, groups) in vms.filter_map(|vm| Some((vm, groups_of.get(vm)?))) {
            let wanted = desired.vms.get(vm);
            let leaves = wanted.is_some_and(|wanted| wanted.host != *name);
            for group in groups {
                *there.entry((*group, name)).or_default() += 1;
                leaving
                    .entry(*group)
                    .or_default()
                    .extend(leaves.then_some(vm));
            }
        }
    }
    for (vm, groups) in &groups_of {
        if let Some(wanted) = desired.vms.get(*vm) {
            for group in groups {
                there.entry((*group, &wanted.host)).or_default();
            }
        }
    }
    for (group, _) in leaving.into_iter().filter(|(_, vms)| vms.len() > 1) {
        for (host, _) in observed.reached() {
            there.entry((group, host)).or_default();
        }
    }
    let capacity = |((group, host), used): ((usize, &HostName), u64)| Capacity {
        resource: Resource::Apart(group, host.clone()),
        limit: used.max(1),
        used,
    };
    there.into_iter().map(capacity).collect()
}
