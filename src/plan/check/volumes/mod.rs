//! Replays what a plan does to volumes: a reading becomes the volumes and definitions that there are, each with the
//! contents that it has by name, and each step changes them by its meaning.
//!
//! A definition may name a disk only where a guest reads from it what the VM had; so by induction a complete copy of
//! each disk exists at every moment, since nothing goes that a definition names. Of volumes that no reading shows, nothing is
//! demanded.

mod disks;
mod effects;
mod ends;
mod images;
mod marks;
mod races;
mod storage;

use std::collections::{BTreeMap, BTreeSet};

use super::given::{Given, runs};
use super::history::History;
use crate::model::{DiskTarget, HostName, MoveMark, RunState, VmName, VolumeRef};
use crate::observed::Vm;
use crate::plan::{Action, Plan, StepId};
use disks::{Definition, Instance, Users};
use images::{Contents, Images};
use races::{Access, Races};
use storage::{Place, Storage};

type Faults = Vec<(StepId, String)>;

/// Every fault with its step.
pub(super) fn faults(given: &Given<'_>, plan: &Plan, history: &History<'_>) -> Faults {
    let storage = Storage::of(given);
    let mut replay = Replay::of(given, &storage, plan, history);
    for (index, step) in plan.steps.iter().enumerate() {
        replay.now = StepId(index);
        replay.follow(&step.action);
    }
    replay.check_ends();
    replay.faults
}

/// What there is by now.
struct Replay<'a> {
    given: &'a Given<'a>,
    plan: &'a Plan,
    /// The destination that is told of the move to which a VM's step belongs.
    told: BTreeMap<(&'a VmName, StepId), &'a HostName>,
    history: &'a History<'a>,
    storage: &'a Storage<'a>,
    images: Images<'a>,
    definitions: BTreeMap<Instance<'a>, Definition<'a>>,
    running: BTreeSet<Instance<'a>>,
    /// What each VM has to read from its disks.
    truth: BTreeMap<(&'a VmName, &'a DiskTarget), Contents>,
    users: Users<'a>,
    marks: BTreeMap<&'a VmName, Vec<&'a MoveMark>>,
    /// The steps that removed volumes.
    ended: BTreeMap<Place<'a>, StepId>,
    races: Races<'a>,
    now: StepId,
    faults: Faults,
}

impl<'a> Replay<'a> {
    fn of(
        given: &'a Given<'a>,
        storage: &'a Storage<'a>,
        plan: &'a Plan,
        history: &'a History<'a>,
    ) -> Self {
        let vms: BTreeSet<&VmName> = plan.steps.iter().flat_map(|step| &step.vms).collect();
        let moves = plan.moves.iter();
        let told =
            moves.flat_map(|told| told.steps.iter().map(move |id| ((&told.vm, *id), &told.to)));
        let mut replay = Self {
            given,
            plan,
            told: told.collect(),
            history,
            storage,
            images: Images::new(),
            definitions: BTreeMap::new(),
            running: BTreeSet::new(),
            truth: BTreeMap::new(),
            users: Users::of(BTreeSet::new()),
            marks: BTreeMap::new(),
            ended: BTreeMap::new(),
            races: Races::new(history),
            now: StepId(0),
            faults: Faults::new(),
        };
        replay.users = Users::of(replay.watched(plan, &vms));
        for (host, reading) in given.observed.reached() {
            for (name, vm) in &reading.vms {
                if !vms.contains(name) {
                    replay.users.add_found(storage, (name, host), vm);
                }
            }
        }
        for name in vms {
            replay.find(name);
        }
        replay
    }

    /// Volumes of which it has to be known who uses them.
    fn watched(&self, plan: &'a Plan, vms: &BTreeSet<&'a VmName>) -> BTreeSet<Place<'a>> {
        let mut watched = BTreeSet::new();
        for step in &plan.steps {
            match &step.action {
                Action::DeleteVolume { at, .. }
                | Action::CopyVolume { from: at, .. }
                | Action::CompactVolume { from: at, .. } => {
                    watched.insert(self.storage.at(at));
                }
                Action::VerifyVolume { from, to, .. } => {
                    watched.extend([self.storage.at(from), self.storage.at(to)]);
                }
                Action::Mark { mark, .. } => watched.extend(self.named_by(mark)),
                _ => {}
            }
        }
        for (_, vm) in vms.iter().flat_map(|vm| self.given.places(vm)) {
            watched.extend(vm.mark().into_iter().flat_map(|mark| self.named_by(mark)));
        }
        watched
    }

    /// A VM as it was read, on every host.
    fn find(&mut self, name: &'a VmName) {
        // What counts comes last, and knows best.
        let mut places = self.given.places(name).to_vec();
        places.sort_by_key(|(host, vm)| self.weight(host, vm));
        for (host, vm) in &places {
            let detail = vm.detail.as_deref();
            for disk in detail.into_iter().flat_map(|detail| &detail.disks) {
                if let Some(place) = disks::place_of(self.storage, host, disk) {
                    self.images.note(self.storage, place, host, disk);
                }
            }
            let found = disks::definition(self.storage, host, vm);
            self.define((name, host), Some(found));
            let reading = self.given.observed.host(host);
            if reading.is_some_and(|reading| runs(reading, vm)) {
                self.running.insert((name, host));
            }
            self.marks.entry(name).or_default().extend(vm.mark());
        }
        let counts = places
            .last()
            .and_then(|(host, _)| Some((*host, self.definitions.get(&(name, *host))?)));
        let Some((host, definition)) = counts else {
            return;
        };
        for (target, disk) in definition {
            let place = disk.place.filter(|_| !disk.is_read_only);
            let image = place.and_then(|place| self.images.get(self.storage, place, host));
            if let Some(contents) = image.and_then(|image| image.contents) {
                self.truth.insert((name, target), contents);
            }
        }
    }

    /// Of several instances of a VM that counts of which this is the greatest.
    fn weight(&self, host: &HostName, vm: &Vm) -> u8 {
        let reading = self.given.observed.host(host);
        let mark = vm.mark();
        let is_source = |mark: &MoveMark| {
            reading.is_some_and(|reading| reading.uuid == mark.from_uuid) || mark.from == *host
        };
        if vm.power.state == RunState::Running {
            4
        } else if reading.is_some_and(|reading| runs(reading, vm)) {
            3
        } else if mark.is_some_and(|mark| mark.complete) {
            2
        } else {
            u8::from(mark.is_some_and(is_source))
        }
    }

    /// A VM's definition on a host is another from now on, or is gone.
    fn define(&mut self, instance: Instance<'a>, after: Option<Definition<'a>>) {
        let before = self.definitions.remove(&instance);
        // Until now it used them, and whoever removes one of them waits for that.
        for (target, disk) in before.iter().flatten() {
            for place in disks::chain(self.storage, &mut self.images, instance.1, disk) {
                self.access(
                    place,
                    &format!("disk {target} of {}", instance.0),
                    Access::Reads,
                );
            }
        }
        let volumes = (self.storage, &mut self.images);
        let both = (before.as_ref(), after.as_ref());
        self.users.change(volumes, instance, both);
        if let Some(after) = after {
            self.definitions.insert(instance, after);
        }
    }

    fn fault(&mut self, what: String) {
        self.faults.push((self.now, what));
    }

    /// The step has to do with a volume; whoever it must wait for it does wait for.
    fn access(&mut self, place: Place<'a>, what: &str, access: Access) {
        if let Some(other) = self.races.note(self.now, place, access) {
            let verb = match access {
                Access::Reads => "reads",
                Access::Writes => "changes",
            };
            self.fault(format!(
                "{verb} {what} and does not wait for step {other}, which has to do with it as well"
            ));
        }
    }

    /// Whether the volume is there, as far as anybody knows.
    fn is_there(&mut self, at: &'a VolumeRef) -> bool {
        let place = self.storage.at(at);
        self.images.get(self.storage, place, &at.host).is_some()
    }
}
