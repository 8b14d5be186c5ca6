//! What came of an apply.

use std::collections::BTreeMap;

use crate::apply::{Event, Happening, Summary};
use crate::model::{Millis, VmName};
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
    for event in events {
        match &event.what {
            Happening::MoveDone {
                vm,
                took,
                downtime_forecast,
                downtime,
            } => {
                done.insert(vm, (*took, *downtime_forecast, *downtime));
            }
            Happening::Finished(summary) => last = summary.clone(),
            _ => {}
        }
    }
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
        page.sign(
            Role::Bad,
            "x",
            &[plain(vm.as_str()), (Role::Bad, "failed".into())],
        );
    }
    for vm in &last.left {
        page.sign(
            Role::Warning,
            "-",
            &[
                plain(vm.as_str()),
                plain("not done; it stays as it is until the next apply"),
            ],
        );
    }
    failures(&mut page, events);
    page.blank();
    page.line(0, 2, &[(Role::Heading, closing(&last))]);
    page.finish()
}

/// `web-1 moved live from kvm1 to kvm2:`
fn arrived(plan: &Plan, vm: &VmName) -> String {
    match plan.moves.iter().find(|a_move| a_move.vm == *vm) {
        Some(a_move) if a_move.from == a_move.to => format!("{vm} on {}:", a_move.to),
        Some(a_move) => format!("{vm} from {} to {}:", a_move.from, a_move.to),
        None => format!("{vm}:"),
    }
}

fn figures(took: Millis, forecast: Millis, measured: Option<Millis>) -> String {
    let downtime = match (measured, forecast.0) {
        (Some(measured), _) => format!("downtime {measured} measured, {} forecast", time(forecast)),
        (None, 0) => "no downtime forecast".to_owned(),
        (None, _) => format!("downtime not measured, {} forecast", time(forecast)),
    };
    format!("{took}, {downtime}")
}

fn failures(page: &mut Page<'_>, events: &[Event]) {
    for event in events {
        if let Happening::StepFailed {
            step,
            what,
            why,
            help,
            cancelled,
        } = &event.what
        {
            page.blank();
            let (role, word) = if *cancelled {
                (Role::Warning, "cancelled")
            } else {
                (Role::Bad, "failed")
            };
            page.line(
                0,
                2,
                &[(role, format!("Step {step} {word}:")), plain(what.as_str())],
            );
            if !*cancelled {
                page.line(2, 2, &[plain(why.as_str())]);
            }
            if let Some(help) = help {
                page.line(2, 4, &[(Role::Aside, "->".into()), plain(help.as_str())]);
            }
        }
    }
}

fn closing(summary: &Summary) -> String {
    let Summary {
        moved,
        failed,
        left,
        steps_done,
        steps,
        bytes,
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
    if !left.is_empty() {
        parts.push(format!("{} not done", left.len()));
    }
    format!(
        "{outcome}: {}; {steps_done} of {steps} steps, {bytes} carried in {took}.",
        parts.join(", ")
    )
}

/// What a person should do after an apply that did not do everything; `None` after one that did.
#[must_use]
pub fn next(summary: &Summary) -> Option<String> {
    if summary.failed.is_empty() && summary.left.is_empty() {
        return None;
    }
    Some(
        "Every VM runs where it ran or where it was going, and no disk was deleted before its copy was proven. \
         `domicile plan` shows what is left, and `domicile apply` goes on from here."
            .to_owned(),
    )
}
