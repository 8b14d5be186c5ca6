//! When each step can start, by the forecast, so that every host and pool has room at every moment.
//!
//! List scheduling over events: whenever a step ends, every step whose reasons are met and whose room is there
//! starts, the one with the most work behind it first. A chain takes all its room with its first step, so a move that
//! has begun can always end; what cannot begin when nothing runs any more never can, and is reported.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use petgraph::Direction;
use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};

use super::derive::Derived;
use crate::model::Millis;
use crate::plan::{Capacity, Resource, Slot};

/// Start of each step, and the chains that never find room.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Start of each step by its place; meaningless for the steps of stuck chains.
    pub(super) starts: Vec<Millis>,
    /// Chains that cannot begin, with the resources that are short and by how much.
    pub(super) stuck: Vec<Stuck>,
}

/// A chain that cannot begin.
#[derive(Debug)]
pub(super) struct Stuck {
    /// Its place among the chains.
    pub(super) chain: usize,
    /// What is short: the resource, what is needed, what is left.
    pub(super) short: Vec<(Resource, u64, u64)>,
}

struct Run<'a> {
    derived: &'a Derived,
    slot_limits: &'a BTreeMap<Slot, u32>,
    /// What is left of each resource; what is not listed is not limited.
    left: BTreeMap<Resource, i128>,
    slots: BTreeMap<Slot, u32>,
    /// Chains that have begun and not yet used the slot.
    begun: BTreeMap<Slot, u32>,
    /// The slots that each chain uses, each once.
    chain_slots: Vec<Vec<Slot>>,
    chain_of: Vec<usize>,
    waiting_for: Vec<usize>,
    tail: Vec<u64>,
    starts: Vec<Millis>,
    running: BinaryHeap<Reverse<(u64, usize)>>,
    /// Most urgent first: what an earlier apply began, then what has most work behind it.
    ready: BTreeSet<(bool, Reverse<u64>, usize)>,
    graph: DiGraph<(), ()>,
}

/// Schedules all steps.
pub(super) fn schedule(
    derived: &Derived,
    capacities: &[Capacity],
    slot_limits: &BTreeMap<Slot, u32>,
) -> Schedule {
    let mut run = Run::new(derived, capacities, slot_limits);
    run.start_what_can(0);
    while let Some(Reverse((now, step))) = run.running.pop() {
        run.end(step);
        while let Some(Reverse((at, other))) = run.running.peek().copied() {
            if at != now {
                break;
            }
            run.running.pop();
            run.end(other);
        }
        run.start_what_can(now);
    }
    run.finish()
}

impl<'a> Run<'a> {
    fn new(
        derived: &'a Derived,
        capacities: &[Capacity],
        slot_limits: &'a BTreeMap<Slot, u32>,
    ) -> Self {
        let count = derived.steps.len();
        let mut chain_of = vec![0; count];
        let mut chain_slots = Vec::new();
        for (index, chain) in derived.chains.iter().enumerate() {
            let mut slots: Vec<Slot> = Vec::new();
            for step in &chain.steps {
                chain_of[*step] = index;
                slots.extend(derived.steps[*step].slots.iter().cloned());
            }
            slots.sort();
            slots.dedup();
            // A base is brought for chains that have begun already; it must not wait behind them.
            chain_slots.push(if chain.vm.is_some() {
                slots
            } else {
                Vec::new()
            });
        }
        let graph = graph_of(derived);
        let waiting_for = graph
            .node_indices()
            .map(|step| graph.neighbors_directed(step, Direction::Incoming).count());
        let left = capacities.iter().map(|capacity| {
            (
                capacity.resource.clone(),
                i128::from(capacity.limit) - i128::from(capacity.used),
            )
        });
        let mut run = Self {
            derived,
            slot_limits,
            left: left.collect(),
            slots: BTreeMap::new(),
            begun: BTreeMap::new(),
            chain_slots,
            chain_of,
            waiting_for: waiting_for.collect(),
            tail: tails(derived, &graph),
            starts: vec![Millis::ZERO; count],
            running: BinaryHeap::new(),
            ready: BTreeSet::new(),
            graph,
        };
        for step in (0..count).filter(|step| derived.steps[*step].after.is_empty()) {
            run.ready.insert(run.urgency(step));
        }
        run
    }

    fn urgency(&self, step: usize) -> (bool, Reverse<u64>, usize) {
        let begun = self.derived.chains[self.chain_of[step]].is_begun;
        (!begun, Reverse(self.tail[step]), step)
    }

    fn is_first(&self, step: usize) -> bool {
        self.derived.chains[self.chain_of[step]].steps.first() == Some(&step)
    }

    fn limit(&self, slot: &Slot) -> u32 {
        self.slot_limits.get(slot).copied().unwrap_or(u32::MAX)
    }

    fn is_free(&self, slot: &Slot) -> bool {
        self.slots.get(slot).copied().unwrap_or(0) < self.limit(slot)
    }

    fn fits(&self, step: usize) -> bool {
        self.derived.steps[step]
            .takes
            .iter()
            .all(|(resource, amount)| {
                self.left
                    .get(resource)
                    .is_none_or(|left| *left >= i128::from(*amount))
            })
    }

    /// One chain more than there are slots may be prepared, so that no slot waits for a preparation.
    fn may_begin(&self, step: usize) -> bool {
        let slots = &self.chain_slots[self.chain_of[step]];
        slots.iter().all(|slot| {
            self.begun.get(slot).copied().unwrap_or(0) < self.limit(slot).saturating_add(1)
        })
    }

    fn start_what_can(&mut self, now: u64) {
        let candidates: Vec<_> = self.ready.iter().copied().collect();
        for (later, tail, step) in candidates {
            let first = self.is_first(step);
            let action = &self.derived.steps[step];
            let can = action.slots.iter().all(|slot| self.is_free(slot))
                && self.fits(step)
                && (!first || self.may_begin(step));
            if !can {
                continue;
            }
            self.ready.remove(&(later, tail, step));
            for (resource, amount) in &action.takes {
                if let Some(left) = self.left.get_mut(resource) {
                    *left -= i128::from(*amount);
                }
            }
            for slot in &action.slots {
                *self.slots.entry(slot.clone()).or_default() += 1;
            }
            if first {
                for slot in &self.chain_slots[self.chain_of[step]] {
                    *self.begun.entry(slot.clone()).or_default() += 1;
                }
            }
            self.starts[step] = Millis(now);
            self.running
                .push(Reverse((now + action.forecast.duration.0.max(1), step)));
        }
    }

    fn end(&mut self, step: usize) {
        let action = &self.derived.steps[step];
        for (resource, amount) in &action.frees {
            if let Some(left) = self.left.get_mut(resource) {
                *left += i128::from(*amount);
            }
        }
        for slot in &action.slots {
            if let Some(used) = self.slots.get_mut(slot) {
                *used -= 1;
            }
        }
        let chain = self.chain_of[step];
        let steps = &self.derived.chains[chain].steps;
        let last_user = steps
            .iter()
            .rev()
            .find(|other| !self.derived.steps[**other].slots.is_empty());
        if last_user == Some(&step) {
            for slot in &self.chain_slots[chain] {
                if let Some(begun) = self.begun.get_mut(slot) {
                    *begun = begun.saturating_sub(1);
                }
            }
        }
        let dependents: Vec<_> = self.graph.neighbors(NodeIndex::new(step)).collect();
        for dependent in dependents.into_iter().map(NodeIndex::index) {
            self.waiting_for[dependent] -= 1;
            if self.waiting_for[dependent] == 0 {
                self.ready.insert(self.urgency(dependent));
            }
        }
    }

    fn finish(self) -> Schedule {
        let short = |step: usize| {
            let of = |(resource, amount): &(Resource, u64)| {
                let left = self.left.get(resource)?;
                let left = u64::try_from((*left).max(0)).unwrap_or(u64::MAX);
                (left < *amount).then(|| (resource.clone(), *amount, left))
            };
            self.derived.steps[step]
                .takes
                .iter()
                .filter_map(of)
                .collect()
        };
        let stuck = self.ready.iter().map(|(_, _, step)| Stuck {
            chain: self.chain_of[*step],
            short: short(*step),
        });
        Schedule {
            stuck: stuck.collect(),
            starts: self.starts.clone(),
        }
    }
}

/// The steps as a graph: an edge from each step to every step that waits for it. Node numbers are places.
fn graph_of(derived: &Derived) -> DiGraph<(), ()> {
    let mut graph = DiGraph::with_capacity(derived.steps.len(), derived.steps.len() * 2);
    for _ in &derived.steps {
        graph.add_node(());
    }
    for (index, step) in derived.steps.iter().enumerate() {
        for dependency in &step.after {
            graph.update_edge(NodeIndex::new(dependency.step.0), NodeIndex::new(index), ());
        }
    }
    graph
}

/// For each step the forecast work from its start to the end of everything behind it. Steps that wait for each other
/// in a circle have none; they never become ready and are reported as stuck.
fn tails(derived: &Derived, graph: &DiGraph<(), ()>) -> Vec<u64> {
    let mut tail = vec![0_u64; derived.steps.len()];
    for step in toposort(graph, None).unwrap_or_default().into_iter().rev() {
        let behind = graph.neighbors(step).map(|other| tail[other.index()]).max();
        let own = derived.steps[step.index()].forecast.duration.0;
        tail[step.index()] = behind.unwrap_or(0).saturating_add(own);
    }
    tail
}
