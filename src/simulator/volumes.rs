//! What the actions on volumes demand and do.

use super::images::Image;
use super::world::{Refusal, World};
use crate::model::{Bytes, HostName, Noted, VolumeFormat, VolumeRef};
use crate::observed::{Volume, VolumeDetail};
use crate::plan::{Owner, VolumeSpec};

/// Bytes that a volume occupies, where the reading knows.
pub(super) fn allocation(volume: &Volume) -> Bytes {
    volume
        .detail
        .as_ref()
        .map_or(Bytes::ZERO, |detail| detail.allocation)
}

impl World {
    pub(super) fn check_create(&self, spec: &VolumeSpec) -> Result<(), Refusal> {
        let at = &spec.at;
        let pool = self.pool(&at.host, &at.pool)?;
        let path = format!("{}/{}", pool.path, at.volume);
        if pool.volumes.contains_key(&at.volume) {
            return Err(format!("volume {at} exists already"));
        }
        if path != spec.path {
            return Err(format!("volume {at} would be {path}, not {}", spec.path));
        }
        if let Some((below, format)) = &spec.backing {
            let base = self.volume_of(&at.host, below);
            let base =
                base.ok_or_else(|| format!("{} has no volume {below} to stand on", at.host))?;
            let found = base.detail.as_ref().map(|detail| &detail.format);
            if found.is_some_and(|found| found != format) {
                return Err(format!("{below} on {} is not of format {format}", at.host));
            }
        }
        Ok(())
    }

    /// Makes a volume that holds nothing yet, and notes it in its owner's mark.
    pub(super) fn create(&mut self, spec: &VolumeSpec) {
        self.create_noted(spec, Noted::Made);
    }

    /// The same, as far as the mark could be told of it.
    pub(super) fn create_noted(&mut self, spec: &VolumeSpec, noted: Noted) {
        let Owner { host, vm } = &spec.owner;
        let detail = self.detail(host, vm).ok();
        if let Some(mut mark) = detail.and_then(|detail| detail.mark.clone())
            && mark.note(&spec.at, noted)
        {
            // A mark that was read can be written.
            let _ = self.set_mark(host, vm, Some(mark));
        }
        let at = &spec.at;
        let store = self.store(&at.host, &at.pool);
        for (host, pool) in self.pools_on(&store) {
            let Some(pool) = self
                .hosts
                .get_mut(&host)
                .and_then(|state| state.pools.get_mut(&pool))
            else {
                continue;
            };
            let volume = Volume {
                path: format!("{}/{}", pool.path, at.volume),
                detail: Some(VolumeDetail {
                    format: spec.format.clone(),
                    capacity: spec.capacity,
                    allocation: Bytes::ZERO,
                    backing: spec.backing.clone(),
                }),
            };
            pool.volumes.insert(at.volume.clone(), volume);
        }
        let below = spec
            .backing
            .as_ref()
            .and_then(|(path, _)| self.read(&at.host, path));
        let image = Image {
            view: None,
            needs: below,
        };
        *self.images.entry((store, at.volume.clone())) = image;
    }

    /// Whether anything is written in a volume.
    pub(super) fn is_written(&self, at: &VolumeRef) -> bool {
        self.volume(at)
            .is_ok_and(|volume| allocation(volume) > Bytes::ZERO)
    }

    /// The hosts on which an active guest writes to that volume.
    fn writers(&self, at: &VolumeRef) -> Vec<HostName> {
        let place = self.place_at(at);
        let mut writers = Vec::new();
        for (host, vm, disk) in self.each_disk() {
            let path = disk
                .path
                .as_deref()
                .filter(|_| vm.power.is_active() && !disk.readonly);
            if path.and_then(|path| self.place_of(host, path)).as_ref() == Some(&place) {
                writers.push(host.clone());
            }
        }
        writers
    }

    fn check_still(&self, at: &VolumeRef) -> Result<(), Refusal> {
        match self.writers(at).first() {
            Some(host) => Err(format!("a VM that is active on {host} writes to {at}")),
            None => Ok(()),
        }
    }

    pub(super) fn check_copy(&self, from: &VolumeRef, spec: &VolumeSpec) -> Result<(), Refusal> {
        let source = self.volume(from)?;
        self.check_still(from)?;
        self.check_create(spec)?;
        if let Some(detail) = &source.detail {
            if (&detail.format, detail.capacity) != (&spec.format, spec.capacity) {
                return Err(format!(
                    "{from} is {} of {}, not {} of {}",
                    detail.format, detail.capacity, spec.format, spec.capacity
                ));
            }
            // A copy byte for byte names the image below it by the same path.
            if detail.backing != spec.backing {
                let below = |backing: &Option<(String, VolumeFormat)>| match backing {
                    Some((path, format)) => format!("{path} ({format})"),
                    None => "nothing".to_owned(),
                };
                return Err(format!(
                    "{from} stands on {}, and its copy {} is to stand on {}",
                    below(&detail.backing),
                    spec.at,
                    below(&spec.backing)
                ));
            }
        }
        let image = self.images.at(&self.place_at(from));
        if image.is_none_or(|image| image.view.is_none()) {
            return Err(format!("{from} is incomplete"));
        }
        self.check_room(&spec.at.host, &spec.at.pool, allocation(source))
    }

    pub(super) fn begin_copy(&mut self, from: &VolumeRef, spec: &VolumeSpec) {
        let bytes = self.volume(from).map_or(Bytes::ZERO, allocation);
        self.create(spec);
        self.occupy(&spec.at.host, &spec.at.pool, &spec.at.volume, bytes);
    }

    pub(super) fn finish_copy(
        &mut self,
        from: &VolumeRef,
        spec: &VolumeSpec,
    ) -> Result<Bytes, Refusal> {
        self.check_still(from)?;
        let bytes = allocation(self.volume(from)?);
        let image = self.images.at(&self.place_at(from)).cloned();
        *self.images.entry(self.place_at(&spec.at)) = image.unwrap_or_default();
        Ok(bytes)
    }

    /// What an image and everything below it occupy.
    pub(super) fn chain_bytes(&self, at: &VolumeRef) -> Bytes {
        let Ok(volume) = self.volume(at) else {
            return Bytes::ZERO;
        };
        let below = self.chain_below(&at.host, &volume.path);
        let layers = below
            .iter()
            .filter_map(|(path, _)| self.volume_of(&at.host, path));
        allocation(volume).plus(layers.map(allocation).sum())
    }

    pub(super) fn check_compact(&self, from: &VolumeRef, spec: &VolumeSpec) -> Result<(), Refusal> {
        let source = self.volume(from)?;
        self.check_still(from)?;
        self.check_create(spec)?;
        if from.host != spec.at.host {
            return Err(format!("{from} and {} are not on one host", spec.at));
        }
        let detail = source.detail.as_ref();
        if detail.is_some_and(|detail| detail.capacity != spec.capacity) || spec.backing.is_some() {
            return Err(format!("{} is no compacted copy of {from}", spec.at));
        }
        if self.read(&from.host, &source.path).is_none() {
            return Err(format!("{from} is incomplete"));
        }
        self.check_room(&spec.at.host, &spec.at.pool, self.chain_bytes(from))
    }

    pub(super) fn begin_compact(&mut self, from: &VolumeRef, spec: &VolumeSpec) {
        let bytes = self.chain_bytes(from);
        self.create(spec);
        self.occupy(&spec.at.host, &spec.at.pool, &spec.at.volume, bytes);
    }

    pub(super) fn finish_compact(
        &mut self,
        from: &VolumeRef,
        spec: &VolumeSpec,
    ) -> Result<(), Refusal> {
        self.check_still(from)?;
        let path = self.volume(from)?.path.clone();
        let view = self.read(&from.host, &path);
        let image = Image { view, needs: None };
        *self.images.entry(self.place_at(&spec.at)) = image;
        Ok(())
    }

    pub(super) fn check_same(&self, from: &VolumeRef, to: &VolumeRef) -> Result<(), Refusal> {
        for at in [from, to] {
            self.volume(at)?;
            self.check_still(at)?;
        }
        let image = |at| self.images.at(&self.place_at(at));
        match (image(from), image(to)) {
            (Some(one), Some(other)) if one == other && one.view.is_some() => Ok(()),
            _ => Err(format!("{to} does not hold what {from} holds")),
        }
    }

    /// Whether the volume may go; the sentence says who uses it.
    pub(super) fn in_use(&self, at: &VolumeRef) -> Option<String> {
        let place = self.place_at(at);
        let mut users = self.users(&place);
        users.extend(self.copied_to(&place));
        let (host, vm) = users.into_iter().next()?;
        Some(format!("{vm} on {host} uses {at}"))
    }

    /// The same, where a copy to it counts for nothing.
    pub(super) fn in_use_for_good(&self, at: &VolumeRef) -> Option<String> {
        let (host, vm) = self.users(&self.place_at(at)).into_iter().next()?;
        Some(format!("{vm} on {host} uses {at}"))
    }

    /// Copies to it that are under way end, and their VMs go on with the volumes that they have.
    pub(super) fn end_copies_to(&mut self, at: &VolumeRef) {
        for (host, vm) in self.copied_to(&self.place_at(at)) {
            self.end_copies_of(&host, &vm);
        }
    }

    pub(super) fn check_replacement(&self, at: &VolumeRef, by: &VolumeRef) -> Result<(), Refusal> {
        let old = self.volume(at)?.detail.as_ref();
        let new = self.volume(by)?.detail.as_ref();
        match (old, new) {
            (Some(old), Some(new)) if old.capacity != new.capacity => Err(format!(
                "{by} is of {}, and {at} which it replaces is of {}",
                new.capacity, old.capacity
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn delete(&mut self, at: &VolumeRef) {
        let place = self.place_at(at);
        self.on_each_pool(&at.host, &at.pool, |pool| {
            if let Some(volume) = pool.volumes.remove(&at.volume) {
                pool.available = pool.available.plus(allocation(&volume));
            }
        });
        self.images.remove(&place);
    }
}
