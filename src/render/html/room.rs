//! How much of each host's memory and pools is taken over the plan's time, replayed from what steps take and give back.

use std::collections::BTreeMap;
use std::fmt::Write;

use maud::{Markup, html};

use super::layout::{axis, counted, from_to, host_words, scale};
use super::view::View;
use crate::model::{Bytes, HostName, Millis};
use crate::plan::{Capacity, Plan, Resource, Step};
use crate::render::text::time;

/// Units of a drawing.
const WIDTH: u64 = 1_000;
const HEIGHT: u64 = 100;

/// A resource over the plan's time.
pub(super) struct Course<'p> {
    pub(super) capacity: &'p Capacity,
    /// From when how much is taken; empty where nothing changes.
    changes: Vec<(Millis, u64)>,
}

impl Course<'_> {
    pub(super) fn last(&self) -> u64 {
        self.changes
            .last()
            .map_or(self.capacity.used, |(_, used)| *used)
    }

    pub(super) fn is_touched(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The most that is taken, and since when.
    fn peak(&self) -> (Millis, u64) {
        let mut peak = (Millis::ZERO, self.capacity.used);
        for change in &self.changes {
            if change.1 > peak.1 {
                peak = *change;
            }
        }
        peak
    }
}

/// Memory and pools of every host, in the plan's order.
pub(super) fn courses(plan: &Plan) -> Vec<Course<'_>> {
    let mut changes = deltas(plan);
    let shown = plan
        .capacities
        .iter()
        .filter(|capacity| matches!(capacity.resource, Resource::Memory(_) | Resource::Pool(..)));
    shown
        .map(|capacity| {
            let mut used = i128::from(capacity.used);
            let deltas = changes.remove(&capacity.resource).unwrap_or_default();
            let changes = deltas.into_iter().map(|(at, delta)| {
                used += delta;
                (at, u64::try_from(used.max(0)).unwrap_or(u64::MAX))
            });
            Course {
                capacity,
                changes: changes.collect(),
            }
        })
        .collect()
}

type Deltas<'p> = BTreeMap<&'p Resource, BTreeMap<Millis, i128>>;

/// What is given back and taken at an instant counts at once, as the check of plans has it.
fn deltas(plan: &Plan) -> Deltas<'_> {
    let mut deltas: Deltas<'_> = BTreeMap::new();
    let mut add = |resource, at, delta: i128| {
        let of_resource = deltas.entry(resource).or_default();
        *of_resource.entry(at).or_default() += delta;
    };
    for step in &plan.steps {
        let Step {
            takes,
            frees,
            start,
            forecast,
            ..
        } = step;
        for (resource, amount) in takes {
            add(resource, *start, i128::from(*amount));
        }
        for (resource, amount) in frees {
            add(
                resource,
                start.plus(forecast.duration),
                -i128::from(*amount),
            );
        }
    }
    deltas
}

/// The host that a resource of the page belongs to, and what it is called there.
pub(super) fn owner(resource: &Resource) -> Option<(&HostName, &str)> {
    match resource {
        Resource::Memory(host) => Some((host, "memory")),
        Resource::Pool(host, pool) => Some((host, pool.as_str())),
        Resource::Vcpus(_) | Resource::Vms(_) | Resource::Apart(..) => None,
    }
}

pub(super) fn section(view: &View<'_>) -> Markup {
    let courses = courses(view.plan);
    let (touched, still): (Vec<_>, Vec<_>) = courses.iter().partition(|course| course.is_touched());
    html! {
        section #room aria-labelledby="room-title" {
            h2 #room-title { "Room over time" }
            @if touched.is_empty() {
                p.none { "No host's memory and no pool changes." }
            } @else {
                p.aside {
                    "What is taken of memory and pools while the plan runs, against the limit (the dashed line)."
                    @if !still.is_empty() {
                        " " (counted(still.len(), "other stays", "others stay")) " as they are; they stand with their hosts below."
                    }
                }
                div.charts { @for course in touched { (chart(course, view.plan.makespan)) } }
            }
        }
    }
}

fn chart(course: &Course<'_>, end: Millis) -> Markup {
    let Some((host, what)) = owner(&course.capacity.resource) else {
        return html! {};
    };
    let Capacity { limit, used, .. } = course.capacity;
    let (at, most) = course.peak();
    let words = format!(
        "{} at the start, {} at the end, at most {} from {}, limit {}",
        Bytes(*used),
        Bytes(course.last()),
        Bytes(most),
        time(at),
        Bytes(*limit)
    );
    let top = most.max(*limit);
    let line = HEIGHT - scale(*limit, top, HEIGHT);
    let tight = if most > *limit { "over" } else { "" };
    html! {
        figure.chart.(tight) data-hosts=(host_words([host])) {
            figcaption {
                b { (host) } " " (what)
                span.figure { (from_to(*used, course.last())) " of " (Bytes(*limit)) }
            }
            svg width="100%" height="64" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(words) {
                path.area d=(area(course, end, top)) { title { (words) } }
                line.limit x1="0" x2=(WIDTH) y1=(line) y2=(line) {}
            }
            (axis(end))
            p.aside { "at most " (Bytes(most)) @if at == Millis::ZERO { " from the start" } @else { " from " (time(at)) } }
        }
    }
}

/// The outline of what is taken: steps up and down, closed along the bottom.
fn area(course: &Course<'_>, end: Millis, top: u64) -> String {
    let height = |used| HEIGHT - scale(used, top, HEIGHT);
    let mut path = format!("M0 {HEIGHT}V{}", height(course.capacity.used));
    for (at, used) in &course.changes {
        // Writing to a text does not fail.
        let _ = write!(path, "H{}V{}", scale(at.0, end.0, WIDTH), height(*used));
    }
    let _ = write!(path, "H{WIDTH}V{HEIGHT}Z");
    path
}
