//! Looks through every order there is, one leg after the other, until one is found or none is left.
//!
//! Only for few items: it finds what the quick choices miss, and it proves that there is nothing to be found.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::problem::{ItemId, Job, ResourceId};
use super::tables::{Allowed, Leg, Route, Routes, Tables, Way};
use super::ways::{Room, Ways};

/// What came of a search.
pub(super) enum Found {
    /// An order of all legs, with the routes they are on.
    Order(Vec<Leg>, Routes),
    /// There is none.
    None,
    /// The search was given up.
    Unknown,
}

/// Where an item is: not begun, on the second leg's wait after a way of this number, or at its goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stand {
    Here,
    Paused(usize),
    There,
}

/// Where all are, and how many have gone by way of a place and been stopped, where that is limited.
type State = (usize, usize, Vec<Stand>);

struct Exact<'a> {
    tables: &'a Tables,
    ways: &'a dyn Ways,
    allowed: Allowed,
    used: Vec<u64>,
    stands: Vec<Stand>,
    routes: Routes,
    order: Vec<Leg>,
    seen: BTreeSet<State>,
    /// How many states may still be looked at.
    states: &'a mut usize,
    aborted: bool,
}

/// Looks for an order of all items but those left out, within so many states; those that are left of them stand there
/// in the end.
pub(super) fn exact(
    tables: &Tables,
    ways: &dyn Ways,
    allowed: Allowed,
    left_out: &[bool],
    states: &mut usize,
) -> Found {
    let out = |item: usize| {
        if left_out[item] {
            Stand::There
        } else {
            Stand::Here
        }
    };
    let mut search = Exact {
        tables,
        ways,
        allowed,
        used: tables.used_at_start(),
        stands: (0..tables.items()).map(out).collect(),
        routes: Routes::direct(tables),
        order: Vec::new(),
        seen: BTreeSet::new(),
        states,
        aborted: false,
    };
    if search.look() {
        Found::Order(search.order, search.routes)
    } else if search.aborted {
        Found::Unknown
    } else {
        Found::None
    }
}

/// What is left in a state; the end does not matter here.
struct Left<'a>(&'a Tables, &'a [u64]);

impl Room for Left<'_> {
    fn free(&self, resource: ResourceId) -> u64 {
        self.0.limit(resource).saturating_sub(self.1[resource])
    }

    fn free_in_the_end(&self, resource: ResourceId) -> u64 {
        self.free(resource)
    }
}

impl Exact<'_> {
    /// Whether all can come to their goals from this state. Recursion is as deep as there are legs.
    fn look(&mut self) -> bool {
        if self.stands.iter().all(|stand| *stand == Stand::There) {
            return true;
        }
        if *self.states == 0 {
            self.aborted = true;
            return false;
        }
        if !self.seen.insert(self.state()) {
            return false;
        }
        *self.states -= 1;
        self.seconds() || self.directs() || self.others()
    }

    fn state(&self) -> State {
        let items = self.stands.len();
        let so_far = |most: usize, count: usize| if most < items { count } else { 0 };
        (
            so_far(self.allowed.detours, self.routes.detours()),
            so_far(self.allowed.stops, self.routes.colds()),
            self.stands.clone(),
        )
    }

    fn may_stop(&self, item: ItemId) -> bool {
        self.tables.stops_anyway(item) || self.routes.colds() < self.allowed.stops
    }

    fn seconds(&mut self) -> bool {
        for item in 0..self.stands.len() {
            if let Stand::Paused(_) = self.stands[item]
                && self.attempt(item, 2 * item + 1, Stand::There)
            {
                return true;
            }
        }
        false
    }

    fn may_begin(&self, item: ItemId) -> bool {
        let precedences = &self.tables.problem.precedences;
        let mut before = precedences.iter().filter(|one| one.after == item);
        self.stands[item] == Stand::Here
            && before.all(|one| self.stands[one.before] == Stand::There)
    }

    fn directs(&mut self) -> bool {
        for item in 0..self.stands.len() {
            if self.may_begin(item) && self.attempt(item, 2 * item, Stand::There) {
                return true;
            }
        }
        false
    }

    fn others(&mut self) -> bool {
        for item in 0..self.stands.len() {
            if !self.may_begin(item) {
                continue;
            }
            if self.routes.detours() < self.allowed.detours {
                let places = self.ways.places(item, &Left(self.tables, &self.used));
                for place in places {
                    let Some(jobs) = self.ways.legs(item, place) else {
                        continue;
                    };
                    let route = self.tables.route(item, Way::Detour(place), jobs.into());
                    if self.by(item, route, Stand::Paused(place)) {
                        return true;
                    }
                }
            }
            if self.may_stop(item)
                && let Some(jobs) = self
                    .ways
                    .cold(item)
                    .filter(|jobs| (1..=2).contains(&jobs.len()))
            {
                let next = if jobs.len() == 2 {
                    Stand::Paused(usize::MAX)
                } else {
                    Stand::There
                };
                let route = self.tables.route(item, Way::Cold, jobs);
                if self.by(item, route, next) {
                    return true;
                }
            }
            if self.aborted {
                return false;
            }
        }
        false
    }

    fn by(&mut self, item: ItemId, route: Rc<Route>, next: Stand) -> bool {
        self.routes.set(item, Some(route));
        if self.attempt(item, 2 * item, next) {
            return true;
        }
        self.routes.set(item, None);
        false
    }

    fn attempt(&mut self, item: ItemId, leg: Leg, next: Stand) -> bool {
        let job = self.routes.job(self.tables, leg);
        if !self.fits(job) {
            return false;
        }
        let used = self.used.clone();
        for take in &job.takes {
            self.used[take.resource] += take.amount;
        }
        for free in &job.frees {
            self.used[free.resource] = self.used[free.resource].saturating_sub(free.amount);
        }
        let before = std::mem::replace(&mut self.stands[item], next);
        self.order.push(leg);
        if self.look() {
            return true;
        }
        self.order.pop();
        self.stands[item] = before;
        self.used = used;
        false
    }

    fn fits(&self, job: &Job) -> bool {
        let ports = &self.tables.problem.ports;
        let mut takes = job.takes.iter();
        takes.all(|take| {
            take.amount == 0
                || self.used[take.resource].saturating_add(take.amount)
                    <= self.tables.limit(take.resource)
        }) && job
            .uses
            .iter()
            .all(|one| one.amount <= ports[one.port].limit)
    }
}
