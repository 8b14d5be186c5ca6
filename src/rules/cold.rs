//! Rules about guests that are shut down for their move, and about live migrations that may come to that.

use super::case::{Case, Effect, Rule, Verdict, When};
use crate::desired::{Method, OnShutdownTimeout, OnStall};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "convergence",
        title: "a live migration that does not converge ends in a reboot",
        effects: &[Effect::Note],
        why: "A guest that changes its memory faster than it can be carried never comes over. What happens then is what \
              `on_stall` says, in its order; here it says `cold`, which shuts the guest down.",
        remedy: "Write `abort` in place of `cold` where the guest must not be rebooted, or add `post-copy` before it.",
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
    let ends_cold = case.settings.on_stall.contains(&OnStall::Cold);
    if !may_be_shut_down(case) || !ends_cold || case.method != Method::Auto {
        return Vec::new();
    }
    vec![Verdict::new(
        "convergence",
        Effect::Note,
        case.from,
        "if its live migration does not converge, it is shut down and moved cold: the guest reboots".to_owned(),
        "write `abort` in place of `cold` in `on_stall` if it must not be rebooted",
    )
    .only(When::Live)]
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
