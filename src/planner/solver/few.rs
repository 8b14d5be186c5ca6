//! Few items: as few of them as can be are left out, and of the others as few as can be are stopped.
//!
//! Who is left out is tried out, the fewest first, and every order of the others is looked through. That the quick
//! choices left somebody out, or stopped two where one would do, is no proof that it must be so.

use std::collections::BTreeSet;

use super::exact::{Found, exact};
use super::problem::ItemId;
use super::tables::{Allowed, Leg, Routes, Tables};
use super::ways::Ways;

/// The most items for which this is done, and the states looked at for it.
pub(super) const ITEMS_MAX: usize = 16;
const STATES_MAX: usize = 20_000;

/// An order of all items but those left out.
pub(super) struct Order {
    pub(super) routes: Routes,
    pub(super) legs: Vec<Leg>,
    pub(super) left_out: BTreeSet<ItemId>,
}

/// The search, as long as it may still go on.
pub(super) struct Few<'a> {
    tables: &'a Tables,
    ways: &'a dyn Ways,
    detours: usize,
    impossible: &'a [bool],
    items: Vec<ItemId>,
    states: usize,
}

impl<'a> Few<'a> {
    pub(super) fn new(
        tables: &'a Tables,
        ways: &'a dyn Ways,
        detours: usize,
        impossible: &'a [bool],
    ) -> Self {
        let items: Vec<ItemId> = (0..tables.items())
            .filter(|item| !impossible[*item])
            .collect();
        let states = if items.len() > ITEMS_MAX {
            0
        } else {
            STATES_MAX
        };
        Self {
            tables,
            ways,
            detours,
            impossible,
            items,
            states,
        }
    }

    /// An order that leaves out fewer than so many, but somebody, with as few stops as can be.
    pub(super) fn fewer_left_out(&mut self, than: usize) -> Option<Order> {
        for count in 1..than {
            let mut chosen: Vec<usize> = (0..count).collect();
            while self.states > 0 {
                let out = chosen.iter().map(|number| self.items[*number]).collect();
                if let Some(found) = self.order(&out, usize::MAX) {
                    let stops = found.routes.colds();
                    return self.fewer_stops(&out, stops).or(Some(found));
                }
                if !next(&mut chosen, self.items.len()) {
                    break;
                }
            }
        }
        None
    }

    /// An order without those left out that has fewer stops than so many.
    pub(super) fn fewer_stops(&mut self, out: &BTreeSet<ItemId>, than: usize) -> Option<Order> {
        (0..than).find_map(|stops| self.order(out, stops))
    }

    fn order(&mut self, out: &BTreeSet<ItemId>, stops: usize) -> Option<Order> {
        let mut precedences = self.tables.problem.precedences.iter();
        if precedences.any(|one| out.contains(&one.before) && !out.contains(&one.after)) {
            return None;
        }
        let left_out =
            (0..self.tables.items()).map(|item| self.impossible[item] || out.contains(&item));
        let left_out: Vec<bool> = left_out.collect();
        let allowed = Allowed {
            detours: self.detours,
            stops,
        };
        match exact(self.tables, self.ways, allowed, &left_out, &mut self.states) {
            Found::Order(legs, routes) => Some(Order {
                routes,
                legs,
                left_out: out.clone(),
            }),
            Found::None | Found::Unknown => None,
        }
    }
}

/// The next choice of as many numbers below a limit, in ascending order; whether there is one.
fn next(chosen: &mut [usize], below: usize) -> bool {
    let count = chosen.len();
    let can_rise = |place: &usize| chosen[*place] + count - *place < below;
    let Some(place) = (0..count).rev().find(can_rise) else {
        return false;
    };
    let from = chosen[place] + 1;
    for (number, after) in chosen[place..].iter_mut().zip(from..) {
        *number = after;
    }
    true
}
