//! The steps of all moves and what each waits for: a chain for each VM, and the bases that several chains share.

use std::collections::{BTreeMap, BTreeSet};

use super::acts::{actions, bases, delete, left_bases, owner};
use super::estimate::forecast;
use super::intent::Intent;
use super::limits::{uses, with_rate};
use super::rank::{Rank, rank};
use super::room::{self, Stored};
use crate::model::Millis;
use crate::model::{Bytes, VmName, VolumeRef};
use crate::plan::{
    Action, Carry, Dependency, Detour, DiskPlacement, Half, Step, StepId, VolumeSpec, Why,
};

/// Steps that belong together: the chain of one VM's move, or the one step that brings a base.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    /// Its steps, by their place in [`Derived::steps`], in their order.
    pub(super) steps: Vec<usize>,
    /// Whose move it is; `None` for a base that several clones share.
    pub(super) vm: Option<VmName>,
    /// How much it has to come before moves that only compete for its room.
    pub(super) rank: Rank,
}

/// All steps, not yet in order of time. A [`StepId`] here is the place in `steps`.
#[derive(Debug, Default)]
pub(super) struct Derived {
    pub(super) steps: Vec<Step>,
    pub(super) chains: Vec<Chain>,
    /// The step that proves or brings a base, by where it is and where it goes.
    bases: BTreeMap<(VolumeRef, VolumeRef), StepId>,
    /// The step that brings a base to its storage, however many hosts see that, and from wherever.
    brought: BTreeMap<Stored, StepId>,
    /// Bases that an earlier apply may have left half-written, and that nothing uses.
    stale: BTreeSet<Stored>,
    /// The first step of a base's chain, by its last.
    base_first: BTreeMap<usize, usize>,
    /// The chain of each VM's move.
    chain_of: BTreeMap<VmName, usize>,
}

/// A base that goes once nobody stands on it any more.
struct Going<'i, 'a> {
    base: &'i VolumeRef,
    replaced_by: Option<&'i VolumeRef>,
    /// The moves that name it: it goes after all of them.
    named_by: BTreeMap<&'i VmName, &'i Intent<'a>>,
}

/// The steps of all moves.
pub(super) fn derive(intents: &[Intent<'_>]) -> Derived {
    let stale = intents.iter().flat_map(|intent| {
        let bases = intent.stale_bases.iter();
        bases.map(|base| room::stored(&intent.way, base))
    });
    let mut derived = Derived {
        stale: stale.collect(),
        ..Derived::default()
    };
    let bases = intents.iter().flat_map(|intent| {
        let bases = thin(intent).map(|(_, base_to)| base_to);
        bases.map(|base| room::stored(&intent.way, base))
    });
    let mut kept: BTreeSet<Stored> = bases.collect();
    let going = going_after_several(intents, &kept);
    kept.extend(going.keys().cloned());
    for intent in intents {
        derived.add(intent, &kept);
    }
    derived.add_going(going.into_values());
    derived
}

/// Bases that clones go from and none comes to, where the manifest says that they go; and those that an earlier apply left
/// and that more than one move names: none of these can tell when the others have gone from it.
fn going_after_several<'i, 'a>(
    intents: &'i [Intent<'a>],
    brought: &BTreeSet<Stored>,
) -> BTreeMap<Stored, Going<'i, 'a>> {
    let going_from = |base, replaced_by| Going {
        base,
        replaced_by,
        named_by: BTreeMap::new(),
    };
    let mut going: BTreeMap<Stored, Going<'_, '_>> = BTreeMap::new();
    for intent in intents.iter().filter(|intent| asks(intent)) {
        for (from, to) in thin(intent) {
            // A clone that comes stands on the base as well; until it does, no host would know.
            let place = room::stored(&intent.way, from);
            if !intent.way.is_base_in_place(from, to) && !brought.contains(&place) {
                let new = || going_from(from, Some(to));
                going.entry(place).or_insert_with(new);
            }
        }
    }
    if !going.is_empty() {
        for (intent, (from, _)) in intents
            .iter()
            .flat_map(|one| thin(one).map(move |pair| (one, pair)))
        {
            if let Some(base) = going.get_mut(&room::stored(&intent.way, from)) {
                base.named_by.entry(intent.name).or_insert(intent);
            }
        }
    }
    let mut left: BTreeMap<Stored, Going<'_, '_>> = BTreeMap::new();
    for intent in intents {
        for (base, copy) in left_bases(intent) {
            let place = room::stored(&intent.way, base);
            if brought.contains(&place) {
                continue;
            }
            let named = match going.get_mut(&place) {
                Some(named) => named,
                None => { left.entry(place) }.or_insert_with(|| going_from(base, copy)),
            };
            named.named_by.entry(intent.name).or_insert(intent);
        }
    }
    going.extend(left.into_iter().filter(|(_, base)| base.named_by.len() > 1));
    going
}

/// Whether bases that a move leaves without a clone go.
fn asks(intent: &Intent<'_>) -> bool {
    intent.settings.remove_unused_bases
}

impl Derived {
    /// The steps of a VM's own move, in their order.
    pub(super) fn steps_of(&self, vm: &VmName) -> &[usize] {
        let chain = self.chain_of.get(vm);
        chain.map_or(&[], |chain| &self.chains[*chain].steps)
    }

    fn push(
        &mut self,
        intent: &Intent<'_>,
        action: Action,
        size: Bytes,
        after: Vec<Dependency>,
    ) -> StepId {
        let id = StepId(self.steps.len());
        let action = with_rate(intent, action);
        let forecast = forecast(intent, &action, size);
        let uses = uses(intent, &action);
        self.steps.push(Step {
            action,
            vms: vec![intent.name.clone()],
            after,
            takes: Vec::new(),
            frees: Vec::new(),
            uses,
            start: Millis::ZERO,
            forecast,
            held: None,
        });
        id
    }

    /// The step that brings a base to the destination, or proves the one that is there; one for all its clones. Bases
    /// of one name from two places may differ: the first is brought, and the second is proven to be the same.
    fn base(&mut self, intent: &Intent<'_>, disk: &DiskPlacement) -> Option<StepId> {
        let Carry::Thin { base_from, base_to } = &disk.carry else {
            return None;
        };
        if intent.way.is_base_in_place(base_from, base_to) {
            return None;
        }
        let pair = (base_from.clone(), base_to.clone());
        let place = room::stored(&intent.way, base_to);
        let storage = place.0.clone();
        if let Some(id) = self.bases.get(&pair) {
            let vms = &mut self.steps[id.0].vms;
            if !vms.contains(intent.name) {
                vms.push(intent.name.clone());
            }
            return Some(*id);
        }
        let brought = self.brought.get(&place).copied();
        let stale = self.stale.contains(&place) && brought.is_none();
        let seen = intent.way.observed.volume(base_to).is_some();
        let there = brought.is_some() || seen && !stale;
        let (action, size) = bring(intent, disk, there)?;
        let mut chain = Vec::new();
        if stale {
            let gone = self.push(
                intent,
                delete(intent, base_to, None, false),
                Bytes::ZERO,
                Vec::new(),
            );
            chain.push(gone.0);
        }
        let before = brought.or(chain.last().map(|last| StepId(*last)));
        let after = before.map(|step| Dependency {
            step,
            why: Why::BaseFirst,
        });
        let id = self.push(intent, action, size, after.into_iter().collect());
        chain.push(id.0);
        let step = &mut self.steps[id.0];
        if !there {
            step.takes = vec![(storage, size.0)];
            self.brought.insert(place, id);
        }
        self.bases.insert(pair, id);
        self.base_first.insert(id.0, chain[0]);
        self.chains.push(Chain {
            steps: chain,
            vm: None,
            rank: Rank::Fresh,
        });
        Some(id)
    }

    fn add(&mut self, intent: &Intent<'_>, brought: &BTreeSet<Stored>) {
        let mut chain: Vec<StepId> = Vec::new();
        for (action, size) in actions(intent, &self.stale, brought) {
            let after = chain.last().map(|last| Dependency {
                step: *last,
                why: why(&action),
            });
            let frees = room::frees(intent, &action);
            let takes = room::takes_late(intent, &action);
            let id = self.push(intent, action, size, after.into_iter().collect());
            self.steps[id.0].frees = frees;
            self.steps[id.0].takes = takes;
            chain.push(id);
        }
        // A move that has begun must find all its room, so it takes everything with its first step.
        if let Some(first) = chain.first() {
            self.steps[first.0].takes = room::takes(intent);
        }
        let bases: Vec<StepId> = intent
            .disks
            .iter()
            .filter_map(|disk| self.base(intent, disk))
            .collect();
        self.wait_for_bases(&chain, &bases);
        self.go_on_after_first_half(intent, &chain);
        self.chain_of.insert(intent.name.clone(), self.chains.len());
        let steps = chain.into_iter().map(|id| id.0).collect();
        self.chains.push(Chain {
            steps,
            vm: Some(intent.name.clone()),
            rank: rank(intent),
        });
    }

    /// The second half of a detour begins when the first is over.
    fn go_on_after_first_half(&mut self, intent: &Intent<'_>, chain: &[StepId]) {
        let is_second = matches!(
            intent.detour,
            Some(Detour {
                half: Half::Second,
                ..
            })
        );
        let last = self.steps_of(intent.name).last().copied();
        if let (true, Some(first), Some(last)) = (is_second, chain.first(), last) {
            self.steps[first.0].after.push(Dependency {
                step: StepId(last),
                why: Why::SameVm,
            });
        }
    }

    /// A new base waits for the mark that names it as ours, and what stands on it waits for the base. A half-written
    /// one goes only when everything that an earlier apply put upon it is gone, which is before the mark.
    fn wait_for_bases(&mut self, chain: &[StepId], bases: &[StepId]) {
        let is =
            |steps: &[Step], id: &StepId, wanted: fn(&Action) -> bool| wanted(&steps[id.0].action);
        let mark = chain.iter().find(|id| {
            is(&self.steps, id, |action| {
                matches!(action, Action::Mark { .. })
            })
        });
        for base in bases {
            let first = self.base_first.get(&base.0).copied().unwrap_or(base.0);
            let removes = matches!(self.steps[first].action, Action::DeleteVolume { .. });
            let made = matches!(self.steps[base.0].action, Action::CopyVolume { .. });
            let marked = self.steps[first]
                .after
                .iter()
                .any(|before| before.why == Why::SameVm);
            if let Some(mark) = mark
                && made
                && (removes || !marked)
            {
                self.steps[first].after.push(Dependency {
                    step: *mark,
                    why: Why::SameVm,
                });
            }
        }
        let first = chain.iter().find(|id| {
            is(&self.steps, id, |action| {
                matches!(
                    action,
                    Action::CreateVolume { .. } | Action::CopyVolume { .. }
                )
            })
        });
        if let Some(first) = first {
            let on = bases.iter().map(|base| Dependency {
                step: *base,
                why: Why::BaseFirst,
            });
            self.steps[first.0].after.extend(on);
        }
    }

    /// Each of these bases goes after all moves that name it.
    fn add_going<'i, 'a: 'i>(&mut self, bases: impl Iterator<Item = Going<'i, 'a>>) {
        for base in bases {
            let clones: Vec<_> = base.named_by.values().copied().collect();
            let after = self.ends_of(&clones);
            let action = delete(clones[0], base.base, base.replaced_by.cloned(), true);
            let id = self.push(clones[0], action, Bytes::ZERO, after);
            self.steps[id.0].vms = base.named_by.keys().copied().cloned().collect();
            self.keep_mark_until(id, &clones);
            self.chains.push(Chain {
                steps: vec![id.0],
                vm: None,
                rank: Rank::Fresh,
            });
        }
    }

    /// One of the clones keeps its mark until their base is gone: without a mark that names it, nobody would know of it
    /// any more. None does whose end gives room to others, since one of the other clones may wait for that.
    fn keep_mark_until(&mut self, base_is_gone: StepId, clones: &[&Intent<'_>]) {
        let mut ends = clones
            .iter()
            .filter(|clone| asks(clone))
            .filter_map(|clone| self.steps_of(clone.name).last().copied());
        if let Some(unmark) = ends.find(|last| self.steps[*last].frees.is_empty()) {
            self.steps[unmark].after.push(Dependency {
                step: base_is_gone,
                why: Why::SameVm,
            });
        }
    }

    /// The last steps of these moves before their marks go.
    fn ends_of(&self, intents: &[&Intent<'_>]) -> Vec<Dependency> {
        let last = intents
            .iter()
            .filter_map(|intent| self.steps_of(intent.name).iter().rev().nth(1));
        let mut last: Vec<usize> = last.copied().collect();
        last.sort_unstable();
        last.into_iter()
            .map(|last| Dependency {
                step: StepId(last),
                why: Why::CopyBeforeDelete,
            })
            .collect()
    }
}

/// The act that brings a linked clone's base, or proves the one that is there, with the bytes of the base.
fn bring(intent: &Intent<'_>, disk: &DiskPlacement, there: bool) -> Option<(Action, Bytes)> {
    let Carry::Thin { base_from, base_to } = &disk.carry else {
        return None;
    };
    let mut disks = intent.detail.disks.iter();
    let layer = disks
        .find(|theirs| theirs.target == disk.target)?
        .backing
        .first()?;
    let (from, to) = (base_from.clone(), base_to.clone());
    let action = if there {
        Action::VerifyVolume {
            from,
            to,
            bandwidth: None,
        }
    } else {
        let spec = VolumeSpec {
            owner: owner(intent),
            path: intent.way.path_of(base_to)?,
            at: to,
            format: layer.format.clone(),
            capacity: layer.capacity.unwrap_or_default(),
            backing: None,
        };
        Action::CopyVolume {
            from,
            spec,
            bandwidth: None,
        }
    };
    Some((action, layer.allocation.unwrap_or_default()))
}

/// The bases of a move's linked clones: where each is, and where it will be.
fn thin<'i>(intent: &'i Intent<'_>) -> impl Iterator<Item = (&'i VolumeRef, &'i VolumeRef)> {
    intent.disks.iter().filter_map(bases)
}

fn why(action: &Action) -> Why {
    if matches!(action, Action::DeleteVolume { .. }) {
        Why::CopyBeforeDelete
    } else {
        Why::SameVm
    }
}
