//! The whole way: a first schedule, everything against stuck items, improvement, bounds, and the report.

use std::collections::BTreeSet;

use super::beam::{self, beam};
use super::bound::bounds;
use super::construct::{Construction, LeftOut, rank_of};
use super::exact::{Found, exact};
use super::few;
use super::problem::{ItemId, Problem, Time};
use super::random::Random;
use super::report;
use super::search::{Schedule, Search};
use super::sequence::Sequence;
use super::solution::Solution;
use super::tables::{Allowed, Leg, Routes, Tables, Way};
use super::timing::Timing;
use super::unstick::Overlay;
use super::ways::Ways;

/// How much the search may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Work units for making a schedule shorter; five million are about a second. What is needed for any schedule at
    /// all is done in any case.
    pub work: u64,
    /// The most items that may go by way of another place where they cannot go otherwise.
    pub detours_needed: usize,
    /// Up to how many items in all may do so only to make the whole shorter.
    pub detours_for_time: usize,
}

impl Limits {
    /// What fits a problem of so many items: five seconds, detours for a fifth of them.
    #[must_use]
    pub const fn of(items: usize) -> Self {
        Self {
            work: 25_000_000,
            detours_needed: usize::MAX,
            detours_for_time: items / 5 + 2,
        }
    }
}

/// How many orders are tried for a first schedule where items are stuck.
const ATTEMPTS: usize = 12;
/// The most items for which every order is looked through, and the states looked at for it.
const EXACT_ITEMS_MAX: usize = 64;
const EXACT_STATES_MAX: usize = 20_000;
/// How many states of the beam search are followed to their end.
const BEAM_ENDS_MAX: usize = 400;
/// How many first orders are kept to be improved in turn.
const POOL_MAX: usize = 8;

/// Work without success after which no more is expected: the less there is to gain, the less. In hundredths of all work,
/// at least and at most, and for each hundredth that could be gained.
const PATIENCE_PERCENT: (u64, u64, u64) = (5, 40, 5);
/// So much is always worth it.
const PATIENCE_MIN: u64 = 100_000;

/// The patience for a schedule of this length.
fn patience(makespan: Time, bound: Time, work: u64) -> u64 {
    let (least, most, each) = PATIENCE_PERCENT;
    let gain = makespan.saturating_sub(bound).saturating_mul(100) / bound.max(1);
    PATIENCE_MIN.max(work / 100 * (each * gain).clamp(least, most))
}

/// A way for everyone, without times.
struct First {
    routes: Routes,
    order: Vec<Leg>,
    left_out: Vec<LeftOut>,
}

impl First {
    fn items_left_out(&self) -> BTreeSet<ItemId> {
        self.left_out.iter().map(|one| one.item).collect()
    }

    fn rank(&self) -> (usize, usize, usize) {
        let detours = self.routes.detours();
        (self.left_out.len(), self.routes.colds(), detours)
    }
}

/// Keeps the best first orders: those with fewest left out and fewest stopped, the one with fewest detours first.
fn keep(pool: &mut Vec<First>, next: Option<First>) {
    let Some(next) = next else {
        return;
    };
    let (left, colds, detours) = next.rank();
    if let Some(best) = pool.first() {
        let (best_left, best_colds, best_detours) = best.rank();
        match (left, colds).cmp(&(best_left, best_colds)) {
            std::cmp::Ordering::Less => pool.clear(),
            std::cmp::Ordering::Greater => return,
            std::cmp::Ordering::Equal if detours < best_detours => {
                pool.insert(0, next);
                pool.truncate(POOL_MAX);
                return;
            }
            std::cmp::Ordering::Equal if pool.len() >= POOL_MAX => return,
            std::cmp::Ordering::Equal => {}
        }
    }
    pool.push(next);
}

/// Schedules a problem. The same arguments give the same answer.
#[must_use]
pub fn solve(problem: &Problem, ways: &dyn Ways, limits: &Limits) -> Solution {
    let tables = Tables::new(problem);
    let mut solver = Solver {
        tables: &tables,
        ways,
        sequence: Sequence::new(&tables),
        overlay: Overlay::new(&tables),
        random: Random::new(0),
    };
    let impossible = report::impossible(&tables);
    let (mut pool, proven) = solver.first(limits, &impossible);
    let first = pool.swap_remove(0);
    let first = solver.blamed(first, &impossible);
    let left_out = first.items_left_out();
    pool.retain(|other| other.items_left_out() == left_out);
    let moved: Vec<bool> = (0..tables.items())
        .map(|item| !impossible[item] && !first.left_out.iter().any(|one| one.item == item))
        .collect();
    let live: Vec<bool> = (0..tables.items())
        .map(|item| moved[item] && first.routes.way(item) != Way::Cold)
        .collect();
    let bounds = bounds(&tables, ways, &live);
    solver.sequence.left_out = moved.iter().map(|moved| !moved).collect();
    let needed = first.routes.detours();
    let mut search = Search {
        tables: &tables,
        ways,
        allowed: Allowed {
            detours: limits
                .detours_needed
                .min(limits.detours_for_time.max(needed)),
            stops: 0,
        },
        sequence: solver.sequence.clone(),
        timing: Timing::new(&tables),
        random: Random::new(1),
        rank: vec![0; 2 * tables.items()],
    };
    let schedule = solver.improve(
        &mut search,
        &first,
        pool,
        &impossible,
        bounds.best(),
        limits,
    );
    let work = search.timing.work + solver.overlay.work;
    let stuck = solver.stuck(limits, first.left_out, &impossible, proven);
    report::solution(problem, &tables, schedule, stuck, bounds, work)
}

struct Solver<'a> {
    tables: &'a Tables,
    ways: &'a dyn Ways,
    sequence: Sequence,
    overlay: Overlay,
    random: Random,
}

impl Solver<'_> {
    /// First orders with as few left out and as few stopped as can be, the first the best, and whether it is proven
    /// that those left out cannot all move.
    fn first(&mut self, limits: &Limits, impossible: &[bool]) -> (Vec<First>, bool) {
        let live = Allowed {
            detours: limits.detours_needed,
            stops: 0,
        };
        let mut pool = Vec::new();
        for number in 0..ATTEMPTS {
            if pool
                .first()
                .is_some_and(|best: &First| best.left_out.is_empty())
            {
                return (pool, false);
            }
            let next = self.attempt(live, impossible, number);
            keep(&mut pool, next);
        }
        let mut proven = self.exactly(live, impossible, &mut pool);
        if proven != Some(true) {
            self.gather(live, impossible, &mut pool);
        }
        let colds = (0..self.tables.items()).any(|item| self.ways.cold(item).is_some());
        if colds && !pool[0].left_out.is_empty() {
            let cold = Allowed {
                stops: usize::MAX,
                ..live
            };
            for number in 0..ATTEMPTS {
                let next = self.attempt(cold, impossible, number);
                keep(&mut pool, next);
            }
            if !pool[0].left_out.is_empty() {
                proven = self.exactly(cold, impossible, &mut pool);
            }
        }
        self.few(limits, impossible, &mut pool);
        (pool, proven == Some(true))
    }

    /// Of few items as few are left out and stopped as can be.
    fn few(&mut self, limits: &Limits, impossible: &[bool], pool: &mut Vec<First>) {
        let (left, stops, _) = pool[0].rank();
        let out = pool[0].items_left_out();
        let mut few = few::Few::new(self.tables, self.ways, limits.detours_needed, impossible);
        let found = few
            .fewer_left_out(left)
            .or_else(|| few.fewer_stops(&out, stops));
        let Some(found) = found else { return };
        let bare = |item: &ItemId| LeftOut {
            item: *item,
            short: Vec::new(),
            group: vec![*item],
            waits: false,
        };
        let first = First {
            routes: found.routes,
            order: found.legs,
            left_out: found.left_out.iter().map(bare).collect(),
        };
        keep(pool, Some(first));
    }

    /// What is in the way of those left out, once all others have moved.
    fn blamed(&mut self, first: First, impossible: &[bool]) -> First {
        if first.left_out.is_empty() {
            return first;
        }
        self.sequence.left_out.copy_from_slice(impossible);
        let rank = self.rank(0);
        let mut routes = first.routes;
        let mut construction = Construction {
            tables: self.tables,
            ways: self.ways,
            allowed: Allowed {
                detours: 0,
                stops: 0,
            },
            rank: &rank,
            overlay: &mut self.overlay,
        };
        let left_out = construction.blame(&first.order, &mut routes, &mut self.sequence);
        First {
            routes,
            order: self.sequence.order.clone(),
            left_out,
        }
    }

    /// Looks through every order. Whether it is proven that there is none; nothing where that stays open.
    fn exactly(
        &mut self,
        allowed: Allowed,
        impossible: &[bool],
        pool: &mut Vec<First>,
    ) -> Option<bool> {
        if impossible.iter().filter(|one| !**one).count() > EXACT_ITEMS_MAX {
            return None;
        }
        let mut states = EXACT_STATES_MAX;
        match exact(self.tables, self.ways, allowed, impossible, &mut states) {
            Found::Order(order, routes) => {
                keep(
                    pool,
                    Some(First {
                        routes,
                        order,
                        left_out: Vec::new(),
                    }),
                );
                Some(false)
            }
            Found::None => Some(true),
            Found::Unknown => None,
        }
    }

    /// Improves one first order after the other, and what came of them, until the work is done.
    fn improve(
        &mut self,
        search: &mut Search,
        first: &First,
        pool: Vec<First>,
        impossible: &[bool],
        bound: Time,
        limits: &Limits,
    ) -> Option<Schedule> {
        let mut best = search.evaluate(first.routes.clone(), &first.order, Time::MAX)?;
        let until = search.timing.work + limits.work;
        let patience = |makespan| patience(makespan, bound, limits.work);
        let mut improved = search.timing.work;
        let live = Allowed {
            detours: search.allowed.detours,
            stops: 0,
        };
        let mut pool = pool.into_iter();
        let mut start = best.clone();
        for round in 1.. {
            let found = search.improve(start, bound, until, &patience);
            if found.rank() < best.rank() {
                best = found;
                improved = search.timing.work;
            }
            let until = until.min(improved.saturating_add(patience(best.makespan)));
            if search.timing.work >= until || best.makespan <= bound || best.order.len() < 2 {
                break;
            }
            let fresh = pool.next().or_else(|| {
                let fresh = (round % 2 == 0)
                    .then(|| self.attempt(live, impossible, round))
                    .flatten();
                let left_out = first.items_left_out();
                fresh.filter(|fresh| fresh.items_left_out() == left_out)
            });
            search.timing.work += 10 * best.order.len() as u64;
            start = fresh
                .and_then(|fresh| search.evaluate(fresh.routes, &fresh.order, Time::MAX))
                .unwrap_or_else(|| search.kick(&best, 2 + round % 8));
        }
        Some(search.prune(best, limits.work / 10))
    }

    /// One order: those at the busiest ports first, then shuffled more and more.
    fn attempt(&mut self, allowed: Allowed, impossible: &[bool], number: usize) -> Option<First> {
        let rank = self.rank(number);
        let direct = Routes::direct(self.tables);
        self.construct(&rank, &[], &direct, allowed, impossible)
    }

    fn rank(&mut self, number: usize) -> Vec<usize> {
        let mut keys: Vec<(u64, ItemId)> = self.urgency().into_iter().zip(0..).collect();
        if number > 0 {
            for (key, _) in &mut keys {
                let span = usize::try_from(*key)
                    .unwrap_or(usize::MAX)
                    .saturating_add(1);
                let noise = u64::try_from(self.random.below(span)).unwrap_or(0);
                *key = (*key / u64::try_from(number).unwrap_or(1)).saturating_add(noise);
            }
        }
        keys.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        rank_of(keys.into_iter().map(|(_, item)| item), self.tables)
    }

    /// An order after these legs. Nothing where an item of theirs could not come to its goal.
    fn construct(
        &mut self,
        rank: &[usize],
        prefix: &[Leg],
        from: &Routes,
        allowed: Allowed,
        impossible: &[bool],
    ) -> Option<First> {
        let mut fixed = impossible.to_vec();
        let mut left_out: Vec<LeftOut> = Vec::new();
        loop {
            self.sequence.left_out.copy_from_slice(&fixed);
            let mut routes = from.clone();
            let mut construction = Construction {
                tables: self.tables,
                ways: self.ways,
                allowed,
                rank,
                overlay: &mut self.overlay,
            };
            let rest = construction.run(prefix, &mut routes, &mut self.sequence);
            let done = &self.sequence.done;
            let (half, rest): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|one| done[2 * one.item]);
            if half.is_empty() {
                left_out.extend(rest);
                let order = self.sequence.order.clone();
                return Some(First {
                    routes,
                    order,
                    left_out,
                });
            }
            // Who would end up half way does not set out.
            if !prefix.is_empty() {
                return None;
            }
            for one in half {
                fixed[one.item] = true;
                left_out.push(one);
            }
        }
    }

    /// For each item the load of its busiest port, and its own length.
    fn urgency(&self) -> Vec<u64> {
        let items = &self.tables.problem.items;
        let mut loads = vec![0_u64; self.tables.problem.ports.len()];
        for one in items.iter().flat_map(|item| &item.job.uses) {
            loads[one.port] = loads[one.port].saturating_add(one.energy());
        }
        let load = |port: usize| loads[port] / self.tables.problem.ports[port].limit.max(1);
        items
            .iter()
            .map(|item| {
                let busiest = item.job.uses.iter().map(|one| load(one.port)).max();
                busiest.unwrap_or(0).saturating_add(item.job.duration)
            })
            .collect()
    }

    /// Joins free room for those that found none.
    fn gather(&mut self, allowed: Allowed, impossible: &[bool], pool: &mut Vec<First>) {
        if impossible.iter().filter(|one| !**one).count() > beam::ITEMS_MAX {
            return;
        }
        let wanted: Vec<ItemId> = pool
            .iter()
            .flat_map(|first| first.left_out.iter().map(|one| one.item))
            .collect();
        let rank = self.rank(0);
        let (tables, ways) = (self.tables, self.ways);
        let mut ends = 0;
        beam(
            tables,
            ways,
            allowed,
            impossible,
            &wanted,
            |order, routes| {
                let next = self.construct(&rank, order, routes, allowed, impossible);
                keep(pool, next);
                ends += 1;
                ends >= BEAM_ENDS_MAX || (pool[0].left_out.is_empty() && pool.len() >= POOL_MAX)
            },
        );
    }

    /// What can be said about those left out.
    fn stuck(
        &mut self,
        limits: &Limits,
        left_out: Vec<LeftOut>,
        impossible: &[bool],
        proven: bool,
    ) -> Vec<super::solution::Stuck> {
        report::stuck(
            self.tables,
            self.ways,
            limits.detours_needed,
            left_out,
            impossible,
            proven,
        )
    }
}
