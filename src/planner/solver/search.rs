//! Makes a schedule shorter: the chain of legs that determines its end is changed a little, again and again.

use super::problem::{ItemId, ResourceId, Time};
use super::random::Random;
use super::sequence::Sequence;
use super::solution::Cause;
use super::tables::{Allowed, Leg, Routes, Tables, Way, item_of};
use super::timing::{Given, Start, Timing};
use super::ways::{Room, Ways};

/// A schedule with what it was made from.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    pub(super) routes: Routes,
    /// The legs by their starts: an order in which each finds its room.
    pub(super) order: Vec<Leg>,
    pub(super) starts: Vec<Start>,
    pub(super) makespan: Time,
}

impl Schedule {
    /// What of two schedules of the same items is the better one: the lesser.
    pub(super) fn rank(&self) -> (usize, Time, usize) {
        (self.routes.colds(), self.makespan, self.routes.detours())
    }
}

pub(super) struct Search<'a> {
    pub(super) tables: &'a Tables,
    pub(super) ways: &'a dyn Ways,
    pub(super) allowed: Allowed,
    pub(super) sequence: Sequence,
    pub(super) timing: Timing,
    pub(super) random: Random,
    pub(super) rank: Vec<usize>,
}

/// Among how many of the best places one is picked.
const PLACES_MAX: usize = 8;
/// After how many changes without success a search is given up, besides four for each item.
const PATIENCE: usize = 300;
/// How many steps back a change may be as bad as.
const HISTORY: usize = 50;

impl Search<'_> {
    /// Changes the schedule until the bound is met, all work up to `until` is done, or nothing has come of it for
    /// long: for so much work as `patience_for` says, or many changes. Gives back the best that was found.
    pub(super) fn improve(
        &mut self,
        start: Schedule,
        bound: Time,
        until: u64,
        patience_for: &impl Fn(Time) -> u64,
    ) -> Schedule {
        let mut best = start.clone();
        let mut now = start;
        let mut target = best.makespan - best.makespan / 8;
        let mut cost = self.cost(&now, target);
        let mut history = vec![cost; HISTORY];
        let (mut turn, mut since) = (0, 0);
        let patience = PATIENCE + 4 * self.tables.items();
        let mut given_up = until.min(self.timing.work + patience_for(best.makespan));
        while self.timing.work < given_up && best.makespan > bound && since < patience {
            since += 1;
            let limit = now.makespan.max(best.makespan) + now.makespan / 16;
            let Some(next) = self.step(&now, limit) else {
                continue;
            };
            let next_cost = self.cost(&next, target);
            let slot = turn % history.len();
            turn += 1;
            if next_cost <= cost || next_cost <= history[slot] {
                now = next;
                cost = next_cost;
                if now.rank() < best.rank() {
                    since = 0;
                    best = now.clone();
                    given_up = until.min(self.timing.work + patience_for(best.makespan));
                    let closer = best.makespan - best.makespan / 8;
                    if closer != target {
                        target = closer;
                        cost = self.cost(&now, target);
                        history.fill(cost);
                    }
                }
            }
            history[slot] = cost;
        }
        best
    }

    /// The schedule with one change, where that works out.
    fn step(&mut self, now: &Schedule, limit: Time) -> Option<Schedule> {
        let mut routes = now.routes.clone();
        let mut order = now.order.clone();
        self.timing.work += order.len() as u64 / 16 + 1;
        self.change(now, &mut routes, &mut order)?;
        self.evaluate(routes, &order, limit)
    }

    /// The schedule with so many changes, good or bad: another place to begin from.
    pub(super) fn kick(&mut self, from: &Schedule, changes: usize) -> Schedule {
        let mut now = from.clone();
        for _ in 0..changes {
            if let Some(next) = self.step(&now, Time::MAX) {
                now = next;
            }
        }
        now
    }

    /// Drops the detours without which the schedule is as good.
    pub(super) fn prune(&mut self, mut now: Schedule, work: u64) -> Schedule {
        let until = self.timing.work + work;
        for item in 0..self.tables.items() {
            if self.timing.work >= until {
                break;
            }
            if !matches!(now.routes.way(item), Way::Detour(_)) {
                continue;
            }
            let (mut routes, mut order) = (now.routes.clone(), now.order.clone());
            if go_straight(item, &mut routes, &mut order).is_none() {
                continue;
            }
            if let Some(next) = self.evaluate(routes, &order, now.makespan)
                && next.makespan <= now.makespan
            {
                now = next;
            }
        }
        now
    }

    fn cost(&self, one: &Schedule, target: Time) -> u128 {
        let ends = one.order.iter().map(|leg| {
            let job = one.routes.job(self.tables, *leg);
            u128::from((one.starts[*leg].at + job.duration).saturating_sub(target))
        });
        let over: u128 = ends.map(|over| over * over).sum();
        (u128::from(one.makespan) << 64) + (over << 8) + one.routes.detours() as u128
    }

    /// The schedule of an order, which is mended where it does not work out; nothing where it cannot be, or ends too
    /// late.
    pub(super) fn evaluate(
        &mut self,
        routes: Routes,
        order: &[Leg],
        limit: Time,
    ) -> Option<Schedule> {
        for (place, leg) in order.iter().enumerate() {
            self.rank[*leg] = place;
        }
        self.timing.work += order.len() as u64 / 2;
        self.sequence.reset(self.tables);
        self.sequence.begin(self.tables, &routes, &self.rank);
        if self.sequence.order.len() != order.len() {
            return None;
        }
        for (place, leg) in self.sequence.order.iter().enumerate() {
            self.rank[*leg] = place;
        }
        let given = Given {
            tables: self.tables,
            routes: &routes,
            order: &self.sequence.order,
            rank: &self.rank,
        };
        let makespan = self.timing.run(given, limit)?;
        let mut order = self.sequence.order.clone();
        let (starts, rank) = (&self.timing.starts, &self.rank);
        order.sort_by_key(|leg| (starts[*leg].at, rank[*leg]));
        Some(Schedule {
            routes,
            order,
            starts: self.timing.starts.clone(),
            makespan,
        })
    }

    /// The legs that determine the end of this leg, itself first.
    pub(super) fn chain(now: &Schedule, last: Leg) -> Vec<Leg> {
        let mut chain = vec![last];
        let mut leg = last;
        while let Some((_, by)) = now.starts[leg].cause {
            if chain.len() > now.order.len() {
                break;
            }
            chain.push(by);
            leg = by;
        }
        chain
    }

    fn last_leg(&mut self, now: &Schedule) -> Leg {
        let end = |leg: &Leg| now.starts[*leg].at + now.routes.job(self.tables, *leg).duration;
        let threshold = if self.random.below(2) == 0 {
            now.makespan
        } else {
            now.makespan - now.makespan / 8
        };
        let late: Vec<Leg> = now
            .order
            .iter()
            .copied()
            .filter(|leg| end(leg) >= threshold)
            .collect();
        late[self.random.below(late.len())]
    }

    /// Makes one change and tells its kind.
    fn change(&mut self, now: &Schedule, routes: &mut Routes, order: &mut Vec<Leg>) -> Option<()> {
        let last = self.last_leg(now);
        let chain = Self::chain(now, last);
        let leg = chain[self.random.below(chain.len())];
        match self.random.below(11) {
            0 | 1 => pull(now, leg, order),
            2 => self.push(now, leg, order),
            3 => self.pull_far(leg, order),
            4 | 5 => self.detour(now, routes, order, leg, leg),
            6 => self.straighten(now, routes, order, &chain),
            7 => self.replace(now, routes, order, &chain),
            8 => {
                let leaver = self.leaver(now, leg)?;
                move_before(order, leaver, leg)
            }
            _ => {
                let leaver = self.leaver(now, leg)?;
                self.detour(now, routes, order, leaver, leg)
            }
        }
    }

    /// Someone who leaves where this leg waits for room.
    fn leaver(&mut self, now: &Schedule, leg: Leg) -> Option<Leg> {
        let Some((Cause::Room(resource) | Cause::Turn(resource), _)) = now.starts[leg].cause else {
            return None;
        };
        let at = now.starts[leg].at;
        let leavers: Vec<Leg> = self.tables.leavers[resource]
            .iter()
            .map(|item| 2 * item)
            .filter(|other| {
                let job = now.routes.job(self.tables, *other);
                !self.sequence.left_out[item_of(*other)]
                    && now.starts[*other].at + job.duration >= at
                    && *other != leg
            })
            .collect();
        leavers.get(self.random.below(leavers.len())).copied()
    }

    /// What used the same port or room shortly before goes after it.
    fn push(&mut self, now: &Schedule, leg: Leg, order: &mut Vec<Leg>) -> Option<()> {
        let job = now.routes.job(self.tables, leg);
        let at = order.iter().position(|other| *other == leg)?;
        let rivals: Vec<usize> = (0..at)
            .filter(|place| {
                let other = now.routes.job(self.tables, order[*place]);
                let ports = other
                    .uses
                    .iter()
                    .any(|one| job.uses.iter().any(|mine| mine.port == one.port));
                ports
                    || other
                        .takes
                        .iter()
                        .any(|one| job.takes.iter().any(|mine| mine.resource == one.resource))
            })
            .collect();
        if rivals.is_empty() {
            return None;
        }
        let last = rivals.len();
        let pick = last - 1 - self.random.below(last.min(4));
        let other = order.remove(rivals[pick]);
        order.insert(at, other);
        Some(())
    }

    /// Anywhere earlier.
    fn pull_far(&mut self, leg: Leg, order: &mut Vec<Leg>) -> Option<()> {
        let at = order.iter().position(|other| *other == leg)?;
        let to = self.random.below(at);
        if to >= at {
            return None;
        }
        order.remove(at);
        order.insert(to, leg);
        Some(())
    }

    /// By way of another place, so that its room becomes free before it can go on, and before a certain leg.
    fn detour(
        &mut self,
        now: &Schedule,
        routes: &mut Routes,
        order: &mut Vec<Leg>,
        leg: Leg,
        before: Leg,
    ) -> Option<()> {
        let item = item_of(leg);
        if routes.detours() >= self.allowed.detours || routes.way(item) != Way::Direct {
            return None;
        }
        let at = order.iter().position(|other| *other == leg)?;
        let latest = order.iter().position(|other| *other == before)?.min(at);
        if latest == 0 || now.starts[leg].at == 0 {
            return None;
        }
        let to = self.random.below(latest);
        let places = {
            let room = Between::new(self.tables, routes, order, to, at);
            self.ways.places(item, &room)
        };
        if places.is_empty() {
            return None;
        }
        let place = places[self.random.below(places.len().min(PLACES_MAX))];
        let jobs = self.ways.legs(item, place)?;
        routes.set(
            item,
            Some(self.tables.route(item, Way::Detour(place), jobs.into())),
        );
        order[at] = leg + 1;
        order.insert(to, leg);
        Some(())
    }

    /// Straight after all.
    fn straighten(
        &mut self,
        now: &Schedule,
        routes: &mut Routes,
        order: &mut Vec<Leg>,
        chain: &[Leg],
    ) -> Option<()> {
        let mut items: Vec<ItemId> = chain.iter().map(|leg| item_of(*leg)).collect();
        if self.random.below(2) == 0 {
            items = (0..self.tables.items()).collect();
        }
        items.retain(|item| matches!(now.routes.way(*item), Way::Detour(_)));
        let item = *items.get(self.random.below(items.len()))?;
        go_straight(item, routes, order)
    }

    /// By way of yet another place.
    fn replace(
        &mut self,
        now: &Schedule,
        routes: &mut Routes,
        order: &[Leg],
        chain: &[Leg],
    ) -> Option<()> {
        let mut items: Vec<ItemId> = chain.iter().map(|leg| item_of(*leg)).collect();
        items.retain(|item| matches!(now.routes.way(*item), Way::Detour(_)));
        let item = *items.get(self.random.below(items.len()))?;
        let second = order.iter().position(|leg| *leg == 2 * item + 1)?;
        let first = order.iter().position(|leg| *leg == 2 * item)?;
        let places = {
            let room = Between::new(self.tables, routes, order, first, second);
            self.ways.places(item, &room)
        };
        let place = *places.get(self.random.below(places.len()))?;
        if Way::Detour(place) == routes.way(item) {
            return None;
        }
        let jobs = self.ways.legs(item, place)?;
        routes.set(
            item,
            Some(self.tables.route(item, Way::Detour(place), jobs.into())),
        );
        Some(())
    }
}

/// Moves a leg before what it waited for.
fn pull(now: &Schedule, leg: Leg, order: &mut Vec<Leg>) -> Option<()> {
    let (cause, by) = now.starts[leg].cause?;
    match cause {
        Cause::Before | Cause::Subject => None,
        Cause::Port(_) | Cause::Turn(_) => move_before(order, leg, by),
        Cause::Room(_) => {
            let (_, by_by) = now.starts[by].cause?;
            move_before(order, by, by_by)
        }
    }
}

fn go_straight(item: ItemId, routes: &mut Routes, order: &mut Vec<Leg>) -> Option<()> {
    let second = order.iter().position(|leg| *leg == 2 * item + 1)?;
    let first = order.iter().position(|leg| *leg == 2 * item)?;
    routes.set(item, None);
    order[second] = 2 * item;
    order.remove(first);
    Some(())
}

fn move_before(order: &mut Vec<Leg>, leg: Leg, other: Leg) -> Option<()> {
    let at = order.iter().position(|one| *one == leg)?;
    let to = order.iter().position(|one| *one == other)?;
    if to >= at {
        return None;
    }
    order.remove(at);
    order.insert(to, leg);
    Some(())
}

/// What is left all the way between two places of an order.
struct Between<'a> {
    tables: &'a Tables,
    most: Vec<u64>,
}

impl<'a> Between<'a> {
    fn new(tables: &'a Tables, routes: &Routes, order: &[Leg], from: usize, to: usize) -> Self {
        let mut used = tables.used_at_start();
        let mut most = used.clone();
        for (place, leg) in order.iter().enumerate().take(to + 1) {
            if place == from {
                most.clone_from(&used);
            }
            let job = routes.job(tables, *leg);
            for take in &job.takes {
                used[take.resource] += take.amount;
                most[take.resource] = most[take.resource].max(used[take.resource]);
            }
            for free in &job.frees {
                used[free.resource] = used[free.resource].saturating_sub(free.amount);
            }
        }
        Self { tables, most }
    }
}

impl Room for Between<'_> {
    fn free(&self, resource: ResourceId) -> u64 {
        self.tables
            .limit(resource)
            .saturating_sub(self.most[resource])
    }

    fn free_in_the_end(&self, resource: ResourceId) -> u64 {
        self.tables
            .limit(resource)
            .saturating_sub(self.tables.final_used[resource])
    }
}
