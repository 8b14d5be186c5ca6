//! Where no item of a stuck group finds a place: room is made at a place first, by a detour of yet another item.

use super::sequence::Sequence;
use super::tables::{Allowed, Leg, Routes, Tables, Way, item_of};
use super::unstick::{Now, NowEverywhere};
use super::ways::Ways;

/// How many detours deep is looked.
const DEPTH: usize = 3;
/// The most items and places that are tried on each level.
const ITEMS_MAX: usize = 40;
const PLACES_MAX: usize = 8;

pub(super) struct Dig<'a> {
    pub(super) tables: &'a Tables,
    pub(super) ways: &'a dyn Ways,
    pub(super) rank: &'a [usize],
    pub(super) allowed: Allowed,
    /// How many states may still be looked at.
    pub(super) budget: usize,
}

impl Dig<'_> {
    /// Detours after which one of these legs can happen; the state after them.
    pub(super) fn free(
        &mut self,
        wanted: &[Leg],
        sequence: &Sequence,
        routes: &Routes,
    ) -> Option<(Sequence, Routes)> {
        (1..=DEPTH).find_map(|depth| self.level(wanted, sequence, routes, depth))
    }

    fn level(
        &mut self,
        wanted: &[Leg],
        sequence: &Sequence,
        routes: &Routes,
        depth: usize,
    ) -> Option<(Sequence, Routes)> {
        if routes.detours() >= self.allowed.detours {
            return None;
        }
        let mut items = sequence.stuck();
        items.retain(|leg| leg % 2 == 0 && routes.way(item_of(*leg)) == Way::Direct);
        items.sort_by_key(|leg| (routes.job(self.tables, *leg).duration, *leg));
        for leg in items.into_iter().take(ITEMS_MAX) {
            let item = item_of(leg);
            let now = NowEverywhere(Now {
                sequence,
                tables: self.tables,
            });
            for place in self.ways.places(item, &now).into_iter().take(PLACES_MAX) {
                if self.budget == 0 {
                    return None;
                }
                self.budget -= 1;
                let Some(jobs) = self.ways.legs(item, place) else {
                    continue;
                };
                let route = self.tables.route(item, Way::Detour(place), jobs.into());
                if sequence.short_of(self.tables, &route.jobs[0]).is_some() {
                    continue;
                }
                let (mut sequence, mut routes) = (sequence.clone(), routes.clone());
                sequence.unqueue(leg);
                routes.set(item, Some(route));
                sequence.perform(self.tables, &routes, self.rank, leg);
                sequence.go_on(self.tables, &routes, self.rank);
                let goes_on = |leg: &Leg| routes.is_last(*leg) && sequence.done[*leg];
                if wanted.iter().any(goes_on) {
                    return Some((sequence, routes));
                }
                if depth > 1
                    && let Some(found) = self.level(wanted, &sequence, &routes, depth - 1)
                {
                    return Some(found);
                }
            }
        }
        None
    }
}
