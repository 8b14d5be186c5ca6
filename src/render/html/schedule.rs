//! When each step runs by the forecast: a row for each VM, a bar for each step.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::layout::{axis, counted, host_words, percent};
use super::steps::{class, link};
use super::view::View;
use crate::model::{Millis, VmName};
use crate::plan::{Action, Move, Step, StepId};
use crate::render::text::time;

/// Rows that are shown at once; what follows them is a click away.
const ROWS_OPEN: usize = 100;

pub(super) fn section(view: &View<'_>) -> Markup {
    let moves: Vec<(usize, &Move)> = view.plan.moves.iter().enumerate().collect();
    html! {
        section #schedule aria-labelledby="schedule-title" {
            h2 #schedule-title { "Schedule" }
            @if view.plan.steps.is_empty() {
                p.none { "There is nothing to run." }
            } @else {
                p.legend {
                    @for (class, word) in [("migrate", "migration"), ("copy", "copy"), ("power", "shutdown and start"), ("small", "mark, volume, definition")] {
                        span { i.(class) {} (word) }
                    }
                    span { i.off {} "the guest is off" }
                    @if !view.critical.is_empty() { span { i.critical {} "critical path: what is longer there makes the whole longer" } }
                }
                (path(view))
                div.lane.head aria-hidden="true" { span {} (axis(view.plan.makespan)) }
                @for (index, part) in moves.chunks(ROWS_OPEN).enumerate() {
                    @if index == 0 { (rows(view, part)) } @else {
                        details.part {
                            summary { (more(part, moves.len())) }
                            (rows(view, part))
                        }
                    }
                }
            }
        }
    }
}

/// `VMs 101 to 200 of 1,000, from 4m 2s`.
fn more(part: &[(usize, &Move)], all: usize) -> String {
    let number = |entry: Option<&(usize, &Move)>| entry.map_or(0, |(place, _)| place + 1);
    format!(
        "VMs {} to {} of {}",
        super::layout::count(number(part.first())),
        super::layout::count(number(part.last())),
        super::layout::count(all)
    )
}

fn rows(view: &View<'_>, part: &[(usize, &Move)]) -> Markup {
    html! { @for (place, a_move) in part { (row(view, *place, a_move)) } }
}

fn row(view: &View<'_>, place: usize, a_move: &Move) -> Markup {
    let steps = || a_move.steps.iter().map(|id| (*id, view.plan.step(*id)));
    let own = |(id, _): &(StepId, &Step)| view.homes.get(id) == Some(&place);
    let start = steps()
        .map(|(_, step)| step.start)
        .min()
        .unwrap_or_default();
    let words = format!(
        "{}: {} from {}, {}",
        a_move.vm,
        counted(a_move.steps.len(), "step", "steps"),
        time(start),
        time(a_move.duration)
    );
    let end = view.plan.makespan;
    html! {
        div.lane data-vm=(a_move.vm) data-hosts=(host_words([&a_move.from, &a_move.to])) {
            a href={ "#move-" (place + 1) } { (a_move.vm) @if a_move.detour.is_some() { span.aside { " → " (a_move.to) } } }
            svg width="100%" height="18" role="img" aria-label=(words) {
                @if view.is_detailed {
                    (guest_is_off(view, a_move))
                    @for (id, step) in steps().filter(own) {
                        a href={ "#step-" (id) } tabindex="-1" {
                            (bar(class(&step.action), step.start, step.forecast.duration, end, &told(id, step)))
                        }
                    }
                } @else {
                    (bar("migrate", start, a_move.duration, end, &words))
                }
                (critical(view, steps().filter(own)))
            }
        }
    }
}

fn told(id: StepId, step: &Step) -> String {
    format!(
        "{id} {}, {} from {}",
        step.action,
        time(step.forecast.duration),
        time(step.start)
    )
}

fn bar(class: &str, start: Millis, duration: Millis, end: Millis, told: &str) -> Markup {
    html! {
        rect.(class) x=(percent(start.0, end.0)) width=(percent(duration.0, end.0)) y="4" height="10" { title { (told) } }
    }
}

/// The steps that determine the end, in their order, which may run through rows far apart.
fn path(view: &View<'_>) -> Markup {
    if view.critical.is_empty() || !view.is_detailed {
        return html! {};
    }
    let vms = || {
        view.plan
            .critical
            .iter()
            .flat_map(|id| &view.plan.step(*id).vms)
    };
    let vms: BTreeSet<&VmName> = vms().collect();
    html! {
        details.path {
            summary {
                "Critical path: " (counted(view.plan.critical.len(), "step", "steps"))
                " of " (counted(vms.len(), "VM", "VMs"))
            }
            ol.plain {
                @for id in &view.plan.critical {
                    @let step = view.plan.step(*id);
                    li { (link(*id)) " " (step.action) span.aside { ", " (time(step.forecast.duration)) " from " (time(step.start)) } }
                }
            }
        }
    }
}

/// A line below the bars of those steps that determine the end.
fn critical<'p>(view: &View<'p>, steps: impl Iterator<Item = (StepId, &'p Step)>) -> Markup {
    let end = view.plan.makespan;
    html! {
        @for (_, step) in steps.filter(|(id, _)| view.critical.contains(id)) {
            rect.critical x=(percent(step.start.0, end.0)) width=(percent(step.forecast.duration.0, end.0)) y="15.5" height="2" {}
        }
    }
}

/// From each shutdown to the end of the start that follows it in the same move.
fn guest_is_off(view: &View<'_>, a_move: &Move) -> Markup {
    let end = view.plan.makespan;
    let mut since = None;
    let mut spans = Vec::new();
    for step in a_move.steps.iter().map(|id| view.plan.step(*id)) {
        match (&step.action, since) {
            (Action::ShutDown { .. }, None) => since = Some(step.start),
            (Action::Start { .. }, Some(down)) => {
                let up = step.start.plus(step.forecast.duration);
                spans.push((down, Millis(up.0.saturating_sub(down.0))));
                since = None;
            }
            _ => {}
        }
    }
    html! {
        @for (down, span) in spans {
            rect.off x=(percent(down.0, end.0)) width=(percent(span.0, end.0)) y="0" height="18" {}
        }
    }
}
