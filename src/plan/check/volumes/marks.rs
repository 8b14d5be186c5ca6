//! What the marks of VMs say of volumes: which are ours to remove, and what must be gone when a mark goes.

use super::Replay;
use super::disks::Instance;
use super::storage::Place;
use crate::model::{DiskTarget, HostName, MoveMark, PoolName, VolumeName, VolumeRef};
use crate::plan::Seen;

type Named = (PoolName, VolumeName);

impl<'a> Replay<'a> {
    /// A host by its UUID, or by its name where no host has that.
    fn host(&self, name: &'a HostName, uuid: &str) -> &'a HostName {
        let own = self.given.observed.host(name);
        if uuid.is_empty() || own.is_some_and(|host| host.uuid == uuid) {
            return name;
        }
        let mut all = self.given.observed.reached();
        all.find(|(_, host)| host.uuid == uuid)
            .map_or(name, |(host, _)| host)
    }

    pub(super) fn source(&self, mark: &'a MoveMark) -> &'a HostName {
        self.host(&mark.from, &mark.from_uuid)
    }

    fn destination(&self, mark: &'a MoveMark) -> &'a HostName {
        self.host(&mark.to, &mark.to_uuid)
    }

    fn places(&self, host: &'a HostName, named: &'a [Named]) -> impl Iterator<Item = Place<'a>> {
        let storage = self.storage;
        named
            .iter()
            .map(move |(pool, name)| storage.of_volume(host, pool, name))
    }

    /// Every volume that a mark names as one that may go.
    pub(super) fn named_by(&self, mark: &'a MoveMark) -> Vec<Place<'a>> {
        let source = [
            &mark.source_volumes,
            &mark.temporary_volumes,
            &mark.made_at_source,
            &mark.source_bases,
        ];
        let destination = [&mark.created_volumes, &mark.created_bases, &mark.made];
        let (from, to) = (self.source(mark), self.destination(mark));
        let source = source
            .into_iter()
            .flat_map(|named| self.places(from, named));
        let destination = destination
            .into_iter()
            .flat_map(|named| self.places(to, named));
        source.chain(destination).collect()
    }

    /// Whether a mark of the step's VMs says that the volume may go.
    pub(super) fn is_ours(&self, at: &'a VolumeRef) -> bool {
        let place = self.storage.at(at);
        let vms = self.plan.steps[self.now.0].vms.iter();
        let mut marks = vms.filter_map(|vm| self.marks.get(vm)).flatten();
        marks.any(|mark| self.named_by(mark).contains(&place))
    }

    /// A mark says where its VM is, and what was seen of it is what is there.
    pub(super) fn mark(
        &mut self,
        instance: Instance<'a>,
        mark: &'a MoveMark,
        seen: Option<&'a Seen>,
    ) {
        let (vm, host) = instance;
        let uuid = |host: &HostName| {
            let reading = self.given.observed.host(host);
            reading.map(|reading| reading.uuid.as_str())
        };
        let fits = |name, told: &str| uuid(name).is_none_or(|uuid| uuid == told);
        if mark.from != *host || !fits(&mark.from, &mark.from_uuid) {
            self.fault(format!(
                "the mark of {vm} does not tell that it is on {host}"
            ));
        } else if !fits(&mark.to, &mark.to_uuid) {
            self.fault(format!("the mark of {vm} tells of two destinations"));
        }
        let to = self.told.get(&(vm, self.now)).copied();
        if to.is_some_and(|to| *to != mark.to) {
            self.fault(format!("the mark of {vm} tells of another destination"));
        }
        if mark.source_volumes.len() != mark.created_volumes.len() {
            self.fault(format!(
                "the mark of {vm} does not name a copy of each volume"
            ));
        }
        self.check_copies(instance);
        let runs = self.running.contains(&instance);
        if seen.is_some_and(|seen| seen.active != runs) {
            let word = if runs { "off" } else { "running" };
            self.fault(format!(
                "rests on {vm} being {word}, which it is not by then"
            ));
        }
        self.check_seen_disks(instance, seen);
        self.marks.entry(vm).or_default().push(mark);
    }

    /// Of a definition that steps before have made it is known which disks will be seen; of one that was read the hosts
    /// will say it.
    fn check_seen_disks(&mut self, instance: Instance<'a>, seen: Option<&'a Seen>) {
        let (vm, host) = instance;
        let read = self.given.places(vm).iter().find(|(at, _)| *at == host);
        let read = read.and_then(|(_, vm)| vm.detail.as_deref());
        let is_read = |target: &DiskTarget, path: &str| {
            let mut disks = read.into_iter().flat_map(|detail| &detail.disks);
            disks.any(|disk| disk.target == *target && disk.path.as_deref() == Some(path))
        };
        let disks = self.definitions.get(&instance).into_iter().flatten();
        let other = disks.filter_map(|(target, disk)| {
            let path = disk.path.filter(|path| !is_read(target, path))?;
            let seen = seen?.disks.get(*target)?.as_deref()?;
            let is_other = !disk.is_read_only && seen.starts_with('/') && seen != path;
            is_other.then_some(*target)
        });
        if let Some(target) = { other }.next() {
            self.fault(format!("rests on another disk {target} than {vm} has"));
        }
    }

    /// When a VM loses its mark, nothing of its move may be left that only the mark tells of: neither the originals of
    /// the volumes that it uses, nor copies of it that it does not use.
    pub(super) fn unmark(&mut self, instance: Instance<'a>) {
        let (vm, host) = instance;
        let marks = self.marks.get(vm).cloned().unwrap_or_default();
        for mark in marks {
            let (from, to) = (self.source(mark), self.destination(mark));
            let pairs = mark.source_volumes.iter().zip(&mark.created_volumes);
            for ((pool, name), (new_pool, new_name)) in pairs {
                let original = self.storage.of_volume(from, pool, name);
                let copy = self.storage.of_volume(to, new_pool, new_name);
                let is_made = mark.made.contains(&(new_pool.clone(), new_name.clone()))
                    || self.is_made(copy, to);
                let (is_on_copy, is_on_original) =
                    (self.uses(instance, copy), self.uses(instance, original));
                if is_on_copy && !is_on_original && self.is_left(original, from) {
                    self.fault(format!(
                        "{vm} on {host} loses its mark before {from}:{pool}/{name} is gone"
                    ));
                }
                if is_on_original && !is_on_copy && is_made && self.is_left(copy, to) {
                    self.fault(format!(
                        "{vm} on {host} loses its mark before {to}:{new_pool}/{new_name} is gone"
                    ));
                }
            }
            for (pool, name) in &mark.made_at_source {
                if self.is_left(self.storage.of_volume(from, pool, name), from) {
                    self.fault(format!(
                        "{vm} on {host} loses its mark before {from}:{pool}/{name} is gone"
                    ));
                }
            }
        }
    }

    /// A copy of its disks that nobody waits for has been ended, by the removal of what it writes to.
    fn check_copies(&mut self, (vm, host): Instance<'a>) {
        let reading = self.given.observed.host(host);
        let detail = reading.and_then(|host| host.vms.get(vm)?.detail.as_deref());
        let copied = detail.into_iter().flat_map(|detail| &detail.disks);
        let copied: Vec<_> = copied
            .filter_map(|disk| Some((&disk.target, disk.copied_to.as_deref()?)))
            .collect();
        for (target, path) in copied {
            let place = self.storage.of_path(host, path);
            let ended = place.and_then(|place| self.ended.get(&place));
            if ended.is_none_or(|step| !self.history.is_before(*step, self.now)) {
                self.fault(format!(
                    "marks {vm} on {host} while its disk {target} is copied to {path}"
                ));
            }
        }
    }

    fn uses(&self, instance: Instance<'a>, place: Place<'a>) -> bool {
        let disks = self.definitions.get(&instance);
        disks.is_some_and(|disks| disks.values().any(|disk| disk.place == Some(place)))
    }

    fn is_made(&mut self, place: Place<'a>, by: &'a HostName) -> bool {
        let image = self.images.get(self.storage, place, by);
        image.is_some_and(|image| image.is_made)
    }

    /// Whether a volume is there although nobody uses it.
    pub(super) fn is_left(&mut self, place: Place<'a>, by: &'a HostName) -> bool {
        self.images.get(self.storage, place, by).is_some() && self.users.all(place).next().is_none()
    }
}
