//! When each step can start, by the forecast, so that every host and pool has room at every moment.
//!
//! List scheduling over events: whenever a step ends, every step whose reasons are met and whose room is there
//! starts, the one with the most work behind it first. A chain takes all its room with its first step, so a move that
//! has begun can always end; what cannot begin when nothing runs any more never can, and is reported.
//!
//! Where somebody with a view of the whole has decided, each step has a hint: it starts no earlier, and room is taken
//! in the order of the hints. A chain that takes its room in its turn finds it once those before it have ended, so
//! whoever has found a schedule with these starts has found one that does not get stuck here.
//!
//! A step that cannot start waits at the one stock that it lacks and is looked at again only when some of that comes
//! back, so that a long queue costs nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use petgraph::Direction;
use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};

use super::derive::Derived;
use super::rank::Rank;
use super::stocks::{Lack, Stocks};
use crate::model::Millis;
use crate::plan::{Capacity, Slot};

/// Start of each step, and whether all of them can start.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Start of each step by its place; meaningless where some cannot start.
    pub(super) starts: Vec<Millis>,
    /// Whether some step never finds what it needs.
    pub(super) is_stuck: bool,
    /// Steps whose reasons are met and that find no room, where some cannot start.
    pub(super) without_room: Vec<usize>,
}

/// Most urgent first: what an earlier apply began, then by hint, then what has most work behind it.
type Urgency = (Rank, u64, Reverse<u64>, usize);

struct Run<'a> {
    derived: &'a Derived,
    hints: Option<&'a [u64]>,
    stocks: Stocks,
    chain_of: Vec<usize>,
    waiting_for: Vec<usize>,
    tail: Vec<u64>,
    starts: Vec<Millis>,
    running: BinaryHeap<Reverse<(u64, usize)>>,
    /// What may start as far as its reasons go, but not so early.
    later: BinaryHeap<Reverse<(u64, usize)>>,
    /// What may start now as far as its reasons go, and is to be looked at.
    ready: BTreeSet<Urgency>,
    /// What waits at each stock, and the stocks of which some has come back.
    queues: BTreeMap<Lack, BTreeSet<Urgency>>,
    woken: BTreeSet<Lack>,
    graph: DiGraph<(), ()>,
}

/// Schedules all steps; `hints` has one for each.
pub(super) fn schedule(
    derived: &Derived,
    capacities: &[Capacity],
    slot_limits: &BTreeMap<Slot, u64>,
    hints: Option<&[u64]>,
) -> Schedule {
    let mut run = Run::new(derived, capacities, slot_limits, hints);
    run.start_what_can(0);
    while let Some(now) = run.next_instant() {
        while let Some(step) = pop_at(&mut run.running, now) {
            run.end(now, step);
        }
        while let Some(step) = pop_at(&mut run.later, now) {
            run.ready.insert(run.urgency(step));
        }
        run.start_what_can(now);
    }
    run.finish()
}

/// What is due at this instant.
fn pop_at(heap: &mut BinaryHeap<Reverse<(u64, usize)>>, now: u64) -> Option<usize> {
    let due = heap.peek().is_some_and(|Reverse((at, _))| *at <= now);
    due.then(|| heap.pop())
        .flatten()
        .map(|Reverse((_, step))| step)
}

impl<'a> Run<'a> {
    fn new(
        derived: &'a Derived,
        capacities: &[Capacity],
        slot_limits: &BTreeMap<Slot, u64>,
        hints: Option<&'a [u64]>,
    ) -> Self {
        let count = derived.steps.len();
        let mut chain_of = vec![0; count];
        for (index, chain) in derived.chains.iter().enumerate() {
            for step in &chain.steps {
                chain_of[*step] = index;
            }
        }
        let graph = graph_of(derived);
        let waiting_for = graph
            .node_indices()
            .map(|step| graph.neighbors_directed(step, Direction::Incoming).count());
        let mut run = Self {
            derived,
            hints,
            stocks: Stocks::new(derived, capacities, slot_limits, hints),
            chain_of,
            waiting_for: waiting_for.collect(),
            tail: tails(derived, &graph),
            starts: vec![Millis::ZERO; count],
            running: BinaryHeap::new(),
            later: BinaryHeap::new(),
            ready: BTreeSet::new(),
            queues: BTreeMap::new(),
            woken: BTreeSet::new(),
            graph,
        };
        for step in (0..count).filter(|step| derived.steps[*step].after.is_empty()) {
            run.reasons_met(0, step);
        }
        run
    }

    fn next_instant(&self) -> Option<u64> {
        let of = |heap: &BinaryHeap<Reverse<(u64, usize)>>| heap.peek().map(|Reverse((at, _))| *at);
        of(&self.running).into_iter().chain(of(&self.later)).min()
    }

    fn hint(&self, step: usize) -> u64 {
        self.hints
            .and_then(|hints| hints.get(step))
            .copied()
            .unwrap_or(0)
    }

    fn reasons_met(&mut self, now: u64, step: usize) {
        let hint = self.hint(step);
        if hint > now {
            self.later.push(Reverse((hint, step)));
        } else {
            self.ready.insert(self.urgency(step));
        }
    }

    fn urgency(&self, step: usize) -> Urgency {
        let rank = self.derived.chains[self.chain_of[step]].rank;
        (rank, self.hint(step), Reverse(self.tail[step]), step)
    }

    /// The chain that begins with a step, if one does.
    fn begins(&self, step: usize) -> Option<usize> {
        let chain = self.chain_of[step];
        (self.derived.chains[chain].steps.first() == Some(&step)).then_some(chain)
    }

    /// Starts whatever can start, the most urgent first. Of a woken queue the most urgent is looked at, and the next
    /// one unless that would lack the same.
    fn start_what_can(&mut self, now: u64) {
        let mut from: BTreeMap<Urgency, Lack> = BTreeMap::new();
        let next = |run: &mut Self, lack: Lack, from: &mut BTreeMap<Urgency, Lack>| {
            if let Some(first) = run.queues.get_mut(&lack).and_then(BTreeSet::pop_first) {
                from.insert(first, lack);
                run.ready.insert(first);
            }
        };
        for lack in std::mem::take(&mut self.woken) {
            next(self, lack, &mut from);
        }
        // What lacks an amount is put back at the end: another in the same queue may need less.
        let mut passed: BTreeMap<Urgency, Lack> = BTreeMap::new();
        while let Some(candidate) = self.ready.pop_first() {
            let came_from = from.remove(&candidate);
            let step = candidate.3;
            let lack = self.stocks.lack(step, self.begins(step));
            match lack {
                None => {
                    for (lack, turn) in self.start(now, step) {
                        self.take_turn(lack, turn, &mut passed);
                    }
                }
                Some(lack) => {
                    passed.insert(candidate, lack);
                }
            }
            if let Some(queue) = came_from
                && (lack != Some(queue) || !queue.is_of_units())
            {
                next(self, queue, &mut from);
            }
        }
        for (candidate, lack) in passed {
            self.queues.entry(lack).or_default().insert(candidate);
        }
    }

    /// Looks again at a step that waited for its turn, also where it was passed over just now.
    fn take_turn(&mut self, lack: Lack, turn: usize, passed: &mut BTreeMap<Urgency, Lack>) {
        let urgency = self.urgency(turn);
        let mut queue = self.queues.get_mut(&lack);
        let waited = queue.as_mut().is_some_and(|queue| queue.remove(&urgency));
        let was_passed = passed.get(&urgency) == Some(&lack);
        if was_passed {
            passed.remove(&urgency);
        }
        if waited || was_passed {
            self.ready.insert(urgency);
        }
    }

    fn start(&mut self, now: u64, step: usize) -> Vec<(Lack, usize)> {
        let next = self.stocks.begin(step, self.begins(step));
        self.starts[step] = Millis(now);
        let duration = self.derived.steps[step].forecast.duration.0.max(1);
        self.running.push(Reverse((now + duration, step)));
        next
    }

    fn end(&mut self, now: u64, step: usize) {
        let chain = self.chain_of[step];
        self.woken.extend(self.stocks.end(step, chain));
        let dependents: Vec<_> = self.graph.neighbors(NodeIndex::new(step)).collect();
        for dependent in dependents.into_iter().map(NodeIndex::index) {
            self.waiting_for[dependent] -= 1;
            if self.waiting_for[dependent] == 0 {
                self.reasons_met(now, dependent);
            }
        }
    }

    fn finish(self) -> Schedule {
        let queued = self.queues.values().flatten();
        let without_room: Vec<usize> = queued.map(|urgency| urgency.3).collect();
        Schedule {
            is_stuck: !without_room.is_empty() || self.waiting_for.iter().any(|before| *before > 0),
            without_room,
            starts: self.starts,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HostName, InvalidName, VmName};
    use crate::plan::{Action, Forecast, Resource, Step};
    use crate::planner::derive::Chain;

    /// A chain of one step that takes so much memory of a host and lasts so long.
    fn add(
        derived: &mut Derived,
        host: &HostName,
        amount: u64,
        duration: u64,
    ) -> Result<(), InvalidName> {
        let number = derived.steps.len();
        let vm = VmName::new(format!("vm-{number}"))?;
        derived.steps.push(Step {
            action: Action::Unmark {
                host: host.clone(),
                vm: vm.clone(),
            },
            vms: vec![vm.clone()],
            after: Vec::new(),
            takes: vec![(Resource::Memory(host.clone()), amount)],
            frees: Vec::new(),
            uses: Vec::new(),
            start: Millis::ZERO,
            forecast: Forecast {
                duration: Millis(duration),
                ..Forecast::default()
            },
            held: None,
        });
        derived.chains.push(Chain {
            steps: vec![number],
            vm: Some(vm),
            rank: Rank::Fresh,
        });
        Ok(())
    }

    #[test]
    fn who_was_passed_over_takes_his_turn_once_it_comes() -> Result<(), InvalidName> {
        let host = HostName::new("kvm1")?;
        let mut derived = Derived::default();
        add(&mut derived, &host, 4, 10)?;
        // Has more behind it, so it is looked at first, and its turn comes second.
        add(&mut derived, &host, 3, 20)?;
        let capacity = Capacity {
            resource: Resource::Memory(host),
            limit: 7,
            used: 0,
        };
        let found = schedule(&derived, &[capacity], &BTreeMap::new(), Some(&[0, 0]));
        assert!(!found.is_stuck);
        assert_eq!(found.starts, [Millis::ZERO, Millis::ZERO]);
        Ok(())
    }
}
