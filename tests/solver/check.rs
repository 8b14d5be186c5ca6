//! Whether a solution keeps to its problem: replayed instant by instant. It shares nothing with the solver but the
//! types.

use std::collections::BTreeSet;

use domicile::planner::solver::{Cause, Outcome, Planned, Problem, Solution, Way, Ways};

/// Everything that is wrong, each in a line.
pub(crate) fn problems(problem: &Problem, ways: &dyn Ways, solution: &Solution) -> Vec<String> {
    let mut wrong = Vec::new();
    if solution.outcomes.len() != problem.items.len() {
        return vec!["not one outcome for each item".to_owned()];
    }
    let moved: Vec<(usize, &Way, &[Planned])> = solution
        .outcomes
        .iter()
        .enumerate()
        .filter_map(|(item, outcome)| match outcome {
            Outcome::Moved { way, jobs } => Some((item, way, jobs.as_slice())),
            Outcome::Stuck(_) => None,
        })
        .collect();
    for (item, way, jobs) in &moved {
        shape(problem, ways, *item, **way, jobs, &mut wrong);
    }
    stuck(solution, &mut wrong);
    room(problem, &moved, &mut wrong);
    ports(problem, &moved, &mut wrong);
    order(problem, solution, &mut wrong);
    figures(solution, &moved, &mut wrong);
    waits(solution, &moved, &mut wrong);
    wrong
}

fn shape(
    problem: &Problem,
    ways: &dyn Ways,
    item: usize,
    way: Way,
    jobs: &[Planned],
    wrong: &mut Vec<String>,
) {
    let expected = match way {
        Way::Direct => Some(vec![problem.items[item].job.clone()]),
        Way::Detour(place) => ways.legs(item, place).map(Vec::from),
        Way::Cold => ways.cold(item),
    };
    let done: Vec<_> = jobs.iter().map(|one| one.job.clone()).collect();
    if expected.as_ref() != Some(&done) {
        wrong.push(format!(
            "item {item} goes {way:?} with jobs that are not of that way"
        ));
    }
    if jobs.windows(2).any(|pair| pair[1].start < pair[0].end()) {
        wrong.push(format!("item {item} goes on before its first leg ends"));
    }
}

fn stuck(solution: &Solution, wrong: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (number, group) in solution.stuck.iter().enumerate() {
        for item in &group.items {
            if !seen.insert(*item) || solution.outcomes[*item] != Outcome::Stuck(number) {
                wrong.push(format!("item {item} is not stuck in group {number} alone"));
            }
        }
    }
    let said = |outcome: &&Outcome| matches!(outcome, Outcome::Stuck(_));
    if solution.outcomes.iter().filter(said).count() != seen.len() {
        wrong.push("an item is stuck in no group".to_owned());
    }
}

/// Sums up what is freed and taken, at each instant first what is freed.
fn room(problem: &Problem, moved: &[(usize, &Way, &[Planned])], wrong: &mut Vec<String>) {
    for (number, resource) in problem.resources.iter().enumerate() {
        let mut events: Vec<(u64, bool, u64)> = Vec::new();
        for one in moved.iter().flat_map(|(_, _, jobs)| *jobs) {
            let takes = one.job.takes.iter().filter(|take| take.resource == number);
            events.extend(takes.map(|take| (one.start, true, take.amount)));
            let frees = one.job.frees.iter().filter(|free| free.resource == number);
            events.extend(frees.map(|free| (one.start + free.at, false, free.amount)));
        }
        events.sort_unstable();
        let mut used = resource.used;
        for (at, takes, amount) in events {
            if takes {
                used += amount;
                if used > resource.limit && amount > 0 {
                    wrong.push(format!(
                        "resource {number} is used {used} of {} at {at}",
                        resource.limit
                    ));
                }
            } else {
                used -= amount;
            }
        }
    }
}

fn ports(problem: &Problem, moved: &[(usize, &Way, &[Planned])], wrong: &mut Vec<String>) {
    for (number, port) in problem.ports.iter().enumerate() {
        let mut events: Vec<(u64, bool, u64)> = Vec::new();
        for one in moved.iter().flat_map(|(_, _, jobs)| *jobs) {
            for usage in one
                .job
                .uses
                .iter()
                .filter(|usage| usage.port == number && usage.from < usage.to)
            {
                events.push((one.start + usage.from, true, usage.amount));
                events.push((one.start + usage.to, false, usage.amount));
            }
        }
        events.sort_unstable();
        let mut used = 0;
        for (at, begins, amount) in events {
            if begins {
                used += amount;
                if used > port.limit {
                    wrong.push(format!(
                        "port {number} is used {used} of {} at {at}",
                        port.limit
                    ));
                }
            } else {
                used -= amount;
            }
        }
    }
}

fn order(problem: &Problem, solution: &Solution, wrong: &mut Vec<String>) {
    let jobs = |item: usize| match &solution.outcomes[item] {
        Outcome::Moved { jobs, .. } => Some(jobs),
        Outcome::Stuck(_) => None,
    };
    for one in &problem.precedences {
        let Some(after) = jobs(one.after) else {
            continue;
        };
        match jobs(one.before) {
            Some(before) if before[before.len() - 1].end() <= after[0].start => {}
            _ => wrong.push(format!(
                "item {} does not wait for {}",
                one.after, one.before
            )),
        }
    }
    for (a, first) in problem.items.iter().enumerate() {
        for (b, second) in problem.items.iter().enumerate().skip(a + 1) {
            if first.subject.is_none() || first.subject != second.subject {
                continue;
            }
            for one in jobs(a).into_iter().flatten() {
                for other in jobs(b).into_iter().flatten() {
                    if one.start < other.end() && other.start < one.end() {
                        wrong.push(format!("items {a} and {b} of one subject overlap"));
                    }
                }
            }
        }
    }
}

fn figures(solution: &Solution, moved: &[(usize, &Way, &[Planned])], wrong: &mut Vec<String>) {
    let end = moved
        .iter()
        .flat_map(|(_, _, jobs)| *jobs)
        .map(Planned::end)
        .max();
    if solution.makespan != end.unwrap_or(0) {
        wrong.push(format!(
            "the makespan is {} and not {end:?}",
            solution.makespan
        ));
    }
    let count = |which: fn(&Way) -> bool| moved.iter().filter(|(_, way, _)| which(way)).count();
    if solution.detours != count(|way| matches!(way, Way::Detour(_))) {
        wrong.push("the number of detours is wrong".to_owned());
    }
    if solution.stopped != count(|way| *way == Way::Cold) {
        wrong.push("the number of stops is wrong".to_owned());
    }
    if solution.bounds.best() > solution.makespan {
        wrong.push(format!(
            "bounds {:?} above {}",
            solution.bounds, solution.makespan
        ));
    }
}

/// What a job is said to have waited for must have happened when it starts.
fn waits(solution: &Solution, moved: &[(usize, &Way, &[Planned])], wrong: &mut Vec<String>) {
    for (item, _, jobs) in moved {
        for one in *jobs {
            let Some(waited) = one.waited else {
                if one.start > 0 {
                    wrong.push(format!("item {item} starts at {} for no reason", one.start));
                }
                continue;
            };
            let Outcome::Moved { jobs: others, .. } = &solution.outcomes[waited.item] else {
                wrong.push(format!("item {item} waits for one that is stuck"));
                continue;
            };
            let by = &others[waited.job];
            let happened = match waited.on {
                Cause::Room(resource) => {
                    let mut frees = by.job.frees.iter();
                    frees.any(|free| free.resource == resource && by.start + free.at == one.start)
                }
                Cause::Port(port) => {
                    let mut uses = by.job.uses.iter();
                    uses.any(|usage| {
                        usage.port == port && usage.from > 0 || by.start + usage.to == one.start
                    })
                }
                Cause::Turn(_) => by.start <= one.start,
                Cause::Subject | Cause::Before => by.end() == one.start,
            };
            if !happened {
                wrong.push(format!(
                    "item {item} at {} did not wait for {waited:?} of {by:?}",
                    one.start
                ));
            }
        }
    }
    if let Some((item, job)) = solution.critical.last() {
        let Outcome::Moved { jobs, .. } = &solution.outcomes[*item] else {
            wrong.push("the last of the critical jobs is stuck".to_owned());
            return;
        };
        if jobs[*job].end() != solution.makespan {
            wrong.push("the critical jobs do not lead to the end".to_owned());
        }
    }
}
