//! Rules about migration settings of the manifest that libvirt or QEMU refuses, or that lead nowhere.

use super::case::{Case, Effect, Rule, Verdict, When};
use super::live::version;
use crate::desired::{Driver, OnStall};
use crate::model::{HostName, RunState};
use crate::observed::Host;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "migration-settings",
        title: "migration settings that these hosts refuse",
        effects: &[Effect::RefusesLive, Effect::RefusesDirect],
        why: "Not every setting goes with every other, and not with every version. Fleet, cluster, pair and VM may each say something that is right by itself. libvirt and QEMU find out in the Begin and Prepare phases.",
        remedy: "Change the setting at the level where it stands, or upgrade what is too old for it.",
        source: "libvirt, qemuMigrationParamsSetCompression and NEWS 9.4.0 and 10.3.0; QEMU, migrate_caps_check",
        judge: migration_settings,
    },
    Rule {
        code: "peer-uri",
        title: "other hosts cannot reach the destination by its URI",
        effects: &[Effect::RefusesLive, Effect::RefusesDirect, Effect::Note],
        why: "In a peer-to-peer migration the source's daemon connects to the destination. A URI that names no machine, or localhost, would lead it to itself, which libvirt refuses. Where nothing says who drives, such a migration is driven from here.",
        remedy: "Write the URI by which other hosts reach it as `peer_uri`, or leave `driver: peer-to-peer` out.",
        source: "libvirt, virDomainMigrateCheckNotLocal",
        judge: peer_uri,
    },
];

/// libvirt knows zlib and zstd from here on.
const COMPRESSES_STREAMS: u64 = 9_004_000;
/// libvirt checks the certificate of a disk's copy against the right name from here on, where QEMU connects by itself.
const NAMES_DISKS: u64 = 10_003_000;
/// QEMU takes post-copy together with several streams from here on.
const POSTCOPY_WITH_STREAMS: u64 = 10_001_000;

fn migration_settings(case: &Case<'_>) -> Vec<Verdict> {
    let code = "migration-settings";
    let mut verdicts = Vec::new();
    for (host, message, remedy) in refused_always(case) {
        verdicts.extend(case.unmigratable(code, host, &message, &remedy));
    }
    if let Some((host, message)) = post_copy_with_streams(case) {
        let remedy =
            "take post-copy out of `on_stall`, or leave out `connections` and stream compression";
        verdicts.push(Verdict::new(
            code,
            Effect::RefusesLive,
            host,
            message,
            remedy,
        ));
    }
    verdicts
}

/// Whether QEMU sends over streams of its own (multifd).
fn has_streams(case: &Case<'_>) -> bool {
    case.settings.connections.is_some() || compresses_streams(case)
}

fn compresses_streams(case: &Case<'_>) -> bool {
    matches!(case.settings.compression.as_deref(), Some("zlib" | "zstd"))
}

/// The first of both hosts of which this version is known and older.
fn older<'a>(case: &Case<'a>, of: impl Fn(&Host) -> u64, than: u64) -> Option<(&'a HostName, u64)> {
    let ends = [
        (case.from, of(case.source)),
        (case.to, of(case.destination)),
    ];
    ends.into_iter()
        .find(|(_, version)| (1..than).contains(version))
}

/// What is refused whether the guest runs or not.
fn refused_always<'a>(case: &Case<'a>) -> Vec<(&'a HostName, String, String)> {
    let mut refused = Vec::new();
    let compression = case.settings.compression.as_deref().unwrap_or_default();
    if compression == "xbzrle" && case.settings.connections.is_some() {
        refused.push((
            case.from,
            "compression xbzrle does not go with `connections`".to_owned(),
            "take zstd or zlib, or leave `connections` out".to_owned(),
        ));
    }
    let old = older(case, |host| host.libvirt_version, COMPRESSES_STREAMS);
    if let Some((host, found)) = old.filter(|_| compresses_streams(case)) {
        refused.push((
            host,
            format!(
                "libvirt {} on {host} does not know compression {compression}, which came with {}",
                version(found),
                version(COMPRESSES_STREAMS)
            ),
            format!("leave `compression` out for moves from or to {host}, or upgrade libvirt"),
        ));
    }
    let copies = case.disks.iter().any(|disk| disk.carry.is_copied());
    let old = (1..NAMES_DISKS).contains(&case.source.libvirt_version);
    if case.settings.tls && has_streams(case) && copies && old {
        refused.push((
            case.from,
            format!(
                "libvirt {} on {} checks the certificate of an encrypted disk copy against no name where several streams are used",
                version(case.source.libvirt_version),
                case.from
            ),
            "leave `connections` and stream compression out, or upgrade libvirt to 10.3".to_owned(),
        ));
    }
    refused
}

/// Post-copy is prepared from the start, for guests that run.
fn post_copy_with_streams<'a>(case: &Case<'a>) -> Option<(&'a HostName, String)> {
    let runs = case.vm.power.state == RunState::Running;
    let wanted = case.settings.on_stall.contains(&OnStall::PostCopy) && has_streams(case);
    let (host, found) = older(case, |host| host.hypervisor_version, POSTCOPY_WITH_STREAMS)?;
    (case.may_go_live() && runs && wanted).then(|| {
        let message = format!(
            "QEMU {} on {host} does not go over to post-copy with several streams, which came with {}",
            version(found),
            version(POSTCOPY_WITH_STREAMS)
        );
        (host, message)
    })
}

/// Whether a daemon that uses this URI would reach itself: it names no machine, or localhost.
#[must_use]
pub fn leads_to_itself(uri: &str) -> bool {
    let rest = uri.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let machine = authority
        .rsplit_once('@')
        .map_or(authority, |(_, machine)| machine);
    machine.is_empty() || machine.starts_with("localhost")
}

fn peer_uri(case: &Case<'_>) -> Vec<Verdict> {
    let Some(host) = case.desired.hosts.get(case.to) else {
        return Vec::new();
    };
    let uri = host.peer_uri.as_ref().unwrap_or(&host.uri);
    if !leads_to_itself(uri) {
        return Vec::new();
    }
    let message = format!("{uri} leads {} to itself and not to {}", case.from, case.to);
    let remedy = format!(
        "write the URI by which other hosts reach it as `peer_uri` at hosts.{}",
        case.to
    );
    match case.settings.driver {
        Driver::PeerToPeer => case.unmigratable("peer-uri", case.to, &message, &remedy),
        Driver::Auto if case.may_go_live() => {
            let message = format!(
                "{message}, so that it is driven from here and cancelled when this process ends"
            );
            vec![Verdict::new("peer-uri", Effect::Note, case.to, message, remedy).only(When::Live)]
        }
        Driver::Auto | Driver::Managed => Vec::new(),
    }
}
