//! What every volume holds, as far as a plan has to do with it: not bytes, but a name for what a guest would read.

use std::collections::{BTreeMap, BTreeSet};

use super::storage::{Place, Storage};
use crate::model::{Bytes, HostName, VolumeFormat};
use crate::observed::Disk;
use crate::plan::StepId;

/// A name for what a guest reads from an image and everything below it. Each volume that was found has its own until
/// a step proves that two are alike.
pub(super) type Contents = usize;

/// One volume.
#[derive(Debug, Clone, Default)]
pub(super) struct Image<'a> {
    /// What a guest reads from it; `None` while nothing whole is in it.
    pub(super) contents: Option<Contents>,
    /// What must be read from the image below it for that.
    pub(super) needs: Option<Contents>,
    /// The path of the image below it.
    pub(super) below: Option<&'a str>,
    /// `None`: unknown.
    pub(super) format: Option<&'a VolumeFormat>,
    /// Virtual size; `None`: unknown.
    pub(super) capacity: Option<Bytes>,
    /// Whether a step of the plan has made it.
    pub(super) is_made: bool,
}

/// Every volume that was asked for so far.
pub(super) struct Images<'a> {
    /// `None`: there is no such volume, or it is gone.
    at: BTreeMap<Place<'a>, Option<Image<'a>>>,
    /// For each name of contents those that a step proves to be of the same.
    alike: Vec<Vec<(Contents, StepId)>>,
}

impl<'a> Images<'a> {
    pub(super) fn new() -> Self {
        Self {
            at: BTreeMap::new(),
            alike: Vec::new(),
        }
    }

    fn fresh(&mut self) -> Contents {
        self.alike.push(Vec::new());
        self.alike.len() - 1
    }

    /// Whether two names are of the same contents, as far as those steps prove it that are done.
    pub(super) fn is_same(
        &self,
        one: Contents,
        other: Contents,
        is_done: impl Fn(StepId) -> bool,
    ) -> bool {
        let mut seen = BTreeSet::from([one]);
        let mut open = vec![one];
        while let Some(next) = open.pop() {
            if next == other {
                return true;
            }
            let proven = self.alike[next].iter().filter(|(_, by)| is_done(*by));
            open.extend(
                proven
                    .map(|(like, _)| *like)
                    .filter(|like| seen.insert(*like)),
            );
        }
        false
    }

    /// A step proves that two volumes hold the same.
    pub(super) fn unite(&mut self, one: Contents, other: Contents, by: StepId) {
        self.alike[one].push((other, by));
        self.alike[other].push((one, by));
    }

    /// The volume at a place, as a host that sees it was asked for it.
    pub(super) fn get(
        &mut self,
        storage: &Storage<'a>,
        place: Place<'a>,
        by: &'a HostName,
    ) -> Option<&Image<'a>> {
        if !self.at.contains_key(&place) {
            let read = storage.read(place, by);
            let image = read.map(|_| Image {
                contents: Some(self.fresh()),
                ..Image::default()
            });
            // Before what is below it is asked for: images may name each other in a circle.
            self.at.insert(place, image);
            if let Some((host, volume)) = read
                && let Some(detail) = &volume.detail
            {
                let below = detail.backing.as_ref().map(|(path, _)| path.as_str());
                let needs = below.and_then(|path| self.contents_of(storage, host, path));
                if let Some(Some(image)) = self.at.get_mut(&place) {
                    image.needs = needs;
                    image.below = below;
                    image.format = Some(&detail.format);
                    image.capacity = Some(detail.capacity);
                }
            }
        }
        self.at.get(&place)?.as_ref()
    }

    fn contents_of(
        &mut self,
        storage: &Storage<'a>,
        host: &'a HostName,
        path: &'a str,
    ) -> Option<Contents> {
        let place = storage.of_path(host, path)?;
        self.get(storage, place, host)?.contents
    }

    /// A disk that was found is on a volume, also where its pool did not tell of it or of what is below it.
    pub(super) fn note(
        &mut self,
        storage: &Storage<'a>,
        place: Place<'a>,
        host: &'a HostName,
        disk: &'a Disk,
    ) {
        let is_told = self
            .get(storage, place, host)
            .is_some_and(|image| image.below.is_some() || disk.backing.is_empty());
        if let Some(Some(image)) = self.at.get_mut(&place)
            && is_told
        {
            // Its VM knows better than a pool, which may not have been refreshed since the disk grew, and which takes a
            // raw disk for the image of which the guest wrote the header.
            image.capacity = disk.capacity.or(image.capacity);
            image.format = Some(&disk.format);
            if disk.format == VolumeFormat::Raw {
                image.below = None;
                image.needs = None;
            }
            // A volume that several hosts see stands on what its VM's host has at that path.
            if let Some(below) = image.below {
                let needs = self.contents_of(storage, host, below);
                if let Some(Some(image)) = self.at.get_mut(&place) {
                    image.needs = needs;
                }
            }
            return;
        }
        for layer in disk.backing.iter().rev() {
            if let Some(place) = storage.of_path(host, &layer.path)
                && self.get(storage, place, host).is_none()
            {
                let contents = Some(self.fresh());
                let image = Image {
                    contents,
                    format: Some(&layer.format),
                    capacity: layer.capacity,
                    ..Image::default()
                };
                self.at.insert(place, Some(image));
            }
        }
        let below = disk.backing.first().map(|layer| layer.path.as_str());
        let known = self.at.remove(&place).flatten();
        let contents = known.as_ref().and_then(|image| image.contents);
        let image = Image {
            contents: contents.or_else(|| Some(self.fresh())),
            needs: below.and_then(|path| self.contents_of(storage, host, path)),
            below,
            format: known
                .as_ref()
                .and_then(|image| image.format)
                .or(Some(&disk.format)),
            capacity: disk.capacity.or(known.and_then(|image| image.capacity)),
            is_made: false,
        };
        self.at.insert(place, Some(image));
    }

    pub(super) fn put(&mut self, place: Place<'a>, image: Image<'a>) {
        self.at.insert(place, Some(image));
    }

    pub(super) fn remove(&mut self, place: Place<'a>) {
        self.at.insert(place, None);
    }

    /// What a guest of a host reads from a place: nothing unless everything below is there and is what it was.
    pub(super) fn read(
        &mut self,
        storage: &Storage<'a>,
        host: &'a HostName,
        place: Place<'a>,
        is_done: impl Fn(StepId) -> bool,
    ) -> Option<Contents> {
        /// More images than QEMU opens below each other.
        const CHAIN_MAX: usize = 200;
        let top = self.get(storage, place, host)?.contents?;
        let mut at = place;
        for _ in 0..CHAIN_MAX {
            let image = self.get(storage, at, host)?;
            let (needs, below) = (image.needs, image.below);
            // What is below it lies where no reading looks.
            let (Some(needs), Some(below)) = (needs, below) else {
                return Some(top);
            };
            at = storage.of_path(host, below)?;
            let found = self.get(storage, at, host)?.contents?;
            if !self.is_same(found, needs, &is_done) {
                return None;
            }
        }
        None
    }
}
