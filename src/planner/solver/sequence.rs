//! One thing after the other: an order in which each job finds its room when the jobs before it have ended.
//!
//! Such an order exists exactly where a schedule exists, whatever the durations and ports are: in the order of its
//! starts, every schedule is one. It is what makes greedy scheduling safe.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::problem::{ItemId, Job, ResourceId};
use super::tables::{Leg, Routes, Tables, item_of};

/// An order that grows, and what still waits.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    pub(super) used: Vec<u64>,
    pub(super) order: Vec<Leg>,
    pub(super) done: Vec<bool>,
    /// Legs that wait for room at a resource.
    pub(super) waiting: Vec<Vec<Leg>>,
    /// The resource at which a waiting leg was found short.
    pub(super) blocked_at: Vec<Option<ResourceId>>,
    before: Vec<usize>,
    ready: BinaryHeap<Reverse<(usize, Leg)>>,
    /// Items that are not to be moved.
    pub(super) left_out: Vec<bool>,
}

impl Sequence {
    pub(super) fn new(tables: &Tables) -> Self {
        let (items, resources) = (tables.items(), tables.problem.resources.len());
        Self {
            used: tables.used_at_start(),
            order: Vec::with_capacity(items * 2),
            done: vec![false; items * 2],
            waiting: vec![Vec::new(); resources],
            blocked_at: vec![None; items * 2],
            before: tables.before.clone(),
            ready: BinaryHeap::new(),
            left_out: vec![false; items],
        }
    }

    /// Back to the start.
    pub(super) fn reset(&mut self, tables: &Tables) {
        for (used, resource) in self.used.iter_mut().zip(&tables.problem.resources) {
            *used = resource.used;
        }
        self.order.clear();
        self.done.fill(false);
        for waiting in &mut self.waiting {
            waiting.clear();
        }
        self.blocked_at.fill(None);
        self.before.copy_from_slice(&tables.before);
        self.ready.clear();
    }

    /// Puts every leg that can go first among the ready ones, and goes on as far as there is room.
    pub(super) fn begin(&mut self, tables: &Tables, routes: &Routes, rank: &[usize]) {
        self.replay(tables, routes, rank, &[]);
    }

    /// Lets these legs happen in this order, whose room is there, and goes on from there as far as there is room.
    pub(super) fn replay(
        &mut self,
        tables: &Tables,
        routes: &Routes,
        rank: &[usize],
        legs: &[Leg],
    ) {
        for item in 0..tables.items() {
            if self.before[item] == 0 && !self.left_out[item] {
                self.ready.push(Reverse((rank[2 * item], 2 * item)));
            }
        }
        for leg in legs {
            self.perform(tables, routes, rank, *leg);
        }
        self.go_on(tables, routes, rank);
    }

    /// Goes on as far as there is room, the leg of the lowest rank first.
    pub(super) fn go_on(&mut self, tables: &Tables, routes: &Routes, rank: &[usize]) {
        while let Some(Reverse((_, leg))) = self.ready.pop() {
            if self.done[leg] || self.left_out[item_of(leg)] {
                continue;
            }
            let job = routes.job(tables, leg);
            match self.short_of(tables, job) {
                Some(resource) => {
                    self.blocked_at[leg] = Some(resource);
                    self.waiting[resource].push(leg);
                }
                None => self.perform(tables, routes, rank, leg),
            }
        }
    }

    /// The first resource that lacks the room for this job.
    pub(super) fn short_of(&self, tables: &Tables, job: &Job) -> Option<ResourceId> {
        let mut takes = job.takes.iter();
        let short = takes.find(|take| {
            take.amount > 0
                && self.used[take.resource].saturating_add(take.amount)
                    > tables.limit(take.resource)
        });
        short.map(|take| take.resource)
    }

    /// Lets a leg happen; whoever may go on because of that becomes ready.
    pub(super) fn perform(&mut self, tables: &Tables, routes: &Routes, rank: &[usize], leg: Leg) {
        let job = routes.job(tables, leg);
        self.order.push(leg);
        self.done[leg] = true;
        self.blocked_at[leg] = None;
        for take in &job.takes {
            self.used[take.resource] += take.amount;
        }
        for free in &job.frees {
            self.used[free.resource] = self.used[free.resource].saturating_sub(free.amount);
        }
        for free in &job.frees {
            self.wake(free.resource, tables, routes, rank);
        }
        let item = item_of(leg);
        if !routes.is_last(leg) {
            self.ready.push(Reverse((rank[leg + 1], leg + 1)));
            return;
        }
        for next in &tables.after[item] {
            self.before[*next] -= 1;
            if self.before[*next] == 0 {
                self.ready.push(Reverse((rank[2 * next], 2 * next)));
            }
        }
    }

    /// Those who wait for this resource and would find room there become ready.
    fn wake(&mut self, resource: ResourceId, tables: &Tables, routes: &Routes, rank: &[usize]) {
        let left = tables.limit(resource).saturating_sub(self.used[resource]);
        if left == 0 || self.waiting[resource].is_empty() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.waiting[resource]);
        waiting.retain(|leg| {
            let mut takes = routes.job(tables, *leg).takes.iter();
            let fits = takes.all(|take| take.resource != resource || take.amount <= left);
            if fits {
                self.ready.push(Reverse((rank[*leg], *leg)));
            }
            !fits
        });
        self.waiting[resource] = waiting;
    }

    /// Takes a leg out of the queue it waits in, so that its item can go another way.
    pub(super) fn unqueue(&mut self, leg: Leg) {
        if let Some(resource) = self.blocked_at[leg].take() {
            self.waiting[resource].retain(|other| *other != leg);
        }
    }

    /// The legs that wait for room, by item.
    pub(super) fn stuck(&self) -> Vec<Leg> {
        let mut legs: Vec<Leg> = self
            .waiting
            .iter()
            .flatten()
            .copied()
            .filter(|leg| !self.left_out[item_of(*leg)])
            .collect();
        legs.sort_unstable();
        legs
    }

    /// The items that have not come to their goal.
    pub(super) fn undone(&self, routes: &Routes) -> Vec<ItemId> {
        let items = 0..self.before.len();
        items
            .filter(|item| !self.done[2 * item + routes.legs(*item) - 1])
            .collect()
    }
}
