//! Runs of the solver, and the table of what came of them.

use std::fmt::Write as _;

use domicile::planner::solver::{Limits, Problem, Solution, Ways, solve};

/// What a row is held to; nothing where there is no such figure.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Target {
    /// Whether every case of the row is known to have a schedule.
    pub(crate) all_solved: bool,
    /// The best makespan known.
    pub(crate) known: Option<u64>,
    pub(crate) makespan_max: Option<u64>,
    pub(crate) detours_max: Option<usize>,
    pub(crate) seconds_max: Option<f64>,
    pub(crate) mib_max: Option<u64>,
}

/// One run.
pub(crate) struct Run {
    pub(crate) solution: Solution,
    items: usize,
    seconds: f64,
}

/// Seconds of the processor that this thread has had.
fn seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds: f64 = text.split_whitespace().next().unwrap().parse().unwrap();
    nanoseconds / 1e9
}

/// The most memory that this process has had, in MiB, since the last call of `forget_memory`.
fn memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

pub(crate) fn forget_memory() {
    // Where that is not allowed, the figures are the most so far.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

pub(crate) fn run(problem: &Problem, ways: &dyn Ways, work: u64) -> Run {
    let before = seconds();
    let limits = Limits {
        work,
        ..Limits::of(problem.items.len())
    };
    let solution = solve(problem, ways, &limits);
    Run {
        solution,
        items: problem.items.len(),
        seconds: seconds() - before,
    }
}

pub(crate) fn header() {
    println!(
        "{:<30} {:>6} {:>6} {:>7} {:>7} {:>6} {:>8} {:>8} {:>8} {:>8} {:>7} {:>5}  target",
        "case",
        "moves",
        "solved",
        "refused",
        "stopped",
        "extra",
        "makespan",
        "÷ bound",
        "÷ known",
        "direct÷",
        "seconds",
        "MiB"
    );
}

#[expect(clippy::cast_precision_loss, reason = "sums of seconds, for a ratio")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Prints a row for runs of one kind: sums, the mean of the ratios, the longest time. Of those that were refused, the
/// number in brackets is proven to have no schedule.
pub(crate) fn row(name: &str, runs: &[Run], target: &Target) {
    let sum = |what: fn(&Run) -> u64| runs.iter().map(what).sum::<u64>();
    let count = |what: usize| u64::try_from(what).unwrap();
    let solved = runs
        .iter()
        .filter(|run| run.solution.stuck.is_empty())
        .count();
    let proven = |solution: &Solution| solution.stuck.iter().all(|stuck| stuck.proven);
    let refused = runs.len() - solved;
    let impossible = runs
        .iter()
        .filter(|run| !run.solution.stuck.is_empty() && proven(&run.solution))
        .count();
    let refused = if refused == 0 {
        "-".to_owned()
    } else {
        format!("{refused} ({impossible})")
    };
    let ratios = runs
        .iter()
        .map(|run| ratio(run.solution.makespan, run.solution.bounds.best()));
    let mean = ratios.sum::<f64>() / ratio(count(runs.len()), 1);
    let chain = |run: &Run| {
        run.solution
            .bounds
            .direct_chain
            .map(|chain| ratio(run.solution.makespan, chain.max(run.solution.bounds.best())))
    };
    let chains: Vec<f64> = runs.iter().filter_map(chain).collect();
    let chains = if chains.is_empty() {
        "-".to_owned()
    } else {
        format!(
            "{:.3}",
            chains.iter().sum::<f64>() / ratio(count(chains.len()), 1)
        )
    };
    let longest = runs.iter().map(|run| run.seconds).fold(0.0, f64::max);
    let makespan = sum(|run| run.solution.makespan);
    let known = target.known.map_or("-".to_owned(), |known| {
        format!("{:.3}", ratio(makespan, known))
    });
    let mib = memory_mib();
    println!(
        "{name:<30} {:>6} {solved:>2}/{:<3} {refused:>7} {:>7} {:>6} {:>8} {mean:>8.3} {known:>8} {chains:>8} {longest:>7.3} {mib:>5}  {}",
        sum(|run| u64::try_from(run.items).unwrap()),
        runs.len(),
        sum(|run| u64::try_from(run.solution.stopped).unwrap()),
        sum(|run| u64::try_from(run.solution.detours).unwrap()),
        makespan,
        verdict(runs, target, longest, mib),
    );
}

/// Whether the row keeps to its target, and if not, where it does not.
fn verdict(runs: &[Run], target: &Target, seconds: f64, mib: u64) -> String {
    let mut missed = String::new();
    let mut hold = |what: &str, kept: bool| {
        if !kept {
            write!(missed, " {what}").unwrap();
        }
    };
    let is_solved = |run: &Run| run.solution.stuck.is_empty();
    hold("solved", !target.all_solved || runs.iter().all(is_solved));
    hold("stopped", runs.iter().all(|run| run.solution.stopped == 0));
    let all = |what: &dyn Fn(&Solution) -> bool| runs.iter().all(|run| what(&run.solution));
    hold(
        "makespan",
        target
            .makespan_max
            .is_none_or(|most| all(&|one| one.makespan <= most)),
    );
    hold(
        "extra",
        target
            .detours_max
            .is_none_or(|most| all(&|one| one.detours <= most)),
    );
    hold(
        "seconds",
        target.seconds_max.is_none_or(|most| seconds <= most),
    );
    hold("MiB", target.mib_max.is_none_or(|most| mib <= most));
    if missed.is_empty() {
        "kept".to_owned()
    } else {
        format!("MISSED:{missed}")
    }
}
