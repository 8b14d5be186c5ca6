//! From what the search holds to what the caller gets.

use super::construct::LeftOut;
use super::exact::{Found, exact};
use super::problem::{ItemId, Problem};
use super::relief::relief;
use super::search::{Schedule, Search};
use super::solution::{Bounds, Cause, Outcome, Planned, Shortage, Solution, Stuck, Waited};
use super::tables::{Allowed, Leg, Tables, item_of};
use super::ways::{Boundless, Ways};

/// The items of a group for which every order is looked through, and the states looked at for it.
const PROOF_ITEMS_MAX: usize = 24;
const PROOF_STATES_MAX: usize = 20_000;

/// The items that need more of a port than there is: they can never move.
pub(super) fn impossible(tables: &Tables) -> Vec<bool> {
    let ports = &tables.problem.ports;
    let mut impossible: Vec<bool> = tables
        .problem
        .items
        .iter()
        .map(|item| {
            item.job
                .uses
                .iter()
                .any(|one| one.amount > ports[one.port].limit && one.from < one.to)
        })
        .collect();
    let mut open: Vec<ItemId> = (0..tables.items())
        .filter(|item| impossible[*item])
        .collect();
    while let Some(item) = open.pop() {
        for next in &tables.after[item] {
            if !std::mem::replace(&mut impossible[*next], true) {
                open.push(*next);
            }
        }
    }
    impossible
}

/// The solution for the caller.
pub(super) fn solution(
    problem: &Problem,
    tables: &Tables,
    schedule: Option<Schedule>,
    stuck: Vec<Stuck>,
    bounds: Bounds,
    work: u64,
) -> Solution {
    let mut group_of = vec![usize::MAX; tables.items()];
    for (number, group) in stuck.iter().enumerate() {
        for item in &group.items {
            group_of[*item] = number;
        }
    }
    let mut solution = Solution {
        outcomes: Vec::with_capacity(tables.items()),
        stuck,
        makespan: 0,
        bounds,
        critical: Vec::new(),
        detours: 0,
        stopped: 0,
        work,
    };
    for (item, group) in group_of.into_iter().enumerate() {
        let outcome = match &schedule {
            Some(schedule) if group == usize::MAX => Outcome::Moved {
                way: schedule.routes.way(item),
                jobs: (0..schedule.routes.legs(item))
                    .map(|number| planned(problem, tables, schedule, 2 * item + number))
                    .collect(),
            },
            _ => Outcome::Stuck(group),
        };
        solution.outcomes.push(outcome);
    }
    if let Some(schedule) = schedule {
        solution.makespan = schedule.makespan;
        solution.detours = schedule.routes.detours();
        solution.stopped = schedule.routes.colds();
        let end = |leg: &Leg| schedule.starts[*leg].at + schedule.routes.job(tables, *leg).duration;
        if let Some(last) = schedule
            .order
            .iter()
            .copied()
            .max_by_key(|leg| (end(leg), *leg))
        {
            let chain = Search::chain(&schedule, last);
            solution.critical = chain
                .into_iter()
                .rev()
                .map(|leg| (item_of(leg), leg % 2))
                .collect();
        }
    }
    solution
}

fn planned(problem: &Problem, tables: &Tables, schedule: &Schedule, leg: Leg) -> Planned {
    let start = schedule.starts[leg];
    let mut job = schedule.routes.job(tables, leg).clone();
    job.uses.retain(|one| one.port < problem.ports.len());
    let waited = start.cause.map(|(cause, by)| Waited {
        on: match cause {
            Cause::Port(port) if port >= problem.ports.len() => Cause::Subject,
            other => other,
        },
        item: item_of(by),
        job: by % 2,
    });
    Planned {
        job,
        start: start.at,
        waited,
    }
}

/// The groups of those left out, with what is known about each.
pub(super) fn stuck(
    tables: &Tables,
    ways: &dyn Ways,
    detours: usize,
    left_out: Vec<LeftOut>,
    impossible: &[bool],
    proven: bool,
) -> Vec<Stuck> {
    let mut groups: Vec<Stuck> = Vec::new();
    for one in left_out {
        let known = groups
            .iter()
            .position(|group| group.items.contains(&one.item));
        let number = known.unwrap_or_else(|| {
            groups.push(Stuck {
                items: one.group.clone(),
                waits: one.waits,
                short: Vec::new(),
                ports: Vec::new(),
                proven,
                relief: None,
            });
            groups.len() - 1
        });
        let short = one.short.iter().map(|(resource, missing)| Shortage {
            resource: *resource,
            item: one.item,
            missing: *missing,
        });
        groups[number].short.extend(short);
    }
    for item in (0..tables.items()).filter(|item| impossible[*item]) {
        let ports = &tables.problem.ports;
        let uses = tables.problem.items[item].job.uses.iter();
        let over = uses.filter(|one| one.amount > ports[one.port].limit);
        groups.push(Stuck {
            items: vec![item],
            waits: false,
            short: Vec::new(),
            ports: over.map(|one| one.port).collect(),
            proven: true,
            relief: None,
        });
    }
    let allowed = Allowed {
        detours,
        stops: usize::MAX,
    };
    let others: Vec<ItemId> = groups
        .iter()
        .flat_map(|group| group.items.clone())
        .collect();
    for group in &mut groups {
        if group.ports.is_empty() {
            group.proven = group.proven || is_proven(tables, ways, allowed, group);
            group.relief = relief(tables, ways, allowed, group, &others);
        }
    }
    groups
}

/// Whether these items alone, with all others at rest, cannot move: they are too much for the end, or nobody else
/// could make a difference and no order of those concerned exists.
fn is_proven(tables: &Tables, ways: &dyn Ways, allowed: Allowed, group: &Stuck) -> bool {
    let too_much =
        |short: &Shortage| tables.final_used[short.resource] > tables.limit(short.resource);
    if group.short.iter().any(too_much) {
        return true;
    }
    let concerned = concerned(tables, &group.items);
    if concerned.len() > PROOF_ITEMS_MAX {
        return false;
    }
    let others =
        |item: &ItemId| !ways.places(*item, &Boundless).is_empty() || ways.cold(*item).is_some();
    if concerned.iter().any(others) {
        return false;
    }
    let mut left_out = vec![true; tables.items()];
    for item in concerned {
        left_out[item] = false;
    }
    let mut states = PROOF_STATES_MAX;
    let found = exact(tables, ways, allowed, &left_out, &mut states);
    matches!(found, Found::None)
}

/// All items that are linked to these by resources and precedences, step by step.
fn concerned(tables: &Tables, items: &[ItemId]) -> Vec<ItemId> {
    let mut seen = vec![false; tables.items()];
    let mut open: Vec<ItemId> = items.to_vec();
    let mut result = Vec::new();
    while let Some(item) = open.pop() {
        if std::mem::replace(&mut seen[item], true) {
            continue;
        }
        result.push(item);
        let job = &tables.problem.items[item].job;
        let takes = job.takes.iter().map(|take| take.resource);
        for resource in takes.chain(job.frees.iter().map(|free| free.resource)) {
            open.extend(
                tables.entrants[resource]
                    .iter()
                    .chain(&tables.leavers[resource]),
            );
        }
        open.extend(&tables.after[item]);
        let before = tables
            .problem
            .precedences
            .iter()
            .filter(|one| one.after == item);
        open.extend(before.map(|one| one.before));
    }
    result.sort_unstable();
    result
}
