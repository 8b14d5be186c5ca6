//! What happens to each VM: a line for each, and all about it behind the line.

use maud::{Markup, html};

use super::layout::{host_words, instruction, kind, verdict};
use super::view::View;
use super::{diff, steps};
use crate::model::{Bytes, Millis, VmName};
use crate::plan::{Alternative, Difference, DiskPlacement, Finding, Half, Move, Severity};
use crate::render::Role;
use crate::render::style::symbol;
use crate::render::text::{moves, time};

pub(super) fn section(view: &View<'_>) -> Markup {
    let unmoved = view.unmoved();
    html! {
        section #moves aria-labelledby="moves-title" {
            h2 #moves-title { "VMs" }
            @if view.plan.moves.is_empty() && unmoved.is_empty() {
                p.none { "No VM differs from what the manifest says." }
            } @else {
                div.row.head aria-hidden="true" {
                    span {} span { "VM" } span { "from" } span { "to" } span { "method" }
                    span.figure { "to carry" } span.figure { "takes" } span.figure { "downtime" } span { "findings" }
                }
                @for (place, a_move) in view.plan.moves.iter().enumerate() { (moved(view, place, a_move)) }
                @for vm in unmoved { (stays(view, vm)) }
            }
        }
    }
}

/// The codes of what speaks against it, the gravest first; notes are left for the inside.
fn badges(findings: &[&Finding]) -> Markup {
    let mut codes: Vec<(Severity, &str)> = findings
        .iter()
        .filter(|finding| finding.severity != Severity::Note)
        .map(|finding| (finding.severity, finding.code.as_str()))
        .collect();
    codes.sort_unstable();
    codes.dedup();
    html! { span.badges { @for (severity, code) in codes { span.badge { (verdict(severity, code)) } } } }
}

fn moved(view: &View<'_>, place: usize, a_move: &Move) -> Markup {
    let Move {
        vm,
        from,
        to,
        reboots,
        bytes,
        duration,
        downtime,
        ..
    } = a_move;
    let sign = symbol(a_move.kind);
    let headline = moves::headline(a_move);
    html! {
        details.move id={ "move-" (place + 1) } data-vm=(vm) data-hosts=(host_words([from, to])) {
            summary.row {
                span.sign.(kind(a_move.kind)) title=(sign.meaning) { (sign.sign) }
                span.name { (vm) }
                span { span.unseen { "from " } (from) }
                span { span.unseen { "to " } @if from == to { span.aside { "stays" } } @else { (to) } }
                span { (moves::word(a_move.kind)) @if *reboots { " " span.verdict.risk { "reboot" } } (half(a_move)) }
                span.figure { span.unseen { "to carry " } (bytes) }
                span.figure { span.unseen { "takes " } (time(*duration)) }
                span.figure { span.unseen { "downtime " } @if *downtime == Millis::ZERO { "none" } @else { (time(*downtime)) } }
                (badges(view.findings_of(vm)))
            }
            div.inside {
                p.headline { (headline.trim_start_matches("# ")) ": " (a_move.reason) }
                dl.facts {
                    (differences(view, vm))
                    dt { "reboot" }
                    dd { @if *reboots { "yes, the guest is shut down and started again" } @else { "no" } }
                    @if a_move.memory > Bytes::ZERO { dt { "memory" } dd { (a_move.memory) } }
                    @if !a_move.disks.is_empty() {
                        dt { "disks" }
                        dd { ul.plain { @for disk in &a_move.disks { li { (placement(disk)) } } } }
                    }
                    dt { "forecast" } dd { (moves::forecast(a_move)) }
                    (findings(view.findings_of(vm)))
                }
                @if view.is_detailed {
                    h3 { "Steps" }
                    (steps::of_move(view, place, &a_move.steps))
                    @if let Some(change) = &a_move.definition {
                        details.definition {
                            summary { "Change of the definition" }
                            (diff::definition(&change.before, &change.after))
                        }
                    }
                }
            }
        }
    }
}

/// Where a VM that goes by way of another host is on its way to, or from.
fn half(a_move: &Move) -> Markup {
    html! {
        @if let Some(detour) = &a_move.detour {
            " "
            @match detour.half {
                Half::First => { span.verdict.note { "on to " (detour.to) } }
                Half::Second => { span.verdict.note { "out of " (detour.from) } }
            }
        }
    }
}

fn stays(view: &View<'_>, vm: &VmName) -> Markup {
    let findings_of_vm = view.findings_of(vm);
    let refused = findings_of_vm
        .iter()
        .any(|finding| finding.severity == Severity::Blocks);
    let (class, sign, word) = if refused {
        ("refused", "x", "refused")
    } else {
        ("later", "?", "nothing is done now")
    };
    let places = view
        .changes_of(vm)
        .iter()
        .find_map(|change| match &change.what {
            Difference::Host { is, wanted } => Some((is, wanted)),
            _ => None,
        });
    let hosts = host_words(places.iter().flat_map(|(is, wanted)| [*is, *wanted]));
    html! {
        details.move data-vm=(vm) data-hosts=(hosts) {
            summary.row {
                span.sign.(class) title=(word) { (sign) }
                span.name { (vm) }
                @if let Some((is, wanted)) = places {
                    span { span.unseen { "is on " } (is) } span { span.unseen { "wanted on " } (wanted) }
                } @else { span {} span {} }
                span { (word) }
                span {} span {} span {}
                (badges(findings_of_vm))
            }
            div.inside {
                dl.facts { (differences(view, vm)) (findings(findings_of_vm)) }
                @if let Some(others) = view.plan.alternatives.get(vm) { (alternatives(others)) }
            }
        }
    }
}

fn differences(view: &View<'_>, vm: &VmName) -> Markup {
    html! {
        @for change in view.changes_of(vm) {
            @match &change.what {
                Difference::Host { is, wanted } => { dt { "host" } dd { (is) " → " b { (wanted) } } }
                Difference::Pool { disk, is, wanted } => { dt { "pool of " (disk) } dd { (is) " → " b { (wanted) } } }
                Difference::Network { mac, is, wanted } => { dt { "network of " (mac) } dd { (is) " → " b { (wanted) } } }
                Difference::Unfinished { found } => { dt { "unfinished" } dd { (found) } }
                Difference::InFlight { found } => { dt { "in flight" } dd { (found) } }
            }
        }
    }
}

fn findings(all: &[&Finding]) -> Markup {
    html! {
        @if !all.is_empty() {
            dt { "findings" }
            dd {
                ul.plain {
                    @for finding in all {
                        li {
                            (verdict(finding.severity, &finding.code)) " " (finding.message)
                            @if !finding.remedy.is_empty() { div.remedy { (instruction(&finding.remedy)) } }
                        }
                    }
                }
            }
        }
    }
}

fn alternatives(others: &[Alternative]) -> Markup {
    html! {
        h3 { "Other hosts" }
        table {
            thead { tr { th scope="col" { "host" } th scope="col" { "would do" } th scope="col" { "why" } } }
            tbody {
                @for other in others {
                    tr {
                        th scope="row" { (other.host) }
                        td { @match other.fits { Some(kind) => { span.verdict.good { (moves::word(kind)) } } None => { "no" } } }
                        td { (other.why) }
                    }
                }
            }
        }
    }
}

/// In the words of the terminal.
fn placement(disk: &DiskPlacement) -> Markup {
    html! {
        b { (disk.target) }
        @for (role, words) in moves::placement(disk) {
            " "
            @if words == "->" { "→" } @else if role == Role::Aside { span.aside { (words) } } @else { (words) }
        }
    }
}
