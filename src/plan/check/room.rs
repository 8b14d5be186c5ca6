//! Whether everything has room: at each instant of the forecast, and in every order in which the steps may really be
//! done.
//!
//! What has been taken at some moment is that of any set of steps that may all have started, and what has come back is
//! at least that of all steps which these waited for. So the order in which least is left takes what it takes before
//! anything comes back that it does not wait for. No such order overdraws a resource exactly if all takes can be served
//! together, each from what is free at the start and from what comes back before it, nothing twice: the one says what
//! the largest cut is, the other the largest flow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::given::Given;
use crate::model::Millis;
use crate::plan::{Plan, Resource, Slot, StepId};

/// Every fault with its step.
pub(super) fn faults(given: &Given<'_>, plan: &Plan) -> Vec<(StepId, String)> {
    let mut faults = at_each_instant(given, plan);
    faults.extend(slots_at_each_instant(given, plan));
    if faults.is_empty() {
        faults = in_every_order(given, plan);
    }
    faults
}

/// Starts and ends in order of time. What ends at an instant is given back before what starts takes.
fn events(plan: &Plan) -> Vec<(Millis, bool, usize)> {
    let mut events = Vec::with_capacity(plan.steps.len() * 2);
    for (index, step) in plan.steps.iter().enumerate() {
        events.push((step.start, true, index));
        // A step of no duration still takes before it gives back.
        let end = if step.end() > step.start {
            step.end()
        } else {
            Millis(step.start.0.saturating_add(1))
        };
        events.push((end, false, index));
    }
    events.sort_unstable();
    events
}

fn at_each_instant(given: &Given<'_>, plan: &Plan) -> Vec<(StepId, String)> {
    let mut faults = Vec::new();
    let mut left: BTreeMap<&Resource, Option<i128>> = BTreeMap::new();
    for (_, starts, index) in events(plan) {
        let step = &plan.steps[index];
        let amounts = if starts { &step.takes } else { &step.frees };
        for (resource, amount) in amounts {
            let left = left.entry(resource).or_insert_with(|| {
                let room = given.room(resource)?;
                Some(i128::from(room.limit) - i128::from(room.used))
            });
            let Some(left) = left else { continue };
            if !starts {
                *left += i128::from(*amount);
                continue;
            }
            *left -= i128::from(*amount);
            if *left < 0 {
                let more = -*left;
                let what =
                    format!("takes {amount} ({resource}), which is {more} more than there is");
                faults.push((StepId(index), what));
            }
        }
    }
    faults
}

fn slots_at_each_instant(given: &Given<'_>, plan: &Plan) -> Vec<(StepId, String)> {
    let mut faults = Vec::new();
    let mut used: BTreeMap<&Slot, u64> = BTreeMap::new();
    for (_, starts, index) in events(plan) {
        for (slot, amount) in &plan.steps[index].uses {
            let used = used.entry(slot).or_default();
            if !starts {
                *used = used.saturating_sub(*amount);
                continue;
            }
            *used = used.saturating_add(*amount);
            if let Some(limit) = given.limit(slot).filter(|limit| *used > *limit) {
                let what =
                    format!("brings what is used of {slot} to {used}, and {limit} may be used");
                faults.push((StepId(index), what));
            }
        }
    }
    faults
}

/// Who takes and who gives back of one resource.
#[derive(Default)]
struct Traffic {
    takes: Vec<(usize, u64)>,
    releases: BTreeMap<usize, u64>,
}

fn in_every_order(given: &Given<'_>, plan: &Plan) -> Vec<(StepId, String)> {
    let mut traffic: BTreeMap<&Resource, Traffic> = BTreeMap::new();
    for (index, step) in plan.steps.iter().enumerate() {
        for (resource, amount) in &step.takes {
            traffic
                .entry(resource)
                .or_default()
                .takes
                .push((index, *amount));
        }
        for (resource, amount) in &step.frees {
            let releases = &mut traffic.entry(resource).or_default().releases;
            let sum = releases.entry(index).or_insert(0);
            *sum = sum.saturating_add(*amount);
        }
    }
    let mut faults = Vec::new();
    for (resource, traffic) in traffic {
        let Some(room) = given.room(resource) else {
            continue;
        };
        let free = room.limit.saturating_sub(room.used);
        let debt = room.used.saturating_sub(room.limit);
        let taken = traffic.takes.iter().map(|(_, amount)| u128::from(*amount));
        if taken.sum::<u128>() <= u128::from(free) {
            continue;
        }
        // Mostly a take waits itself for what serves it; only where that is not enough all that comes before counts.
        let direct = |take: usize| {
            plan.steps[take]
                .after
                .iter()
                .map(|wait| wait.step.0)
                .collect()
        };
        let unserved = serve(&traffic, free, debt, direct)
            .and_then(|_| serve(&traffic, free, debt, |take| ancestors(plan, take)));
        if let Some((take, missing)) = unserved {
            let what = format!(
                "in some order {missing} of what it takes ({resource}) would not be there: nothing that it waits for \
                 has given back enough by then"
            );
            faults.push((StepId(take), what));
        }
    }
    faults
}

/// All steps that are done before a step starts.
fn ancestors(plan: &Plan, step: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open = vec![step];
    while let Some(next) = open.pop() {
        for wait in &plan.steps[next].after {
            if found.insert(wait.step.0) {
                open.push(wait.step.0);
            }
        }
    }
    found
}

/// Serves every take from what is free and from the releases before it; what cannot be served of which take.
fn serve(
    traffic: &Traffic,
    free: u64,
    debt: u64,
    before: impl Fn(usize) -> BTreeSet<usize>,
) -> Option<(usize, u64)> {
    let reach: Vec<Vec<usize>> = traffic
        .takes
        .iter()
        .map(|(take, _)| {
            let before = before(*take);
            let releases = traffic.releases.keys().copied();
            releases
                .filter(|release| before.contains(release))
                .collect()
        })
        .collect();
    let mut flow = Flow {
        free,
        left: traffic.releases.clone(),
        reach,
        given: vec![BTreeMap::new(); traffic.takes.len()],
    };
    // Where more is taken at the start than there may be, so much must have come back before anything is taken.
    if let Some(missing) = flow.settle(debt) {
        return Some((traffic.takes.first()?.0, missing));
    }
    for (index, (take, amount)) in traffic.takes.iter().enumerate() {
        let missing = flow.serve(index, *amount);
        if missing > 0 {
            return Some((*take, missing));
        }
    }
    None
}

/// What serves what so far.
struct Flow {
    /// What is left of what was free at the start; it serves every take.
    free: u64,
    /// What is left of each release.
    left: BTreeMap<usize, u64>,
    /// The releases that may serve each take.
    reach: Vec<Vec<usize>>,
    /// What each release gives to each take.
    given: Vec<BTreeMap<usize, u64>>,
}

impl Flow {
    /// Uses up releases that every take waits for; what remains of the debt, if anything.
    fn settle(&mut self, mut debt: u64) -> Option<u64> {
        let releases: Vec<usize> = self.left.keys().copied().collect();
        for release in releases {
            let common = self.reach.iter().all(|reach| reach.contains(&release));
            if let Some(left) = self.left.get_mut(&release).filter(|_| common && debt > 0) {
                let part = debt.min(*left);
                *left -= part;
                debt -= part;
            }
        }
        (debt > 0).then_some(debt)
    }

    /// Serves one take, letting others change from one release to another where that helps; what is missing.
    fn serve(&mut self, take: usize, amount: u64) -> u64 {
        let part = amount.min(self.free);
        self.free -= part;
        let mut missing = amount - part;
        while missing > 0 {
            let Some(path) = self.path(take) else { break };
            missing -= self.push(&path, missing);
        }
        missing
    }

    /// The shortest way from a take to a release of which something is left: release, take that it serves, release ...
    fn path(&self, take: usize) -> Option<Vec<usize>> {
        let mut came: BTreeMap<usize, (usize, Option<usize>)> = BTreeMap::new();
        let mut open = VecDeque::from([(take, None)]);
        while let Some((taker, by)) = open.pop_front() {
            for release in &self.reach[taker] {
                if came.contains_key(release) {
                    continue;
                }
                came.insert(*release, (taker, by));
                if self.left[release] > 0 {
                    let mut path = vec![*release];
                    let mut at = *release;
                    while let Some((taker, Some(by))) = came.get(&at).copied() {
                        path.extend([taker, by]);
                        at = by;
                    }
                    path.push(take);
                    return Some(path);
                }
                let served = self.given.iter().enumerate();
                let served =
                    served.filter(|(_, given)| given.get(release).is_some_and(|part| *part > 0));
                open.extend(served.map(|(other, _)| (other, Some(*release))));
            }
        }
        None
    }

    /// Moves as much as fits along a way: `[last release, take, release, take, ..., release, first take]`.
    fn push(&mut self, path: &[usize], most: u64) -> u64 {
        let mut part = most.min(self.left[&path[0]]);
        for pair in path[1..path.len() - 1].chunks_exact(2) {
            part = part.min(self.given[pair[0]].get(&pair[1]).copied().unwrap_or(0));
        }
        if let Some(left) = self.left.get_mut(&path[0]) {
            *left -= part;
        }
        let mut release = path[0];
        for pair in path[1..].chunks(2) {
            *self.given[pair[0]].entry(release).or_insert(0) += part;
            if let [taker, next] = *pair {
                if let Some(given) = self.given[taker].get_mut(&next) {
                    *given -= part;
                }
                release = next;
            }
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unserved(
        free: u64,
        debt: u64,
        releases: &[(usize, u64)],
        takes: &[(u64, &[usize])],
    ) -> Option<(usize, u64)> {
        let traffic = Traffic {
            takes: takes
                .iter()
                .enumerate()
                .map(|(index, (amount, _))| (index, *amount))
                .collect(),
            releases: releases.iter().copied().collect(),
        };
        serve(&traffic, free, debt, |take| {
            takes[take].1.iter().copied().collect()
        })
    }

    #[test]
    fn a_take_leaves_a_release_to_another_that_has_no_other() {
        assert_eq!(
            unserved(0, 0, &[(7, 5), (8, 5)], &[(5, &[7, 8]), (5, &[7])]),
            None
        );
        assert_eq!(
            unserved(0, 0, &[(7, 5), (8, 5)], &[(5, &[7]), (5, &[7])]),
            Some((1, 5))
        );
    }

    #[test]
    fn parts_of_several_releases_serve_one_take() {
        let releases = [(7, 3), (8, 4), (9, 2)];
        assert_eq!(
            unserved(1, 0, &releases, &[(4, &[7, 8]), (3, &[8, 9]), (3, &[7, 9])]),
            None
        );
        assert_eq!(
            unserved(0, 0, &releases, &[(4, &[7, 8]), (3, &[8, 9]), (3, &[7, 9])]),
            Some((2, 1))
        );
    }

    #[test]
    fn what_is_overdrawn_comes_back_before_anything_is_taken() {
        assert_eq!(
            unserved(0, 2, &[(7, 5), (8, 3)], &[(3, &[7]), (3, &[7, 8])]),
            None
        );
        assert_eq!(
            unserved(0, 2, &[(7, 5), (8, 3)], &[(3, &[7]), (3, &[8])]),
            Some((0, 2))
        );
    }
}
