//! What the manifest and the command line let through: verdicts to findings, risks that are accepted or not, reboots
//! and time off that are allowed or not.

use std::collections::BTreeMap;

use super::derive::Derived;
use super::intent::{Choice, Intent};
use super::schedule::Schedule;
use crate::model::{Millis, VmName};
use crate::plan::{Action, Finding, MoveKind, Severity};
use crate::rules::{Case, Effect, Verdict, When};

/// The verdicts as findings: those that decide stand as they are, those about a method that is not taken are left
/// out, one about a method that the manifest insists on blocks, and so does a risk that nobody has accepted.
pub(super) fn findings_of(case: &Case<'_>, choice: &Choice, verdicts: &[Verdict]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = verdicts
        .iter()
        .filter_map(|verdict| finding_of(case, choice, verdict))
        .collect();
    findings.extend(reboot(case, choice));
    findings
}

fn finding_of(case: &Case<'_>, choice: &Choice, verdict: &Verdict) -> Option<Finding> {
    let counts = match verdict.when {
        When::Always => true,
        When::Live => choice.kind == MoveKind::Live,
        When::Reboot => choice.kind == MoveKind::Cold && case.is_active(),
    };
    if !counts {
        return None;
    }
    let mut remedy = verdict.remedy.clone();
    let severity = match verdict.effect {
        Effect::Blocks => Severity::Blocks,
        Effect::Risk if case.settings.accept.contains(verdict.code) => Severity::Risk,
        Effect::Risk => {
            remedy = format!(
                "{remedy}; or accept the risk: `accept: [{code}]` in its migration settings, or `--accept {code}`",
                code = verdict.code
            );
            Severity::Blocks
        }
        Effect::Note => Severity::Note,
        Effect::RefusesLive | Effect::RefusesDirect | Effect::RefusesStream => {
            let is_copy = |effect| matches!(effect, Effect::RefusesDirect | Effect::RefusesStream);
            let decides = choice.refused == Some(verdict.effect)
                || (choice.refused.is_some_and(is_copy) && is_copy(verdict.effect));
            decides.then_some(Severity::Blocks)?
        }
    };
    Some(Finding {
        severity,
        code: verdict.code.into(),
        vm: Some(case.name.clone()),
        host: verdict.host.clone(),
        message: verdict.message.clone(),
        remedy,
    })
}

fn reboot(case: &Case<'_>, choice: &Choice) -> Option<Finding> {
    if choice.kind != MoveKind::Cold || !case.is_active() || choice.refused.is_some() {
        return None;
    }
    let (from, to) = (case.from, case.to);
    let (severity, code, message, remedy) = if case.settings.allow_reboot {
        (
            Severity::Note,
            "reboot",
            format!("it is shut down on {from} and started on {to}"),
            "set `method: live` at the VM if it must not be rebooted".to_owned(),
        )
    } else {
        (
            Severity::Blocks,
            "reboot-forbidden",
            format!(
                "it would be shut down on {from} and started on {to} ({}), and reboots are not allowed",
                choice.reason
            ),
            format!(
                "allow it (`allow_reboot: true` at vms.{}.migration, no `--no-reboot`), or do away with what refuses to move it live",
                case.name
            ),
        )
    };
    Some(Finding {
        severity,
        code: code.into(),
        vm: Some(case.name.clone()),
        host: Some(from.clone()),
        message,
        remedy,
    })
}

/// The VMs that would be off for longer than they may, by the forecast.
pub(super) fn too_long(
    intents: &[Intent<'_>],
    derived: &Derived,
    schedule: &Schedule,
) -> BTreeMap<VmName, Finding> {
    let too_long = |intent: &Intent<'_>| {
        let limit = intent.settings.max_cold_downtime?;
        let off = time_off(intent, derived, schedule)?;
        (off > limit).then(|| {
            let finding = Finding {
                severity: Severity::Blocks,
                code: "downtime-limit".into(),
                vm: Some(intent.name.clone()),
                host: Some(intent.way.from.clone()),
                message: format!(
                    "it would be off for about {off} on its way to {}, and {limit} are allowed",
                    intent.way.to
                ),
                remedy: format!(
                    "raise `max_cold_downtime` at vms.{}.migration (or `--max-downtime`), or do away with what \
                     refuses to move it live",
                    intent.name
                ),
            };
            (intent.name.clone(), finding)
        })
    };
    intents.iter().filter_map(too_long).collect()
}

/// From the request to shut down to the end of the start, by the forecast.
fn time_off(intent: &Intent<'_>, derived: &Derived, schedule: &Schedule) -> Option<Millis> {
    if !intent.shuts_down {
        return None;
    }
    let own = derived.steps_of(intent.name).iter();
    let mut own = own.map(|index| (&derived.steps[*index], schedule.starts[*index]));
    let (_, down) = own
        .clone()
        .find(|(step, _)| matches!(step.action, Action::ShutDown { .. }))?;
    let (step, up) = own.find(|(step, _)| matches!(step.action, Action::Start { .. }))?;
    let up = up.plus(step.forecast.duration);
    Some(Millis(up.0.saturating_sub(down.0)))
}
