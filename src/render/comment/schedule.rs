//! When each VM moves, as a Mermaid chart, where it stays readable.

use super::markdown::{fenced, shorten};
use super::part::Part;
use crate::model::Millis;
use crate::plan::{Move, Plan};
use crate::render::graph::mermaid_text;
use crate::render::text::{time, word};

/// More bars than these nobody reads.
const BARS_MAX: usize = 40;
/// The most characters of a VM's name at its bar.
const NAME: usize = 40;
/// A plan longer than this has no chart: its axis would need dates.
const LONGEST: Millis = Millis(24 * 3_600_000);

/// The chart, folded; nothing for a plan that would make it unreadable.
pub(super) fn schedule(plan: &Plan) -> Part {
    let bars: Vec<String> = plan
        .moves
        .iter()
        .filter_map(|a_move| bar(plan, a_move))
        .collect();
    let readable = (2..=BARS_MAX).contains(&bars.len()) && plan.makespan <= LONGEST;
    let rows = readable.then(|| {
        let mut lines: Vec<String> = [
            "gantt",
            "  dateFormat YYYY-MM-DD HH:mm:ss",
            "  axisFormat %H:%M:%S",
        ]
        .map(str::to_owned)
        .into();
        lines.extend(bars);
        fenced("mermaid", &lines)
    });
    Part {
        head: format!(
            "<details>\n<summary>Schedule: about {} by the forecast</summary>\n\n",
            time(plan.makespan)
        ),
        rows: rows.into_iter().collect(),
        tail: "\n</details>\n\n".to_owned(),
        what: "charts",
        share: 60,
    }
}

/// From the move's first step to the end of its last, in whole seconds, at least one.
fn bar(plan: &Plan, a_move: &Move) -> Option<String> {
    let steps = || a_move.steps.iter().filter_map(|id| plan.steps.get(id.0));
    let start = steps().map(|step| step.start).min()?;
    let end = steps()
        .map(|step| step.start.plus(step.forecast.duration))
        .max()?;
    let from = start.0 / 1000;
    let seconds = end.0.saturating_sub(start.0).div_ceil(1000).max(1);
    let state = if a_move.reboots { "crit, " } else { "active, " };
    let mut label = mermaid_text(&shorten(a_move.vm.as_str(), NAME));
    if a_move.detour.is_some() {
        // Such a VM has two bars.
        label += " to ";
        label += &mermaid_text(&shorten(a_move.to.as_str(), NAME));
    }
    let (hours, minutes, rest) = (from / 3600, from / 60 % 60, from % 60);
    Some(format!(
        "  {} {label} :{state}2000-01-01 {hours:02}:{minutes:02}:{rest:02}, {seconds}s",
        word(a_move.kind)
    ))
}
