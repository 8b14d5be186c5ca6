//! The lines of `apply --json`: one JSON object each, in the manner of Terraform's machine-readable output. The first
//! is of type `version`; every line has `@level`, `@message`, `@module`, `@timestamp` and `type`.
//!
//! The time of day comes from whoever writes the line, since nothing here looks at a clock.

use schemars::JsonSchema;
use serde::Serialize;

use super::progress::{Level, left, level, sentence};
use super::{json, text};
use crate::apply::{Event, Happening, Summary};
use crate::model::{Bytes, BytesPerSecond, HostName, Millis, VmName};
use crate::plan::{Finding, Forecast, Move, MoveKind, Plan, PlanHash, Severity, StepId, Totals};

/// The layout of the lines. A minor step adds fields and types, a major one changes meanings.
pub const FORMAT_VERSION: &str = "1.0";

/// What writes the lines.
const MODULE: &str = "domicile.ui";

/// One line of `apply --json`.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "Domicile event")]
struct Line<'a> {
    /// How grave it is.
    #[serde(rename = "@level")]
    level: Level,
    /// The event in a sentence, for people.
    #[serde(rename = "@message")]
    message: &'a str,
    /// What wrote the line.
    #[serde(rename = "@module")]
    module: &'static str,
    /// When the line was written (RFC 3339).
    #[serde(rename = "@timestamp")]
    timestamp: &'a str,
    #[serde(flatten)]
    body: Body<'a>,
}

/// What happened. Times named `at` count from the start of the apply; all times are in milliseconds, all sizes in
/// bytes, all rates in bytes a second.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Body<'a> {
    /// The first line.
    Version {
        /// The layout of the lines.
        format_version: &'a str,
        /// The version of Domicile.
        domicile: &'a str,
    },
    /// A VM that will be moved.
    PlannedChange {
        /// How.
        change: Planned<'a>,
    },
    /// A finding of the plan.
    Diagnostic {
        /// What was found.
        diagnostic: Diagnostic<'a>,
    },
    /// The plan in figures.
    ChangeSummary {
        /// Counts.
        changes: Totals,
        /// Whether anything will be done.
        applyable: bool,
        /// The hash of what the plan means.
        hash: PlanHash,
    },
    /// A step began.
    ApplyStart {
        /// When.
        at: Millis,
        /// Which.
        step: Step<'a>,
        /// What it will take by the forecast.
        forecast: Forecast,
    },
    /// A step came further.
    ApplyProgress {
        /// When.
        at: Millis,
        /// Which.
        step: Step<'a>,
        /// Bytes carried.
        done: Bytes,
        /// Bytes to carry, as known now.
        total: Bytes,
        /// Rate now, where known.
        rate: Option<BytesPerSecond>,
        /// Time left at that rate, where known.
        left: Option<Millis>,
    },
    /// A step has something to say, such as a fallback that it took.
    ApplyNote {
        /// When.
        at: Millis,
        /// Which.
        step: Step<'a>,
        /// What.
        text: &'a str,
    },
    /// A step is done and proven.
    ApplyComplete {
        /// When.
        at: Millis,
        /// Which.
        step: Step<'a>,
        /// How long it ran.
        took: Millis,
        /// Bytes it carried.
        bytes: Bytes,
        /// How long the guest stood still, where it was measured.
        downtime: Option<Millis>,
    },
    /// A step failed.
    ApplyErrored {
        /// When.
        at: Millis,
        /// Which.
        step: Step<'a>,
        /// What failed.
        what: &'a str,
        /// Why.
        why: &'a str,
        /// What to do now.
        help: Option<&'a str>,
        /// Whether it was cancelled on request and left everything as it was.
        cancelled: bool,
    },
    /// A step was not started.
    ApplySkipped {
        /// When.
        at: Millis,
        /// Which.
        step: Step<'a>,
        /// The index of the step that failed; `null`: a person asked to stop.
        because: Option<usize>,
    },
    /// Every step of a VM's move is done.
    MoveComplete {
        /// When.
        at: Millis,
        /// The VM.
        vm: &'a VmName,
        /// From the start of its first step to the end of its last.
        took: Millis,
        /// Downtime by the forecast.
        downtime_forecast: Millis,
        /// Downtime as measured, where it was.
        downtime: Option<Millis>,
    },
    /// A VM that was shut down for its move is being brought back.
    RestoreStart {
        /// When.
        at: Millis,
        /// The VM.
        vm: &'a VmName,
        /// The index of the step that failed; `null`: a person asked to stop.
        because: Option<usize>,
    },
    /// A VM that was shut down for its move runs again.
    RestoreComplete {
        /// When.
        at: Millis,
        /// The VM.
        vm: &'a VmName,
        /// Where it runs.
        host: &'a HostName,
        /// From the request to shut down until it ran again.
        downtime: Millis,
    },
    /// A VM that was shut down for its move could not be brought back: it is off because of this apply.
    RestoreErrored {
        /// When.
        at: Millis,
        /// The VM.
        vm: &'a VmName,
        /// What failed.
        what: &'a str,
        /// Why.
        why: &'a str,
        /// What to do now.
        help: Option<&'a str>,
    },
    /// A person asked to stop.
    StopRequested {
        /// When.
        at: Millis,
        /// Whether running steps are to be cancelled.
        now: bool,
    },
    /// Nothing runs any more; the last line.
    ApplySummary {
        /// When.
        at: Millis,
        /// What came of it.
        summary: &'a Summary,
    },
}

/// A move in short; `plan --json` has all of it.
#[derive(Serialize, JsonSchema)]
struct Planned<'a> {
    /// The VM.
    vm: &'a VmName,
    /// How.
    kind: MoveKind,
    /// Why in this way.
    reason: &'a str,
    /// From where.
    from: &'a HostName,
    /// To where.
    to: &'a HostName,
    /// Whether the guest is shut down and started again.
    reboots: bool,
    /// Bytes to carry, by the forecast.
    bytes: Bytes,
    /// How long it takes, by the forecast.
    duration: Millis,
    /// How long the guest does not answer, by the forecast.
    downtime: Millis,
}

/// A finding.
#[derive(Serialize, JsonSchema)]
struct Diagnostic<'a> {
    /// `error` refuses the change, `warning` is a risk, `info` a note.
    severity: Level,
    /// The rule's code.
    code: &'a str,
    /// What was seen and what is needed.
    summary: &'a str,
    /// What to do about it.
    detail: &'a str,
    /// The VM, where it is about one.
    vm: Option<&'a VmName>,
    /// The host, where it is about one.
    host: Option<&'a HostName>,
}

/// A step of the plan.
#[derive(Serialize, JsonSchema)]
struct Step<'a> {
    /// Its index in the `steps` of `plan --json`.
    index: usize,
    /// What it does, for people.
    action: String,
    /// The VMs whose moves need it.
    vms: &'a [VmName],
}

/// The schema of a line.
#[must_use]
pub fn schema() -> serde_json::Value {
    json::schema_of::<Line<'_>>()
}

fn line(level: Level, message: &str, now: &str, body: Body<'_>) -> serde_json::Result<String> {
    serde_json::to_string(&Line {
        level,
        message: &super::clean(message),
        module: MODULE,
        timestamp: now,
        body,
    })
}

/// The lines that precede an apply: the stream's version first, then each move, each finding, and the totals. `now`
/// is the time of day.
///
/// # Errors
/// Never for a plan that the planner made; a number that JSON does not know would be one.
pub fn announce(plan: &Plan, domicile: &str, now: &str) -> serde_json::Result<Vec<String>> {
    let version = Body::Version {
        format_version: FORMAT_VERSION,
        domicile,
    };
    let mut lines = vec![line(
        Level::Info,
        &format!("Domicile {domicile}"),
        now,
        version,
    )?];
    for a_move in &plan.moves {
        let message = format!("{}: planned", a_move.vm);
        let body = Body::PlannedChange {
            change: planned(a_move),
        };
        lines.push(line(Level::Info, &message, now, body)?);
    }
    for finding in &plan.findings {
        let message = format!("{}: {}", finding.code, finding.message);
        let diagnostic = diagnostic(finding);
        let level = diagnostic.severity;
        lines.push(line(level, &message, now, Body::Diagnostic { diagnostic })?);
    }
    let summary = Body::ChangeSummary {
        changes: plan.totals(),
        applyable: json::is_applyable(plan),
        hash: plan.hash(),
    };
    lines.push(line(Level::Info, &text::totals(plan), now, summary)?);
    Ok(lines)
}

fn planned(a_move: &Move) -> Planned<'_> {
    Planned {
        vm: &a_move.vm,
        kind: a_move.kind,
        reason: &a_move.reason,
        from: &a_move.from,
        to: &a_move.to,
        reboots: a_move.reboots,
        bytes: a_move.bytes,
        duration: a_move.duration,
        downtime: a_move.downtime,
    }
}

fn diagnostic(finding: &Finding) -> Diagnostic<'_> {
    Diagnostic {
        severity: match finding.severity {
            Severity::Blocks => Level::Error,
            Severity::Risk => Level::Warn,
            Severity::Note => Level::Info,
        },
        code: &finding.code,
        summary: &finding.message,
        detail: &finding.remedy,
        vm: finding.vm.as_ref(),
        host: finding.host.as_ref(),
    }
}

/// One event as one line. `now` is the time of day.
///
/// # Errors
/// As for [`announce`].
pub fn event(plan: &Plan, event: &Event, now: &str) -> serde_json::Result<String> {
    let message = sentence(plan, &event.what);
    line(level(&event.what), &message, now, body(plan, event))
}

fn step(plan: &Plan, id: StepId) -> Step<'_> {
    let known = plan.steps.get(id.0);
    Step {
        index: id.0,
        action: known.map_or_else(String::new, |step| step.action.to_string()),
        vms: known.map_or(&[], |step| &step.vms),
    }
}

fn body<'a>(plan: &'a Plan, event: &'a Event) -> Body<'a> {
    let at = event.at;
    match &event.what {
        Happening::MoveDone {
            vm,
            took,
            downtime_forecast,
            downtime,
        } => Body::MoveComplete {
            at,
            vm,
            took: *took,
            downtime_forecast: *downtime_forecast,
            downtime: *downtime,
        },
        Happening::RestoreStarted { vm, because } => Body::RestoreStart {
            at,
            vm,
            because: because.map(|step| step.0),
        },
        Happening::Restored { vm, host, downtime } => Body::RestoreComplete {
            at,
            vm,
            host,
            downtime: *downtime,
        },
        Happening::NotRestored {
            vm,
            what,
            why,
            help,
        } => Body::RestoreErrored {
            at,
            vm,
            what,
            why,
            help: help.as_deref(),
        },
        Happening::CancelAsked { now } => Body::StopRequested { at, now: *now },
        Happening::Finished(summary) => Body::ApplySummary { at, summary },
        Happening::StepStarted { step }
        | Happening::StepProgress { step, .. }
        | Happening::StepNote { step, .. }
        | Happening::StepDone { step, .. }
        | Happening::StepFailed { step, .. }
        | Happening::StepSkipped { step, .. }
        | Happening::StepNotStarted { step } => body_of_step(plan, *step, event),
    }
}

fn body_of_step<'a>(plan: &'a Plan, id: StepId, event: &'a Event) -> Body<'a> {
    let at = event.at;
    let step = step(plan, id);
    match &event.what {
        Happening::StepStarted { .. } => Body::ApplyStart {
            at,
            step,
            forecast: plan
                .steps
                .get(id.0)
                .map_or_else(Forecast::default, |step| step.forecast),
        },
        Happening::StepProgress {
            done, total, rate, ..
        } => Body::ApplyProgress {
            at,
            step,
            done: *done,
            total: *total,
            rate: *rate,
            left: left(*done, *total, *rate),
        },
        Happening::StepNote { text, .. } => Body::ApplyNote { at, step, text },
        Happening::StepDone {
            took,
            bytes,
            downtime,
            ..
        } => Body::ApplyComplete {
            at,
            step,
            took: *took,
            bytes: *bytes,
            downtime: *downtime,
        },
        Happening::StepFailed {
            what,
            why,
            help,
            cancelled,
            ..
        } => Body::ApplyErrored {
            at,
            step,
            what,
            why,
            help: help.as_deref(),
            cancelled: *cancelled,
        },
        Happening::StepSkipped { because, .. } => Body::ApplySkipped {
            at,
            step,
            because: Some(because.0),
        },
        _ => Body::ApplySkipped {
            at,
            step,
            because: None,
        },
    }
}
