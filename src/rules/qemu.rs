//! Rules about what the QEMU of a running VM says itself, where the manifest lets it be asked (`ask_qemu`).

use super::case::{Case, Effect, Rule, Verdict, When};
use super::live::version;
use crate::observed::QemuAnswer;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "qemu-blocker",
        title: "QEMU says that it cannot migrate the VM",
        effects: &[Effect::RefusesLive, Effect::RefusesDirect, Effect::Note],
        why: "QEMU keeps a list of its own reasons not to migrate: devices, image formats, features of the CPU. libvirt asks for it when a migration begins, and refuses. It has no call that only asks, and marks a VM as tainted whose QEMU is asked past it, so QEMU is asked only where `ask_qemu: true` stands in the migration settings. A VM that is started only to be carried has the same devices. QEMU older than 6.0 keeps its reasons to itself.",
        remedy: "Do what the reason says: mostly, detach the device.",
        source: "libvirt, qemuMigrationSrcIsAllowed; QEMU, query-migrate",
        judge: blocker,
    },
    Rule {
        code: "qemu-last-run",
        title: "the VM runs with a newer QEMU than the destination has",
        effects: &[Effect::Risk],
        why: "A VM keeps the QEMU that it was started with, also when its host's is replaced by an older one. The destination compares well with what is installed, and badly with what runs. Only QEMU itself tells its version, so this is seen only where `ask_qemu: true` stands in the migration settings.",
        remedy: "Restart the VM, so that it runs with what is installed, or upgrade QEMU at the destination.",
        source: "VMmanager 6, live migration; QEMU, query-version",
        judge: last_run,
    },
];

fn blocker(case: &Case<'_>) -> Vec<Verdict> {
    match &case.detail.qemu {
        Some(QemuAnswer::Answered { blockers, .. }) if !blockers.is_empty() => {
            let message = format!("its QEMU does not migrate it: {}", blockers.join("; "));
            case.unmigratable(
                "qemu-blocker",
                case.from,
                &message,
                "do what QEMU says, mostly detach the device",
            )
        }
        Some(QemuAnswer::Unknown(why)) if case.may_go_live() => {
            let message = format!("its QEMU was asked and did not answer: {why}");
            let remedy = format!(
                "see its log on {}, /var/log/libvirt/qemu/{}.log",
                case.from, case.name
            );
            vec![
                Verdict::new("qemu-blocker", Effect::Note, case.from, message, remedy)
                    .only(When::Live),
            ]
        }
        Some(_) | None => Vec::new(),
    }
}

fn last_run(case: &Case<'_>) -> Vec<Verdict> {
    let (installed, there) = (
        case.source.hypervisor_version,
        case.destination.hypervisor_version,
    );
    let Some(QemuAnswer::Answered { version: runs, .. }) = case.detail.qemu else {
        return Vec::new();
    };
    if !case.may_go_live() || runs == installed || runs <= there {
        return Vec::new();
    }
    let message = format!(
        "it runs with QEMU {}, {} has {} now and {} has {}",
        version(runs),
        case.from,
        version(installed),
        case.to,
        version(there)
    );
    let remedy = format!(
        "restart it on {} first, or upgrade QEMU on {}",
        case.from, case.to
    );
    vec![Verdict::new("qemu-last-run", Effect::Risk, case.to, message, remedy).only(When::Live)]
}
