//! What speaks against moves, in full.

use std::collections::BTreeMap;

use crate::plan::Finding;
use crate::render::Role;
use crate::render::page::{Page, Span, plain};
use crate::render::style::severity;

/// Writes every finding in the plan's order, the gravest first; those of one rule with one remedy stand together.
pub(super) fn findings(page: &mut Page<'_>, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    page.blank();
    let heading = format!("Findings ({}):", findings.len());
    page.line(0, 0, &[(Role::Heading, heading)]);
    for group in groups(&findings.iter().collect::<Vec<_>>()) {
        match group.as_slice() {
            [] => {}
            [only] => {
                let about = about(only).map(|about| (Role::Aside, format!("({about})")));
                page.line(2, 4, &spans(only, about));
                page.line(4, 4, &[plain(only.message.as_str())]);
                remedy(page, only);
            }
            [first, ..] => {
                let count = (Role::Aside, format!("({} times)", group.len()));
                page.line(2, 4, &spans(first, Some(count)));
                for finding in &group {
                    let about = about(finding).map(|about| (Role::Aside, format!("{about}:")));
                    let mut line: Vec<Span> = about.into_iter().collect();
                    line.push(plain(finding.message.as_str()));
                    page.line(4, 6, &line);
                }
                remedy(page, first);
            }
        }
    }
}

/// Findings that differ only in whom they are about, in order of the first of each group.
pub(in crate::render) fn groups<'p>(findings: &[&'p Finding]) -> Vec<Vec<&'p Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    let mut places = BTreeMap::new();
    for &finding in findings {
        let kind = (finding.severity, &finding.code, &finding.remedy);
        let place = *places.entry(kind).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}

fn spans(finding: &Finding, behind: Option<Span>) -> Vec<Span> {
    let (word, role) = severity(finding.severity);
    let head = (role, format!("{word} {}", finding.code));
    [head].into_iter().chain(behind).collect()
}

fn about(finding: &Finding) -> Option<String> {
    let vm = finding.vm.as_ref().map(|vm| format!("VM {vm}"));
    let host = finding.host.as_ref().map(|host| format!("host {host}"));
    let parts: Vec<String> = vm.into_iter().chain(host).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn remedy(page: &mut Page<'_>, finding: &Finding) {
    if !finding.remedy.is_empty() {
        let arrow = (Role::Aside, "->".to_owned());
        page.line(4, 7, &[arrow, plain(finding.remedy.as_str())]);
    }
}
