//! The frame: the head with the policy, the header with the verdict, figures and controls, and the footer.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::layout::{count, counted};
use super::view::{About, DETAILED_MOVES_MAX, View};
use crate::model::{Bytes, HostName};
use crate::plan::Severity;
use crate::render::text::{self, time};

/// Hand-written, and set into the page as they are.
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Nothing from anywhere, but for this page's own style and script and an empty icon, without which browsers ask for one.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT),
    )
});

pub(super) fn whole(view: &View<'_>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(*POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { "Plan: " (verdict(view).1) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// The verdict's class and words.
fn verdict(view: &View<'_>) -> (&'static str, &'static str) {
    let plan = view.plan;
    if plan.is_blocked() {
        ("blocks", "something is refused")
    } else if plan.is_empty() {
        ("good", "no changes")
    } else if plan.steps.is_empty() {
        ("note", "nothing to do now")
    } else if plan.moves.iter().any(|a_move| a_move.reboots) {
        ("risk", "ready to apply, with reboots")
    } else {
        ("good", "ready to apply")
    }
}

pub(super) fn header(view: &View<'_>, about: &About<'_>) -> Markup {
    let (class, words) = verdict(view);
    html! {
        a.skip href="#main" { "Skip to the plan" }
        header {
            div.title {
                h1 { "Plan" }
                p.verdict.(class) { (words) }
                p.made {
                    @if let Some(roster) = about.roster {
                        @if let Ok(at) = jiff::Timestamp::from_millisecond(i64::try_from(roster.taken_at).unwrap_or(i64::MAX)) {
                            "Hosts read at " time { (at.strftime("%Y-%m-%d %H:%M:%S UTC")) } ". "
                        }
                    }
                    @if let Some(made_at) = about.made_at { "Plan made at " time { (made_at) } "; the hosts may have changed since." }
                }
                button #theme type="button" hidden { "Theme: system" }
            }
            p.totals { (text::totals(view.plan)) }
            (figures(view))
        }
        (bar(view))
    }
}

/// The figures that a reviewer looks for first; those that are nothing are left out, but for the first.
fn figures(view: &View<'_>) -> Markup {
    let plan = view.plan;
    let totals = plan.totals();
    let risks = plan
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Risk);
    let counts = [
        ("moves", plan.moves.len(), ""),
        ("refused", totals.blocked, "blocks"),
        ("reboots", totals.reboots, "risk"),
        ("risks", risks.count(), "risk"),
        ("live", totals.live, ""),
        ("by way of another host", totals.detours, ""),
        ("cold", totals.cold, ""),
        ("off", totals.offline, ""),
        ("on the same host", totals.disk_only, ""),
        ("to finish", totals.finish, ""),
        ("disks to move", totals.disks, ""),
    ];
    html! {
        dl.figures {
            @for (index, (label, number, class)) in counts.into_iter().enumerate() {
                @if number > 0 || index == 0 {
                    div class=(class) { dt { (label) } dd { (count(number)) } }
                }
            }
            @if totals.bytes > Bytes::ZERO { div { dt { "to carry" } dd { (totals.bytes) } } }
            @if !plan.steps.is_empty() {
                div { dt { "steps" } dd { (count(plan.steps.len())) } }
                div { dt { "forecast" } dd { (time(plan.makespan)) } }
            }
        }
    }
}

/// Every host of the page, in order of name.
fn hosts(view: &View<'_>) -> BTreeSet<HostName> {
    let read = view.roster.iter().flat_map(|roster| roster.hosts.keys());
    let of_moves = view
        .plan
        .moves
        .iter()
        .flat_map(|a_move| [&a_move.from, &a_move.to]);
    read.chain(of_moves).cloned().collect()
}

fn bar(view: &View<'_>) -> Markup {
    let plan = view.plan;
    let sections = [
        ("findings", "Findings", plan.findings.len()),
        ("moves", "VMs", view.moved.len() + view.unmoved().len()),
        ("schedule", "Schedule", plan.steps.len()),
        ("room", "Room", 0),
        ("hosts", "Hosts", hosts(view).len()),
    ];
    html! {
        div.bar {
            nav aria-label="Sections" {
                @for (id, name, number) in sections {
                    a href={ "#" (id) } { (name) @if number > 0 { " " span.count { (count(number)) } } }
                }
            }
            form #filter role="search" aria-label="Filter" hidden {
                label { span { "VM" } input #filter-vm type="search" autocomplete="off" spellcheck="false" placeholder="part of a name" aria-keyshortcuts="/"; }
                label {
                    span { "Host" }
                    select #filter-host {
                        option value="" { "all" }
                        @for host in hosts(view) { option value=(host) { (host) } }
                    }
                }
                button #clear type="reset" { "Clear" }
                button #open type="button" { "Open all" }
                button #close type="button" { "Close all" }
                output #shown for="filter-vm filter-host" {}
            }
        }
    }
}

pub(super) fn footer(view: &View<'_>, about: &About<'_>) -> Markup {
    html! {
        footer {
            p { "Domicile " (about.domicile) ". Forecasts are not promises: they rest on the rates and sizes of the reading." }
            @if !view.is_detailed {
                p.left-out {
                    "The plan has " (counted(view.plan.moves.len(), "move", "moves")) ". Above " (count(DETAILED_MOVES_MAX))
                    " the page leaves out the " (counted(view.plan.steps.len(), "step", "steps"))
                    " and the changes of definitions. " code { "domicile plan" } " and " code { "domicile show" }
                    " tell them as text and as JSON, and " code { "--target VM" } " makes a page of a part."
                }
            }
            p.keys hidden { kbd { "/" } " filter  " kbd { "Esc" } " clear it  " kbd { "↓" } " " kbd { "↑" } " next and previous  " kbd { "Enter" } " open or close" }
        }
    }
}
