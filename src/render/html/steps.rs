//! Steps of a move, each to click open.

use maud::{Markup, html};

use super::layout::counted;
use super::view::View;
use crate::model::{Bytes, Millis};
use crate::plan::{Action, Resource, Step, StepId};
use crate::render::text::{steps, time};

/// What a step is for the eye: the colour of its bar and of its number.
pub(super) fn class(action: &Action) -> &'static str {
    match action {
        Action::MigrateLive { .. } | Action::AwaitMigration { .. } => "migrate",
        Action::MigratePaused { .. }
        | Action::CopyVolume { .. }
        | Action::CompactVolume { .. }
        | Action::BlockCopy { .. }
        | Action::VerifyVolume { .. } => "copy",
        Action::ShutDown { .. }
        | Action::Start { .. }
        | Action::Resume { .. }
        | Action::Destroy { .. } => "power",
        Action::Mark { .. }
        | Action::Unmark { .. }
        | Action::CreateVolume { .. }
        | Action::DeleteVolume { .. }
        | Action::Define { .. }
        | Action::Redefine { .. }
        | Action::Undefine { .. } => "small",
    }
}

/// The steps of the move at that place; one that an earlier move tells is only named.
pub(super) fn of_move(view: &View<'_>, place: usize, all: &[StepId]) -> Markup {
    html! {
        ol.steps {
            @for id in all {
                @if view.homes.get(id) == Some(&place) {
                    li { (told(view, *id)) }
                } @else {
                    li.shared { (link(*id)) " " (view.plan.step(*id).action) ", told at the VM that needs it first" }
                }
            }
        }
    }
}

pub(super) fn link(id: StepId) -> Markup {
    html! { a href={ "#step-" (id) } { (id) } }
}

fn told(view: &View<'_>, id: StepId) -> Markup {
    let step = view.plan.step(id);
    let forecast = &step.forecast;
    html! {
        details.step id={ "step-" (id) } {
            summary {
                span.number.(class(&step.action)) { (id) }
                span.act { (step.action) }
                span.figure { @if forecast.bytes > Bytes::ZERO { (forecast.bytes) } }
                span.figure { (time(forecast.duration)) }
                span.figure { "at " (time(step.start)) }
            }
            dl.facts {
                dt { "runs" }
                dd { "from " (time(step.start)) " to " (time(step.start.plus(forecast.duration))) ", by the forecast" }
                @if forecast.downtime > Millis::ZERO { dt { "downtime" } dd { (time(forecast.downtime)) } }
                (waits(view, step))
                @if view.critical.contains(&id) { dt { "critical" } dd { "what makes it longer makes the whole longer" } }
                @if step.vms.len() > 1 {
                    dt { "needed by" }
                    dd { (counted(step.vms.len(), "VM", "VMs")) ": " (step.vms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")) }
                }
                (amounts("takes", &step.takes))
                (amounts("gives back", &step.frees))
            }
        }
    }
}

fn waits(view: &View<'_>, step: &Step) -> Markup {
    let held = step.held.as_ref();
    let queued = held.and_then(|held| steps::queued(view.plan, held));
    html! {
        dt { "waits for" }
        dd {
            @if step.after.is_empty() && queued.is_none() { "nothing" }
            @for (index, dependency) in step.after.iter().enumerate() {
                @let words = steps::wait(view.plan, step, *dependency);
                @let number = dependency.step.to_string();
                @if index > 0 { ", " }
                "step " (link(dependency.step)) (words.strip_prefix(&number).unwrap_or(&words))
            }
            @if let Some(queued) = queued {
                @if !step.after.is_empty() { "; begins " }
                (queued)
            }
        }
    }
}

fn amounts(label: &str, all: &[(Resource, u64)]) -> Markup {
    html! {
        @if !all.is_empty() {
            dt { (label) }
            dd { ul.plain { @for (resource, amount) in all { li { (in_its_unit(resource, *amount)) " (" (resource) ")" } } } }
        }
    }
}

/// Bytes as people read them; other resources are counts.
fn in_its_unit(resource: &Resource, amount: u64) -> String {
    match resource {
        Resource::Memory(_) | Resource::Pool(..) => Bytes(amount).to_string(),
        Resource::Vcpus(_) | Resource::Vms(_) | Resource::Apart(..) => amount.to_string(),
    }
}
