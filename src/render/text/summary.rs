//! What came of an apply.

use std::collections::{BTreeMap, BTreeSet};

use crate::apply::{Event, Happening, Summary};
use crate::model::{Bytes, Millis, VmName};
use crate::plan::Plan;
use crate::render::page::{Page, plain};
use crate::render::{Role, Style};

use super::time;

/// What moved, how long it took and the measured downtime beside the forecast; what failed and why; what was left.
#[must_use]
pub fn summary(plan: &Plan, events: &[Event], style: &Style) -> String {
    let mut page = Page::new(style);
    let mut last = Summary::default();
    let mut done = BTreeMap::new();
    let mut begun = BTreeSet::new();
    for event in events {
        match &event.what {
            Happening::StepDone { step, .. } => {
                let step = plan.steps.get(step.0);
                begun.extend(step.into_iter().flat_map(|step| &step.vms));
            }
            Happening::MoveDone {
                vm,
                took,
                downtime_forecast,
                downtime,
            } => {
                let both = |(one, forecast, measured): Figures| {
                    let measured = measured.zip(*downtime).map(|(one, other)| one.plus(other));
                    (one.plus(*took), forecast.plus(*downtime_forecast), measured)
                };
                let before = done.get(vm).copied();
                done.insert(
                    vm,
                    before.map_or((*took, *downtime_forecast, *downtime), both),
                );
            }
            Happening::Finished(summary) => last = summary.clone(),
            _ => {}
        }
    }
    outcomes(&mut page, plan, &last, &Progress { done, begun });
    failures(&mut page, events);
    page.blank();
    page.verbatim(0, Role::Heading, &closing(&last));
    page.finish()
}

/// What the events say of each VM.
struct Progress<'e> {
    done: BTreeMap<&'e VmName, Figures>,
    /// VMs of which a step was done, moved or not.
    begun: BTreeSet<&'e VmName>,
}

/// A VM's time, the forecast of its downtime, and the downtime as measured.
type Figures = (Millis, Millis, Option<Millis>);

fn outcomes(page: &mut Page<'_>, plan: &Plan, last: &Summary, progress: &Progress<'_>) {
    let Progress { done, begun } = progress;
    for vm in &last.moved {
        let figures = done
            .get(vm)
            .map_or_else(String::new, |(took, forecast, measured)| {
                figures(*took, *forecast, *measured)
            });
        page.sign(
            Role::Good,
            "ok",
            &[plain(arrived(plan, vm)), (Role::Aside, figures)],
        );
    }
    for vm in &last.failed {
        let what = if last.restored.contains(vm) {
            "failed; it was brought back and runs"
        } else {
            "failed"
        };
        page.sign(
            Role::Bad,
            "x",
            &[plain(vm.as_str()), (Role::Bad, what.into())],
        );
    }
    for vm in last.restored.iter().filter(|vm| !last.failed.contains(vm)) {
        page.sign(
            Role::Warning,
            "-",
            &[
                plain(vm.as_str()),
                plain("not moved; it was shut down, brought back and runs"),
            ],
        );
    }
    for vm in &last.stranded {
        page.sign(
            Role::Bad,
            "x",
            &[
                plain(vm.as_str()),
                (
                    Role::Bad,
                    "IS OFF: shut down by this apply and not started again".into(),
                ),
            ],
        );
    }
    let told = |vm: &&VmName| !last.restored.contains(vm) && !last.stranded.contains(vm);
    for vm in last.left.iter().filter(told) {
        let what = if begun.contains(vm) {
            "begun and not finished; the next apply finishes it"
        } else {
            "not begun; it stays as it is until the next apply"
        };
        page.sign(Role::Warning, "-", &[plain(vm.as_str()), plain(what)]);
    }
}

/// `web-1 moved live from kvm1 to kvm2:`
fn arrived(plan: &Plan, vm: &VmName) -> String {
    let mut own = plan.moves.iter().filter(|a_move| a_move.vm == *vm);
    match (own.next(), own.next()) {
        (Some(a_move), None) if a_move.from == a_move.to => format!("{vm} on {}:", a_move.to),
        (Some(a_move), None) => format!("{vm} from {} to {}:", a_move.from, a_move.to),
        (Some(out), Some(on)) => {
            format!("{vm} from {} to {} by way of {}:", out.from, on.to, out.to)
        }
        (None, _) => format!("{vm}:"),
    }
}

fn figures(took: Millis, forecast: Millis, measured: Option<Millis>) -> String {
    let downtime = match (measured, forecast.0) {
        (Some(measured), _) => format!("downtime {measured} measured, {} forecast", time(forecast)),
        (None, 0) => return took.to_string(),
        (None, _) => format!("downtime not measured, {} forecast", time(forecast)),
    };
    format!("{took}, {downtime}")
}

fn failures(page: &mut Page<'_>, events: &[Event]) {
    for event in events {
        match &event.what {
            Happening::StepFailed {
                step,
                what,
                cancelled: true,
                ..
            } => {
                page.blank();
                page.line(
                    0,
                    2,
                    &[
                        (Role::Warning, format!("Step {step} cancelled:")),
                        plain(what.as_str()),
                    ],
                );
            }
            Happening::StepFailed {
                step,
                what,
                why,
                help,
                ..
            } => {
                failure(
                    page,
                    &format!("Step {step} failed:"),
                    what,
                    why,
                    help.as_deref(),
                );
            }
            Happening::NotRestored {
                vm,
                what,
                why,
                help,
            } => {
                failure(page, &format!("{vm} is off:"), what, why, help.as_deref());
            }
            _ => {}
        }
    }
}

fn failure(page: &mut Page<'_>, head: &str, what: &str, why: &str, help: Option<&str>) {
    page.blank();
    page.line(0, 2, &[(Role::Bad, head.to_owned()), plain(what)]);
    page.line(2, 2, &[plain(why)]);
    if let Some(help) = help {
        page.line(2, 4, &[(Role::Aside, "->".into()), plain(help)]);
    }
}

fn closing(summary: &Summary) -> String {
    let Summary {
        moved,
        failed,
        left,
        restored: _,
        stranded,
        steps_done,
        steps,
        bytes,
        saved,
        took,
        cancelled,
    } = summary;
    let outcome = if failed.is_empty() && left.is_empty() && !cancelled {
        "Apply complete"
    } else if *cancelled {
        "Apply stopped on request"
    } else {
        "Apply incomplete"
    };
    let mut parts = vec![format!("{} done", moved.len())];
    if !failed.is_empty() {
        parts.push(format!("{} failed", failed.len()));
    }
    if !stranded.is_empty() {
        parts.push(format!("{} OFF", stranded.len()));
    }
    if !left.is_empty() {
        parts.push(format!("{} not done", left.len()));
    }
    let saved = match *saved {
        Bytes::ZERO => String::new(),
        saved => format!(", {saved} saved by shrinking"),
    };
    format!(
        "{outcome}: {}; {steps_done} of {steps} steps, {bytes} carried in {took}{saved}.",
        parts.join(", ")
    )
}

/// What a person should do after an apply that did not do everything; `None` after one that did.
#[must_use]
pub fn next(plan: &Plan, summary: &Summary, style: &Style) -> Option<String> {
    let Summary {
        failed,
        left,
        stranded,
        ..
    } = summary;
    let text = if !stranded.is_empty() {
        let names: Vec<&str> = stranded.iter().map(VmName::as_str).collect();
        format!(
            "Start these VMs first, on the one host where their disks are whole: {}. Their disks were not deleted. \
             `domicile plan` says where each is and what is left.",
            names.join(", "),
        )
    } else if !failed.is_empty() || !left.is_empty() {
        "Every VM is where it was or where it was going, and no disk was deleted before its copy was proven. \
         `domicile plan` shows what is left, and `domicile apply` goes on from there."
            .to_owned()
    } else if !plan.finished_first().is_empty() {
        let names: Vec<&str> = plan
            .finished_first()
            .into_iter()
            .map(VmName::as_str)
            .collect();
        format!(
            "These VMs are where an earlier apply was moving them, and the manifest wants more: {}. `domicile plan` shows \
             it, and `domicile apply` goes on from there.",
            names.join(", "),
        )
    } else {
        return None;
    };
    let mut page = Page::new(style);
    page.line(0, 0, &[plain(text)]);
    Some(page.finish())
}
