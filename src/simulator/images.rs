//! What is in every volume, as far as moving it depends on it: not bytes, but a name for what a guest would read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{DiskTarget, VolumeName};

/// A name for what a guest reads from an image and everything below it. A guest that writes makes a new one.
pub(super) type View = u64;

/// The storage that a pool is on.
pub(super) type Store = Arc<str>;

/// A volume on its storage: a volume of a shared pool is one place, whichever host is asked for it.
pub(super) type Place = (Store, VolumeName);

/// A VM's disk, by the VM's UUID.
pub(super) type DiskKey = (String, DiskTarget);

/// What is in one volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Image {
    /// What a guest reads from it; `None` while it is empty or incomplete.
    pub(super) view: Option<View>,
    /// What must be read from the image below it for that.
    pub(super) needs: Option<View>,
}

/// What is in every volume, and what each VM wrote last.
#[derive(Debug, Clone, Default)]
pub(super) struct Images {
    at: BTreeMap<Store, BTreeMap<VolumeName, Image>>,
    /// What each disk must read. Several at the start, where a reading shows a VM on two hosts and none is active.
    pub(super) truths: BTreeMap<DiskKey, BTreeSet<View>>,
    alike: BTreeMap<String, View>,
    last: View,
}

impl Images {
    pub(super) fn get(&self, store: &str, volume: &VolumeName) -> Option<&Image> {
        self.at.get(store)?.get(volume)
    }

    pub(super) fn at(&self, (store, volume): &Place) -> Option<&Image> {
        self.get(store, volume)
    }

    pub(super) fn at_mut(&mut self, (store, volume): &Place) -> Option<&mut Image> {
        self.at.get_mut(store)?.get_mut(volume)
    }

    /// What is there, an empty one where there was none.
    pub(super) fn entry(&mut self, (store, volume): Place) -> &mut Image {
        let on_store = self.at.entry(store).or_default();
        on_store.entry(volume).or_default()
    }

    pub(super) fn remove(&mut self, (store, volume): &Place) {
        if let Some(on_store) = self.at.get_mut(store) {
            on_store.remove(volume);
        }
    }

    /// A view that nothing else has.
    pub(super) fn fresh(&mut self) -> View {
        self.last += 1;
        self.last
    }

    /// The same view for the same description.
    pub(super) fn alike(&mut self, description: String) -> View {
        if let Some(view) = self.alike.get(&description) {
            return *view;
        }
        let view = self.fresh();
        self.alike.insert(description, view);
        view
    }

    /// A guest writes: what it wrote before is history wherever else it lies, and true for all who share the disk.
    pub(super) fn write(&mut self, place: &Place) {
        let view = self.fresh();
        let Some(image) = self.at_mut(place) else {
            return;
        };
        let Some(before) = image.view.replace(view) else {
            return;
        };
        for truth in self.truths.values_mut() {
            if truth.contains(&before) {
                *truth = BTreeSet::from([view]);
            }
        }
    }
}
