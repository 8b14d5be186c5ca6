//! The same facts for programs: one document for a plan or a reading, one line for each event of an apply.
//!
//! Every document names its layout in `format_version`. A minor step adds fields, so a reader ignores what it does not
//! know; a major one changes meanings, so a reader refuses what is newer.

use serde::Serialize;

use crate::apply::Event;
use crate::observed::Observed;
use crate::plan::{Plan, Totals};

/// The layout of the lines of an apply.
pub const STREAM_VERSION: &str = "1.0";

#[derive(Serialize)]
struct PlanDocument<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    totals: Totals,
    /// How many times the least possible time (`bound`) the plan takes.
    ratio: f64,
    /// Whether an apply would start: there are steps, and nothing is refused.
    applyable: bool,
}

/// A plan as one document: its own fields, `totals`, `ratio`, and `applyable`.
///
/// # Errors
/// Never for a plan that the planner made; a number that JSON does not know would be one.
pub fn plan(plan: &Plan) -> serde_json::Result<String> {
    let applyable = !plan.steps.is_empty() && !plan.is_blocked();
    pretty(&PlanDocument {
        plan,
        totals: plan.totals(),
        ratio: plan.ratio(),
        applyable,
    })
}

/// A reading as one document, in the form that `--observed` reads.
///
/// # Errors
/// As for [`plan`].
pub fn observed(observed: &Observed) -> serde_json::Result<String> {
    pretty(observed)
}

fn pretty(value: &impl Serialize) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(text)
}

#[derive(Serialize)]
struct Line<'a, T: Serialize> {
    #[serde(rename = "@level")]
    level: &'a str,
    #[serde(rename = "@message")]
    message: &'a str,
    #[serde(flatten)]
    body: T,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Announcement<'a> {
    Version {
        format_version: &'a str,
        domicile: &'a str,
    },
    PlannedChange {
        vm: &'a crate::model::VmName,
        planned: &'a crate::plan::Move,
    },
    ChangeSummary {
        totals: Totals,
    },
}

#[derive(Serialize)]
struct EventBody<'a> {
    at: crate::model::Millis,
    #[serde(flatten)]
    what: &'a crate::apply::Happening,
}

/// The lines that precede an apply: the stream's version first, then each move, then the totals.
///
/// # Errors
/// As for [`plan`].
pub fn announce(plan: &Plan, domicile: &str) -> serde_json::Result<Vec<String>> {
    let line = |message: &str, body: Announcement<'_>| {
        serde_json::to_string(&Line {
            level: "info",
            message,
            body,
        })
    };
    let mut lines = vec![line(
        &format!("Domicile {domicile}"),
        Announcement::Version {
            format_version: STREAM_VERSION,
            domicile,
        },
    )?];
    for planned in &plan.moves {
        let message = format!("{}: planned", planned.vm);
        lines.push(line(
            &message,
            Announcement::PlannedChange {
                vm: &planned.vm,
                planned,
            },
        )?);
    }
    let message = super::text::totals(plan);
    lines.push(line(
        &message,
        Announcement::ChangeSummary {
            totals: plan.totals(),
        },
    )?);
    Ok(lines)
}

/// One event as one line: `@level`, `@message`, `at` in milliseconds from the start, `type`, and the event's own fields.
///
/// # Errors
/// As for [`plan`].
pub fn event(plan: &Plan, event: &Event) -> serde_json::Result<String> {
    let message = super::progress::sentence(plan, &event.what);
    let level = super::progress::level(&event.what);
    let body = EventBody {
        at: event.at,
        what: &event.what,
    };
    serde_json::to_string(&Line {
        level,
        message: &message,
        body,
    })
}
