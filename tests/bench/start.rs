//! How long the program takes to start and end, as a ratio to its bound.

#![expect(clippy::print_stdout, reason = "a benchmark is for reading")]

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TIME_MAX: Duration = Duration::from_millis(20);
const RUNS: usize = 101;

/// How long one run takes, from its start to its end.
fn once(argument: &str) -> io::Result<Duration> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_domicile"));
    command
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    let took = start.elapsed();
    assert!(status.success(), "{argument} ends with {status}");
    Ok(took)
}

fn measure(argument: &str) -> io::Result<()> {
    let mut runs = (0..RUNS)
        .map(|_| once(argument))
        .collect::<io::Result<Vec<_>>>()?;
    runs.sort_unstable();
    let median = runs[RUNS / 2];
    let ratio = median.as_secs_f64() / TIME_MAX.as_secs_f64();
    println!(
        "{argument}: {median:.1?} (median of {RUNS}), {ratio:.2} of the bound of {TIME_MAX:?}"
    );
    println!(
        "{argument}: fastest {:.1?}, slowest {:.1?}",
        runs[0],
        runs[RUNS - 1]
    );
    Ok(())
}

fn main() -> io::Result<()> {
    measure("--help")?;
    measure("--version")
}
