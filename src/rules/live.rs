//! Rules about moving a running VM without stopping it.

use super::case::{Case, Effect, Rule, Verdict, When};
use crate::desired::Method;
use crate::model::HostName;
use crate::observed::Host;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "qemu-minimum",
        title: "QEMU is too old to migrate",
        effects: &[Effect::RefusesLive, Effect::RefusesDirect],
        why: "Migration of older QEMU is not reliable.",
        remedy: "Upgrade QEMU, or move the VM cold through this process.",
        source: "VMmanager 6, live migration",
        judge: qemu_minimum,
    },
    Rule {
        code: "live-off",
        title: "a host does not migrate live",
        effects: &[Effect::RefusesLive, Effect::RefusesDirect],
        why: "The host's libvirt says in its capabilities that its hypervisor cannot migrate.",
        remedy: "Move the VM cold through this process.",
        source: "libvirt, virConnectGetCapabilities",
        judge: live_off,
    },
    Rule {
        code: "os-version",
        title: "the hosts' operating systems are of different versions",
        effects: &[Effect::Note],
        why: "A guest that goes to a host with another kernel meets another KVM, clock and mitigations. It mostly goes well, and better from older to newer.",
        remedy: "Bring both hosts to one version, or move the VM cold.",
        source: "VMmanager 6, live migration",
        judge: os_version,
    },
    Rule {
        code: "tls",
        title: "encryption is asked for, and nobody can tell whether the hosts are ready",
        effects: &[Effect::Note],
        why: "QEMU on both hosts needs certificates in the folder that qemu.conf names. No call of libvirt says whether they are there; without them the migration fails in its Prepare phase and the guest goes on.",
        remedy: "See that both hosts have certificates (migrate_tls_x509_cert_dir in qemu.conf).",
        source: "libvirt, qemuMigrationParamsEnableTLS",
        judge: tls,
    },
    Rule {
        code: "hostname-local",
        title: "the destination calls itself localhost",
        effects: &[Effect::RefusesLive, Effect::RefusesDirect],
        why: "libvirt tells the source to send to the destination's host name. Where that is localhost, it refuses in its Prepare phase.",
        remedy: "Give the destination an `address` in the manifest, or a host name of its own.",
        source: "libvirt, qemuMigrationDstPrepareDirect",
        judge: hostname_local,
    },
    Rule {
        code: "linked-clone",
        title: "the VM is a linked clone",
        effects: &[Effect::RefusesLive],
        why: "A linked clone is small and starts quickly, and its base may have to be copied first; VMmanager moves it cold unless told otherwise.",
        remedy: "Set `method: live` at the VM, or `live_clones: true`.",
        source: "VMmanager 6, linked clones",
        judge: linked_clone,
    },
    Rule {
        code: "qemu-older",
        title: "the destination's QEMU is older",
        effects: &[Effect::RefusesLive, Effect::RefusesDirect],
        why: "QEMU promises to take over a running VM from the same or an older version, not from a newer one.",
        remedy: "Upgrade QEMU at the destination, or move it cold.",
        source: "QEMU, migration compatibility; VMmanager 6",
        judge: qemu_older,
    },
];

fn linked_clone(case: &Case<'_>) -> Vec<Verdict> {
    let thin = case.disks.iter().any(|disk| disk.carry.is_thin());
    let asked = case.method == Method::Live || case.settings.live_clones;
    if !case.may_go_live() || !thin || asked {
        return Vec::new();
    }
    vec![Verdict::new(
        "linked-clone",
        Effect::RefusesLive,
        case.from,
        "it is a linked clone, which is moved cold by default".to_owned(),
        "set `method: live` at the VM, or `live_clones: true` in its migration settings",
    )]
}

pub(super) fn version(number: u64) -> String {
    format!(
        "{}.{}.{}",
        number / 1_000_000,
        number / 1000 % 1000,
        number % 1000
    )
}

fn qemu_older(case: &Case<'_>) -> Vec<Verdict> {
    let (have, need) = (
        case.destination.hypervisor_version,
        case.source.hypervisor_version,
    );
    if !case.changes_host() || have >= need {
        return Vec::new();
    }
    let verdict = |effect| {
        Verdict::new(
            "qemu-older",
            effect,
            case.to,
            format!(
                "QEMU {} on {} is older than {} on {}",
                version(have),
                case.to,
                version(need),
                case.from
            ),
            format!("upgrade QEMU on {}, or move it cold", case.to),
        )
    };
    if case.may_go_live() {
        vec![verdict(Effect::RefusesLive), verdict(Effect::RefusesDirect)]
    } else {
        vec![verdict(Effect::RefusesDirect)]
    }
}

/// The oldest QEMU that is trusted to migrate.
const QEMU_OLDEST: u64 = 2_000_000;

fn qemu_minimum(case: &Case<'_>) -> Vec<Verdict> {
    let ends = [(case.from, case.source), (case.to, case.destination)];
    let old = ends
        .into_iter()
        // 0: a driver that does not say.
        .find(|(_, host)| (1..QEMU_OLDEST).contains(&host.hypervisor_version));
    old.map_or_else(Vec::new, |(name, host)| {
        let message = format!(
            "QEMU {} on {name} is older than {}",
            version(host.hypervisor_version),
            version(QEMU_OLDEST)
        );
        let remedy = format!("upgrade QEMU on {name}, or use `cold_copy: stream`");
        case.unmigratable("qemu-minimum", name, &message, &remedy)
    })
}

fn live_off(case: &Case<'_>) -> Vec<Verdict> {
    let ends = [(case.from, case.source), (case.to, case.destination)];
    let off = ends
        .into_iter()
        .find(|(_, host)| host.offers.live_migration == Some(false));
    off.map_or_else(Vec::new, |(name, _)| {
        let message = format!("the hypervisor of {name} cannot migrate, its libvirt says");
        case.unmigratable("live-off", name, &message, "use `cold_copy: stream`")
    })
}

/// The version of a host's system: as the manifest says of its cluster, else the release that its QEMU is named after.
fn release(case: &Case<'_>, name: &HostName, host: &Host) -> Option<String> {
    let cluster = case.desired.hosts.get(name)?.cluster.as_ref();
    let declared = cluster.and_then(|name| case.desired.clusters.get(name)?.os_version.clone());
    declared.or_else(|| host.offers.os_release.clone())
}

fn os_version(case: &Case<'_>) -> Vec<Verdict> {
    let here = release(case, case.from, case.source);
    let there = release(case, case.to, case.destination);
    let (Some(here), Some(there)) = (here, there) else {
        return Vec::new();
    };
    if !case.may_go_live() || here == there {
        return Vec::new();
    }
    vec![
        Verdict::new(
            "os-version",
            Effect::Note,
            case.to,
            format!("{} runs {here}, {} runs {there}", case.from, case.to),
            "bring both to one version, or move it cold",
        )
        .only(When::Live),
    ]
}

fn tls(case: &Case<'_>) -> Vec<Verdict> {
    if !case.settings.tls || !case.may_go_live() {
        return Vec::new();
    }
    vec![
        Verdict::new(
            "tls",
            Effect::Note,
            case.to,
            format!(
                "its migration is encrypted; whether {} and {} have certificates for it cannot be known before",
                case.from, case.to
            ),
            "see that migrate_tls_x509_cert_dir of qemu.conf is filled on both",
        )
        .only(When::Live),
    ]
}

fn hostname_local(case: &Case<'_>) -> Vec<Verdict> {
    let declared = case.desired.hosts.get(case.to);
    let has_address = declared.is_some_and(|host| host.address.is_some());
    if has_address || !case.destination.hostname.starts_with("localhost") {
        return Vec::new();
    }
    let (to, name) = (case.to, &case.destination.hostname);
    case.unmigratable(
        "hostname-local",
        to,
        &format!("{to} calls itself {name}, so no other host knows where to send"),
        &format!("write the `address` at which other hosts reach it at hosts.{to}"),
    )
}
