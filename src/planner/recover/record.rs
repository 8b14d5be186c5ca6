//! A way out to the acts that take it.

use std::collections::BTreeSet;

use super::super::storages::Storages;
use super::remains::{Remains, UnderWay};
use super::way_out::{WayOut, Why};
use crate::model::{BackingLayer, HostName, MoveMark, PoolName, VmName, VolumeName, VolumeRef};
use crate::observed::{Disk, Observed, Vm};
use crate::plan::Action;

/// A VM with a mark, and the hosts that the mark names.
pub(super) struct Record<'a, 'm> {
    pub(super) observed: &'a Observed,
    pub(super) storages: &'m Storages<'a>,
    pub(super) name: &'a VmName,
    pub(super) mark: &'m MoveMark,
    pub(super) source: &'a HostName,
    pub(super) destination: &'a HostName,
}

fn named(at: &VolumeRef) -> (PoolName, VolumeName) {
    (at.pool.clone(), at.volume.clone())
}

pub(crate) fn at(host: &HostName, volumes: &[(PoolName, VolumeName)]) -> Vec<VolumeRef> {
    let at = |(pool, volume): &(_, _)| VolumeRef {
        host: host.clone(),
        pool: Clone::clone(pool),
        volume: Clone::clone(volume),
    };
    volumes.iter().map(at).collect()
}

impl<'a> Record<'a, '_> {
    /// What a way out comes to; or why there is none.
    pub(super) fn taking(
        &self,
        way: WayOut,
        here: Option<&'a Vm>,
        there: Option<&'a Vm>,
    ) -> Result<Remains<'a>, Why> {
        match (way, here, there) {
            (WayOut::Await, Some(here), _) => Ok(self.awaiting(here)),
            (WayOut::Forward { ends_source }, here, Some(there)) => {
                let mut remains = self.forward(here, there);
                if ends_source {
                    let end = self.end(self.source, self.destination);
                    remains.prelude.insert(0, end);
                }
                Ok(remains)
            }
            (
                WayOut::Back {
                    ends_destination,
                    resumes,
                },
                Some(here),
                there,
            ) => {
                let mut remains = self.back(here, there, resumes);
                if ends_destination {
                    let end = self.end(self.destination, self.source);
                    remains.prelude.insert(0, end);
                }
                Ok(remains)
            }
            (WayOut::Stop(why), ..) => Err(why),
            // What a way out names is there.
            _ => Err(Why::Gone),
        }
    }

    /// Ends an instance that stands still, since the VM runs on the other host.
    fn end(&self, host: &HostName, runs_on: &HostName) -> Action {
        Action::Destroy {
            host: host.clone(),
            vm: self.name.clone(),
            runs_on: Some(runs_on.clone()),
        }
    }

    /// Whether any VM was seen to stand on the base, on whichever host sees its storage; then its copy was complete.
    fn is_base_used(&self, base: &VolumeRef) -> bool {
        let places = self.storages.everywhere(base);
        places.iter().any(|base| self.is_base_used_on(base))
    }

    fn is_base_used_on(&self, base: &VolumeRef) -> bool {
        let on_it = |disk: &Disk| {
            let layer = |layer: &BackingLayer| {
                layer.volume.as_ref() == Some(&(base.pool.clone(), base.volume.clone()))
            };
            disk.backing.iter().any(layer)
        };
        let vms = self
            .observed
            .host(&base.host)
            .into_iter()
            .flat_map(|host| host.vms.values());
        vms.filter_map(|vm| vm.detail.as_ref())
            .any(|detail| detail.disks.iter().any(on_it))
    }

    fn exists(&self, volume: &VolumeRef) -> bool {
        self.observed.volume(volume).is_some()
    }

    /// The volumes that the move carries, each with what takes its place.
    fn carried(&self) -> Vec<(VolumeRef, VolumeRef)> {
        let originals = at(self.source, &self.mark.source_volumes).into_iter();
        let copies = at(self.destination, &self.mark.created_volumes);
        originals.zip(copies).collect()
    }

    /// Removes the source's volumes, each only where its counterpart is there and the VM is known to use that.
    fn remove_originals(&self, there: Option<&Vm>) -> Vec<Action> {
        let pairs = self.carried().into_iter();
        let pairs =
            pairs.filter(|(original, copy)| self.exists(original) && self.is_on(there, copy));
        pairs
            .map(|(original, copy)| Action::DeleteVolume {
                seen_by: vec![original.host.clone()],
                at: original,
                replaced_by: Some(copy),
                only_if_unused: false,
                only_if_empty: false,
            })
            .collect()
    }

    /// Whether the VM is known to use a copy. One that is still on its way will be asked when it has arrived.
    fn is_on(&self, there: Option<&Vm>, copy: &VolumeRef) -> bool {
        there.is_none_or(|there| uses(self.observed, there, copy))
    }

    /// Originals of which it is not known that the VM uses their copies.
    fn not_replaced(&self, there: &Vm) -> Vec<VolumeRef> {
        let pairs = self.carried().into_iter();
        let left = pairs
            .filter(|(original, copy)| self.exists(original) && !self.is_on(Some(there), copy));
        left.map(|(original, _)| original).collect()
    }

    /// What was made at the source to be carried in place of its volumes, and is still there.
    fn temporaries(&self) -> impl Iterator<Item = VolumeRef> {
        let all = at(self.source, &self.mark.made_at_source).into_iter();
        all.filter(|volume| self.exists(volume))
    }

    /// What the move meant to make, is there, and is not known to be ours.
    fn unproven(&self) -> Vec<VolumeRef> {
        let there = at(self.destination, &self.mark.created_volumes).into_iter();
        let there = there.filter(|volume| !self.is_made(volume));
        let here = at(self.source, &self.mark.temporary_volumes).into_iter();
        let here = here.filter(|at| !self.mark.made_at_source.contains(&named(at)));
        let mut all: Vec<_> = there.chain(here).collect();
        all.retain(|volume| self.exists(volume));
        all
    }

    /// Whether a volume at the destination is known to have been made for this move, or will be seen to be by its being
    /// empty.
    fn is_made(&self, at: &VolumeRef) -> bool {
        self.mark.made.contains(&named(at)) || self.is_claimed(at)
    }

    fn is_claimed(&self, at: &VolumeRef) -> bool {
        at.host == *self.destination && self.mark.claimed.contains(&named(at))
    }

    /// Whether any move's mark says that a base at the destination was made for it: clones share theirs.
    fn is_made_base(&self, base: &VolumeRef) -> bool {
        let Some(host) = self.observed.host(self.destination) else {
            return false;
        };
        let vms = self
            .observed
            .reached()
            .flat_map(|(_, host)| host.vms.values());
        let mut marks = vms.filter_map(|vm| vm.mark());
        marks.any(|mark| mark.to_uuid == host.uuid && mark.made.contains(&named(base)))
    }

    /// Bases at the source that the move was to take along, each with its copy.
    fn unused_bases(&self) -> Vec<(VolumeRef, VolumeRef)> {
        let bases = at(self.source, &self.mark.source_bases).into_iter();
        let pairs = bases.zip(at(self.destination, &self.mark.kept_bases));
        pairs.filter(|(base, _)| self.exists(base)).collect()
    }

    fn forward(&self, here: Option<&'a Vm>, there: &'a Vm) -> Remains<'a> {
        let mut prelude = Vec::new();
        let starts = self.mark.was_active && !there.power.is_active();
        if starts {
            prelude.push(Action::Start {
                host: self.destination.clone(),
                vm: self.name.clone(),
                not_active_on: vec![self.source.clone()],
            });
        }
        if here.is_some() {
            prelude.push(Action::Undefine {
                host: self.source.clone(),
                vm: self.name.clone(),
                kept_by: self.destination.clone(),
            });
        }
        prelude.extend(self.temporaries().map(|volume| discard(&volume, false)));
        prelude.extend(self.remove_originals(Some(there)));
        // Who is wanted back finds his place free by then.
        let discarded = prelude.iter().filter_map(|action| match action {
            Action::DeleteVolume { at, .. } => Some(at.clone()),
            _ => None,
        });
        let discarded = discarded.collect();
        prelude.push(Action::Unmark {
            host: self.destination.clone(),
            vm: self.name.clone(),
        });
        Remains {
            host: self.destination,
            vm: there,
            found: format!(
                "an earlier apply moved it from {} to {} and left the rest undone",
                self.source, self.destination
            ),
            prelude,
            discarded,
            unproven: self.not_replaced(there),
            stale_bases: BTreeSet::new(),
            unused_bases: self.unused_bases(),
            was_active: self.mark.was_active,
            is_active_at_end: there.power.is_active() || starts,
            under_way: None,
        }
    }

    fn back(&self, here: &'a Vm, there: Option<&'a Vm>, resumes: bool) -> Remains<'a> {
        let mut prelude = Vec::new();
        if resumes {
            prelude.push(Action::Resume {
                host: self.source.clone(),
                vm: self.name.clone(),
                not_active_on: vec![self.destination.clone()],
            });
        }
        if there.is_some() {
            prelude.push(Action::Undefine {
                host: self.destination.clone(),
                vm: self.name.clone(),
                kept_by: self.source.clone(),
            });
        }
        let mut discarded = BTreeSet::new();
        let created = at(self.destination, &self.mark.created_volumes).into_iter();
        let created = created.filter(|volume| self.exists(volume) && self.is_made(volume));
        for volume in created.chain(self.temporaries()) {
            prelude.push(discard(&volume, self.is_claimed(&volume)));
            discarded.insert(volume);
        }
        let bases = at(self.destination, &self.mark.created_bases);
        let stale_bases = bases
            .into_iter()
            .filter(|base| self.exists(base) && self.is_made_base(base))
            .filter(|base| !self.is_base_used(base))
            .collect();
        prelude.push(Action::Unmark {
            host: self.source.clone(),
            vm: self.name.clone(),
        });
        Remains {
            host: self.source,
            vm: here,
            found: format!(
                "an earlier apply began to move it from {} to {}",
                self.source, self.destination
            ),
            prelude,
            discarded,
            unproven: self.unproven(),
            stale_bases,
            unused_bases: Vec::new(),
            was_active: self.mark.was_active,
            is_active_at_end: here.power.is_active(),
            under_way: None,
        }
    }

    fn awaiting(&self, here: &'a Vm) -> Remains<'a> {
        let mut prelude = vec![Action::AwaitMigration {
            vm: self.name.clone(),
            from: self.source.clone(),
            to: self.destination.clone(),
        }];
        if self.mark.cold {
            prelude.push(Action::Destroy {
                host: self.destination.clone(),
                vm: self.name.clone(),
                runs_on: None,
            });
            if self.mark.was_active {
                prelude.push(Action::Start {
                    host: self.destination.clone(),
                    vm: self.name.clone(),
                    not_active_on: vec![self.source.clone()],
                });
            }
        }
        prelude.extend(self.remove_originals(None));
        prelude.push(Action::Unmark {
            host: self.destination.clone(),
            vm: self.name.clone(),
        });
        Remains {
            host: self.destination,
            vm: here,
            found: format!(
                "an earlier apply began its migration from {} to {}, which is under way",
                self.source, self.destination
            ),
            prelude,
            discarded: BTreeSet::new(),
            unproven: Vec::new(),
            stale_bases: BTreeSet::new(),
            unused_bases: self.unused_bases(),
            was_active: self.mark.was_active,
            is_active_at_end: self.mark.was_active,
            under_way: Some(UnderWay {
                source: self.source,
                volumes: self.carried(),
            }),
        }
    }
}

fn discard(volume: &VolumeRef, only_if_empty: bool) -> Action {
    Action::DeleteVolume {
        seen_by: vec![volume.host.clone()],
        at: volume.clone(),
        replaced_by: None,
        only_if_unused: false,
        only_if_empty,
    }
}

/// A move of disks on one host: each disk is where it was or where it was going, and the other volume goes.
pub(super) fn disk_only<'a>(
    observed: &'a Observed,
    name: &'a VmName,
    mark: &MoveMark,
    host: &'a HostName,
    vm: &'a Vm,
) -> Remains<'a> {
    let mut prelude = Vec::new();
    let mut discarded = BTreeSet::new();
    let mut unproven = Vec::new();
    let pairs = at(host, &mark.source_volumes)
        .into_iter()
        .zip(at(host, &mark.created_volumes));
    for (original, copy) in pairs {
        let is_claimed = mark.claimed.contains(&named(&copy));
        let is_made = is_claimed || mark.made.contains(&named(&copy));
        let (gone, kept) = if uses(observed, vm, &copy) {
            (original, Some(copy))
        } else {
            (copy, None)
        };
        if observed.volume(&gone).is_some() && !uses(observed, vm, &gone) {
            if !is_made && kept.is_none() {
                unproven.push(gone);
                continue;
            }
            discarded.insert(gone.clone());
            let is_replaced = kept.is_some();
            prelude.push(Action::DeleteVolume {
                seen_by: vec![host.clone()],
                at: gone,
                replaced_by: kept,
                only_if_unused: false,
                only_if_empty: is_claimed && !is_replaced,
            });
        }
    }
    prelude.push(Action::Unmark {
        host: host.clone(),
        vm: name.clone(),
    });
    Remains {
        host,
        vm,
        found: format!("an earlier apply began to move its disks on {host}"),
        prelude,
        discarded,
        unproven,
        stale_bases: BTreeSet::new(),
        unused_bases: Vec::new(),
        was_active: vm.power.is_active(),
        is_active_at_end: vm.power.is_active(),
        under_way: None,
    }
}

/// Whether the VM was read to have a disk on that volume.
fn uses(observed: &Observed, vm: &Vm, volume: &VolumeRef) -> bool {
    let path = observed.volume(volume).map(|volume| volume.path.as_str());
    let on_it = |disk: &Disk| {
        disk.volume.as_ref() == Some(&named(volume))
            || path.is_some() && disk.path.as_deref() == path
    };
    vm.detail
        .as_ref()
        .is_some_and(|detail| detail.disks.iter().any(on_it))
}
