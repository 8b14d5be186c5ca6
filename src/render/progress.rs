//! Events to lines: for a log or a pipe, where a line that is written cannot be taken back.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::apply::{Event, Happening};
use crate::model::{Bytes, BytesPerSecond, Millis};
use crate::plan::{Plan, StepId};

use super::clean;

/// How long a running step is silent before the first line about its progress; then twice as long each time, up to
/// [`QUIET_MAX`], so that a step of hours does not fill a log.
const QUIET: Millis = Millis(10_000);

/// The longest that a running step is silent.
const QUIET_MAX: Millis = Millis(300_000);

/// A step that is shorter than this, by the forecast and in fact, gets no line for its start and its end: a move is
/// told by its long steps and its last word.
const SHORT: Millis = Millis(1000);

/// Turns events into lines and keeps a flood of progress away.
#[derive(Debug)]
pub struct Lines<'p> {
    plan: &'p Plan,
    /// When a running step is due for a line, and for how long it is silent until then.
    due: BTreeMap<StepId, (Millis, Millis)>,
}

impl<'p> Lines<'p> {
    /// For the events of this plan's apply.
    #[must_use]
    pub fn new(plan: &'p Plan) -> Self {
        Self {
            plan,
            due: BTreeMap::new(),
        }
    }

    /// The line for an event, where it deserves one.
    pub fn line(&mut self, event: &Event) -> Option<String> {
        if !self.is_worth_a_line(event) {
            return None;
        }
        let text = sentence(self.plan, &event.what);
        Some(format!("[{:>8}] {text}", event.at.to_string()))
    }

    fn is_worth_a_line(&mut self, event: &Event) -> bool {
        match &event.what {
            Happening::StepStarted { step } => {
                self.due.insert(*step, (event.at.plus(QUIET), QUIET));
                self.is_long(*step)
            }
            Happening::StepProgress { step, .. } => {
                let (due, quiet) = self.due.entry(*step).or_insert((event.at, QUIET));
                let is_due = event.at >= *due;
                if is_due {
                    *quiet = quiet.plus(*quiet).min(QUIET_MAX);
                    *due = event.at.plus(*quiet);
                }
                is_due
            }
            Happening::StepDone { step, took, .. } => *took >= SHORT || self.is_long(*step),
            // The summary tells of these by VM; in a large plan they would bury all else.
            Happening::StepNotStarted { .. } | Happening::Finished(_) => false,
            _ => true,
        }
    }

    fn is_long(&self, step: StepId) -> bool {
        let step = self.plan.steps.get(step.0);
        step.is_some_and(|step| step.forecast.duration >= SHORT)
    }
}

/// How grave something is, in the words of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It failed, or is refused.
    Error,
    /// It may hurt.
    Warn,
    /// Good to know.
    Info,
}

/// How grave an event is.
#[must_use]
pub fn level(what: &Happening) -> Level {
    match what {
        Happening::StepFailed {
            cancelled: false, ..
        }
        | Happening::NotRestored { .. } => Level::Error,
        Happening::StepFailed { .. }
        | Happening::StepSkipped { .. }
        | Happening::StepNotStarted { .. }
        | Happening::RestoreStarted { .. }
        | Happening::Restored { .. }
        | Happening::CancelAsked { .. } => Level::Warn,
        Happening::StepStarted { .. }
        | Happening::StepProgress { .. }
        | Happening::StepNote { .. }
        | Happening::StepDone { .. }
        | Happening::MoveDone { .. }
        | Happening::Finished(_) => Level::Info,
    }
}

/// An event in a sentence, clean.
#[must_use]
pub fn sentence(plan: &Plan, what: &Happening) -> String {
    let about = |step: &StepId| {
        let action = plan.steps.get(step.0).map(|step| step.action.to_string());
        format!("step {step}, {}", action.unwrap_or_default())
    };
    let text = match what {
        Happening::StepStarted { step } => format!("{}: started", about(step)),
        Happening::StepProgress {
            step,
            done,
            total,
            rate,
        } => {
            format!("{}: {}", about(step), amount(*done, *total, *rate))
        }
        Happening::StepNote { step, text } => format!("{}: {text}", about(step)),
        Happening::StepDone {
            step,
            took,
            bytes,
            downtime,
            saved: _,
        } => done(&about(step), *took, *bytes, *downtime),
        Happening::StepFailed {
            step,
            why,
            cancelled,
            ..
        } => {
            let word = if *cancelled { "cancelled" } else { "FAILED" };
            format!("{}: {word}: {why}", about(step))
        }
        Happening::StepSkipped { step, because } => format!(
            "{}: not started, step {because} did not succeed",
            about(step)
        ),
        Happening::StepNotStarted { step } => format!("{}: not started, as asked", about(step)),
        Happening::MoveDone {
            vm, took, downtime, ..
        } => match downtime {
            Some(downtime) => format!("{vm}: done in {took}, downtime {downtime}"),
            None => format!("{vm}: done in {took}"),
        },
        Happening::RestoreStarted { vm, .. } => {
            format!("{vm}: it is off because of this apply; bringing it back")
        }
        Happening::Restored { vm, host, downtime } => {
            format!("{vm}: runs again on {host}, downtime {downtime}")
        }
        Happening::NotRestored { vm, why, .. } => {
            format!("{vm}: IS OFF, it could not be brought back: {why}")
        }
        Happening::CancelAsked { now: false } => {
            "stopping: what runs is finished, nothing new is started".to_owned()
        }
        Happening::CancelAsked { now: true } => {
            "stopping now: what runs is cancelled where nothing is lost by it".to_owned()
        }
        Happening::Finished(summary) => format!(
            "{} of {} steps done in {}",
            summary.steps_done, summary.steps, summary.took
        ),
    };
    clean(&text).into_owned()
}

fn done(about: &str, took: Millis, bytes: Bytes, downtime: Option<Millis>) -> String {
    let carried = (bytes > Bytes::ZERO).then(|| format!(", {bytes}"));
    let stood_still = downtime.map(|downtime| format!(", downtime {downtime}"));
    let figures: String = carried.into_iter().chain(stood_still).collect();
    format!("{about}: done in {took}{figures}")
}

/// How long the rest takes at this rate; `None` where no rate is known.
#[must_use]
pub fn left(done: Bytes, total: Bytes, rate: Option<BytesPerSecond>) -> Option<Millis> {
    let rate = rate.filter(|rate| rate.0 > 0)?;
    Some(rate.time_for(total.minus(done)))
}

/// `1.2 GiB of 3.2 GiB (38%), 92.0 MiB/s, 21.3s left`.
#[must_use]
pub fn amount(done: Bytes, total: Bytes, rate: Option<BytesPerSecond>) -> String {
    let percent = done.0.saturating_mul(100).checked_div(total.0);
    let percent = percent.map(|percent| format!(" ({}%)", percent.min(100)));
    let left = rate.zip(left(done, total, rate));
    let rate = left.map(|(rate, left)| format!(", {rate}, {left} left"));
    let figures: String = percent.into_iter().chain(rate).collect();
    format!("{done} of {total}{figures}")
}
