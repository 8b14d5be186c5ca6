//! Findings with remedies, and what changes in definitions.

use std::fmt::Write as _;

use super::markdown::{code, fenced, instruction, prose, shorten};
use super::part::Part;
use super::rows::NAME;
use crate::plan::{Finding, Move, Plan, Severity};
use crate::render::text::{diff_lines, groups};

/// The most findings of one rule that are told one by one.
const OF_ONE_RULE: usize = 10;
/// The most characters of a message or a remedy.
const SENTENCE: usize = 600;
/// The longest definition diff in bytes; a longer one says less than its file.
const DIFF_MAX: usize = 12_000;

/// The findings of one severity; notes are folded.
pub(super) fn findings(plan: &Plan, severity: Severity) -> Part {
    let own = plan.findings.iter();
    let own: Vec<&Finding> = own.filter(|finding| finding.severity == severity).collect();
    let rows = groups(&own).iter().map(|group| row(group)).collect();
    let count = own.len();
    let (head, tail, what) = match severity {
        Severity::Blocks => (
            format!("### ❌ Refused ({count})\n\n"),
            "\n".to_owned(),
            "groups of refusals",
        ),
        Severity::Risk => (
            format!("### ⚠️ Risks ({count})\n\n"),
            "\n".to_owned(),
            "groups of risks",
        ),
        Severity::Note => (
            format!("<details>\n<summary>Notes ({count})</summary>\n\n"),
            "\n</details>\n\n".to_owned(),
            "groups of notes",
        ),
    };
    Part {
        head,
        rows,
        tail,
        what,
        share: 60,
    }
}

/// The findings of one rule with one remedy.
fn row(group: &[&Finding]) -> String {
    let Some(first) = group.first() else {
        return String::new();
    };
    let mut out = format!("- {}", code(&shorten(&first.code, NAME)));
    if let [only] = group {
        let _ = writeln!(out, "{}: {}", about(only), sentence(&only.message));
    } else {
        let _ = writeln!(out, " ({} times)", group.len());
        for finding in group.iter().take(OF_ONE_RULE) {
            let _ = writeln!(out, "  -{}: {}", about(finding), sentence(&finding.message));
        }
        if group.len() > OF_ONE_RULE {
            let _ = writeln!(out, "  - and {} more", group.len() - OF_ONE_RULE);
        }
    }
    if !first.remedy.is_empty() {
        let _ = writeln!(
            out,
            "\n  → {}",
            instruction(&shorten(&first.remedy, SENTENCE))
        );
    }
    out
}

fn sentence(text: &str) -> String {
    prose(&shorten(text, SENTENCE))
}

fn about(finding: &Finding) -> String {
    let mut out = String::new();
    if let Some(vm) = &finding.vm {
        let _ = write!(out, " VM {}", code(&shorten(vm.as_str(), NAME)));
    }
    if let Some(host) = &finding.host {
        let comma = if out.is_empty() { "" } else { "," };
        let _ = write!(out, "{comma} host {}", code(&shorten(host.as_str(), NAME)));
    }
    out
}

/// What changes in definitions, each folded.
pub(super) fn definitions(plan: &Plan) -> Part {
    Part {
        head: "### Definitions\n\n".to_owned(),
        rows: plan.moves.iter().filter_map(definition).collect(),
        tail: "\n".to_owned(),
        what: "definitions",
        share: 100,
    }
}

fn definition(a_move: &Move) -> Option<String> {
    let change = a_move.definition.as_ref()?;
    let lines = diff_lines(&change.before, &change.after);
    let text = fenced("diff", &lines);
    let name = code(&shorten(a_move.vm.as_str(), NAME));
    let text = if text.len() > DIFF_MAX {
        format!("{} lines; `domicile plan` shows them.\n", lines.len())
    } else {
        text
    };
    Some(format!(
        "<details>\n<summary>{name}</summary>\n\n{text}\n</details>\n\n"
    ))
}
