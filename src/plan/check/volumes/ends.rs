//! Where every disk ends: in the pool where it is wanted, unless its VM is refused.

use std::collections::BTreeSet;

use super::Replay;
use super::disks::place_of;
use super::storage::Place;
use crate::model::{DiskTarget, HostName, VmName};
use crate::plan::StepId;

impl<'a> Replay<'a> {
    pub(super) fn check_ends(&mut self) {
        self.check_bases();
        if self.plan.is_refused_whole() {
            return;
        }
        let (refused, finished_first) = (self.plan.refused(), self.plan.finished_first());
        for (vm, wanted) in &self.given.desired.vms {
            if refused.contains(vm) || finished_first.contains(vm) {
                continue;
            }
            let last = self.history.own(vm).last().copied();
            self.now = StepId(last.unwrap_or_default());
            for (target, place) in self.disks_of(vm, &wanted.host) {
                let pool = wanted.disks.get(target);
                let pool = pool.map(|pool| (pool, self.given.desired.pool_on(pool, &wanted.host)));
                let Some((named, local)) = pool else { continue };
                if !self.storage.is_in(place, &wanted.host, &local) {
                    self.fault(format!(
                        "disk {target} of {vm} does not end in pool {named}, and nothing refuses it"
                    ));
                }
            }
        }
    }

    /// The volumes of a VM on the host where it is wanted, by the end.
    fn disks_of(&self, vm: &'a VmName, host: &'a HostName) -> Vec<(&'a DiskTarget, Place<'a>)> {
        if let Some(definition) = self.definitions.get(&(vm, host)) {
            let disks = definition.iter();
            return disks
                .filter(|(_, disk)| !disk.is_read_only)
                .filter_map(|(target, disk)| Some((*target, disk.place?)))
                .collect();
        }
        let found = self.given.places(vm).iter().find(|(at, _)| *at == host);
        let details = found.and_then(|(_, vm)| vm.detail.as_deref());
        let disks = details.into_iter().flat_map(|detail| &detail.disks);
        disks
            .filter(|disk| !disk.readonly)
            .filter_map(|disk| {
                disk.volume.as_ref()?;
                Some((&disk.target, place_of(self.storage, host, disk)?))
            })
            .collect()
    }

    /// Bases that were to go with their last clone are gone where nobody stands on them any more.
    fn check_bases(&mut self) {
        let marks: Vec<_> = self
            .marks
            .iter()
            .flat_map(|(vm, marks)| marks.iter().map(move |mark| (*vm, *mark)))
            .collect();
        let mut seen = BTreeSet::new();
        for (vm, mark) in marks {
            let from = self.source(mark);
            let settings = self.given.desired.settings(vm, &mark.from, &mark.to);
            if !settings.remove_unused_bases {
                continue;
            }
            for (pool, name) in &mark.source_bases {
                let place = self.storage.of_volume(from, pool, name);
                if seen.insert(place) && self.is_left(place, from) {
                    self.fault(format!(
                        "nothing stands on {from}:{pool}/{name} any more, and nothing removes it"
                    ));
                }
            }
        }
    }
}
