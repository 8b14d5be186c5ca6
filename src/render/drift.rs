//! Drift for people, for a line in a log, and for Prometheus.

use std::fmt::Write as _;

use super::page::{Page, plain};
use super::{Role, Style, clean};
use crate::plan::{Drift, DriftKind, Drifted, Verdict};

/// Drift for people: each with how it was, how it is, and what the manifest says to it. `since` is when the hosts were
/// read that are compared with, in words.
#[must_use]
pub fn text(drift: &Drift, since: &str, style: &Style) -> String {
    let mut page = Page::new(style);
    if !drift.drifted.is_empty() {
        let heading = format!("Changed since {since}, and not by an apply:");
        page.line(0, 0, &[(Role::Heading, heading)]);
        for one in &drift.drifted {
            let verdict = match one.verdict {
                Verdict::Undone => Some("the next apply undoes it"),
                Verdict::Wanted => Some("the manifest wants it so"),
                Verdict::Left => None,
            };
            let mut line = vec![
                (Role::Warning, one.kind.word().to_owned()),
                plain(sentence(one)),
            ];
            line.extend(verdict.map(|verdict| (Role::Aside, format!("({verdict})"))));
            page.line(2, 4, &line);
        }
        page.blank();
    }
    let closing = format!("{}.", summary(drift, since));
    page.verbatim(0, Role::Heading, &closing);
    page.finish()
}

/// Drift in one line, without a line's end.
#[must_use]
pub fn line(drift: &Drift, since: &str) -> String {
    clean(&summary(drift, since)).into_owned()
}

fn summary(drift: &Drift, since: &str) -> String {
    let mut out = match drift.drifted.len() {
        0 => format!("No drift since {since}"),
        count => {
            let kinds: Vec<String> = drift
                .counts()
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(kind, count)| format!("{count} {}", kind.word()))
                .collect();
            format!("Drift: {count} since {since} ({})", kinds.join(", "))
        }
    };
    match drift.wanted.len() {
        0 => {}
        1 => out += "; the manifest wants 1 change besides",
        count => {
            let _ = write!(out, "; the manifest wants {count} changes besides");
        }
    }
    out
}

fn sentence(one: &Drifted) -> String {
    let Drifted { host, was, is, .. } = one;
    let vm = one.vm.as_ref().map_or("", |vm| vm.as_str());
    let disk = one.disk.as_ref().map_or("", |disk| disk.as_str());
    match one.kind {
        DriftKind::HostSilent => format!("{host} does not answer"),
        DriftKind::HostReplaced => {
            format!("{host} is another machine (host UUID {is} instead of {was})")
        }
        DriftKind::Moved => format!("{vm} is on {is} instead of {was}"),
        DriftKind::Missing => format!("{vm} is not on {host} any more"),
        DriftKind::Second => format!("{vm} is on {host}, too"),
        DriftKind::Replaced => {
            format!("{vm} on {host} is another VM (UUID {is} instead of {was})")
        }
        DriftKind::Power => format!("{vm} on {host} is {is}, was {was}"),
        DriftKind::Disk => format!("disk {disk} of {vm} on {host} is {is} instead of {was}"),
        DriftKind::Definition => format!("the definition of {vm} on {host} was changed"),
    }
}

/// Drift as metrics in Prometheus' text format, for a collector of text files. No name is in it, so the number
/// of series does not grow with the fleet.
#[must_use]
pub fn prometheus(drift: &Drift) -> String {
    let mut out = String::new();
    let mut gauge = |name: &str, help: &str, lines: &[(String, u64)]| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in lines {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    };
    let kinds: Vec<(String, u64)> = drift
        .counts()
        .into_iter()
        .map(|(kind, count)| (format!("{{kind=\"{}\"}}", kind.word()), count as u64))
        .collect();
    let one = |value: u64| [(String::new(), value)];
    gauge(
        "domicile_drift",
        "What differs from what the last apply left, by kind.",
        &kinds,
    );
    gauge(
        "domicile_wanted_changes",
        "What the manifest wants besides.",
        &one(drift.wanted.len() as u64),
    );
    gauge(
        "domicile_drift_since_timestamp_seconds",
        "When the hosts were read that are compared with.",
        &one(drift.since / 1000),
    );
    gauge(
        "domicile_drift_checked_timestamp_seconds",
        "When the hosts were read now.",
        &one(drift.now / 1000),
    );
    out
}
