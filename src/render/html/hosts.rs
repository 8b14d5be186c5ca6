//! The fleet before and after: each host with its room, the VMs that leave it, come to it and stay.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::layout::{counted, from_to, host_words, percent};
use super::room::{self, Course};
use super::view::View;
use crate::model::{Bytes, HostName, VmName};
use crate::plan::{Half, Move};

/// VMs that stay are listed at once up to this number, else behind a click.
const STAYING_OPEN: usize = 12;

/// Who is on a host, before and after.
#[derive(Default)]
struct Guests<'p> {
    leaving: Vec<&'p Move>,
    coming: Vec<&'p Move>,
    /// Those that come and go again on their way to another host.
    waiting: Vec<&'p Move>,
    staying: BTreeSet<&'p VmName>,
    /// VMs that are off, among all of them.
    off: BTreeSet<&'p VmName>,
    /// Memory and processors of the machine, in words.
    machine: Option<String>,
    unreachable: bool,
}

pub(super) fn section(view: &View<'_>) -> Markup {
    let guests = guests(view);
    let courses = room::courses(view.plan);
    let mut by_host: BTreeMap<&HostName, Vec<&Course<'_>>> = BTreeMap::new();
    for course in &courses {
        if let Some((host, _)) = room::owner(&course.capacity.resource) {
            by_host.entry(host).or_default().push(course);
        }
    }
    html! {
        section #hosts aria-labelledby="hosts-title" {
            h2 #hosts-title { "Hosts before and after" }
            @if view.roster.is_none() {
                p.left-out { "The plan's file does not say which other VMs are on the hosts, so only those that move are shown." }
            }
            div.hosts {
                @for (host, guests) in &guests {
                    (card(view, host, guests, by_host.get(host).map_or(&[], Vec::as_slice)))
                }
            }
        }
    }
}

fn guests<'p>(view: &View<'p>) -> BTreeMap<&'p HostName, Guests<'p>> {
    let mut hosts: BTreeMap<&HostName, Guests<'_>> = BTreeMap::new();
    for (name, entry) in view.roster.iter().flat_map(|roster| &roster.hosts) {
        let guests = hosts.entry(name).or_default();
        let Some(entry) = entry else {
            guests.unreachable = true;
            continue;
        };
        guests.machine = Some(format!("{} CPUs, {}", entry.cpus, entry.memory));
        for (vm, known) in &entry.vms {
            if !known.active {
                guests.off.insert(vm);
            }
            // A move decides where its VM is, also where an earlier apply left traces of it on both hosts.
            if view
                .moves_of(vm)
                .all(|a_move| a_move.from == a_move.to && a_move.to == *name)
            {
                guests.staying.insert(vm);
            }
        }
    }
    for a_move in &view.plan.moves {
        if a_move.from == a_move.to {
            hosts
                .entry(&a_move.to)
                .or_default()
                .staying
                .insert(&a_move.vm);
        } else {
            // Where a VM only pauses it is neither before nor after.
            let half = a_move.detour.as_ref().map(|detour| detour.half);
            if half != Some(Half::Second) {
                hosts.entry(&a_move.from).or_default().leaving.push(a_move);
            }
            let to = hosts.entry(&a_move.to).or_default();
            if half == Some(Half::First) {
                to.waiting.push(a_move);
            } else {
                to.coming.push(a_move);
            }
        }
    }
    hosts
}

fn card(view: &View<'_>, host: &HostName, guests: &Guests<'_>, courses: &[&Course<'_>]) -> Markup {
    let before = guests.staying.len() + guests.leaving.len();
    let after = guests.staying.len() + guests.coming.len();
    let title = host_words([host]);
    html! {
        article.host data-hosts=(title) aria-label={ "host " (host) } {
            header {
                h3 { (host) }
                @if guests.unreachable { span.verdict.blocks { "did not answer" } }
                span.figure {
                    (counted(before, "VM", "VMs"))
                    @if before != after || !guests.coming.is_empty() { " → " (after) }
                }
            }
            @if let Some(machine) = &guests.machine { p.aside { (machine) } }
            @if !courses.is_empty() {
                table.rooms {
                    thead.unseen { tr { th scope="col" { "room" } th scope="col" { "taken before and after" } th scope="col" { "figures" } } }
                    tbody { @for course in courses { (room(course)) } }
                }
            }
            @if !guests.leaving.is_empty() || !guests.coming.is_empty() || !guests.waiting.is_empty() {
                div.ways {
                    (way(view, ("leave", "leave"), &guests.leaving, leaves))
                    (way(view, ("come", "come"), &guests.coming, comes))
                    (way(view, ("wait", "pass through"), &guests.waiting, passes))
                }
            }
            @if !guests.staying.is_empty() {
                details.stay open[guests.staying.len() <= STAYING_OPEN] {
                    summary { (counted(guests.staying.len(), "VM stays", "VMs stay")) }
                    ul.chips {
                        @for vm in &guests.staying {
                            li data-vm=(vm) {
                                @if let Some(place) = view.place_of(vm) { a href={ "#move-" (place + 1) } { (vm) } } @else { (vm) }
                                @if guests.off.contains(vm) { span.aside { " off" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn way(
    view: &View<'_>,
    (class, words): (&str, &str),
    moves: &[&Move],
    whither: impl Fn(&Move) -> String,
) -> Markup {
    html! {
        @if !moves.is_empty() {
            div.way.(class) {
                h4 { (moves.len()) " " (words) }
                ul.plain {
                    @for a_move in moves {
                        li data-vm=(a_move.vm) {
                            a href={ "#move-" (view.place_of(&a_move.vm).map_or(0, |place| place + 1)) } { (a_move.vm) }
                            span.aside { " " (whither(a_move)) }
                        }
                    }
                }
            }
        }
    }
}

fn leaves(a_move: &Move) -> String {
    match &a_move.detour {
        Some(detour) => format!("→ {} by way of {}", detour.to, a_move.to),
        None => format!("→ {}", a_move.to),
    }
}

fn comes(a_move: &Move) -> String {
    match &a_move.detour {
        Some(detour) => format!("← {} by way of {}", detour.from, a_move.from),
        None => format!("← {}", a_move.from),
    }
}

fn passes(a_move: &Move) -> String {
    match &a_move.detour {
        Some(detour) => format!("{} → {}", detour.from, detour.to),
        None => String::new(),
    }
}

/// A bar for before above a bar for after.
fn room(course: &Course<'_>) -> Markup {
    let capacity = course.capacity;
    let Some((_, what)) = room::owner(&capacity.resource) else {
        return html! {};
    };
    let last = course.last();
    html! {
        tr {
            th scope="row" { (what) }
            td {
                svg width="100%" height="12" aria-hidden="true" {
                    rect.rail width="100%" height="12" {}
                    rect.before width=(percent(capacity.used, capacity.limit)) height="5" {}
                    rect.after width=(percent(last, capacity.limit)) y="7" height="5" {}
                }
            }
            td.figure {
                (from_to(capacity.used, last)) " of " (Bytes(capacity.limit))
            }
        }
    }
}
