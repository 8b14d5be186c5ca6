//! Rules about guests that are shut down for their move, and about live migrations that may come to that.

use super::case::{Case, Effect, Rule, Verdict, When};
use crate::desired::{Method, OnShutdownTimeout, OnStall};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "convergence",
        title: "a live migration may not converge, or ends in a reboot",
        effects: &[Effect::Note],
        why: "A guest that changes its memory faster than it can be carried never comes over. What happens then is what \
              `on_stall` says, in its order; where it says `cold`, the guest is shut down. How fast a guest changes its \
              memory is known where somebody had it measured (`virsh domdirtyrate-calc`).",
        remedy: "Allow more `bandwidth`, add `post-copy`, or write `abort` in place of `cold` where the guest must not be rebooted.",
        source: "QEMU, migration; VMmanager 6",
        judge: convergence,
    },
    Rule {
        code: "shutdown",
        title: "a guest that does not shut down in time is switched off",
        effects: &[Effect::Risk],
        why: "What a guest has not written to its disks is lost when it is switched off, as by a power cut.",
        remedy: "Leave `on_shutdown_timeout` at `fail`, or give it longer (`shutdown_timeout`).",
        source: "libvirt, virDomainDestroyFlags",
        judge: shutdown,
    },
];

fn may_be_shut_down(case: &Case<'_>) -> bool {
    case.changes_host() && case.is_active() && case.settings.allow_reboot
}

fn convergence(case: &Case<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let rate = case.settings.rate();
    let dirtied = case.detail.dirty_rate.filter(|dirtied| *dirtied >= rate);
    if let Some(dirtied) = dirtied.filter(|_| case.may_go_live()) {
        let message = format!(
            "its guest changed {dirtied} of memory when that was measured, and {rate} are carried: a live migration may not converge"
        );
        let remedy = "allow more `bandwidth`, or let `on_stall` say `post-copy` or `cold`";
        let verdict = Verdict::new("convergence", Effect::Note, case.from, message, remedy);
        verdicts.push(verdict.only(When::Live));
    }
    let ends_cold = case.settings.on_stall.contains(&OnStall::Cold);
    if !may_be_shut_down(case) || !ends_cold || case.method != Method::Auto {
        return verdicts;
    }
    verdicts.push(Verdict::new(
        "convergence",
        Effect::Note,
        case.from,
        "if its live migration does not converge, it is shut down and moved cold: the guest reboots".to_owned(),
        "write `abort` in place of `cold` in `on_stall` if it must not be rebooted",
    )
    .only(When::Live));
    verdicts
}

fn shutdown(case: &Case<'_>) -> Vec<Verdict> {
    let switched_off = case.settings.on_shutdown_timeout == OnShutdownTimeout::Destroy;
    if !may_be_shut_down(case) || !switched_off || case.method == Method::Live {
        return Vec::new();
    }
    vec![
        Verdict::new(
            "shutdown",
            Effect::Risk,
            case.from,
            format!(
                "it is switched off if it does not shut down within {}",
                case.settings.shutdown_timeout
            ),
            format!(
                "write `on_shutdown_timeout: fail` at vms.{}.migration",
                case.name
            ),
        )
        .only(When::Reboot),
    ]
}
