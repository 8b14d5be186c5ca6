//! What is left of everything that steps take or use, by number, so that a schedule compares no names.

use std::collections::{BTreeMap, VecDeque};

use super::derive::Derived;
use crate::plan::{Capacity, Resource, Slot, Step};

/// Something of which a step lacks some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lack {
    /// Room, by the resource's number.
    Room(usize),
    /// A slot in which transfers are counted, by its number.
    Place(usize),
    /// A slot in which rates are counted, by its number.
    Rate(usize),
    /// Enough moves are prepared for the slot of that number.
    Turn(usize),
    /// Others take of the resource of that number first.
    Order(usize),
}

impl Lack {
    /// Whether whoever comes after the first who still lacks it lacks it as well.
    pub(super) fn is_of_units(self) -> bool {
        matches!(self, Self::Place(_))
    }
}

/// What a step needs, by number.
#[derive(Debug, Default)]
struct Needs {
    takes: Vec<(usize, u64)>,
    frees: Vec<(usize, u64)>,
    uses: Vec<(usize, u64)>,
}

/// A chain's way through the slots.
#[derive(Debug)]
struct Passage {
    /// The most that it uses of each slot at once.
    most: Vec<(usize, u64)>,
    /// The last step that uses any.
    last: Option<usize>,
}

/// What is left at a moment of the schedule. What nothing limits is not in here.
#[derive(Debug)]
pub(super) struct Stocks {
    left: Vec<i128>,
    limits: Vec<u64>,
    used: Vec<u64>,
    is_rate: Vec<bool>,
    /// What chains that have begun will use of each slot and have not yet used.
    begun: Vec<u64>,
    needs: Vec<Needs>,
    chains: Vec<Passage>,
    /// For each resource the steps that have yet to take of it, in the order in which they may; `None`: in any.
    order: Option<Vec<VecDeque<usize>>>,
}

impl Stocks {
    pub(super) fn new(
        derived: &Derived,
        capacities: &[Capacity],
        slot_limits: &BTreeMap<Slot, u64>,
        hints: Option<&[u64]>,
    ) -> Self {
        let resources: BTreeMap<Resource, usize> = capacities
            .iter()
            .enumerate()
            .map(|(number, capacity)| (capacity.resource.clone(), number))
            .collect();
        let slots: BTreeMap<&Slot, usize> = slot_limits.keys().zip(0..).collect();
        let room = |amounts: &[(Resource, u64)]| -> Vec<(usize, u64)> {
            let known = |(resource, amount): &(Resource, u64)| {
                resources.get(resource).map(|number| (*number, *amount))
            };
            amounts.iter().filter_map(known).collect()
        };
        let needs = |step: &Step| Needs {
            takes: room(&step.takes),
            frees: room(&step.frees),
            uses: step
                .uses
                .iter()
                .filter_map(|(slot, amount)| Some((*slots.get(slot)?, *amount)))
                .collect(),
        };
        let needs: Vec<Needs> = derived.steps.iter().map(needs).collect();
        let chains = derived.chains.iter().map(|chain| {
            let mut most: BTreeMap<usize, u64> = BTreeMap::new();
            for (slot, amount) in chain.steps.iter().flat_map(|step| &needs[*step].uses) {
                let so_far = most.entry(*slot).or_default();
                *so_far = (*so_far).max(*amount);
            }
            let uses = |step: &&usize| !derived.steps[**step].uses.is_empty();
            let last = chain.steps.iter().rev().find(uses).copied();
            // A base is brought for chains that have begun already; it must not wait behind them.
            let own = chain.vm.is_some();
            let most = most.into_iter().filter(|_| own).collect();
            Passage { most, last }
        });
        let order = hints.map(|hints| in_order(&needs, capacities.len(), hints));
        Self {
            order,
            left: capacities
                .iter()
                .map(|capacity| i128::from(capacity.limit) - i128::from(capacity.used))
                .collect(),
            limits: slot_limits.values().copied().collect(),
            used: vec![0; slot_limits.len()],
            is_rate: slot_limits.keys().map(Slot::is_rate).collect(),
            begun: vec![0; slot_limits.len()],
            chains: chains.collect(),
            needs,
        }
    }

    /// The first thing that a step lacks; `begins` is the chain that begins with it.
    pub(super) fn lack(&self, step: usize, begins: Option<usize>) -> Option<Lack> {
        let needs = &self.needs[step];
        let place = needs
            .uses
            .iter()
            .find(|(slot, amount)| self.used[*slot].saturating_add(*amount) > self.limits[*slot]);
        if let Some((slot, _)) = place {
            return Some(if self.is_rate[*slot] {
                Lack::Rate(*slot)
            } else {
                Lack::Place(*slot)
            });
        }
        if let Some(order) = &self.order {
            let others = |(resource, amount): &&(usize, u64)| {
                *amount > 0 && order[*resource].front() != Some(&step)
            };
            if let Some((resource, _)) = needs.takes.iter().find(others) {
                return Some(Lack::Order(*resource));
            }
        }
        let short = |(resource, amount): &&(usize, u64)| self.left[*resource] < i128::from(*amount);
        if let Some((resource, _)) = needs.takes.iter().find(short) {
            return Some(Lack::Room(*resource));
        }
        // One chain more than there is place for may be prepared, so that no slot waits for a preparation.
        let full = |(slot, _): &&(usize, u64)| self.begun[*slot] > self.limits[*slot];
        let (slot, _) = self.chains[begins?].most.iter().find(full)?;
        Some(Lack::Turn(*slot))
    }

    /// Takes note of a step's start and tells whose turn it is now to take of what it has taken, with what they lacked.
    pub(super) fn begin(&mut self, step: usize, begins: Option<usize>) -> Vec<(Lack, usize)> {
        let mut next = Vec::new();
        for (resource, amount) in &self.needs[step].takes {
            self.left[*resource] -= i128::from(*amount);
            let queue = self.order.as_mut().map(|order| &mut order[*resource]);
            if let Some(queue) = queue.filter(|queue| queue.front() == Some(&step)) {
                queue.pop_front();
                let turn = queue.front().map(|turn| (Lack::Order(*resource), *turn));
                next.extend(turn);
            }
        }
        for (slot, amount) in &self.needs[step].uses {
            self.used[*slot] = self.used[*slot].saturating_add(*amount);
        }
        for (slot, amount) in begins.iter().flat_map(|chain| &self.chains[*chain].most) {
            self.begun[*slot] = self.begun[*slot].saturating_add(*amount);
        }
        next
    }

    /// Takes note of a step's end and tells what came back.
    pub(super) fn end(&mut self, step: usize, chain: usize) -> Vec<Lack> {
        let mut back = Vec::new();
        for (resource, amount) in &self.needs[step].frees {
            self.left[*resource] += i128::from(*amount);
            back.push(Lack::Room(*resource));
        }
        for (slot, amount) in &self.needs[step].uses {
            self.used[*slot] = self.used[*slot].saturating_sub(*amount);
            back.extend([Lack::Place(*slot), Lack::Rate(*slot)]);
        }
        let Passage { most, last } = &self.chains[chain];
        if *last == Some(step) {
            for (slot, amount) in most {
                self.begun[*slot] = self.begun[*slot].saturating_sub(*amount);
                back.push(Lack::Turn(*slot));
            }
        }
        back
    }
}

/// For each resource the steps that take of it, by their hints.
fn in_order(needs: &[Needs], resources: usize, hints: &[u64]) -> Vec<VecDeque<usize>> {
    let mut order = vec![Vec::new(); resources];
    for (step, needs) in needs.iter().enumerate() {
        for (resource, _) in needs.takes.iter().filter(|(_, amount)| *amount > 0) {
            order[*resource].push((hints.get(step).copied().unwrap_or(0), step));
        }
    }
    let sorted = order.into_iter().map(|mut steps| {
        steps.sort_unstable();
        steps.dedup();
        steps.into_iter().map(|(_, step)| step).collect()
    });
    sorted.collect()
}
