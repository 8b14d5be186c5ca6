//! Rules about what libvirt looks for at the destination before it starts a VM there: security drivers, what only one VM
//! can have, programs beside QEMU.

use std::collections::BTreeSet;

use super::case::{Case, Effect, Rule, Verdict};
use crate::model::VmName;
use crate::observed::{Needs, Vm};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "security-model",
        title: "the destination lacks the VM's security driver",
        effects: &[Effect::Blocks, Effect::RefusesLive, Effect::RefusesDirect],
        why: "A running VM carries the label of its host's security driver (AppArmor, SELinux), and libvirt refuses to start it where that driver is not. A VM that is off gets the label as soon as it is started to be carried host to host, unless its definition says `<seclabel type='none'/>`; streams through this process do not start it.",
        remedy: "Configure the same `security_driver` in qemu.conf of both hosts, or move the VM cold through this process.",
        source: "libvirt, virSecurityManagerCheckModel",
        judge: security_model,
    },
    Rule {
        code: "host-taken",
        title: "what only one VM can have is taken at the destination",
        effects: &[Effect::Blocks, Effect::Risk],
        why: "A console or serial port with a fixed number, a fixed vsock address and a fixed name of a network device can be had by one running VM of a host. libvirt and QEMU refuse to start the second one. Where the other VM is to leave the same host, it may do so too late.",
        remedy: "Let libvirt choose (`autoport='yes'`), or move the other VM away first.",
        source: "libvirt, qemuProcessGraphicsReservePorts, qemuProcessOpenVhostVsock and virNetDevTapCreate; QEMU, chardev socket",
        judge: host_taken,
    },
    Rule {
        code: "helper-unknown",
        title: "the VM needs a program beside QEMU",
        effects: &[Effect::Note],
        why: "For some devices libvirt starts another program beside QEMU. Where it is not installed, the VM does not start. libvirt tells of none of them whether it is there, except swtpm.",
        remedy: "Install the program at the destination.",
        source: "libvirt, qemuExtDevicesPrepareHost and qemuProcessLaunch",
        judge: helper_unknown,
    },
];

/// Security drivers of these that the destination does not have.
fn unknown_there(case: &Case<'_>, models: &BTreeSet<String>) -> Vec<String> {
    let there = &case.destination.offers.security_models;
    if there.is_empty() {
        return Vec::new();
    }
    models
        .iter()
        .filter(|model| *model != "none" && !there.contains(model))
        .cloned()
        .collect()
}

/// What the source's libvirt labels a VM with that it starts and that its definition says nothing about.
fn given_by_source(case: &Case<'_>, needs: &Needs) -> BTreeSet<String> {
    let given = case.source.offers.security_models.iter();
    given
        .filter(|model| {
            !needs.security_models.contains("none") && *model != "none" && *model != "dac"
        })
        .cloned()
        .collect()
}

fn security_model(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let at_start = case.detail.needs_at_start();
    let verdict = |effect, models: &[String]| {
        let message = format!(
            "it is labelled by {}, and {} has {}",
            models.join(" and "),
            case.to,
            case.destination.offers.security_models.join(", ")
        );
        let remedy = format!(
            "set the same `security_driver` in qemu.conf on {} and {}",
            case.from, case.to
        );
        Verdict::new("security-model", effect, case.to, message, remedy)
    };
    let defined = unknown_there(case, &at_start.security_models);
    if !defined.is_empty() {
        return vec![verdict(Effect::Blocks, &defined)];
    }
    let running = if case.may_go_live() {
        unknown_there(case, &case.detail.needs.security_models)
    } else {
        Vec::new()
    };
    let carried = unknown_there(case, &given_by_source(case, at_start));
    let live = (!running.is_empty()).then(|| verdict(Effect::RefusesLive, &running));
    let direct = (!carried.is_empty()).then(|| verdict(Effect::RefusesDirect, &carried));
    live.into_iter().chain(direct).collect()
}

fn host_taken(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() || !case.is_active() {
        return Vec::new();
    }
    let claims = if case.may_go_live() {
        &case.detail.needs.claims
    } else {
        &case.detail.needs_at_start().claims
    };
    if claims.is_empty() {
        return Vec::new();
    }
    let there = case.destination.vms.iter().map(|other| (true, other));
    let comers = case.comers.iter().map(|(name, vm)| (false, (*name, *vm)));
    let others = there.chain(comers);
    others
        .filter(|(_, (name, vm))| *name != case.name && vm.power.is_active())
        .flat_map(|(is_there, other)| held(case, claims, is_there, other))
        .collect()
}

/// What of these claims another VM has at the destination, now or when it comes there from its host.
fn held(
    case: &Case<'_>,
    claims: &BTreeSet<String>,
    is_there: bool,
    (name, vm): (&VmName, &Vm),
) -> Vec<Verdict> {
    let Some(detail) = &vm.detail else {
        return Vec::new();
    };
    let needs = &detail.needs;
    // What libvirt chose for it, it chooses anew where it comes to.
    let has = |claim: &&String| {
        needs.claims.contains(*claim) || (is_there && needs.holds.contains(*claim))
    };
    let wanted = || case.desired.vms.get(name).map(|wanted| &wanted.host);
    let verdict = |claim: &String| {
        let (effect, until, remedy) = if wanted().is_some_and(|wanted| wanted != case.to) {
            let remedy = format!("move {name} first, with `--target {name}`, then plan again");
            (Effect::Risk, " until it has left", remedy)
        } else {
            let remedy = "give one of the two another, or let libvirt choose".to_owned();
            let until = if is_there {
                ""
            } else {
                ", too, when it comes there"
            };
            (Effect::Blocks, until, remedy)
        };
        let message = format!("it needs {claim}, which {name} has on {}{until}", case.to);
        Verdict::new("host-taken", effect, case.to, message, remedy)
    };
    claims.iter().filter(has).map(verdict).collect()
}

fn helper_unknown(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let verdict = |helper: &String| {
        let message = format!(
            "it needs {helper}, and whether {} has it libvirt does not tell",
            case.to
        );
        let remedy = format!("see that it is installed on {}", case.to);
        Verdict::new("helper-unknown", Effect::Note, case.to, message, remedy)
    };
    let (now, later) = (
        &case.detail.needs.helpers,
        &case.detail.needs_at_start().helpers,
    );
    now.union(later).map(verdict).collect()
}
