//! A VM's definition before and after, as a unified diff.

use similar::{ChangeTag, TextDiff};

use crate::render::Role;
use crate::render::page::Page;

/// Lines shown around a change.
const CONTEXT: usize = 2;

/// Writes the lines that differ with a few around them; between far-apart changes stands how many are left out.
pub(in crate::render) fn unified(page: &mut Page<'_>, indent: usize, before: &str, after: &str) {
    let diff = TextDiff::from_lines(before, after);
    let mut shown_up_to = 0;
    for group in diff.grouped_ops(CONTEXT) {
        let start = group.first().map_or(0, |op| op.old_range().start);
        hidden(page, indent, start.saturating_sub(shown_up_to));
        for op in &group {
            for change in diff.iter_changes(op) {
                let (sign, role) = match change.tag() {
                    ChangeTag::Equal => (' ', Role::Aside),
                    ChangeTag::Delete => ('-', Role::Bad),
                    ChangeTag::Insert => ('+', Role::Good),
                };
                let line = change.value().trim_end_matches(['\r', '\n']);
                page.verbatim(indent, role, &format!("{sign} {line}"));
            }
        }
        shown_up_to = group.last().map_or(0, |op| op.old_range().end);
    }
    hidden(
        page,
        indent,
        before.lines().count().saturating_sub(shown_up_to),
    );
}

fn hidden(page: &mut Page<'_>, indent: usize, lines: usize) {
    match lines {
        0 => {}
        1 => page.verbatim(indent, Role::Aside, "  (1 unchanged line)"),
        _ => page.verbatim(indent, Role::Aside, &format!("  ({lines} unchanged lines)")),
    }
}
