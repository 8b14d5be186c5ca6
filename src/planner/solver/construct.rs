//! A first order of all legs, with detours where nothing could go on without, and stops where no place can help.

use super::dig::Dig;
use super::problem::{ItemId, ResourceId};
use super::sequence::Sequence;
use super::tables::{Allowed, Leg, Routes, Tables, Way, item_of};
use super::unstick::{Group, Overlay, Search, groups};
use super::ways::Ways;

/// How many states are looked at to make room at a place.
const DIG_MAX: usize = 3000;

/// An item that came to no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) item: ItemId,
    /// What was short for it and by how much; nothing where it waits for another item's end.
    pub(super) short: Vec<(ResourceId, u64)>,
    /// The items that wait for the same or for each other, this one among them; by number.
    pub(super) group: Vec<ItemId>,
    /// Whether they wait for each other.
    pub(super) waits: bool,
}

/// What a first order is made with.
pub(super) struct Construction<'a> {
    pub(super) tables: &'a Tables,
    pub(super) ways: &'a dyn Ways,
    pub(super) allowed: Allowed,
    /// The lower, the sooner a leg goes if several can.
    pub(super) rank: &'a [usize],
    pub(super) overlay: &'a mut Overlay,
}

impl Construction<'_> {
    /// Orders all legs, after those that are given, and chooses detours and stops in `routes` where nothing could go
    /// on. The order is in the sequence then; returned are the items that it does not hold.
    pub(super) fn run(
        &mut self,
        prefix: &[Leg],
        routes: &mut Routes,
        sequence: &mut Sequence,
    ) -> Vec<LeftOut> {
        self.order(prefix, routes, sequence, true)
    }

    /// What is in the way of those that are not in this order, once all in it has happened. One that finds its room then
    /// joins it.
    pub(super) fn blame(
        &mut self,
        order: &[Leg],
        routes: &mut Routes,
        sequence: &mut Sequence,
    ) -> Vec<LeftOut> {
        self.order(order, routes, sequence, false)
    }

    fn order(
        &mut self,
        prefix: &[Leg],
        routes: &mut Routes,
        sequence: &mut Sequence,
        may_escape: bool,
    ) -> Vec<LeftOut> {
        let mut left_out: Vec<LeftOut> = Vec::new();
        let mut loads: Vec<u64> = Vec::new();
        sequence.reset(self.tables);
        sequence.replay(self.tables, routes, self.rank, prefix);
        loop {
            let stuck = groups(sequence, self.tables, routes);
            if stuck.is_empty() {
                break;
            }
            for group in &stuck {
                // What an earlier group's way out set free may have reached this one.
                if group.legs.iter().any(|leg| sequence.done[*leg]) {
                    continue;
                }
                if !may_escape || !self.escape(group, routes, sequence, &mut loads) {
                    give_up(self.tables, routes, sequence, group, &mut left_out);
                }
            }
        }
        let mut rest = sequence.undone(routes);
        rest.retain(|item| !sequence.left_out[*item]);
        for item in rest {
            sequence.left_out[item] = true;
            left_out.push(LeftOut {
                item,
                short: Vec::new(),
                group: vec![item],
                waits: false,
            });
        }
        left_out
    }

    /// Finds a way out of a group and takes it. `loads` is for how long each place is busy with detours so far.
    fn escape(
        &mut self,
        group: &Group,
        routes: &mut Routes,
        sequence: &mut Sequence,
        loads: &mut Vec<u64>,
    ) -> bool {
        let (tables, ways) = (self.tables, self.ways);
        let mut search = Search {
            tables,
            routes,
            sequence,
            ways,
            loads,
            overlay: self.overlay,
        };
        let mut exit = None;
        if search.routes.detours() < self.allowed.detours {
            exit = search.detour(group);
        }
        if exit.as_ref().is_none_or(|exit| !exit.unlocks()) {
            let mut dig = Dig {
                tables,
                ways,
                rank: self.rank,
                allowed: self.allowed,
                budget: DIG_MAX,
            };
            if let Some((after, chosen)) = dig.free(&group.legs, search.sequence, search.routes) {
                (*sequence, *routes) = (after, chosen);
                return true;
            }
        }
        if exit.is_none() {
            exit = search.cold(group, self.allowed.stops);
        }
        let Some(exit) = exit else {
            return false;
        };
        if let Way::Detour(place) = exit.route.way {
            loads.resize(loads.len().max(place + 1), 0);
            loads[place] += exit.route.jobs.iter().map(|job| job.duration).sum::<u64>();
        }
        let leg = 2 * exit.item;
        sequence.unqueue(leg);
        routes.set(exit.item, Some(exit.route));
        sequence.perform(tables, routes, self.rank, leg);
        sequence.go_on(tables, routes, self.rank);
        true
    }
}

/// Nobody of this group will ever move. Those whose room is taken by nobody who could leave are alone to blame.
fn give_up(
    tables: &Tables,
    routes: &Routes,
    sequence: &mut Sequence,
    group: &Group,
    left_out: &mut Vec<LeftOut>,
) {
    let mut legs = group.legs.clone();
    let waits = !legs.is_empty();
    if !waits {
        // A resource that nobody leaves any more: all who wait for it are without hope.
        for resource in &group.resources {
            legs.extend(sequence.waiting[*resource].iter().copied());
        }
        legs.sort_unstable();
    }
    let items: Vec<ItemId> = legs.iter().map(|leg| item_of(*leg)).collect();
    for leg in legs {
        let item = item_of(leg);
        let takes = routes
            .job(tables, leg)
            .takes
            .iter()
            .filter(|take| take.amount > 0);
        let short = takes.filter_map(|take| {
            let used = sequence.used[take.resource].saturating_add(take.amount);
            let missing = used.saturating_sub(tables.limit(take.resource));
            (missing > 0).then_some((take.resource, missing))
        });
        let short = short.collect();
        sequence.unqueue(leg);
        sequence.left_out[item] = true;
        left_out.push(LeftOut {
            item,
            short,
            group: items.clone(),
            waits,
        });
    }
}

/// The place of each leg in an order of items, both legs of an item together.
pub(super) fn rank_of(order: impl Iterator<Item = ItemId>, tables: &Tables) -> Vec<usize> {
    let mut rank: Vec<Leg> = vec![0; tables.items() * 2];
    for (place, item) in order.enumerate() {
        rank[2 * item] = 2 * place;
        rank[2 * item + 1] = 2 * place + 1;
    }
    rank
}
