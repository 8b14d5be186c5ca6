//! Events to lines: for a log or a pipe, where a line that is written cannot be taken back.

use std::collections::BTreeMap;

use crate::apply::{Event, Happening};
use crate::model::{Bytes, BytesPerSecond, Millis};
use crate::plan::{Plan, StepId};

use super::clean;

/// How long a running step is silent between two lines about its progress.
const QUIET: Millis = Millis(10_000);

/// A step shorter than this by the forecast gets no line for its start.
const SHORT: Millis = Millis(1000);

/// Turns events into lines and keeps a flood of progress away.
#[derive(Debug)]
pub struct Lines<'p> {
    plan: &'p Plan,
    last: BTreeMap<StepId, Millis>,
}

impl<'p> Lines<'p> {
    /// For the events of this plan's apply.
    #[must_use]
    pub fn new(plan: &'p Plan) -> Self {
        Self {
            plan,
            last: BTreeMap::new(),
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
                self.last.insert(*step, event.at);
                let forecast = self
                    .plan
                    .steps
                    .get(step.0)
                    .map(|step| step.forecast.duration);
                forecast.is_some_and(|duration| duration >= SHORT)
            }
            Happening::StepProgress { step, .. } => {
                let last = self.last.entry(*step).or_insert(event.at);
                let due = event.at >= last.plus(QUIET);
                if due {
                    *last = event.at;
                }
                due
            }
            // The summary tells of these by VM; in a large plan they would bury all else.
            Happening::StepNotStarted { .. } | Happening::Finished(_) => false,
            _ => true,
        }
    }
}

/// How grave an event is, in the words of logs.
#[must_use]
pub fn level(what: &Happening) -> &'static str {
    match what {
        Happening::StepFailed {
            cancelled: false, ..
        }
        | Happening::NotRestored { .. } => "error",
        Happening::StepFailed { .. }
        | Happening::StepSkipped { .. }
        | Happening::StepNotStarted { .. }
        | Happening::RestoreStarted { .. }
        | Happening::Restored { .. }
        | Happening::CancelAsked { .. } => "warn",
        Happening::StepStarted { .. }
        | Happening::StepProgress { .. }
        | Happening::StepNote { .. }
        | Happening::StepDone { .. }
        | Happening::MoveDone { .. }
        | Happening::Finished(_) => "info",
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

/// `1.2 GiB of 3.2 GiB (38%), 92.0 MiB/s, 21.3s left`.
#[must_use]
pub fn amount(done: Bytes, total: Bytes, rate: Option<BytesPerSecond>) -> String {
    let percent = done.0.saturating_mul(100).checked_div(total.0);
    let percent = percent.map(|percent| format!(" ({}%)", percent.min(100)));
    let rate = rate.filter(|rate| rate.0 > 0);
    let rate = rate.map(|rate| format!(", {rate}, {} left", rate.time_for(total.minus(done))));
    let figures: String = percent.into_iter().chain(rate).collect();
    format!("{done} of {total}{figures}")
}
