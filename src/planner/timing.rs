//! What the schedule of a plan rests on: for each step what determined its start, the chain of such steps that
//! determines the end, and how far any order is from being faster.
//!
//! All of it is read off the finished steps, so it is true of whatever schedule they come from.

use std::collections::BTreeMap;

use crate::model::{Millis, VmName};
use crate::plan::{Bound, Cause, Held, Slot, Step, StepId, Tight, Why};

/// What is known of each slot and moment while the steps are gone through in time.
#[derive(Default)]
struct Moment<'s> {
    used: BTreeMap<&'s Slot, u64>,
    /// Per slot what was used right before this moment, where anything of it ends now.
    before: BTreeMap<&'s Slot, u64>,
    /// Per slot the first step that used it and ends now.
    ends: BTreeMap<&'s Slot, usize>,
}

/// Says of each step what determined its start.
pub(super) fn hold(steps: &mut [Step], limits: &BTreeMap<Slot, u64>) {
    let held = held_by(steps, limits);
    for (step, held) in steps.iter_mut().zip(held) {
        step.held = held;
    }
}

fn held_by(steps: &[Step], limits: &BTreeMap<Slot, u64>) -> Vec<Option<Held>> {
    let mut moments: BTreeMap<Millis, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        moments.entry(step.start).or_default().1.push(index);
        moments.entry(step.end()).or_default().0.push(index);
    }
    let later = later_uses(steps);
    let mut held = vec![None; steps.len()];
    let mut moment = Moment::default();
    for (ending, starting) in moments.values() {
        moment.before.clear();
        moment.ends.clear();
        for index in ending {
            for (slot, amount) in &steps[*index].uses {
                let used = moment.used.entry(slot).or_default();
                moment.before.entry(slot).or_insert(*used);
                moment.ends.entry(slot).or_insert(*index);
                *used = used.saturating_sub(*amount);
            }
        }
        for index in starting {
            let step = &steps[*index];
            held[*index] = by_reason(steps, step)
                .or_else(|| by_slot(step, &moment, limits))
                .or_else(|| by_turn(step, &moment, &later));
        }
        for (slot, amount) in starting.iter().flat_map(|index| &steps[*index].uses) {
            let used = moment.used.entry(slot).or_default();
            *used = used.saturating_add(*amount);
        }
    }
    held
}

/// The slots that each VM's steps use.
fn later_uses(steps: &[Step]) -> BTreeMap<&VmName, Vec<&Slot>> {
    let mut later: BTreeMap<&VmName, Vec<&Slot>> = BTreeMap::new();
    for step in steps {
        for vm in &step.vms {
            let slots = later.entry(vm).or_default();
            slots.extend(step.uses.iter().map(|(slot, _)| slot));
        }
    }
    later
}

fn by_reason(steps: &[Step], step: &Step) -> Option<Held> {
    let last = |dependency: &&crate::plan::Dependency| steps[dependency.step.0].end() == step.start;
    let dependency = step.after.iter().find(last)?;
    Some(Held {
        by: dependency.step,
        what: Cause::After(dependency.why),
    })
}

fn by_slot(step: &Step, moment: &Moment<'_>, limits: &BTreeMap<Slot, u64>) -> Option<Held> {
    let full = |(slot, amount): &&(Slot, u64)| {
        let limit = limits.get(slot).copied().unwrap_or(u64::MAX);
        let before = moment.before.get(slot);
        before.is_some_and(|before| before.saturating_add(*amount) > limit)
    };
    let (slot, _) = step.uses.iter().find(full)?;
    Some(Held {
        by: StepId(*moment.ends.get(slot)?),
        what: Cause::Slot(slot.clone()),
    })
}

/// A move's first steps leave it to others to be prepared first, until these have made their transfer.
fn by_turn(
    step: &Step,
    moment: &Moment<'_>,
    later: &BTreeMap<&VmName, Vec<&Slot>>,
) -> Option<Held> {
    if !step.uses.is_empty() {
        return None;
    }
    let slots = step.vms.iter().filter_map(|vm| later.get(vm)).flatten();
    let mut ended = slots.filter_map(|slot| Some((*slot, *moment.ends.get(*slot)?)));
    let (slot, by) = ended.next()?;
    Some(Held {
        by: StepId(by),
        what: Cause::Turn(slot.clone()),
    })
}

/// The chain of steps that determines the end, in order: the last step, what determined its start, and so on.
pub(super) fn critical(steps: &[Step]) -> Vec<StepId> {
    let ends = steps.iter().enumerate().rev();
    let mut next = ends.max_by_key(|(_, step)| step.end()).map(|(id, _)| id);
    let mut chain = Vec::new();
    while let Some(id) = next {
        chain.push(StepId(id));
        // What determines a start comes before it, so this ends.
        let held = steps[id].held.as_ref();
        next = held.map(|held| held.by.0).filter(|by| *by < id);
    }
    chain.reverse();
    chain
}

/// The least time in which any order of these steps could be done: that of the longest chain of steps which must
/// follow each other, or of the slot with the most to do. Room is left out, and so is what only this schedule makes
/// wait.
pub(super) fn bound(steps: &[Step], limits: &BTreeMap<Slot, u64>) -> Bound {
    let mut head = vec![0_u64; steps.len()];
    let mut tail = vec![0_u64; steps.len()];
    let must = |step: &Step| {
        let hard = step
            .after
            .iter()
            .filter(|dependency| !matches!(dependency.why, Why::FreesRoom | Why::KeepsApart));
        hard.map(|dependency| dependency.step.0).collect::<Vec<_>>()
    };
    for (index, step) in steps.iter().enumerate() {
        let before = must(step).into_iter();
        let ends = before.map(|other| head[other].saturating_add(steps[other].forecast.duration.0));
        head[index] = ends.max().unwrap_or(0);
    }
    for (index, step) in steps.iter().enumerate().rev() {
        let own = tail[index].saturating_add(step.forecast.duration.0);
        for other in must(step) {
            tail[other] = tail[other].max(own);
        }
    }
    let chain = (0..steps.len()).map(|index| {
        let whole = head[index]
            .saturating_add(steps[index].forecast.duration.0)
            .saturating_add(tail[index]);
        (whole, Tight::Chain(StepId(index)))
    });
    let mut loads: BTreeMap<&Slot, Load> = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        for (slot, amount) in &step.uses {
            let load = loads.entry(slot).or_default();
            load.work += u128::from(step.forecast.duration.0) * u128::from(*amount);
            load.head = Some(load.head.unwrap_or(u64::MAX).min(head[index]));
            load.tail = Some(load.tail.unwrap_or(u64::MAX).min(tail[index]));
        }
    }
    let slots = loads.into_iter().filter_map(|(slot, load)| {
        let limit = limits.get(slot).copied().filter(|limit| *limit > 0)?;
        let least = u64::try_from(load.work.div_ceil(u128::from(limit))).unwrap_or(u64::MAX);
        let around = load
            .head
            .unwrap_or(0)
            .saturating_add(load.tail.unwrap_or(0));
        Some((least.saturating_add(around), Tight::Slot(slot.clone())))
    });
    // The first of several that say the same.
    let tightest = chain
        .chain(slots)
        .fold(None, |best: Option<(u64, Tight)>, next| {
            if best.as_ref().is_none_or(|best| next.0 > best.0) {
                Some(next)
            } else {
                best
            }
        });
    let (time, by) = tightest.map_or((0, None), |(time, by)| (time, Some(by)));
    Bound {
        time: Millis(time),
        by,
    }
}

/// What all steps that use a slot have to do with it.
#[derive(Default)]
struct Load {
    /// Duration times amount, summed up.
    work: u128,
    /// The least time before any of them, and after any of them.
    head: Option<u64>,
    tail: Option<u64>,
}
