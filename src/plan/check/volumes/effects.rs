//! What each step demands of volumes and definitions, and what it makes of them.

use super::Replay;
use super::disks::{self, Definition, DiskAt, Instance};
use super::images::{Contents, Image};
use super::races::Access;
use crate::definition::Rewrite;
use crate::model::{DiskTarget, HostName, MoveMark, VmName, VolumeFormat, VolumeRef};
use crate::plan::{Action, CopyMode, MigrationOptions, VolumeSpec};

impl<'a> Replay<'a> {
    pub(super) fn follow(&mut self, action: &'a Action) {
        match action {
            Action::Mark {
                host,
                vm,
                mark,
                seen,
            } => self.mark((vm, host), mark, seen.as_ref()),
            Action::Unmark { host, vm } => self.unmark((vm, host)),
            Action::CreateVolume { spec } => self.make(spec, None, None),
            Action::CopyVolume { from, spec, .. } => self.copy(from, spec),
            Action::CompactVolume { from, spec } => self.compact(from, spec),
            Action::VerifyVolume { from, to, .. } => self.verify(from, to),
            Action::DeleteVolume { .. } => self.delete(action),
            Action::MigrateLive {
                vm,
                from,
                to,
                options,
            } => {
                self.write((vm, from));
                self.migrate(vm, (from, to), options);
                self.write((vm, to));
                self.running.remove(&(vm, from));
                self.running.insert((vm, to));
            }
            Action::MigratePaused {
                vm,
                from,
                to,
                options,
            } => self.migrate(vm, (from, to), options),
            Action::ShutDown { host, vm, .. } => {
                self.running.remove(&(vm, host));
                self.write((vm, host));
            }
            Action::Destroy { host, vm, .. } => {
                self.running.remove(&(vm, host));
            }
            Action::Define {
                vm,
                from,
                to,
                rewrite,
            } => self.redefine(vm, (from, to), rewrite),
            Action::Redefine { host, vm, rewrite } => self.redefine(vm, (host, host), rewrite),
            Action::Start { host, vm, .. } => {
                self.prove((vm, host));
                self.write((vm, host));
                self.running.insert((vm, host));
            }
            Action::Resume { .. } => {}
            Action::Undefine { host, vm, .. } => self.define((vm, host), None),
            Action::BlockCopy { .. } => self.block_copy(action),
            Action::AwaitMigration { vm, from, to } => self.arrive(vm, (from, to)),
        }
    }

    /// A guest begins or ends to write to its disks.
    fn write(&mut self, instance: Instance<'a>) {
        let Some(definition) = self.definitions.get(&instance).cloned() else {
            return;
        };
        for (target, disk) in definition {
            let written = !disk.is_read_only && !disk.is_shared;
            if let Some(place) = disk.place.filter(|_| written) {
                let what = format!("disk {target} of {}", instance.0);
                self.access(place, &what, Access::Writes);
            }
        }
    }

    /// A new volume: at its path, where none is, on what it shall stand on.
    fn make(&mut self, spec: &'a VolumeSpec, contents: Option<Contents>, needs: Option<Contents>) {
        let at = &spec.at;
        if self.is_there(at) {
            self.fault(format!("makes {at}, which is there already"));
        }
        let path = self.storage.new_path(at);
        if path.is_some_and(|path| path != spec.path) {
            self.fault(format!("makes {at}, whose path will not be {}", spec.path));
        }
        let place = self.storage.at(at);
        self.access(place, &at.to_string(), Access::Writes);
        let mut below = None;
        if let Some((path, format)) = &spec.backing {
            below = self.base_of(at, path, format);
        }
        let image = Image {
            contents,
            needs: needs.or(below),
            below: spec.backing.as_ref().map(|(path, _)| path.as_str()),
            format: Some(&spec.format),
            capacity: Some(spec.capacity),
            is_made: true,
        };
        self.images.put(place, image);
    }

    fn base_of(
        &mut self,
        at: &'a VolumeRef,
        path: &'a str,
        format: &VolumeFormat,
    ) -> Option<Contents> {
        let place = self.storage.of_path(&at.host, path)?;
        self.access(place, path, Access::Reads);
        let image = self.images.get(self.storage, place, &at.host).cloned();
        let Some(image) = image else {
            self.fault(format!("makes {at} on {path}, which is not there"));
            return None;
        };
        if image.format.is_some_and(|found| found != format) {
            self.fault(format!("makes {at} on {path}, which is not {format}"));
        }
        if image.contents.is_none() {
            self.fault(format!("makes {at} on {path}, which is not complete"));
        }
        image.contents
    }

    /// What is read from a volume while nobody writes to it; it is not called for where nothing is there.
    fn still(&mut self, at: &'a VolumeRef) -> Option<Image<'a>> {
        let place = self.storage.at(at);
        self.access(place, &at.to_string(), Access::Reads);
        let is_writing =
            |(instance, is_top): &&(Instance<'a>, bool)| *is_top && self.running.contains(instance);
        let writer = self.users.all(place).find(is_writing).map(|(by, _)| *by);
        if let Some((vm, host)) = writer {
            self.fault(format!("reads {at}, which {vm} on {host} writes to"));
        }
        let image = self.images.get(self.storage, place, &at.host).cloned();
        if image.as_ref().is_none_or(|image| image.contents.is_none()) {
            self.fault(format!("reads {at}, which is not there or not complete"));
        }
        image
    }

    fn compare_size(&mut self, from: &VolumeRef, source: &Image<'_>, spec: &VolumeSpec) {
        if source.capacity.is_some_and(|size| size != spec.capacity) {
            self.fault(format!("makes {} of another size than {from}", spec.at));
        }
    }

    fn copy(&mut self, from: &'a VolumeRef, spec: &'a VolumeSpec) {
        let Some(source) = self.still(from) else {
            return self.make(spec, None, None);
        };
        self.compare_size(from, &source, spec);
        if source.format.is_some_and(|format| *format != spec.format) {
            self.fault(format!("makes {} of another format than {from}", spec.at));
        }
        let below = spec.backing.as_ref().map(|(path, _)| path.as_str());
        if source.below != below {
            self.fault(format!(
                "copies {from} byte for byte to {}, which is to stand on something else",
                spec.at
            ));
        }
        self.make(spec, source.contents, source.needs);
    }

    fn compact(&mut self, from: &'a VolumeRef, spec: &'a VolumeSpec) {
        let Some(source) = self.still(from) else {
            return self.make(spec, None, None);
        };
        self.compare_size(from, &source, spec);
        if from.host != spec.at.host || spec.backing.is_some() {
            self.fault(format!("{} is no compacted copy of {from}", spec.at));
        }
        self.make(spec, source.contents, None);
    }

    fn verify(&mut self, from: &'a VolumeRef, to: &'a VolumeRef) {
        let (one, other) = (self.still(from), self.still(to));
        let contents = |image: Option<Image<'_>>| image.and_then(|image| image.contents);
        if let (Some(one), Some(other)) = (contents(one), contents(other)) {
            self.images.unite(one, other, self.now);
        }
    }

    /// A disk's new image is filled with what the disk has; alone, or on what its image stands on.
    fn fill(
        &mut self,
        target: &DiskTarget,
        (from, disk): (&'a HostName, &DiskAt<'a>),
        (to, new): (&'a HostName, &DiskAt<'a>),
        is_thin: bool,
    ) {
        let path = new.path.unwrap_or_default();
        let image = new
            .place
            .and_then(|place| Some((place, self.images.get(self.storage, place, to)?.clone())));
        let Some((place, image)) = image else {
            return self.fault(format!("{to} has no volume {path} for disk {target}"));
        };
        let Some(source) = disk.place else { return };
        let source = self.images.get(self.storage, source, from).cloned();
        let source = source.unwrap_or_default();
        if image.contents.is_some() {
            self.fault(format!("{path} on {to} is not empty"));
        }
        if let (Some(is), Some(was)) = (image.capacity, source.capacity)
            && is != was
        {
            self.fault(format!(
                "{path} on {to} is of {is}, and disk {target} of {was}"
            ));
        }
        if image.below.is_some() != (is_thin && source.below.is_some()) {
            self.fault(format!(
                "{path} on {to} does not stand on what disk {target} needs"
            ));
        }
        self.access(place, path, Access::Writes);
        let filled = Image {
            contents: source.contents,
            needs: source.needs.filter(|_| is_thin),
            ..image
        };
        self.images.put(place, filled);
    }

    fn migrate(
        &mut self,
        vm: &'a VmName,
        (from, to): (&'a HostName, &'a HostName),
        options: &'a MigrationOptions,
    ) {
        let Some(before) = self.definitions.get(&(vm, from)).cloned() else {
            return;
        };
        let after = disks::relocated(self.storage, &before, to, &options.rewrite);
        let mut strange = options.disks.iter();
        if let Some(target) = strange.find(|target| !before.contains_key(target)) {
            self.fault(format!("{vm} has no disk {target}"));
        }
        for (target, disk) in &before {
            let new = &after[target];
            if options.disks.contains(target) {
                if options.copy == CopyMode::None {
                    self.fault(format!("copies no disk, and is to copy {target} of {vm}"));
                }
                if let Some(place) = disk.place {
                    let what = format!("disk {target} of {vm}");
                    self.access(place, &what, Access::Reads);
                }
                let is_thin = options.copy == CopyMode::Incremental;
                self.fill(target, (from, disk), (to, new), is_thin);
            } else if !disk.is_read_only && disk.place.is_some() && disk.place != new.place {
                self.fault(format!(
                    "does not copy disk {target} of {vm}, which is not on the same storage then"
                ));
            }
        }
        self.define((vm, from), None);
        self.check_rewrite(vm, &after, &options.rewrite);
        self.define((vm, to), Some(after));
        self.prove((vm, to));
    }

    fn redefine(
        &mut self,
        vm: &'a VmName,
        (from, to): (&'a HostName, &'a HostName),
        rewrite: &'a Rewrite,
    ) {
        let Some(before) = self.definitions.get(&(vm, from)) else {
            return;
        };
        let after = disks::relocated(self.storage, before, to, rewrite);
        self.check_rewrite(vm, &after, rewrite);
        self.define((vm, to), Some(after));
        self.prove((vm, to));
    }

    /// Every disk that is to have another source is there.
    fn check_rewrite(&mut self, vm: &VmName, after: &Definition<'a>, rewrite: &Rewrite) {
        let mut disks = rewrite.disks.keys();
        if let Some(target) = disks.find(|target| !after.contains_key(target)) {
            self.fault(format!(
                "gives a source to disk {target}, which {vm} does not have"
            ));
        }
    }

    /// Whether a VM would read from its disks on a host what it had.
    fn prove(&mut self, instance: Instance<'a>) {
        let (vm, host) = instance;
        let Some(definition) = self.definitions.get(&instance).cloned() else {
            return;
        };
        for (target, disk) in definition {
            let Some(truth) = self.truth.get(&(vm, target)).copied() else {
                continue;
            };
            let path = disk.path.unwrap_or_default();
            for place in disks::chain(self.storage, &mut self.images, host, &disk) {
                self.access(place, &format!("disk {target} of {vm}"), Access::Reads);
            }
            let place = disk.place;
            let (history, now) = (self.history, self.now);
            let is_done = |step| history.is_before(step, now);
            let read = place.and_then(|place| self.images.read(self.storage, host, place, is_done));
            if read.is_none_or(|read| !self.images.is_same(read, truth, is_done)) {
                self.fault(format!(
                    "disk {target} of {vm} is {path} on {host}, which does not hold what it had"
                ));
            }
            let image = place.and_then(|place| self.images.get(self.storage, place, host));
            let Some(image) = image.filter(|image| image.is_made).cloned() else {
                continue;
            };
            if image.format != Some(disk.format) {
                self.fault(format!(
                    "disk {target} of {vm} is {path} on {host}, which is not {}",
                    disk.format
                ));
            }
            if image.below != disk.below {
                self.fault(format!(
                    "the definition of {vm} says that {path} on {host} stands on {}, which it does not",
                    disk.below.unwrap_or("nothing")
                ));
            }
        }
    }

    fn block_copy(&mut self, action: &'a Action) {
        let Action::BlockCopy {
            host,
            vm,
            disk: target,
            path,
            format,
            shallow,
            ..
        } = action
        else {
            return;
        };
        let Some(mut definition) = self.definitions.get(&(vm, host)).cloned() else {
            return;
        };
        let Some(disk) = definition.get_mut(target) else {
            return self.fault(format!("{vm} has no disk {target}"));
        };
        let before = disk.clone();
        disk.path = Some(path);
        disk.place = self.storage.of_path(host, path);
        disk.format = format;
        let image = disk
            .place
            .and_then(|place| self.images.get(self.storage, place, host));
        disk.below = image.and_then(|image| image.below);
        let new = disk.clone();
        self.fill(target, (host, &before), (host, &new), *shallow);
        if let Some(place) = before.place {
            self.access(place, &format!("disk {target} of {vm}"), Access::Writes);
        }
        self.define((vm, host), Some(definition));
        self.prove((vm, host));
    }

    /// A migration that an earlier apply began has brought the VM: its disks are where its mark says.
    fn arrive(&mut self, vm: &'a VmName, (from, to): (&'a HostName, &'a HostName)) {
        let Some(mut after) = self.definitions.get(&(vm, from)).cloned() else {
            return;
        };
        let marks = self.marks.get(vm).cloned().unwrap_or_default();
        let names = |mark: &&'a MoveMark| {
            let volumes = mark.source_volumes.iter().zip(&mark.created_volumes);
            volumes.collect::<Vec<_>>()
        };
        let pairs: Vec<_> = marks.iter().flat_map(names).collect();
        for (target, disk) in &mut after {
            let goes = pairs.iter().find(|((pool, name), _)| {
                disk.place == Some(self.storage.of_volume(from, pool, name))
            });
            let Some((_, (pool, name))) = goes else {
                continue;
            };
            let place = self.storage.of_volume(to, pool, name);
            disk.place = Some(place);
            disk.path = None;
            let truth = self.truth.get(&(vm, *target)).copied();
            if let Some(image) = self.images.get(self.storage, place, to) {
                let image = Image {
                    contents: truth.or(image.contents),
                    ..image.clone()
                };
                self.images.put(place, image);
            }
        }
        self.define((vm, from), None);
        self.define((vm, to), Some(after));
        if self.running.remove(&(vm, from)) {
            self.running.insert((vm, to));
        }
    }

    fn delete(&mut self, action: &'a Action) {
        let Action::DeleteVolume {
            at,
            seen_by,
            replaced_by,
            only_if_unused,
            ..
        } = action
        else {
            return;
        };
        let place = self.storage.at(at);
        if let Some(host) = self.storage.unasked(at, seen_by) {
            self.fault(format!(
                "removes {at} without asking {host}, which sees it too"
            ));
        }
        if !self.is_ours(at) {
            self.fault(format!("removes {at}, which no mark of its VMs names"));
        }
        if let Some(copy) = replaced_by {
            self.check_replacement(at, copy);
        }
        let user = self.users.all(place).next().map(|(user, _)| *user);
        match user {
            Some(_) if *only_if_unused => return,
            Some((vm, host)) => self.fault(format!("removes {at}, which {vm} on {host} uses")),
            None => {}
        }
        self.access(place, &at.to_string(), Access::Writes);
        self.images.remove(place);
        self.ended.insert(place, self.now);
    }

    fn check_replacement(&mut self, at: &'a VolumeRef, copy: &'a VolumeRef) {
        let (old, new) = (self.storage.at(at), self.storage.at(copy));
        if old == new {
            return self.fault(format!("removes {at}, and {copy} is the same volume"));
        }
        let Some(new) = self.images.get(self.storage, new, &copy.host).cloned() else {
            return self.fault(format!("removes {at} for {copy}, which is not there"));
        };
        let old = self.images.get(self.storage, old, &at.host);
        let sizes = old.and_then(|old| Some((old.capacity?, new.capacity?)));
        if sizes.is_some_and(|(old, new)| old != new) {
            self.fault(format!("removes {at} for {copy}, which is of another size"));
        }
    }
}
