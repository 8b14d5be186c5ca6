//! Brings the free room together: where nothing else finds room for a large item, short detours of small ones may
//! join the room of several places into one.
//!
//! A beam search over the states of the whole problem, one leg a level, that keeps the states whose free room is most
//! in one piece, and reports every state in which one of the wanted items finds a place that it did not find before.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::problem::{ItemId, Job, ResourceId};
use super::tables::{Allowed, Leg, Route, Routes, Tables, Way};
use super::ways::{Room, Ways};

/// How many states of a level are kept.
const WIDTH: usize = 150;
/// The most items of a problem for which this is tried.
pub(super) const ITEMS_MAX: usize = 60;

#[derive(Clone)]
struct State {
    score: u64,
    used: Vec<u64>,
    /// Per item: 0 at its start, 1 at its goal, else 2 and the place where it pauses.
    stands: Vec<usize>,
    routes: Routes,
    order: Vec<Leg>,
}

struct Left<'a>(&'a Tables, &'a [u64]);

impl Room for Left<'_> {
    fn free(&self, resource: ResourceId) -> u64 {
        self.0.limit(resource).saturating_sub(self.1[resource])
    }

    fn free_in_the_end(&self, resource: ResourceId) -> u64 {
        self.0
            .limit(resource)
            .saturating_sub(self.0.final_used[resource])
    }
}

/// Calls `found` with every state in which a wanted item finds a place for a detour, until that is content.
pub(super) fn beam(
    tables: &Tables,
    ways: &dyn Ways,
    allowed: Allowed,
    left_out: &[bool],
    wanted: &[ItemId],
    mut found: impl FnMut(&[Leg], &Routes) -> bool,
) {
    let mut level = vec![State {
        score: 0,
        used: tables.used_at_start(),
        stands: left_out.iter().map(|out| usize::from(*out)).collect(),
        routes: Routes::direct(tables),
        order: Vec::new(),
    }];
    for _ in 0..2 * tables.items() {
        let mut next: Vec<State> = Vec::new();
        for state in &level {
            children(tables, ways, allowed, state, &mut next);
        }
        next.sort_by(|a, b| (b.score, &a.order).cmp(&(a.score, &b.order)));
        let mut seen = BTreeSet::new();
        next.retain(|state| seen.len() < WIDTH && seen.insert(state.stands.clone()));
        for state in &next {
            let room = Left(tables, &state.used);
            let placed = wanted
                .iter()
                .any(|item| state.stands[*item] == 0 && !ways.places(*item, &room).is_empty());
            if placed && found(&state.order, &state.routes) {
                return;
            }
        }
        if next.is_empty() {
            return;
        }
        level = next;
    }
}

fn children(
    tables: &Tables,
    ways: &dyn Ways,
    allowed: Allowed,
    state: &State,
    next: &mut Vec<State>,
) {
    for item in 0..tables.items() {
        let before = &tables.problem.precedences;
        let waits = before
            .iter()
            .any(|one| one.after == item && state.stands[one.before] != 1);
        if state.stands[item] == 1 || waits {
            continue;
        }
        if state.stands[item] != 0 {
            next.extend(child(tables, state, None, 2 * item + 1, 1));
            continue;
        }
        next.extend(child(tables, state, None, 2 * item, 1));
        if state.routes.detours() >= allowed.detours {
            continue;
        }
        for place in ways.places(item, &Left(tables, &state.used)) {
            if let Some(jobs) = ways.legs(item, place) {
                let route = tables.route(item, Way::Detour(place), jobs.into());
                next.extend(child(tables, state, Some(route), 2 * item, place + 2));
            }
        }
    }
}

fn child(
    tables: &Tables,
    state: &State,
    route: Option<Rc<Route>>,
    leg: Leg,
    stand: usize,
) -> Option<State> {
    let item = leg / 2;
    let job: &Job = match &route {
        Some(route) => &route.jobs[0],
        None => state.routes.job(tables, leg),
    };
    let fits = job.takes.iter().all(|take| {
        take.amount == 0 || state.used[take.resource] + take.amount <= tables.limit(take.resource)
    });
    if !fits {
        return None;
    }
    let mut used = state.used.clone();
    for take in &job.takes {
        used[take.resource] += take.amount;
    }
    for free in &job.frees {
        used[free.resource] = used[free.resource].saturating_sub(free.amount);
    }
    let mut result = State {
        used,
        ..state.clone()
    };
    result.score = together(tables, &result.used);
    result.stands[item] = stand;
    result.order.push(leg);
    if route.is_some() {
        result.routes.set(item, route);
    }
    Some(result)
}

/// Greater where the free room is in fewer pieces: the sum of the squares of the free parts.
fn together(tables: &Tables, used: &[u64]) -> u64 {
    let parts = used.iter().enumerate().map(|(resource, used)| {
        let limit = tables.limit(resource);
        let free = limit.saturating_sub(*used);
        let part = u128::from(free) * 10_000 / u128::from(limit.max(1));
        u64::try_from(part * part).unwrap_or(u64::MAX)
    });
    parts.fold(0, u64::saturating_add)
}
