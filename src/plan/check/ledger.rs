//! Whether what a plan says its steps take, give back and use is what they do by their meaning and by the reading.
//!
//! A step may take early and give back late, so a plan may be more careful than it must be, and never less.

use std::collections::{BTreeMap, BTreeSet};

use super::given::Given;
use super::history::History;
use crate::model::{Bytes, HostName, VmName, VolumeFormat, VolumeRef};
use crate::plan::{Action, DiskPlacement, Move, Plan, Resource, StepId};

type Amounts = BTreeMap<Resource, u64>;

fn add(amounts: &mut Amounts, resource: Resource, amount: u64) {
    let sum = amounts.entry(resource).or_insert(0);
    *sum = sum.saturating_add(amount);
}

/// Compares plan and meaning; each fault with its step.
pub(super) fn faults(
    given: &Given<'_>,
    plan: &Plan,
    history: &History<'_>,
) -> Vec<(StepId, String)> {
    let ledger = Ledger {
        given,
        plan,
        history,
        moves: plan.moves_by_vm(),
    };
    let mut faults = ledger.capacities();
    for (index, step) in plan.steps.iter().enumerate() {
        let id = StepId(index);
        let mut uses = BTreeMap::new();
        for (slot, amount) in &step.uses {
            *uses.entry(slot.clone()).or_insert(0_u64) += amount;
        }
        let wanted = given.uses(&step.action);
        if uses != wanted {
            let list = |uses: &BTreeMap<_, u64>| {
                let each = uses
                    .iter()
                    .map(|(slot, amount)| format!("{amount} of {slot}"));
                each.collect::<Vec<_>>().join(", ")
            };
            faults.push((
                id,
                format!(
                    "says that it uses {}; it uses {}",
                    list(&uses),
                    list(&wanted)
                ),
            ));
        }
        faults.extend(ledger.returns(id).map(|what| (id, what)));
        if let [vm] = step.vms.as_slice() {
            faults.extend(ledger.needs(id, vm).map(|what| (id, what)));
        } else {
            faults.extend(ledger.base_needs(id).map(|what| (id, what)));
        }
    }
    faults
}

struct Ledger<'a> {
    given: &'a Given<'a>,
    plan: &'a Plan,
    history: &'a History<'a>,
    /// What is told of each VM's moves.
    moves: BTreeMap<&'a VmName, Vec<&'a Move>>,
}

impl Ledger<'_> {
    /// What the plan says there is.
    fn capacities(&self) -> Vec<(StepId, String)> {
        let mut faults = Vec::new();
        for capacity in &self.plan.capacities {
            let room = self.given.room(&capacity.resource);
            if room.map(|room| (room.limit, room.used)) != Some((capacity.limit, capacity.used)) {
                let what = format!(
                    "the plan says that {} of {} are taken ({}), and the hosts say otherwise",
                    capacity.used, capacity.limit, capacity.resource
                );
                faults.push((StepId(0), what));
            }
        }
        for (slot, limit) in &self.plan.slots {
            if self.given.limit(slot) != Some(*limit) {
                let what = format!(
                    "the plan says that {limit} of {slot} may be used, and the manifest does not"
                );
                faults.push((StepId(0), what));
            }
        }
        faults
    }

    fn machine(&self, host: &HostName, vm: &VmName) -> Amounts {
        // A VM that was found twice is one, with one size.
        let found = self.given.places(vm).first();
        let (memory, vcpus) = found.map_or((0, 0), |(_, vm)| (vm.memory.0, u64::from(vm.vcpus)));
        BTreeMap::from([
            (Resource::Memory(host.clone()), memory),
            (Resource::Vcpus(host.clone()), vcpus),
            (Resource::Vms(host.clone()), 1),
        ])
    }

    fn groups(&self, vm: &VmName) -> impl Iterator<Item = usize> {
        let groups = self.given.desired.apart.iter().enumerate();
        groups
            .filter(|(_, group)| group.contains(vm))
            .map(|(index, _)| index)
    }

    /// Bytes that the original of a volume occupies, as its VM's disk or below one; the most of what was read.
    fn size_of(&self, at: &VolumeRef, vms: &[VmName]) -> Option<Bytes> {
        let same = |(pool, volume): &(_, _)| *pool == at.pool && *volume == at.volume;
        let places = vms.iter().flat_map(|vm| self.given.places(vm));
        let details = places
            .filter(|(host, _)| **host == at.host)
            .filter_map(|(_, vm)| vm.detail.as_deref());
        let of_disks = details.flat_map(|detail| &detail.disks).flat_map(|disk| {
            let own = disk.volume.as_ref().filter(|volume| same(volume));
            let below = disk
                .backing
                .iter()
                .filter(|layer| layer.volume.as_ref().is_some_and(same));
            let own = own.and(disk.allocation);
            own.into_iter()
                .chain(below.filter_map(|layer| layer.allocation))
        });
        let read = self.given.observed.volume(at);
        let read = read.and_then(|volume| Some(volume.detail.as_ref()?.allocation));
        of_disks.max().or(read)
    }

    /// The disks of these VMs' moves.
    fn disks_told(&self, vms: &[VmName]) -> impl Iterator<Item = &DiskPlacement> {
        let moves = vms.iter().filter_map(|vm| self.moves.get(vm)).flatten();
        moves.flat_map(|told| &told.disks)
    }

    /// The disk's own volume, where this one is its compacted copy in passing, or its copy on a host where the VM waits.
    fn original<'v>(&'v self, at: &'v VolumeRef, vms: &[VmName]) -> &'v VolumeRef {
        let mut disks = self.disks_told(vms);
        let passing = disks.find(|disk| {
            let copied = disk.to.as_ref() == Some(at) && disk.from.as_ref() != Some(at);
            disk.carry.via() == Some(at) || copied
        });
        passing.and_then(|disk| disk.from.as_ref()).unwrap_or(at)
    }

    /// What the new volume of a step comes to occupy. QEMU fills a raw one to its capacity.
    fn filled(&self, id: StepId) -> Option<(Resource, u64)> {
        let step = self.plan.step(id);
        let (at, bytes) = match &step.action {
            Action::CopyVolume { from, spec, .. } | Action::CompactVolume { from, spec } => {
                let original = self.original(from, &step.vms);
                (&spec.at, self.size_of(original, &step.vms))
            }
            Action::CreateVolume { spec } => {
                let mut disks = self.disks_told(&step.vms);
                let original = disks.find(|disk| disk.to.as_ref() == Some(&spec.at));
                let from = original.and_then(|disk| disk.from.as_ref());
                let original = from.map(|from| self.original(from, &step.vms));
                let bytes = original.and_then(|from| self.size_of(from, &step.vms));
                let raw = spec.format == VolumeFormat::Raw;
                (
                    &spec.at,
                    bytes.map(|bytes| if raw { bytes.max(spec.capacity) } else { bytes }),
                )
            }
            _ => return None,
        };
        Some((self.given.pool(at), bytes.unwrap_or_default().0))
    }

    /// What a VM's step needs that its move has not taken by then.
    fn needs(&self, id: StepId, vm: &VmName) -> Option<String> {
        let mut need = match &self.plan.step(id).action {
            Action::MigrateLive { to: host, .. } | Action::Start { host, .. }
                if !self.given.occupies(host, vm) =>
            {
                self.machine(host, vm)
            }
            _ => Amounts::new(),
        };
        if let Action::MigrateLive { from, to, .. }
        | Action::MigratePaused { from, to, .. }
        | Action::Define { from, to, .. } = &self.plan.step(id).action
            && from != to
        {
            let places = self
                .groups(vm)
                .map(|group| (Resource::Apart(group, to.clone()), 1));
            need.extend(places);
        }
        // All of its volumes up to here together.
        let own = self.history.own(vm).iter().map(|other| StepId(*other));
        let before: Vec<StepId> = own
            .filter(|other| *other == id || self.history.is_before(*other, id))
            .collect();
        if self.filled(id).is_some() {
            for (resource, bytes) in before.iter().filter_map(|other| self.filled(*other)) {
                add(&mut need, resource, bytes);
            }
            for (resource, bytes) in before.iter().filter_map(|other| self.discarded(*other)) {
                if let Some(need) = need.get_mut(&resource) {
                    *need = need.saturating_sub(bytes);
                }
            }
        }
        let mut taken = Amounts::new();
        for (resource, amount) in before
            .iter()
            .flat_map(|other| &self.plan.step(*other).takes)
        {
            add(&mut taken, resource.clone(), *amount);
        }
        self.short(need, &taken)
    }

    /// A base of several clones is its own step's matter.
    fn base_needs(&self, id: StepId) -> Option<String> {
        let need = self.filled(id).into_iter().collect();
        let taken = self.plan.step(id).takes.iter().cloned().collect();
        self.short(need, &taken)
    }

    fn short(&self, need: Amounts, taken: &Amounts) -> Option<String> {
        let mut short = need.into_iter().filter(|(resource, amount)| {
            let taken = taken.get(resource).copied().unwrap_or(0);
            taken < *amount && self.given.room(resource).is_some()
        });
        let (resource, amount) = short.next()?;
        Some(format!(
            "needs {amount} ({resource}), which nothing before it takes"
        ))
    }

    /// What an earlier apply left half-written and a step removes without giving it back: it makes room for its own move.
    fn discarded(&self, id: StepId) -> Option<(Resource, u64)> {
        let step = self.plan.step(id);
        match &step.action {
            Action::DeleteVolume {
                at,
                replaced_by: None,
                ..
            } if step.frees.is_empty() => {
                let volume = self.given.observed.volume(at)?;
                Some((self.given.pool(at), volume.detail.as_ref()?.allocation.0))
            }
            _ => None,
        }
    }

    /// Whether the plan itself brought a running VM to a host before: it started it there, or migrated it there.
    fn was_brought(&self, id: StepId, on: &HostName, vm: &VmName) -> bool {
        let brings = |action: &Action| match action {
            Action::Start { host, vm: of, .. }
            | Action::MigrateLive {
                to: host, vm: of, ..
            } => host == on && of == vm,
            _ => false,
        };
        self.history.actions_before(id).any(brings)
    }

    /// Whether a step before has given back the memory of a VM on a host already.
    fn was_given_back(&self, id: StepId, on: &HostName, vm: &VmName) -> bool {
        let memory = Resource::Memory(on.clone());
        let frees = |other: &StepId| {
            let mut frees = self.plan.step(*other).frees.iter();
            frees.any(|(resource, _)| *resource == memory)
        };
        let own = self.history.own(vm).iter().map(|other| StepId(*other));
        let mut before = own.filter(|other| self.history.is_before(*other, id));
        before.any(|other| frees(&other))
    }

    /// What the VM's steps took beyond what stays, to make a volume that is there only in passing: compacted on its way,
    /// or on a host where the VM only waits. What a half-written copy occupied before it went is taken as well.
    fn taken_for(&self, id: StepId, at: &VolumeRef, pool: &Resource) -> Option<u64> {
        let [vm] = self.plan.step(id).vms.as_slice() else {
            return None;
        };
        let own = self.history.own(vm).iter().map(|other| StepId(*other));
        let before = own.filter(|other| self.history.is_before(*other, id));
        let (mut taken, mut stays, mut is_made) = (0_u64, 0_u64, false);
        for other in before {
            let step = self.plan.step(other);
            let here = step.takes.iter().filter(|(resource, _)| resource == pool);
            taken = here.fold(taken, |sum, (_, amount)| sum.saturating_add(*amount));
            let went = self
                .discarded(other)
                .filter(|(resource, _)| resource == pool);
            taken = taken.saturating_add(went.map_or(0, |(_, amount)| amount));
            match &step.action {
                Action::CompactVolume { spec, .. }
                | Action::CopyVolume { spec, .. }
                | Action::CreateVolume { spec }
                    if spec.at == *at =>
                {
                    is_made = true;
                }
                _ => {
                    let filled = self.filled(other).filter(|(resource, _)| resource == pool);
                    stays = stays.saturating_add(filled.map_or(0, |(_, amount)| amount));
                }
            }
        }
        is_made.then_some(taken.saturating_sub(stays))
    }

    /// What a step says it gives back and does not.
    fn returns(&self, id: StepId) -> Option<String> {
        let step = self.plan.step(id);
        let mut back = Amounts::new();
        for vm in &step.vms {
            match &step.action {
                Action::MigrateLive { from, .. }
                    if self.given.occupies(from, vm) || self.was_brought(id, from, vm) =>
                {
                    back.extend(self.machine(from, vm));
                }
                Action::AwaitMigration { from, .. } if self.given.occupies(from, vm) => {
                    back.extend(self.machine(from, vm));
                }
                // Where one waits for the room that another gives up, it is given up while it is off.
                Action::Define { from, to, .. }
                    if from != to
                        && self.given.occupies(from, vm)
                        && self.history.actions_before(id).any(
                            |action| matches!(action, Action::ShutDown { vm: of, .. } if of == vm),
                        ) =>
                {
                    back.extend(self.machine(from, vm));
                }
                Action::Start { host, .. } => {
                    let left: BTreeSet<&HostName> = self
                        .given
                        .places(vm)
                        .iter()
                        .map(|(place, _)| *place)
                        .filter(|place| *place != host && self.given.occupies(place, vm))
                        .filter(|place| !self.was_given_back(id, place, vm))
                        .collect();
                    back.extend(left.into_iter().flat_map(|place| self.machine(place, vm)));
                }
                Action::Unmark { host, .. } => {
                    let given = self.given.places(vm).iter().map(|(place, _)| *place);
                    let brought = self.history.brought_to(vm, id);
                    for place in given.chain(brought) {
                        let gone = place != host && self.history.has_left(vm, place, id);
                        let places = self.groups(vm).filter(|_| gone);
                        back.extend(places.map(|group| (Resource::Apart(group, place.clone()), 1)));
                    }
                }
                _ => {}
            }
        }
        if let Action::DeleteVolume { at, .. } = &step.action {
            let pool = self.given.pool(at);
            let there = self.size_of(at, &step.vms).map(|bytes| bytes.0);
            let bytes = self.taken_for(id, at, &pool).or(there);
            back.extend(bytes.map(|bytes| (pool, bytes)));
        }
        let mut said = Amounts::new();
        for (resource, amount) in &step.frees {
            add(&mut said, resource.clone(), *amount);
        }
        let mut more = said
            .into_iter()
            .filter(|(resource, amount)| back.get(resource).copied().unwrap_or(0) < *amount);
        let (resource, amount) = more.next()?;
        let back = back.get(&resource).copied().unwrap_or(0);
        Some(format!(
            "says that it gives back {amount} ({resource}); it gives back {back}"
        ))
    }
}
