//! The problem in the form that the inner loops read: which item frees and takes what, who waits for whom, and the
//! route that each item is on.

use std::rc::Rc;

use super::problem::{ItemId, Job, PlaceId, Port, Problem, ResourceId, Use};

/// One job of an item: `2 * item` is its first or only one, `2 * item + 1` the second.
pub(super) type Leg = usize;

/// The item that a leg belongs to.
pub(super) const fn item_of(leg: Leg) -> ItemId {
    leg / 2
}

/// The kind of way that an item goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Straight to its goal.
    Direct,
    /// By way of a place.
    Detour(PlaceId),
    /// With a stop.
    Cold,
}

/// A way with its jobs, one or two.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) way: Way,
    pub(super) jobs: Vec<Job>,
    /// Whether it stops what the direct job would not.
    stops: bool,
}

/// What does not change while a schedule is looked for.
#[derive(Debug)]
pub(super) struct Tables {
    /// The problem, with a port of its own for each subject of several items.
    pub(super) problem: Problem,
    /// The items that wait for each item's end.
    pub(super) after: Vec<Vec<ItemId>>,
    /// How many items each item waits for.
    pub(super) before: Vec<usize>,
    /// The items whose direct job takes from each resource.
    pub(super) entrants: Vec<Vec<ItemId>>,
    /// The items whose direct job frees each resource.
    pub(super) leavers: Vec<Vec<ItemId>>,
    /// For each item, the port that its subject has.
    subject_port: Vec<Option<usize>>,
    /// What is used of each resource in the end.
    pub(super) final_used: Vec<u64>,
}

impl Tables {
    pub(super) fn new(problem: &Problem) -> Self {
        let mut problem = problem.clone();
        let subject_port = subject_ports(&mut problem);
        let (mut entrants, mut leavers) = (
            vec![Vec::new(); problem.resources.len()],
            vec![Vec::new(); problem.resources.len()],
        );
        for (id, item) in problem.items.iter().enumerate() {
            for take in &item.job.takes {
                entrants[take.resource].push(id);
            }
            for free in &item.job.frees {
                leavers[free.resource].push(id);
            }
        }
        let mut after = vec![Vec::new(); problem.items.len()];
        let mut before = vec![0; problem.items.len()];
        for one in &problem.precedences {
            after[one.before].push(one.after);
            before[one.after] += 1;
        }
        let mut tables = Self {
            problem,
            after,
            before,
            entrants,
            leavers,
            subject_port,
            final_used: Vec::new(),
        };
        tables.final_used = tables.used_after(&vec![true; tables.items()]);
        tables
    }

    /// What is used of each resource before anything moves.
    pub(super) fn used_at_start(&self) -> Vec<u64> {
        self.problem.resources.iter().map(|one| one.used).collect()
    }

    /// What is used of each resource when these items have moved.
    pub(super) fn used_after(&self, moved: &[bool]) -> Vec<u64> {
        let mut used = self.used_at_start();
        let items = || {
            self.problem
                .items
                .iter()
                .zip(moved)
                .filter(|(_, moved)| **moved)
        };
        for take in items().flat_map(|(item, _)| &item.job.takes) {
            used[take.resource] = used[take.resource].saturating_add(take.amount);
        }
        for free in items().flat_map(|(item, _)| &item.job.frees) {
            used[free.resource] = used[free.resource].saturating_sub(free.amount);
        }
        used
    }

    pub(super) fn items(&self) -> usize {
        self.problem.items.len()
    }

    pub(super) fn limit(&self, resource: ResourceId) -> u64 {
        self.problem.resources[resource].limit
    }

    /// A route with what this problem adds to its jobs.
    pub(super) fn route(&self, item: ItemId, way: Way, mut jobs: Vec<Job>) -> Rc<Route> {
        if let Some(port) = self.subject_port[item] {
            for job in &mut jobs {
                job.uses.push(whole(port, job.duration));
            }
        }
        let stops = way == Way::Cold && !self.stops_anyway(item);
        Rc::new(Route { way, jobs, stops })
    }

    /// Whether an item is stopped on the direct way, too.
    pub(super) fn stops_anyway(&self, item: ItemId) -> bool {
        self.problem.items[item].job.stops.is_some()
    }
}

fn whole(port: usize, duration: u64) -> Use {
    Use {
        port,
        amount: 1,
        from: 0,
        to: duration,
    }
}

/// Gives each subject of several items a port that one job at a time can use.
fn subject_ports(problem: &mut Problem) -> Vec<Option<usize>> {
    let mut counts = std::collections::BTreeMap::new();
    for subject in problem.items.iter().filter_map(|item| item.subject) {
        *counts.entry(subject).or_insert(0_usize) += 1;
    }
    let mut ports = std::collections::BTreeMap::new();
    for (subject, _) in counts.into_iter().filter(|(_, count)| *count > 1) {
        ports.insert(subject, problem.ports.len());
        problem.ports.push(Port { limit: 1 });
    }
    let port_of = |subject: Option<usize>| subject.and_then(|one| ports.get(&one).copied());
    let mut result = Vec::with_capacity(problem.items.len());
    for item in &mut problem.items {
        let port = port_of(item.subject);
        item.job
            .uses
            .extend(port.map(|port| whole(port, item.job.duration)));
        result.push(port);
    }
    result
}

/// The route of each item; what has none here goes straight.
#[derive(Debug, Clone)]
pub(super) struct Routes {
    chosen: Vec<Option<Rc<Route>>>,
}

impl Routes {
    pub(super) fn direct(tables: &Tables) -> Self {
        Self {
            chosen: vec![None; tables.items()],
        }
    }

    pub(super) fn set(&mut self, item: ItemId, route: Option<Rc<Route>>) -> Option<Rc<Route>> {
        std::mem::replace(&mut self.chosen[item], route)
    }

    pub(super) fn way(&self, item: ItemId) -> Way {
        self.chosen[item]
            .as_ref()
            .map_or(Way::Direct, |route| route.way)
    }

    pub(super) fn legs(&self, item: ItemId) -> usize {
        self.chosen[item]
            .as_ref()
            .map_or(1, |route| route.jobs.len())
    }

    pub(super) fn is_last(&self, leg: Leg) -> bool {
        leg % 2 + 1 == self.legs(item_of(leg))
    }

    pub(super) fn job<'a>(&'a self, tables: &'a Tables, leg: Leg) -> &'a Job {
        match &self.chosen[item_of(leg)] {
            None => &tables.problem.items[item_of(leg)].job,
            Some(route) => &route.jobs[leg % 2],
        }
    }

    /// How many items make an extra move.
    pub(super) fn detours(&self) -> usize {
        self.count(|route| matches!(route.way, Way::Detour(_)))
    }

    /// How many items are stopped where they need not be.
    pub(super) fn colds(&self) -> usize {
        self.count(|route| route.stops)
    }

    fn count(&self, which: impl Fn(&Route) -> bool) -> usize {
        let ways = self.chosen.iter().flatten();
        ways.filter(|route| which(route)).count()
    }
}

/// What may be done where nothing can go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    /// The most detours in all.
    pub(super) detours: usize,
    /// The most items that are stopped and would not be on the direct way.
    pub(super) stops: usize,
}
