//! What speaks against moves, in full.

use crate::plan::Finding;
use crate::render::Role;
use crate::render::page::{Page, Span, plain};
use crate::render::style::severity;

/// Writes every finding in the plan's order, the gravest first.
pub(super) fn findings(page: &mut Page<'_>, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    page.blank();
    page.line(
        0,
        0,
        &[(Role::Heading, format!("Findings ({}):", findings.len()))],
    );
    for finding in findings {
        let (word, role) = severity(finding.severity);
        let mut spans: Vec<Span> = vec![(role, format!("{word} {}", finding.code))];
        let vm = finding.vm.as_ref().map(|vm| format!("VM {vm}"));
        let host = finding.host.as_ref().map(|host| format!("host {host}"));
        let about: Vec<String> = vm.into_iter().chain(host).collect();
        if !about.is_empty() {
            spans.push((Role::Aside, format!("({})", about.join(", "))));
        }
        page.line(2, 4, &spans);
        page.line(4, 4, &[plain(finding.message.as_str())]);
        if !finding.remedy.is_empty() {
            page.line(
                4,
                6,
                &[(Role::Aside, "->".into()), plain(finding.remedy.as_str())],
            );
        }
    }
}
