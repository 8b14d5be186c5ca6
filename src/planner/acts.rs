//! The acts of one move, in the order that keeps the VM and its data safe: the mark before anything is created, every
//! copy before its original goes, the mark's removal last.

use std::collections::BTreeSet;

use super::intent::{Intent, Transfer};
use super::room::{self, Stored};
use crate::desired::{Driver, Method, OnStall};
use crate::model::{Bytes, MoveMark, VolumeFormat, VolumeRef};
use crate::plan::{
    Action, Carry, ColdRung, CopyMode, DiskPlacement, MigrationOptions, Owner, Seen, VolumeSpec,
};
use crate::rules;

/// The acts of one move in their order, each with the bytes that a copy of one volume carries. Of the bases that an
/// earlier apply left those go in it that are not `kept`: a move of the plan brings them again, or others name them too.
pub(super) fn actions(
    intent: &Intent<'_>,
    stale: &BTreeSet<Stored>,
    kept: &BTreeSet<Stored>,
) -> Vec<(Action, Bytes)> {
    let mut actions = left_to_do(intent, kept);
    if intent.transfer == Transfer::Nothing {
        return actions;
    }
    let (from, to, vm) = (
        intent.way.from.clone(),
        intent.way.to.clone(),
        intent.name.clone(),
    );
    // The new mark takes the place of the old one. A run that broke off between the two would leave none, and nobody
    // would know that the VM has to run, nor which volumes are ours.
    let unmarks = |(action, _): &(Action, Bytes)| matches!(action, Action::Unmark { host, .. } if *host == from);
    actions.pop_if(|last| unmarks(last));
    let mut act = |action: Action| actions.push((action, Bytes::ZERO));
    act(Action::Mark {
        host: from.clone(),
        vm: vm.clone(),
        mark: mark(intent, stale),
        seen: seen(intent),
    });
    let creates = matches!(
        intent.transfer,
        Transfer::Live | Transfer::Direct | Transfer::BlockCopy
    );
    if creates {
        for (_, spec) in specs(intent) {
            act(Action::CreateVolume { spec });
        }
    }
    if intent.shuts_down {
        act(Action::ShutDown {
            host: from.clone(),
            vm: vm.clone(),
            timeout: intent.settings.shutdown_timeout,
            on_timeout: intent.settings.on_shutdown_timeout,
        });
    }
    carry(intent, &mut actions);
    let mut act = |action: Action| actions.push((action, Bytes::ZERO));
    let not_active_on = if intent.way.from == intent.way.to {
        Vec::new()
    } else {
        vec![from.clone()]
    };
    if intent.starts {
        act(Action::Start {
            host: to.clone(),
            vm: vm.clone(),
            not_active_on,
        });
    }
    if intent.transfer == Transfer::Stream && from != to {
        act(Action::Undefine {
            host: from,
            vm: vm.clone(),
            kept_by: to.clone(),
        });
    }
    // After the start: what goes then may keep nobody waiting.
    for disk in intent.disks.iter().filter(|disk| disk.carry.is_copied()) {
        if let Some(passing) = disk.carry.via() {
            act(delete(intent, passing, disk.to.clone(), false));
        }
        if let Some(original) = &disk.from {
            act(delete(intent, original, disk.to.clone(), false));
        }
    }
    act(Action::Unmark { host: to, vm });
    actions
}

/// Bases that an earlier apply of this move left where nothing may stand on them any more: half-written ones, and those
/// that go with their last clone, with what replaces them.
pub(super) fn left_bases<'i>(
    intent: &'i Intent<'_>,
) -> impl Iterator<Item = (&'i VolumeRef, Option<&'i VolumeRef>)> {
    let asked = intent.settings.remove_unused_bases;
    let unused = intent.unused_bases.iter().filter(move |_| asked);
    let stale = intent.stale_bases.iter().map(|base| (base, None));
    stale.chain(unused.map(|(from, to)| (from, Some(to))))
}

/// What an earlier apply left to be done, before all else.
fn left_to_do(intent: &Intent<'_>, kept: &BTreeSet<Stored>) -> Vec<(Action, Bytes)> {
    let prelude = intent
        .prelude
        .iter()
        .map(|action| (prelude_act(intent, action), Bytes::ZERO));
    let mut actions: Vec<(Action, Bytes)> = prelude.collect();
    // While the mark still names them: without it nobody would know that they may be half-written.
    let before_unmark = actions.len().saturating_sub(1);
    let gone = left_bases(intent)
        .filter(|(base, _)| !kept.contains(&room::stored(&intent.way, base)))
        .map(|(base, copy)| delete(intent, base, copy.cloned(), true));
    let gone: Vec<_> = gone.map(|act| (act, Bytes::ZERO)).collect();
    actions.splice(before_unmark..before_unmark, gone);
    actions
}

/// A deletion asks every host that can see the storage, also where an earlier apply left it to be done.
fn prelude_act(intent: &Intent<'_>, action: &Action) -> Action {
    let mut action = action.clone();
    if let Action::DeleteVolume {
        at, seen_by: hosts, ..
    } = &mut action
    {
        *hosts = intent.way.storages.seen_by(at);
    }
    action
}

/// The acts that carry the VM and its data, between shutting down and starting.
fn carry(intent: &Intent<'_>, actions: &mut Vec<(Action, Bytes)>) {
    let (from, to, vm) = (
        intent.way.from.clone(),
        intent.way.to.clone(),
        intent.name.clone(),
    );
    match intent.transfer {
        Transfer::Live => {
            let options = options(intent);
            actions.push((
                Action::MigrateLive {
                    vm,
                    from,
                    to,
                    options,
                },
                Bytes::ZERO,
            ));
        }
        Transfer::Direct => {
            let options = options(intent);
            actions.push((
                Action::MigratePaused {
                    vm,
                    from,
                    to,
                    options,
                },
                Bytes::ZERO,
            ));
        }
        Transfer::Stream => {
            for (disk, spec) in specs(intent) {
                actions.extend(copy(intent, disk, spec));
            }
            let rewrite = intent.rewrite.clone();
            let action = if from == to {
                Action::Redefine {
                    host: to,
                    vm,
                    rewrite,
                }
            } else {
                Action::Define {
                    vm,
                    from,
                    to,
                    rewrite,
                }
            };
            actions.push((action, Bytes::ZERO));
        }
        Transfer::BlockCopy => {
            actions.extend(
                specs(intent)
                    .into_iter()
                    .map(|(disk, spec)| block_copy(intent, disk, spec)),
            );
        }
        Transfer::Nothing => {}
    }
}

/// The acts that bring the image of a disk to its place while nobody writes to it.
fn copy(intent: &Intent<'_>, disk: &DiskPlacement, spec: VolumeSpec) -> Vec<(Action, Bytes)> {
    let Some(from) = disk.from.clone() else {
        return Vec::new();
    };
    let Carry::Compact { via } = &disk.carry else {
        let copy = Action::CopyVolume {
            from,
            spec,
            bandwidth: None,
        };
        return vec![(copy, disk.data())];
    };
    let Some((via, path)) = via
        .as_ref()
        .and_then(|at| Some((at, intent.way.path_of(at)?)))
    else {
        return vec![(Action::CompactVolume { from, spec }, disk.data())];
    };
    let passing = VolumeSpec {
        at: via.clone(),
        path,
        ..spec.clone()
    };
    let compact = Action::CompactVolume {
        from,
        spec: passing,
    };
    let carry = Action::CopyVolume {
        from: via.clone(),
        spec,
        bandwidth: None,
    };
    vec![(compact, disk.data()), (carry, disk.data())]
}

/// The new volume of each disk that is copied.
fn specs<'a>(intent: &'a Intent<'_>) -> Vec<(&'a DiskPlacement, VolumeSpec)> {
    let spec = |disk: &'a DiskPlacement| {
        let backing = match &disk.carry {
            Carry::Thin { base_to, .. } => {
                Some((intent.way.path_of(base_to)?, base_format(intent, disk)?))
            }
            Carry::Stays | Carry::Copy | Carry::Compact { .. } | Carry::Media => None,
        };
        let at = disk.to.clone()?;
        let path = disk.to_path.clone()?;
        let (format, capacity) = (disk.format.clone(), disk.capacity);
        Some((
            disk,
            VolumeSpec {
                owner: owner(intent),
                at,
                path,
                format,
                capacity,
                backing,
            },
        ))
    };
    intent
        .disks
        .iter()
        .filter(|disk| disk.carry.is_copied())
        .filter_map(spec)
        .collect()
}

/// Whose mark says what was made for this move.
pub(super) fn owner(intent: &Intent<'_>) -> Owner {
    Owner {
        host: intent.way.from.clone(),
        vm: intent.name.clone(),
    }
}

fn base_format(intent: &Intent<'_>, disk: &DiskPlacement) -> Option<VolumeFormat> {
    let theirs = intent
        .detail
        .disks
        .iter()
        .find(|theirs| theirs.target == disk.target)?;
    Some(theirs.backing.first()?.format.clone())
}

/// Removes a volume of this move once nothing uses it.
pub(super) fn delete(
    intent: &Intent<'_>,
    at: &VolumeRef,
    replaced_by: Option<VolumeRef>,
    only_if_unused: bool,
) -> Action {
    Action::DeleteVolume {
        at: at.clone(),
        seen_by: intent.way.storages.seen_by(at),
        replaced_by,
        only_if_unused,
        only_if_empty: false,
    }
}

fn options(intent: &Intent<'_>) -> MigrationOptions {
    let host = intent.way.desired.hosts.get(intent.way.to);
    let copied: Vec<_> = intent
        .disks
        .iter()
        .filter(|disk| disk.carry.is_copied())
        .collect();
    let thin = copied.iter().any(|disk| disk.carry.is_thin());
    let copy = match (copied.is_empty(), thin) {
        (true, _) => CopyMode::None,
        (false, true) => CopyMode::Incremental,
        (false, false) => CopyMode::Full,
    };
    let settings = &intent.settings;
    let peer_uri = host
        .map(|host| host.peer_uri.clone().unwrap_or_else(|| host.uri.clone()))
        .unwrap_or_default();
    let driver = match settings.driver {
        Driver::Auto if rules::leads_to_itself(&peer_uri) => Driver::Managed,
        driver => driver,
    };
    MigrationOptions {
        driver,
        peer_uri,
        address: host.and_then(|host| host.address.clone()),
        copy,
        disks: copied.iter().map(|disk| disk.target.clone()).collect(),
        rewrite: intent.rewrite.clone(),
        bandwidth: None,
        max_downtime: settings.max_downtime,
        on_stall: settings.on_stall.clone(),
        stall_after: settings.stall_after,
        timeout: settings.live_timeout,
        cold: cold_rung(intent),
        compression: settings.compression.clone(),
        connections: settings.connections,
        tls: settings.tls,
    }
}

/// How the guest is shut down where its live migration may end in a cold move. Where a rule forbids that, the
/// migration is given up instead.
fn cold_rung(intent: &Intent<'_>) -> Option<ColdRung> {
    let settings = &intent.settings;
    let may = intent.transfer == Transfer::Live
        && settings.on_stall.contains(&OnStall::Cold)
        && settings.allow_reboot
        && intent.way.wanted.method != Method::Live
        && intent.may_go_direct;
    may.then_some(ColdRung {
        shutdown_timeout: settings.shutdown_timeout,
        on_shutdown_timeout: settings.on_shutdown_timeout,
    })
}

/// What the move rests on. Where an earlier apply left something to be done first, that says itself what must hold.
fn seen(intent: &Intent<'_>) -> Option<Seen> {
    if !intent.prelude.is_empty() {
        return None;
    }
    let facts = intent.facts.as_ref()?;
    let (from, to) = (intent.way.from, intent.way.to);
    let other = (from != to).then(|| to.clone());
    let active = intent.vm.power.is_active();
    let mut seen = Seen::of(facts, active, intent.detail.snapshots.len(), other);
    let compacted = |disk: &&DiskPlacement| matches!(disk.carry, Carry::Compact { .. });
    let disks = intent.disks.iter().filter(compacted);
    seen.compacted = disks.filter_map(|disk| disk.from.clone()).collect();
    Some(seen)
}

/// Where the base of a linked clone is, and where it will be.
pub(super) fn bases(disk: &DiskPlacement) -> Option<(&VolumeRef, &VolumeRef)> {
    match &disk.carry {
        Carry::Thin { base_from, base_to } => Some((base_from, base_to)),
        Carry::Stays | Carry::Copy | Carry::Compact { .. } | Carry::Media => None,
    }
}

/// Whether it starts with its host when the move is over, and not before. What an earlier apply's mark withholds, this
/// one does too, or nobody would know of it any more.
fn withholds_autostart(intent: &Intent<'_>) -> bool {
    let mark = intent.detail.mark.as_ref();
    let leaves = intent.way.from != intent.way.to;
    leaves && intent.vm.autostart || mark.is_some_and(|mark| mark.autostart)
}

/// What is written before the move. A base is ours only where this plan makes it; one that is there is somebody's.
fn mark(intent: &Intent<'_>, stale: &BTreeSet<Stored>) -> MoveMark {
    let is_stale = |base: &VolumeRef| stale.contains(&room::stored(&intent.way, base));
    let copied = || intent.disks.iter().filter(|disk| disk.carry.is_copied());
    let names = |at: &VolumeRef| (at.pool.clone(), at.volume.clone());
    let new_base = |disk: &DiskPlacement| match &disk.carry {
        Carry::Thin { base_from, base_to }
            if !intent.way.is_base_in_place(base_from, base_to)
                && (is_stale(base_to) || intent.way.observed.volume(base_to).is_none()) =>
        {
            Some(names(base_to))
        }
        Carry::Thin { .. } | Carry::Stays | Carry::Copy | Carry::Compact { .. } | Carry::Media => {
            None
        }
    };
    let unused = || {
        let asked = intent.settings.remove_unused_bases;
        let pairs = copied().filter(move |_| asked).filter_map(bases);
        pairs.filter(|(from, to)| !intent.way.is_base_in_place(from, to))
    };
    MoveMark {
        version: MoveMark::VERSION,
        from: intent.way.from.clone(),
        from_uuid: intent.source.uuid.clone(),
        to: intent.way.to.clone(),
        to_uuid: intent.destination.uuid.clone(),
        was_active: intent.starts || intent.vm.power.is_active(),
        autostart: withholds_autostart(intent),
        cold: intent.way.from != intent.way.to && intent.transfer != Transfer::Live,
        complete: false,
        source_volumes: copied()
            .filter_map(|disk| disk.from.as_ref().map(names))
            .collect(),
        created_volumes: copied()
            .filter_map(|disk| disk.to.as_ref().map(names))
            .collect(),
        created_bases: copied().filter_map(new_base).collect(),
        temporary_volumes: copied()
            .filter_map(|disk| disk.carry.via().map(names))
            .collect(),
        claimed: Vec::new(),
        // What an earlier apply has made and left half-written stays ours until it is written anew.
        made: copied()
            .filter_map(|disk| match &disk.carry {
                Carry::Thin { base_to, .. } if is_stale(base_to) => Some(names(base_to)),
                _ => None,
            })
            .collect(),
        made_at_source: Vec::new(),
        source_bases: unused().map(|(from, _)| names(from)).collect(),
        kept_bases: unused().map(|(_, to)| names(to)).collect(),
    }
}

fn block_copy(intent: &Intent<'_>, disk: &DiskPlacement, spec: VolumeSpec) -> (Action, Bytes) {
    let copy = Action::BlockCopy {
        host: intent.way.to.clone(),
        vm: intent.name.clone(),
        disk: disk.target.clone(),
        path: spec.path,
        format: spec.format,
        shallow: spec.backing.is_some(),
        bandwidth: None,
    };
    (copy, disk.data())
}
