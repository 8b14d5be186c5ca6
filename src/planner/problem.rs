//! Chains of steps as what the solver schedules: each chain an item, its steps' room and slots counted from the
//! chain's start.
//!
//! Within a chain nothing waits but for room, so a chain is one job, or several where a later step takes room of its
//! own: a VM that is stopped gives its memory back at one host before it takes it at the other.

use std::collections::{BTreeMap, BTreeSet};

use super::derive::{Chain, Derived};
use super::rank::Rank;
use super::solver::{Item, Job, Port, Precedence, Problem, Release, Solution, Take, Use};
use crate::model::VmName;
use crate::plan::{Action, Capacity, Resource, Slot, Step};

/// What all that is taken of one resource comes to at most, in a reading that says anything. The solver adds without
/// looking.
const SUM_MAX: u64 = 1 << 61;

/// Resources and slots by the solver's numbers. What is not limited is left out.
#[derive(Debug)]
pub(super) struct Numbers {
    resources: BTreeMap<Resource, usize>,
    slots: BTreeMap<Slot, usize>,
    /// No step takes or gives back more than that.
    most: u64,
}

impl Numbers {
    /// For steps of so many chains.
    pub(super) fn new(capacities: &[Capacity], slots: &BTreeMap<Slot, u64>, chains: usize) -> Self {
        let resources = capacities.iter().enumerate();
        let chains = u64::try_from(chains).unwrap_or(u64::MAX);
        Self {
            most: SUM_MAX / chains.max(1),
            resources: resources
                .map(|(number, capacity)| (capacity.resource.clone(), number))
                .collect(),
            slots: slots.keys().cloned().zip(0..).collect(),
        }
    }

    fn bounded(&self, amount: u64) -> u64 {
        amount.min(self.most)
    }

    pub(super) fn resource(&self, resource: &Resource) -> Option<usize> {
        self.resources.get(resource).copied()
    }

    /// The jobs of one chain, in order: a new one begins where a step after the first takes room.
    pub(super) fn jobs(&self, steps: &[&Step]) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            if index == 0 || !step.takes.is_empty() {
                jobs.push(Job::default());
            }
            if let Some(job) = jobs.last_mut() {
                self.add(job, step);
            }
        }
        for job in &mut jobs {
            merge_uses(job);
        }
        jobs
    }

    fn add(&self, job: &mut Job, step: &Step) {
        let start = job.duration;
        // What lasts no time at all would end before it begins.
        let end = start.saturating_add(step.forecast.duration.0.max(1));
        for (resource, amount) in &step.takes {
            let Some(resource) = self.resource(resource) else {
                continue;
            };
            match job.takes.iter_mut().find(|take| take.resource == resource) {
                Some(take) => take.amount = self.bounded(take.amount.saturating_add(*amount)),
                None => job.takes.push(Take {
                    resource,
                    amount: self.bounded(*amount),
                }),
            }
        }
        let frees = step.frees.iter();
        job.frees.extend(frees.filter_map(|(resource, amount)| {
            Some(Release {
                resource: self.resource(resource)?,
                amount: self.bounded(*amount),
                at: end,
            })
        }));
        let uses = step.uses.iter();
        job.uses.extend(uses.filter_map(|(slot, amount)| {
            Some(Use {
                port: *self.slots.get(slot)?,
                amount: self.bounded(*amount),
                from: start,
                to: end,
            })
        }));
        if matches!(step.action, Action::ShutDown { .. }) {
            job.stops = Some(0);
        }
        job.bytes = job.bytes.saturating_add(step.forecast.bytes.0);
        job.duration = end;
    }
}

/// A port stands once in a job: several uses of it become one from the first's start to the last's end, of the
/// largest amount.
fn merge_uses(job: &mut Job) {
    let mut merged: Vec<Use> = Vec::new();
    for one in std::mem::take(&mut job.uses) {
        match merged.iter_mut().find(|known| known.port == one.port) {
            Some(known) => {
                known.amount = known.amount.max(one.amount);
                known.to = known.to.max(one.to);
            }
            None => merged.push(one),
        }
    }
    job.uses = merged;
}

/// The steps of a chain.
pub(super) fn steps_of<'d>(derived: &'d Derived, chain: &Chain) -> Vec<&'d Step> {
    let steps = chain.steps.iter();
    steps.map(|step| &derived.steps[*step]).collect()
}

/// All chains as one problem; items have the chains' numbers.
pub(super) fn problem(
    derived: &Derived,
    numbers: &Numbers,
    capacities: &[Capacity],
    slots: &BTreeMap<Slot, u64>,
) -> Problem {
    let mut subjects: BTreeMap<&VmName, usize> = BTreeMap::new();
    let items = derived.chains.iter().map(|chain| {
        let known = subjects.len();
        let subject = chain.vm.as_ref();
        Item {
            job: whole(numbers.jobs(&steps_of(derived, chain))),
            subject: subject.map(|vm| *subjects.entry(vm).or_insert(known)),
        }
    });
    let resource = |capacity: &Capacity| super::solver::Resource {
        limit: capacity.limit.min(SUM_MAX),
        used: capacity.used.min(SUM_MAX),
    };
    Problem {
        items: items.collect(),
        resources: capacities.iter().map(resource).collect(),
        ports: slots.values().map(|limit| Port { limit: *limit }).collect(),
        precedences: precedences(derived),
    }
}

/// A chain of several jobs as one that takes all its room at its start.
pub(super) fn whole(jobs: Vec<Job>) -> Job {
    let mut whole = Job::default();
    for job in jobs {
        let offset = whole.duration;
        for take in job.takes {
            match whole
                .takes
                .iter_mut()
                .find(|known| known.resource == take.resource)
            {
                Some(known) => known.amount = known.amount.saturating_add(take.amount),
                None => whole.takes.push(take),
            }
        }
        let frees = job.frees.into_iter();
        whole.frees.extend(frees.map(|free| Release {
            at: free.at.saturating_add(offset),
            ..free
        }));
        let uses = job.uses.into_iter();
        whole.uses.extend(uses.map(|one| Use {
            from: one.from.saturating_add(offset),
            to: one.to.saturating_add(offset),
            ..one
        }));
        whole.stops = whole.stops.or(job.stops);
        whole.bytes = whole.bytes.saturating_add(job.bytes);
        whole.duration = offset.saturating_add(job.duration);
    }
    merge_uses(&mut whole);
    whole
}

/// Chains that wait for steps of other chains, such as a clone's for its base. A base that waits for the mark which
/// names it waits for the first step of a chain that waits for the base, and the mark of the last clone goes after the
/// base that it has left, which goes after the clone's other steps: that is no order of chains and is left to the steps.
fn precedences(derived: &Derived) -> Vec<Precedence> {
    let mut chain_of = vec![0; derived.steps.len()];
    for (number, chain) in derived.chains.iter().enumerate() {
        for step in &chain.steps {
            chain_of[*step] = number;
        }
    }
    let mut found = Vec::new();
    for (step, of) in derived.steps.iter().zip(&chain_of) {
        for dependency in &step.after {
            let before = chain_of[dependency.step.0];
            let is_mark = matches!(derived.steps[dependency.step.0].action, Action::Mark { .. });
            let is_unmark = matches!(step.action, Action::Unmark { .. });
            if before != *of && !is_mark && !is_unmark {
                found.push(Precedence { before, after: *of });
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// What a chain takes any of.
pub(super) fn takes<'d>(derived: &'d Derived, chain: &Chain) -> BTreeSet<&'d Resource> {
    let steps = chain.steps.iter();
    let takes = steps.flat_map(|step| &derived.steps[*step].takes);
    let takes = takes.filter(|(_, amount)| *amount > 0);
    takes.map(|(resource, _)| resource).collect()
}

/// A VM that an earlier apply has shut down and that a solution leaves off, with the number of what it lacks.
pub(super) fn waits_for<'c>(
    chains: &'c [Chain],
    solution: &Solution,
) -> Option<(&'c VmName, usize)> {
    let short = solution.stuck.iter().flat_map(|group| &group.short);
    let mut down = short.filter(|short| chains[short.item].rank == Rank::Down);
    down.find_map(|short| Some((chains[short.item].vm.as_ref()?, short.resource)))
}

/// Chains before those that only compete for their room and have less right to it.
pub(super) fn begun_first(derived: &Derived) -> Vec<Precedence> {
    let takes = |chain: usize| takes(derived, &derived.chains[chain]);
    let rank = |chain: usize| derived.chains[chain].rank;
    let all = 0..derived.chains.len();
    let begun: Vec<usize> = all
        .clone()
        .filter(|chain| rank(*chain) < Rank::Fresh)
        .collect();
    let mut found = Vec::new();
    for before in begun {
        let room = takes(before);
        let others = all.clone().filter(|other| {
            let is_vm = derived.chains[*other].vm.is_some();
            !room.is_empty() && is_vm && rank(before) < rank(*other)
        });
        let compete = others.filter(|other| !takes(*other).is_disjoint(&room));
        found.extend(compete.map(|after| Precedence { before, after }));
    }
    found
}

/// How many chains a solution leaves out, the gravest first; the less, the better.
pub(super) fn left(derived: &Derived, solution: &Solution) -> [usize; 3] {
    let up_to = |rank| {
        let items = solution.stuck.iter().flat_map(|group| &group.items);
        items
            .filter(|item| derived.chains[**item].rank <= rank)
            .count()
    };
    [Rank::Down, Rank::Begun, Rank::Fresh].map(up_to)
}
