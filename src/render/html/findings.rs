//! What speaks against moves; findings of one rule with one remedy stand together.

use maud::{Markup, html};

use super::layout::{counted, host_words, instruction, verdict};
use super::view::View;
use crate::plan::{Finding, Severity};
use crate::render::text::findings::groups;

pub(super) fn section(view: &View<'_>) -> Markup {
    let findings: Vec<&Finding> = view.plan.findings.iter().collect();
    html! {
        section #findings aria-labelledby="findings-title" {
            h2 #findings-title { "Findings" }
            @if findings.is_empty() {
                p.none { "Nothing speaks against this plan." }
            }
            @for group in groups(&findings) {
                (together(view, &group))
            }
        }
    }
}

fn together(view: &View<'_>, group: &[&Finding]) -> Markup {
    let Some(first) = group.first() else {
        return html! {};
    };
    // What stops a plan is read without a click.
    let open = first.severity == Severity::Blocks && group.len() <= 20;
    html! {
        details.finding.group open[open] {
            summary {
                (verdict(first.severity, &first.code))
                span.gist {
                    @if group.len() == 1 { (first.message) } @else { (counted(group.len(), "time", "times")) }
                }
            }
            ul.plain {
                @for finding in group {
                    @let hosts = host_words(finding.host.iter().chain(hosts_of_vm(view, finding)));
                    li data-vm=(finding.vm.as_ref().map_or("", |vm| vm.as_str())) data-hosts=(hosts) {
                        (about(view, finding)) " " (finding.message)
                    }
                }
            }
            @if !first.remedy.is_empty() { p.remedy { strong { "What to do: " } (instruction(&first.remedy)) } }
            p.more { code { "domicile explain " (first.code) } " says more." }
        }
    }
}

/// A finding about a VM concerns the hosts that the VM moves between.
fn hosts_of_vm<'p>(
    view: &View<'p>,
    finding: &Finding,
) -> impl Iterator<Item = &'p crate::model::HostName> {
    let vm = finding.vm.as_ref().into_iter();
    vm.flat_map(|vm| view.moves_of(vm))
        .flat_map(|a_move| [&a_move.from, &a_move.to])
}

fn about(view: &View<'_>, finding: &Finding) -> Markup {
    html! {
        @if let Some(vm) = &finding.vm {
            @if let Some(place) = view.place_of(vm) { a href={ "#move-" (place + 1) } { (vm) } } @else { b { (vm) } }
        }
        @if finding.vm.is_some() && finding.host.is_some() { " on " }
        @if let Some(host) = &finding.host { b { (host) } }
        @if finding.vm.is_some() || finding.host.is_some() { ":" }
    }
}
