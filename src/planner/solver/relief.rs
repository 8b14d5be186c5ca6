//! How much more room at one place would do for a group that is stuck.
//!
//! What is missing for one of the group, or for all of them in the end, is tried out. Where the items are few enough to
//! look through every order, less of it is tried, too, down to the least that does.

use super::construct::{Construction, rank_of};
use super::exact::{Found, exact};
use super::few::ITEMS_MAX;
use super::problem::{ItemId, Job, ResourceId};
use super::sequence::Sequence;
use super::solution::Stuck;
use super::tables::{Allowed, Routes, Tables};
use super::unstick::Overlay;
use super::ways::{Boundless, Ways};

/// The states looked at for one group.
const STATES_MAX: usize = 20_000;

struct Trial<'a> {
    tables: &'a Tables,
    ways: &'a dyn Ways,
    allowed: Allowed,
    /// Those that are stuck for other reasons.
    left_out: Vec<bool>,
    states: usize,
}

/// The room at one of the short resources with which the whole group was seen to move, with all that move without: the
/// least of those that were tried.
pub(super) fn relief(
    tables: &Tables,
    ways: &dyn Ways,
    allowed: Allowed,
    group: &Stuck,
    stuck: &[ItemId],
) -> Option<(ResourceId, u64)> {
    let others = |item: usize| stuck.contains(&item) && !group.items.contains(&item);
    let left_out: Vec<bool> = (0..tables.items()).map(others).collect();
    let items = left_out.iter().filter(|out| !**out).count();
    let mut trial = Trial {
        tables,
        ways,
        allowed,
        left_out,
        states: if items > ITEMS_MAX { 0 } else { STATES_MAX },
    };
    let missing = group.short.iter().map(|one| (one.missing, one.resource));
    let over = group.short.iter().map(|one| {
        let used = tables.final_used[one.resource];
        let over = used.saturating_sub(tables.limit(one.resource));
        (over, one.resource)
    });
    let mut tries: Vec<(u64, ResourceId)> = missing.chain(over).collect();
    tries.retain(|(more, _)| *more > 0);
    tries.sort_unstable();
    tries.dedup();
    let (more, resource) = tries
        .into_iter()
        .find(|(more, resource)| trial.is_seen_to_do(*resource, *more))?;
    Some((resource, trial.least(resource, more)))
}

impl Trial<'_> {
    fn with(&self, resource: ResourceId, more: u64) -> Tables {
        let mut problem = self.tables.problem.clone();
        let limit = &mut problem.resources[resource].limit;
        *limit = limit.saturating_add(more);
        Tables::new(&problem)
    }

    fn is_seen_to_do(&mut self, resource: ResourceId, more: u64) -> bool {
        let tables = self.with(resource, more);
        let mut sequence = Sequence::new(&tables);
        sequence.left_out.copy_from_slice(&self.left_out);
        let rank = rank_of(0..tables.items(), &tables);
        let (mut routes, mut overlay) = (Routes::direct(&tables), Overlay::new(&tables));
        let mut construction = Construction {
            tables: &tables,
            ways: self.ways,
            allowed: self.allowed,
            rank: &rank,
            overlay: &mut overlay,
        };
        let left = construction.run(&[], &mut routes, &mut sequence);
        left.is_empty() || self.does(resource, more) == Some(true)
    }

    /// Whether any order is one for all of them; nothing where that is too much to look at.
    fn does(&mut self, resource: ResourceId, more: u64) -> Option<bool> {
        let tables = self.with(resource, more);
        let (ways, allowed) = (self.ways, self.allowed);
        match exact(&tables, ways, allowed, &self.left_out, &mut self.states) {
            Found::Order(..) => Some(true),
            Found::None => Some(false),
            Found::Unknown => None,
        }
    }

    /// The least that does, given what does. Only multiples of what all amounts of the resource are multiples of differ.
    fn least(&mut self, resource: ResourceId, does: u64) -> u64 {
        if self.states == 0 {
            return does;
        }
        let unit = self.unit(resource);
        if !does.is_multiple_of(unit) {
            return does;
        }
        let (mut too_little, mut enough) = (0, does / unit);
        while enough - too_little > 1 {
            let middle = too_little.midpoint(enough);
            match self.does(resource, middle * unit) {
                Some(true) => enough = middle,
                Some(false) => too_little = middle,
                None => break,
            }
        }
        enough * unit
    }

    /// What all amounts of a resource are multiples of, on whichever way it is taken.
    fn unit(&self, resource: ResourceId) -> u64 {
        let problem = &self.tables.problem;
        let room = &problem.resources[resource];
        let free = room.limit.abs_diff(room.used);
        let unit = (0..problem.items.len()).fold(free, |unit, item| {
            let places = self.ways.places(item, &Boundless).into_iter();
            let legs = places.filter_map(|place| self.ways.legs(item, place));
            let cold = self.ways.cold(item).into_iter().flatten();
            let straight = std::iter::once(problem.items[item].job.clone());
            let jobs = straight.chain(legs.flatten()).chain(cold);
            jobs.fold(unit, |unit, job| common(unit, &job, resource))
        });
        unit.max(1)
    }
}

/// The greatest common divisor of a number and of all that a job takes and frees of a resource.
fn common(unit: u64, job: &Job, resource: ResourceId) -> u64 {
    let takes = job.takes.iter().map(|take| (take.resource, take.amount));
    let frees = job.frees.iter().map(|free| (free.resource, free.amount));
    let here = takes.chain(frees).filter(|(of, _)| *of == resource);
    here.map(|(_, amount)| amount).fold(unit, divisor)
}

/// The greatest common divisor.
fn divisor(mut one: u64, mut other: u64) -> u64 {
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one
}
