//! Where nothing can go on: who goes by way of another place, so that the most others can go on.
//!
//! The legs that wait and the resources they wait for make a graph. A group of it that waits for nobody outside can
//! only go on if one of its own items leaves by another way, so the choice is made within each such group.

use std::rc::Rc;

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::problem::{ItemId, PlaceId, ResourceId};
use super::sequence::Sequence;
use super::tables::{Leg, Route, Routes, Tables, Way, item_of};
use super::ways::{Room, Ways};

/// The most items of a group for which a way out is weighed.
const CANDIDATES_MAX: usize = 24;
/// The most places that are tried for one item.
const PLACES_MAX: usize = 3;
/// The most legs that one way out is credited with.
const UNLOCKED_MAX: usize = 40;

/// A group that waits only for itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) legs: Vec<Leg>,
    pub(super) resources: Vec<ResourceId>,
}

/// The groups of stuck legs that wait for nobody outside of their group.
pub(super) fn groups(sequence: &Sequence, tables: &Tables, routes: &Routes) -> Vec<Group> {
    let stuck = sequence.stuck();
    let resources = tables.problem.resources.len();
    let mut graph: DiGraph<usize, ()> = DiGraph::with_capacity(stuck.len() * 2, stuck.len() * 3);
    let mut of_resource: Vec<Option<NodeIndex>> = vec![None; resources];
    let of_leg: Vec<NodeIndex> = stuck.iter().map(|leg| graph.add_node(*leg)).collect();
    for (leg, from) in stuck.iter().zip(&of_leg) {
        let Some(resource) = sequence.blocked_at[*leg] else {
            continue;
        };
        let to = *of_resource[resource]
            .get_or_insert_with(|| graph.add_node(tables.items() * 2 + resource));
        graph.add_edge(*from, to, ());
    }
    for (leg, to) in stuck.iter().zip(&of_leg) {
        for free in &routes.job(tables, *leg).frees {
            if let Some(from) = of_resource[free.resource] {
                graph.add_edge(from, *to, ());
            }
        }
    }
    let mut group_of = vec![usize::MAX; graph.node_count()];
    let components = tarjan_scc(&graph);
    for (number, component) in components.iter().enumerate() {
        for one in component {
            group_of[one.index()] = number;
        }
    }
    let leaves = |one: &NodeIndex| {
        graph
            .neighbors(*one)
            .any(|next| group_of[next.index()] != group_of[one.index()])
    };
    let closed = components.iter().filter(|group| !group.iter().any(leaves));
    let mut result: Vec<Group> = closed
        .map(|group| {
            let mut one = Group::default();
            for index in group {
                let value = graph[*index];
                match value.checked_sub(tables.items() * 2) {
                    Some(resource) => one.resources.push(resource),
                    None => one.legs.push(value),
                }
            }
            one.legs.sort_unstable();
            one.resources.sort_unstable();
            one
        })
        .collect();
    result.sort_by(|a, b| (&a.legs, &a.resources).cmp(&(&b.legs, &b.resources)));
    result
}

/// What is left at this point of a sequence.
pub(super) struct Now<'a> {
    pub(super) sequence: &'a Sequence,
    pub(super) tables: &'a Tables,
}

impl Room for Now<'_> {
    fn free(&self, resource: ResourceId) -> u64 {
        if self.sequence.waiting[resource].is_empty() {
            let used = self.sequence.used[resource];
            self.tables.limit(resource).saturating_sub(used)
        } else {
            0
        }
    }

    fn free_in_the_end(&self, resource: ResourceId) -> u64 {
        let used = self.tables.final_used[resource];
        self.tables.limit(resource).saturating_sub(used)
    }
}

/// The same, with places at which others wait, too.
pub(super) struct NowEverywhere<'a>(pub(super) Now<'a>);

impl Room for NowEverywhere<'_> {
    fn free(&self, resource: ResourceId) -> u64 {
        let used = self.0.sequence.used[resource];
        self.0.tables.limit(resource).saturating_sub(used)
    }

    fn free_in_the_end(&self, resource: ResourceId) -> u64 {
        self.0.free_in_the_end(resource)
    }
}

/// A way out that was found for an item.
pub(super) struct Exit {
    pub(super) item: ItemId,
    pub(super) route: Rc<Route>,
    /// How many legs can go on after it.
    unlocked: usize,
    cost: u64,
}

/// Looks for the best way out of a group.
pub(super) struct Search<'a> {
    pub(super) tables: &'a Tables,
    pub(super) routes: &'a Routes,
    pub(super) sequence: &'a Sequence,
    pub(super) ways: &'a dyn Ways,
    /// For how long each place is busy with detours so far.
    pub(super) loads: &'a [u64],
    /// Changes of what is used, by resource, for the trial that has this stamp.
    pub(super) overlay: &'a mut Overlay,
}

/// What a trial changes, cheap to forget.
#[derive(Debug)]
pub(super) struct Overlay {
    stamp: u64,
    stamps: Vec<u64>,
    used: Vec<u64>,
    leg_stamps: Vec<u64>,
    /// How much was looked at, over all trials.
    pub(super) work: u64,
}

impl Overlay {
    pub(super) fn new(tables: &Tables) -> Self {
        let resources = tables.problem.resources.len();
        Self {
            stamp: 0,
            stamps: vec![0; resources],
            used: vec![0; resources],
            leg_stamps: vec![0; tables.items() * 2],
            work: 0,
        }
    }

    fn used(&mut self, sequence: &Sequence, resource: ResourceId) -> &mut u64 {
        if self.stamps[resource] != self.stamp {
            self.stamps[resource] = self.stamp;
            self.used[resource] = sequence.used[resource];
        }
        &mut self.used[resource]
    }
}

impl Search<'_> {
    /// The detour that unlocks the most for its cost.
    pub(super) fn detour(&mut self, group: &Group) -> Option<Exit> {
        let mut legs: Vec<Leg> = group.legs.clone();
        legs.retain(|leg| leg % 2 == 0 && self.routes.way(item_of(*leg)) == Way::Direct);
        legs.sort_by_key(|leg| (self.routes.job(self.tables, *leg).duration, *leg));
        let found = self.best_detour(&legs, false);
        found.or_else(|| self.best_detour(&legs, true))
    }

    fn best_detour(&mut self, legs: &[Leg], everywhere: bool) -> Option<Exit> {
        let mut best: Option<Exit> = None;
        let mut weighed = 0;
        for leg in legs {
            let item = item_of(*leg);
            let Some((route, unlocked)) = self.way_out(item, everywhere) else {
                continue;
            };
            let cost = route
                .jobs
                .iter()
                .map(|job| job.duration)
                .sum::<u64>()
                .max(1);
            let exit = Exit {
                item,
                route,
                unlocked,
                cost,
            };
            if best.as_ref().is_none_or(|old| exit.beats(old)) {
                best = Some(exit);
            }
            weighed += 1;
            if weighed >= CANDIDATES_MAX && best.as_ref().is_some_and(|exit| exit.unlocked > 0) {
                break;
            }
        }
        best
    }

    /// The best way of one item by another place that has room now.
    fn way_out(&mut self, item: ItemId, everywhere: bool) -> Option<(Rc<Route>, usize)> {
        let now = Now {
            sequence: self.sequence,
            tables: self.tables,
        };
        let places = if everywhere {
            self.ways.places(item, &NowEverywhere(now))
        } else {
            self.ways.places(item, &now)
        };
        let mut places: Vec<(u64, PlaceId)> = places
            .into_iter()
            .map(|place| (self.loads.get(place).copied().unwrap_or(0), place))
            .collect();
        if !everywhere {
            places.sort_by_key(|(load, _)| *load);
        }
        let places = places.into_iter().map(|(_, place)| place);
        let mut best: Option<(Rc<Route>, usize)> = None;
        for place in places.take(if everywhere { usize::MAX } else { PLACES_MAX }) {
            let Some(jobs) = self.ways.legs(item, place) else {
                continue;
            };
            let route = self.tables.route(item, Way::Detour(place), jobs.into());
            if self
                .sequence
                .short_of(self.tables, &route.jobs[0])
                .is_some()
            {
                continue;
            }
            let unlocked = self.unlocked(item, &route);
            if best.as_ref().is_none_or(|(_, old)| unlocked > *old) {
                best = Some((route, unlocked));
            }
        }
        best
    }

    /// The stop that unlocks the most for its length. What is stopped anyway costs next to nothing.
    pub(super) fn cold(&mut self, group: &Group, stops: usize) -> Option<Exit> {
        let mut best: Option<Exit> = None;
        let may_stop = self.routes.colds() < stops;
        for leg in &group.legs {
            let item = item_of(*leg);
            let stops_anyway = self.tables.stops_anyway(item);
            let is_direct = leg % 2 == 0 && self.routes.way(item) == Way::Direct;
            if !is_direct || !(stops_anyway || may_stop) {
                continue;
            }
            let Some(jobs) = self
                .ways
                .cold(item)
                .filter(|jobs| (1..=2).contains(&jobs.len()))
            else {
                continue;
            };
            let stops = jobs.iter().filter_map(|job| job.stops);
            let cost = stops.filter(|_| !stops_anyway).sum::<u64>().max(1);
            let route = self.tables.route(item, Way::Cold, jobs);
            if self
                .sequence
                .short_of(self.tables, &route.jobs[0])
                .is_some()
            {
                continue;
            }
            let unlocked = self.unlocked(item, &route);
            let exit = Exit {
                item,
                route,
                unlocked,
                cost,
            };
            if best.as_ref().is_none_or(|old| exit.beats(old)) {
                best = Some(exit);
            }
        }
        best
    }

    /// How many waiting legs could go on if the first leg of this route happened now.
    fn unlocked(&mut self, item: ItemId, route: &Route) -> usize {
        let overlay = &mut *self.overlay;
        overlay.stamp += 1;
        let job = &route.jobs[0];
        for take in &job.takes {
            *overlay.used(self.sequence, take.resource) += take.amount;
        }
        let mut freed: Vec<ResourceId> = Vec::new();
        for free in &job.frees {
            let used = overlay.used(self.sequence, free.resource);
            *used = used.saturating_sub(free.amount);
            freed.push(free.resource);
        }
        overlay.leg_stamps[2 * item] = overlay.stamp;
        let mut count = 0;
        while let Some(resource) = freed.pop() {
            for leg in &self.sequence.waiting[resource] {
                overlay.work += 1;
                if overlay.leg_stamps[*leg] == overlay.stamp
                    || self.sequence.left_out[item_of(*leg)]
                {
                    continue;
                }
                let job = self.routes.job(self.tables, *leg);
                let fits = job.takes.iter().all(|take| {
                    take.amount == 0
                        || *overlay.used(self.sequence, take.resource) + take.amount
                            <= self.tables.limit(take.resource)
                });
                if !fits {
                    continue;
                }
                overlay.leg_stamps[*leg] = overlay.stamp;
                for take in &job.takes {
                    *overlay.used(self.sequence, take.resource) += take.amount;
                }
                for free in &job.frees {
                    let used = overlay.used(self.sequence, free.resource);
                    *used = used.saturating_sub(free.amount);
                    freed.push(free.resource);
                }
                count += 1;
                if count >= UNLOCKED_MAX {
                    return count;
                }
            }
        }
        count
    }
}

impl Exit {
    /// Whether others can go on after it.
    pub(super) const fn unlocks(&self) -> bool {
        self.unlocked > 0
    }

    /// More unlocked for the cost; one that unlocks nothing counts as a tenth.
    fn beats(&self, other: &Self) -> bool {
        let worth = |one: &Self| {
            u128::from(one.unlocked.max(1) as u64) * if one.unlocked > 0 { 10 } else { 1 }
        };
        worth(self) * u128::from(other.cost) > worth(other) * u128::from(self.cost)
    }
}
