//! The steps in the order in which they start, those that start together under one time.

use std::collections::BTreeMap;

use crate::model::{Bytes, BytesPerSecond, Millis};
use crate::plan::{Cause, Dependency, Held, Plan, Slot, Step, StepId, Why};
use crate::render::Role;
use crate::render::page::{Page, Span, glued, plain};

use super::time;

/// Columns of a time such as `at 1m 12s`.
const TIME: usize = 10;

/// A step shorter than this by the forecast is shown without its duration.
const WORTH_TELLING: Millis = Millis(1000);

/// Writes every step with its forecast and what it waits for.
pub(super) fn steps(page: &mut Page<'_>, plan: &Plan) {
    if plan.steps.is_empty() {
        return;
    }
    page.blank();
    let heading = format!(
        "Steps ({}), by forecast; those under one time run together:",
        plan.steps.len()
    );
    page.line(0, 2, &[(Role::Heading, heading)]);
    let mut groups: BTreeMap<Millis, Vec<StepId>> = BTreeMap::new();
    for (index, step) in plan.steps.iter().enumerate() {
        groups.entry(step.start).or_default().push(StepId(index));
    }
    let digits = plan.steps.len().to_string().len();
    for (start, group) in groups {
        let mut label = format!("at {}", time(start));
        for id in group {
            let number = format!("{:>digits$}", id.to_string());
            page.columns(
                2,
                &[(&label, TIME), (&number, digits + 1)],
                &spans(plan, id),
            );
            label.clear();
        }
    }
    critical(page, plan);
}

fn spans(plan: &Plan, id: StepId) -> Vec<Span> {
    let step = plan.step(id);
    let mut spans = vec![plain(step.action.to_string())];
    let mut figures = Vec::new();
    if step.forecast.bytes > Bytes::ZERO {
        figures.push(glued(&step.forecast.bytes));
    }
    if step.forecast.duration >= WORTH_TELLING {
        figures.push(glued(&time(step.forecast.duration)));
    }
    if !figures.is_empty() {
        spans.push((Role::Note, format!("({})", figures.join(", "))));
    }
    let waits = step
        .after
        .iter()
        .map(|dependency| wait(plan, step, *dependency));
    let mut waits: Vec<String> = waits.collect();
    if let Some(first) = waits.first_mut() {
        *first = format!("after {first}");
    }
    waits.extend(step.held.as_ref().and_then(|held| queued(plan, held)));
    if !waits.is_empty() {
        spans.push((Role::Aside, waits.join(", ")));
    }
    spans
}

/// The other step's number and why it is waited for; the order of one VM's own steps needs no reason.
pub(in crate::render) fn wait(plan: &Plan, step: &Step, dependency: Dependency) -> String {
    let other = dependency.step;
    match dependency.why {
        Why::SameVm => other.to_string(),
        Why::BaseFirst => format!("{other} (base first)"),
        Why::CopyBeforeDelete => format!("{other} (copy before delete)"),
        Why::KeepsApart => format!("{other} (keeps apart)"),
        Why::FreesRoom => {
            let freed = &plan.step(other).frees;
            let shared = freed
                .iter()
                .find(|(resource, _)| step.takes.iter().any(|(taken, _)| taken == resource));
            match shared {
                Some((resource, _)) => format!("{other} (frees {resource})"),
                None => format!("{other} (frees room)"),
            }
        }
    }
}

/// Why a step that waits for no step any more starts still later: what it uses while it runs is used up.
pub(in crate::render) fn queued(plan: &Plan, held: &Held) -> Option<String> {
    let by = held.by;
    match &held.what {
        Cause::After(_) => None,
        Cause::Slot(slot) => Some(format!("when {by} ends ({})", limit(plan, slot))),
        Cause::Turn(slot) => Some(format!("in its turn after {by} ({})", limit(plan, slot))),
    }
}

/// `at most 2 at once from kvm1`
fn limit(plan: &Plan, slot: &Slot) -> String {
    let most = plan.slots.get(slot).copied().unwrap_or(0);
    let rate = BytesPerSecond(most);
    match slot {
        Slot::Out(host) => format!("at most {most} at once from {host}"),
        Slot::In(host) => format!("at most {most} at once to {host}"),
        Slot::Link(from, to) => format!("at most {most} at once from {from} to {to}"),
        Slot::Cluster(cluster) => format!("at most {most} at once in cluster {cluster}"),
        Slot::Fleet => format!("at most {most} at once in all"),
        Slot::Upload(host) => format!("at most {} from {host}", glued(&rate)),
        Slot::Download(host) => format!("at most {} to {host}", glued(&rate)),
    }
}

/// The chain of steps that determines the end. Where only one VM moves, that is all of them.
fn critical(page: &mut Page<'_>, plan: &Plan) {
    if plan.critical.is_empty() || plan.moves.len() < 2 {
        return;
    }
    let chain: Vec<String> = plan.critical.iter().map(ToString::to_string).collect();
    let text = format!("Critical path: {}", chain.join(", "));
    page.line(2, 4, &[plain(text)]);
}
