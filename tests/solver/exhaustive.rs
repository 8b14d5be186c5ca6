//! All schedules there are, for very few items: whether one exists, and how short the shortest is. It shares nothing
//! with the solver but the types.

use std::collections::BTreeSet;

use domicile::planner::solver::{Job, Problem, Ways};

/// What may be done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Freedom {
    /// How many places there are for detours: none where there shall be no detours.
    pub(crate) places: usize,
    pub(crate) cold: bool,
}

/// Every way of every item.
fn all_ways(problem: &Problem, ways: &dyn Ways, freedom: Freedom) -> Vec<Vec<Vec<Job>>> {
    let one = |item: usize| {
        let mut all = vec![vec![problem.items[item].job.clone()]];
        all.extend(
            (0..freedom.places)
                .filter_map(|place| ways.legs(item, place))
                .map(Vec::from),
        );
        all.extend(ways.cold(item).filter(|_| freedom.cold));
        all
    };
    (0..problem.items.len()).map(one).collect()
}

fn fits(problem: &Problem, used: &[u64], job: &Job) -> bool {
    job.takes.iter().all(|take| {
        take.amount == 0
            || used[take.resource] + take.amount <= problem.resources[take.resource].limit
    })
}

fn may_begin(problem: &Problem, item: usize, ended: impl Fn(usize) -> bool) -> bool {
    let mut before = problem.precedences.iter().filter(|one| one.after == item);
    before.all(|one| ended(one.before))
}

/// Whether all of these items can come to their goals.
pub(crate) fn exists(problem: &Problem, ways: &dyn Ways, freedom: Freedom, of: &[usize]) -> bool {
    let all = all_ways(problem, ways, freedom);
    let used: Vec<u64> = problem.resources.iter().map(|one| one.used).collect();
    // Per item: the way it is on and how many of its jobs are done; those not asked for stay where they are.
    let mut state = vec![(0, 0); problem.items.len()];
    for (item, one) in state.iter_mut().enumerate() {
        if !of.contains(&item) {
            one.1 = usize::MAX;
        }
    }
    reach(problem, &all, &used, &state, &mut BTreeSet::new())
}

type State = Vec<(usize, usize)>;

fn reach(
    problem: &Problem,
    all: &[Vec<Vec<Job>>],
    used: &[u64],
    state: &State,
    seen: &mut BTreeSet<State>,
) -> bool {
    let ended = |item: usize| {
        state[item].1 != usize::MAX && state[item].1 == all[item][state[item].0].len()
    };
    if (0..state.len()).all(|item| ended(item) || state[item].1 == usize::MAX) {
        return true;
    }
    if !seen.insert(state.clone()) {
        return false;
    }
    for item in 0..state.len() {
        let (way, done) = state[item];
        if done == usize::MAX || ended(item) {
            continue;
        }
        let ways = if done == 0 {
            0..all[item].len()
        } else {
            way..way + 1
        };
        for way in ways {
            let job = &all[item][way][done];
            if (done == 0 && !may_begin(problem, item, ended)) || !fits(problem, used, job) {
                continue;
            }
            let mut used = used.to_vec();
            job.takes
                .iter()
                .for_each(|take| used[take.resource] += take.amount);
            job.frees
                .iter()
                .for_each(|free| used[free.resource] -= free.amount);
            let mut state = state.clone();
            state[item] = (way, done + 1);
            if reach(problem, all, &used, &state, seen) {
                return true;
            }
        }
    }
    false
}

/// A job that has started.
#[derive(Clone)]
struct Begun<'a> {
    item: usize,
    start: u64,
    job: &'a Job,
}

struct Shortest<'a> {
    problem: &'a Problem,
    all: &'a [Vec<Vec<Job>>],
    best: u64,
    /// How many states may still be looked at.
    left: usize,
}

/// The least makespan for all items, or nothing where there is none or it would take too long to tell.
pub(crate) fn shortest(problem: &Problem, ways: &dyn Ways, freedom: Freedom) -> Option<u64> {
    let all = all_ways(problem, ways, freedom);
    let mut search = Shortest {
        problem,
        all: &all,
        best: u64::MAX,
        left: 100_000,
    };
    let state = vec![(0, 0); problem.items.len()];
    search.go(0, &state, &mut Vec::new(), 0);
    (search.left > 0 && search.best < u64::MAX).then_some(search.best)
}

impl<'a> Shortest<'a> {
    /// Starts whatever may start now, the items in their order from `first` on, or waits for the next event.
    fn go(&mut self, now: u64, state: &State, begun: &mut Vec<Begun<'a>>, first: usize) {
        let end = begun
            .iter()
            .map(|one| one.start + one.job.duration)
            .max()
            .unwrap_or(0);
        if end >= self.best || self.left == 0 {
            return;
        }
        self.left -= 1;
        let all = self.all;
        if (0..state.len()).all(|item| state[item].1 == all[item][state[item].0].len()) {
            self.best = end;
            return;
        }
        for item in first..state.len() {
            let (way, done) = state[item];
            let ways = match done {
                0 => 0..all[item].len(),
                done if done == all[item][way].len() => continue,
                _ => way..way + 1,
            };
            for way in ways {
                let job = &all[item][way][done];
                if !self.may_start(now, item, job, state, begun) {
                    continue;
                }
                let mut state = state.clone();
                state[item] = (way, done + 1);
                begun.push(Begun {
                    item,
                    start: now,
                    job,
                });
                self.go(now, &state, begun, item + 1);
                begun.pop();
            }
        }
        // All times are whole, and nothing changes any more when the last has freed what it frees.
        let last = begun.iter().map(|one| {
            let freed = one.job.frees.iter().map(|free| free.at).max();
            one.start + one.job.duration.max(freed.unwrap_or(0))
        });
        if last.max().is_some_and(|last| last > now) {
            self.go(now + 1, state, begun, 0);
        }
    }

    fn may_start(&self, now: u64, item: usize, job: &Job, state: &State, begun: &[Begun]) -> bool {
        let ended = |other: usize| {
            let mut jobs = begun.iter().filter(|one| one.item == other);
            state[other].1 == self.all[other][state[other].0].len()
                && jobs.all(|one| one.start + one.job.duration <= now)
        };
        let subject = self.problem.items[item].subject;
        let busy = begun.iter().any(|one| {
            let same = one.item == item
                || subject.is_some() && self.problem.items[one.item].subject == subject;
            same && one.start + one.job.duration > now
        });
        if busy || !may_begin(self.problem, item, ended) {
            return false;
        }
        let mut used: Vec<u64> = self.problem.resources.iter().map(|one| one.used).collect();
        for one in begun {
            one.job
                .takes
                .iter()
                .for_each(|take| used[take.resource] += take.amount);
        }
        for one in begun {
            let freed = one
                .job
                .frees
                .iter()
                .filter(|free| one.start + free.at <= now);
            freed.for_each(|free| used[free.resource] -= free.amount);
        }
        fits(self.problem, &used, job)
            && job.uses.iter().all(|usage| {
                let others = begun.iter().flat_map(|one| {
                    let same = one.job.uses.iter().filter(|other| other.port == usage.port);
                    same.map(|other| (one.start + other.from, one.start + other.to, other.amount))
                });
                let others: Vec<_> = others.collect();
                let points = others
                    .iter()
                    .map(|(from, ..)| *from)
                    .chain([now + usage.from]);
                let inside = points.filter(|at| (now + usage.from..now + usage.to).contains(at));
                inside.into_iter().all(|at| {
                    let here = others
                        .iter()
                        .filter(|(from, to, _)| (*from..*to).contains(&at));
                    here.map(|(.., amount)| amount).sum::<u64>() + usage.amount
                        <= self.problem.ports[usage.port].limit
                })
            })
    }
}
