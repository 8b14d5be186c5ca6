//! A VM's definition before and after, as a unified diff.

use similar::{ChangeTag, TextDiff};

use crate::render::Role;
use crate::render::page::Page;

/// Lines shown around a change.
const CONTEXT: usize = 2;

/// Writes the lines that differ with a few around them; between far-apart changes stands how many are left out.
pub(in crate::render) fn unified(page: &mut Page<'_>, indent: usize, before: &str, after: &str) {
    for line in diff_lines(before, after) {
        let role = match line.as_bytes().first() {
            Some(b'-') => Role::Bad,
            Some(b'+') => Role::Good,
            _ => Role::Aside,
        };
        page.verbatim(indent, role, &line);
    }
}

/// The lines of a unified diff; each begins with a sign and a space.
pub(in crate::render) fn diff_lines(before: &str, after: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(before, after);
    let mut lines = Vec::new();
    let mut shown_up_to = 0;
    for group in diff.grouped_ops(CONTEXT) {
        let start = group.first().map_or(0, |op| op.old_range().start);
        lines.extend(hidden(start.saturating_sub(shown_up_to)));
        for op in &group {
            for change in diff.iter_changes(op) {
                let sign = match change.tag() {
                    ChangeTag::Equal => ' ',
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                };
                let line = change.value().trim_end_matches(['\r', '\n']);
                lines.push(format!("{sign} {line}"));
            }
        }
        shown_up_to = group.last().map_or(0, |op| op.old_range().end);
    }
    lines.extend(hidden(before.lines().count().saturating_sub(shown_up_to)));
    lines
}

fn hidden(lines: usize) -> Option<String> {
    match lines {
        0 => None,
        1 => Some("  (1 unchanged line)".to_owned()),
        _ => Some(format!("  ({lines} unchanged lines)")),
    }
}
