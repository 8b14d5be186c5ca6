//! When each leg starts: events in the order of time, the most urgent leg first, no leg before it has its room, its
//! ports and its reasons, and none that would leave the rest without a way to go on.
//!
//! The last is what a given order of all legs proves (see `sequence`): a leg may overtake others only if they would
//! still find their room one after the other. So nothing ever gets stuck, and every look is short, since only the
//! legs that touch the same resource count.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::problem::{Job, PortId, ResourceId, Time};
use super::promises::Promises;
use super::solution::Cause;
use super::tables::{Leg, Routes, Tables, item_of};

/// What is known of the start of a leg: when, what it waited for last, and the leg whose end, release or start
/// ended the waiting.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Start {
    pub(super) at: Time,
    pub(super) cause: Option<(Cause, Leg)>,
}

/// An entry of a resource's list: a leg that has not started yet, with what it takes there and what it frees.
#[derive(Debug, Clone, Copy)]
struct Entry {
    leg: Leg,
    take: u64,
    free: u64,
}

const NONE: usize = usize::MAX;
/// So many in a row who find a port promised to others are looked at before it counts as full for now.
const LOOKS_MAX: usize = 32;

/// The room of the schedule generator, kept from run to run.
#[derive(Debug)]
pub(super) struct Timing {
    pub(super) starts: Vec<Start>,
    started: Vec<bool>,
    used: Vec<u64>,
    /// What running legs will still free.
    pending: Vec<u64>,
    /// What the legs that have not started still take.
    to_take: Vec<u64>,
    lists: Vec<Vec<Entry>>,
    port_used: Vec<u64>,
    /// Only for ports that some job uses later than from its start.
    promises: Vec<Promises>,
    has_promises: Vec<bool>,
    /// For each port how many in a row have found it promised since something of it was given back.
    in_vain: Vec<usize>,
    before: Vec<usize>,
    blocked: Vec<usize>,
    /// By blocker (a resource's room, its turns, a port, and last of all none): who waits there, by rank.
    waiting: Vec<BinaryHeap<Reverse<(usize, Leg)>>>,
    /// Waiting legs that were looked at and do not fit now.
    aside: Vec<Vec<(usize, Leg)>>,
    /// The blockers at which some were set aside.
    aside_at: Vec<usize>,
    /// Who last let go at each blocker.
    last: Vec<Leg>,
    /// Whose end made each leg one that may start.
    admitted_by: Vec<Leg>,
    is_hot: Vec<bool>,
    hot: BinaryHeap<Reverse<(usize, usize)>>,
    events: BinaryHeap<Reverse<(Time, usize)>>,
    wakes: BinaryHeap<Reverse<(Time, PortId, Leg)>>,
    /// Legs looked at, over all runs: the measure of work.
    pub(super) work: u64,
}

/// What a run reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) tables: &'a Tables,
    pub(super) routes: &'a Routes,
    /// All legs in an order in which each finds its room.
    pub(super) order: &'a [Leg],
    /// The place of each leg in that order; lower is more urgent.
    pub(super) rank: &'a [usize],
}

impl Timing {
    pub(super) fn new(tables: &Tables) -> Self {
        let (legs, resources) = (tables.items() * 2, tables.problem.resources.len());
        let ports = tables.problem.ports.len();
        let blockers = 2 * resources + ports;
        Self {
            starts: vec![Start::default(); legs],
            started: vec![false; legs],
            used: vec![0; resources],
            pending: vec![0; resources],
            to_take: vec![0; resources],
            lists: vec![Vec::new(); resources],
            port_used: vec![0; ports],
            promises: vec![Promises::default(); ports],
            has_promises: vec![false; ports],
            in_vain: vec![0; ports],
            before: Vec::new(),
            blocked: vec![NONE; legs],
            waiting: vec![BinaryHeap::new(); blockers + 1],
            aside: vec![Vec::new(); blockers + 1],
            aside_at: Vec::new(),
            last: vec![NONE; blockers],
            admitted_by: vec![NONE; legs],
            is_hot: vec![false; blockers + 1],
            hot: BinaryHeap::new(),
            events: BinaryHeap::new(),
            wakes: BinaryHeap::new(),
            work: 0,
        }
    }

    /// Makes a schedule and returns its end, or nothing where it would end after the given time.
    pub(super) fn run(&mut self, given: Given, until: Time) -> Option<Time> {
        self.reset(given);
        for &leg in given.order {
            if leg % 2 == 0 && self.before[item_of(leg)] == 0 {
                self.admit(given, leg, NONE);
            }
        }
        self.work_off(given, 0);
        let mut makespan = 0;
        loop {
            let event = self.events.peek().map(|Reverse((at, _))| *at);
            let wake = self.wakes.peek().map(|Reverse((at, ..))| *at);
            let Some(now) = event.into_iter().chain(wake).min() else {
                return Some(makespan);
            };
            while let Some(Reverse((at, code))) = self.events.peek().copied() {
                if at != now {
                    break;
                }
                self.events.pop();
                if self.happen(given, code, now) {
                    makespan = makespan.max(now);
                }
            }
            while let Some(Reverse((at, port, by))) = self.wakes.peek().copied() {
                if at != now {
                    break;
                }
                self.wakes.pop();
                let blocker = 2 * self.used.len() + port;
                self.last[blocker] = by;
                self.heat(blocker);
            }
            if makespan > until {
                self.clear();
                return None;
            }
            self.work_off(given, now);
        }
    }

    fn clear(&mut self) {
        self.events.clear();
        self.wakes.clear();
        self.hot.clear();
        self.is_hot.fill(false);
    }

    fn reset(&mut self, given: Given) {
        let tables = given.tables;
        self.clear();
        self.started.fill(false);
        for (used, resource) in self.used.iter_mut().zip(&tables.problem.resources) {
            *used = resource.used;
        }
        self.pending.fill(0);
        self.to_take.fill(0);
        self.port_used.fill(0);
        self.promises.iter_mut().for_each(Promises::clear);
        self.in_vain.fill(0);
        // Who is not in the order never begins.
        self.before.clear();
        self.before.resize(tables.items(), NONE);
        self.blocked.fill(NONE);
        self.waiting.iter_mut().for_each(BinaryHeap::clear);
        for blocker in self.aside_at.drain(..) {
            self.aside[blocker].clear();
        }
        self.last.fill(NONE);
        self.lists.iter_mut().for_each(Vec::clear);
        self.work += given.order.len() as u64;
        for &leg in given.order {
            let job = given.routes.job(tables, leg);
            self.before[item_of(leg)] = tables.before[item_of(leg)];
            for take in &job.takes {
                self.to_take[take.resource] += take.amount;
                let list = &mut self.lists[take.resource];
                list.push(Entry {
                    leg,
                    take: take.amount,
                    free: 0,
                });
            }
            for free in &job.frees {
                let list = &mut self.lists[free.resource];
                match list.last_mut() {
                    Some(entry) if entry.leg == leg => entry.free += free.amount,
                    _ => list.push(Entry {
                        leg,
                        take: 0,
                        free: free.amount,
                    }),
                }
            }
            for one in &job.uses {
                self.has_promises[one.port] |= one.from > 0;
            }
        }
    }

    /// What is due for a leg at this time: releases, ends of uses, its own end. Whether it was its end.
    fn happen(&mut self, given: Given, leg: Leg, now: Time) -> bool {
        let job = given.routes.job(given.tables, leg);
        let since = now - self.starts[leg].at;
        for free in job.frees.iter().filter(|free| free.at == since) {
            self.used[free.resource] = self.used[free.resource].saturating_sub(free.amount);
            self.pending[free.resource] -= free.amount;
            self.last[free.resource] = leg;
            self.heat(free.resource);
        }
        let ports = 2 * self.used.len();
        for one in job.uses.iter().filter(|one| one.to == since) {
            if self.has_promises[one.port] {
                self.promises[one.port].expire(now);
            } else {
                self.port_used[one.port] -= one.amount;
            }
            self.last[ports + one.port] = leg;
            self.heat(ports + one.port);
        }
        if since != job.duration {
            return false;
        }
        if !given.routes.is_last(leg) {
            self.admit(given, leg + 1, leg);
            return true;
        }
        for next in &given.tables.after[item_of(leg)] {
            self.before[*next] -= 1;
            if self.before[*next] == 0 {
                self.admit(given, 2 * next, leg);
            }
        }
        true
    }

    /// A leg may start from now on, as far as its reasons go.
    fn admit(&mut self, given: Given, leg: Leg, by: Leg) {
        let fresh = self.waiting.len() - 1;
        self.blocked[leg] = fresh;
        self.admitted_by[leg] = by;
        self.waiting[fresh].push(Reverse((given.rank[leg], leg)));
        self.heat(fresh);
    }

    /// Something has become free here: who waits is to be looked at.
    fn heat(&mut self, blocker: usize) {
        let port = blocker.checked_sub(2 * self.used.len());
        if let Some(in_vain) = port.and_then(|port| self.in_vain.get_mut(port)) {
            *in_vain = 0;
        }
        let waiting = &mut self.waiting[blocker];
        waiting.extend(self.aside[blocker].drain(..).map(Reverse));
        self.heat_on(blocker);
    }

    /// Looks at all who wait where something became free, the most urgent first.
    fn work_off(&mut self, given: Given, now: Time) {
        while let Some(Reverse((rank, blocker))) = self.hot.pop() {
            self.is_hot[blocker] = false;
            let Some(&Reverse((first, leg))) = self.waiting[blocker].peek() else {
                continue;
            };
            if first != rank {
                self.heat_on(blocker);
                continue;
            }
            self.waiting[blocker].pop();
            self.look(given, leg, now);
            if self.may_have_room(given, blocker) {
                self.heat_on(blocker);
            }
        }
        for blocker in self.aside_at.drain(..) {
            let waiting = &mut self.waiting[blocker];
            waiting.extend(self.aside[blocker].drain(..).map(Reverse));
        }
    }

    /// The next who waits here is to be looked at, those set aside are not.
    fn heat_on(&mut self, blocker: usize) {
        if self.is_hot[blocker] {
            return;
        }
        if let Some(Reverse((rank, _))) = self.waiting[blocker].peek() {
            self.hot.push(Reverse((*rank, blocker)));
            self.is_hot[blocker] = true;
        }
    }

    fn may_have_room(&self, given: Given, blocker: usize) -> bool {
        let resources = self.used.len();
        if blocker < resources {
            self.used[blocker] < given.tables.limit(blocker)
        } else if blocker < 2 * resources || blocker + 1 == self.waiting.len() {
            true
        } else {
            let port = blocker - 2 * resources;
            let limit = given.tables.problem.ports[port].limit;
            if self.has_promises[port] {
                self.in_vain[port] < LOOKS_MAX
            } else {
                self.port_used[port] < limit
            }
        }
    }

    /// Starts a leg, or lets it wait where it is held up.
    fn look(&mut self, given: Given, leg: Leg, now: Time) {
        self.work += 1;
        let job = given.routes.job(given.tables, leg);
        let Some(blocker) = self.blocker(given, job, leg, now) else {
            let cause = self.cause(leg);
            self.start(given, leg, now, cause);
            return;
        };
        let rank = given.rank[leg];
        if self.blocked[leg] == blocker {
            if self.aside[blocker].is_empty() {
                self.aside_at.push(blocker);
            }
            self.aside[blocker].push((rank, leg));
        } else {
            self.blocked[leg] = blocker;
            self.waiting[blocker].push(Reverse((rank, leg)));
        }
    }

    fn cause(&self, leg: Leg) -> Option<(Cause, Leg)> {
        let resources = self.used.len();
        let blocker = self.blocked[leg];
        let by = match self.last.get(blocker) {
            Some(last) => *last,
            None => self.admitted_by[leg],
        };
        if by == NONE {
            return None;
        }
        let cause = if blocker + 1 == self.waiting.len() {
            Cause::Before
        } else if blocker < resources {
            Cause::Room(blocker)
        } else if blocker < 2 * resources {
            Cause::Turn(blocker - resources)
        } else {
            Cause::Port(blocker - 2 * resources)
        };
        Some((cause, by))
    }

    /// What holds a leg up now.
    fn blocker(&mut self, given: Given, job: &Job, leg: Leg, now: Time) -> Option<usize> {
        let resources = self.used.len();
        for take in job.takes.iter().filter(|take| take.amount > 0) {
            if self.used[take.resource] + take.amount > given.tables.limit(take.resource) {
                return Some(take.resource);
            }
        }
        for take in job.takes.iter().filter(|take| take.amount > 0) {
            if !self.is_their_turn(given, take.resource, take.amount, leg) {
                return Some(resources + take.resource);
            }
        }
        for one in &job.uses {
            let limit = given.tables.problem.ports[one.port].limit;
            if self.has_promises[one.port] {
                let from = now + one.from;
                let promises = &mut self.promises[one.port];
                self.work += promises.len() as u64 / 16;
                if let Some((free, by)) = promises.until(limit, one.amount, from, now + one.to) {
                    self.in_vain[one.port] += 1;
                    // Nothing may end just then, so the look is to be repeated at that time.
                    self.wakes
                        .push(Reverse((now + (free - from), one.port, by)));
                    return Some(2 * resources + one.port);
                }
            } else if self.port_used[one.port] + one.amount > limit {
                return Some(2 * resources + one.port);
            }
        }
        None
    }

    /// Whether those who come before this leg would still find their room if it went first.
    fn is_their_turn(&mut self, given: Given, resource: ResourceId, amount: u64, leg: Leg) -> bool {
        let limit = given.tables.limit(resource);
        let base = self.used[resource].saturating_sub(self.pending[resource]);
        if base.saturating_add(self.to_take[resource]) <= limit {
            return true;
        }
        let started = &self.started;
        let list = &mut self.lists[resource];
        if list.first().is_some_and(|entry| started[entry.leg]) {
            list.retain(|entry| !started[entry.leg]);
        }
        let mut used = base + amount;
        for (looked, entry) in list.iter().enumerate() {
            if entry.leg == leg {
                self.work += looked as u64 / 4;
                return true;
            }
            if started[entry.leg] {
                continue;
            }
            used += entry.take;
            if entry.take > 0 && used > limit {
                self.work += looked as u64 / 4;
                return false;
            }
            used = used.saturating_sub(entry.free);
        }
        true
    }

    fn start(&mut self, given: Given, leg: Leg, now: Time, cause: Option<(Cause, Leg)>) {
        let job = given.routes.job(given.tables, leg);
        self.starts[leg] = Start { at: now, cause };
        self.started[leg] = true;
        let resources = self.used.len();
        for take in &job.takes {
            self.used[take.resource] += take.amount;
            self.to_take[take.resource] -= take.amount;
        }
        for free in &job.frees {
            self.pending[free.resource] += free.amount;
        }
        for one in &job.uses {
            if self.has_promises[one.port] {
                self.in_vain[one.port] = 0;
                self.promises[one.port].add(leg, one.amount, now + one.from, now + one.to);
            } else {
                self.port_used[one.port] += one.amount;
            }
        }
        let touched = job.takes.iter().map(|take| take.resource);
        for resource in touched.chain(job.frees.iter().map(|free| free.resource)) {
            self.last[resources + resource] = leg;
            self.heat(resources + resource);
        }
        let frees = job.frees.iter().map(|free| free.at);
        let uses = job.uses.iter().map(|one| one.to);
        let end = job.duration;
        self.events.push(Reverse((now + end, leg)));
        let mut others: Vec<Time> = frees.chain(uses).filter(|at| *at != end).collect();
        others.sort_unstable();
        others.dedup();
        for at in others {
            self.events.push(Reverse((now + at, leg)));
        }
    }
}
