//! Many seeds on all processors.

use std::any::Any;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// How many seeds a test runs: that share, in thousandths, of as many as the environment says, or of a few.
pub(crate) fn count(share: u64) -> u64 {
    const FEW: u64 = 300;
    let asked = env::var("DOMICILE_SEEDS").ok();
    let asked = asked.map(|count| count.parse().expect("DOMICILE_SEEDS is a number"));
    asked.unwrap_or(FEW) * share / 1000
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a panic: {}", text.unwrap_or_default())
}

/// The one seed to run, where the environment names one.
fn named() -> Option<u64> {
    let named = env::var("DOMICILE_SEED").ok()?;
    Some(named.parse().expect("DOMICILE_SEED is a number"))
}

/// Whether a person looks at one seed.
pub(crate) fn is_replay() -> bool {
    static NAMED: LazyLock<bool> = LazyLock::new(|| named().is_some());
    *NAMED
}

#[expect(
    clippy::print_stderr,
    reason = "how many seeds ran in which time is what such a run is for"
)]
fn tell(test: &str, seeds: u64, began: Instant) {
    eprintln!("{test}: {seeds} seeds in {:.1?}", began.elapsed());
}

/// Runs every seed, or the one that the environment names, and stops with all that failed.
pub(crate) fn each_seed(test: &str, count: u64, trial: impl Fn(u64) -> Result<(), String> + Sync) {
    let seeds = named().map_or(0..count, |seed| seed..seed + 1);
    let began = Instant::now();
    let next = AtomicU64::new(seeds.start);
    // The threads of one trial wait for each other, and another trial has the processor meanwhile.
    let workers = 2 * thread::available_parallelism().map_or(1, usize::from);
    let mut failed: Vec<(u64, String)> = thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return failed;
                }
                let result = catch_unwind(AssertUnwindSafe(|| trial(seed)));
                let result = result.unwrap_or_else(|panic| Err(words_of(panic.as_ref())));
                failed.extend(result.err().map(|why| (seed, why)));
            }
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .flat_map(|ended| ended.expect("panics are caught"))
            .collect()
    });
    tell(test, seeds.end - seeds.start, began);
    failed.sort();
    let Some((seed, why)) = failed.first() else {
        return;
    };
    let all: Vec<String> = failed
        .iter()
        .map(|(seed, why)| {
            let start: Vec<&str> = why.lines().take(6).map(str::trim).collect();
            format!("{seed}: {}", start.join(" "))
        })
        .collect();
    panic!(
        "{} seeds fail:\n{}\n\nThe first:\n{why}\n\nDOMICILE_SEED={seed} cargo test --test seeds {test}",
        failed.len(),
        all.join("\n"),
    );
}
