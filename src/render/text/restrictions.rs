//! The catalogue of restrictions: one rule in full, all of them in short, and the table of the documentation.

use crate::render::Role;
use crate::render::page::{LABEL, Page, Span, plain};
use crate::render::style::Style;
use crate::rules::{self, Rule};

/// Columns of a code in the list.
const CODE: usize = 22;

fn effects(rule: &Rule) -> String {
    let mut words: Vec<&str> = rule.effects.iter().map(|effect| effect.word()).collect();
    if words.is_empty() {
        words.push("note");
    }
    words.join(", ")
}

/// What a rule does in the profile of VMmanager 6, where that is stricter.
fn in_vmmanager(rule: &Rule) -> Option<&'static str> {
    rules::in_vmmanager(rule.code).map(rules::Effect::word)
}

/// One rule in full.
#[must_use]
pub fn restriction(rule: &Rule, style: &Style) -> String {
    let mut page = Page::new(style);
    let head = (Role::Heading, format!("{}:", rule.code));
    page.line(0, 0, &[head, plain(rule.title)]);
    page.blank();
    let mut entry = |label: &str, text: &str| {
        let text: Span = plain(text);
        page.columns(2, &[(label, LABEL)], &[text]);
    };
    entry("verdict", &effects(rule));
    if let Some(word) = in_vmmanager(rule) {
        entry("", &format!("{word} with `profile: vmmanager`"));
    }
    entry("why", rule.why);
    entry("remedy", rule.remedy);
    entry("source", rule.source);
    let covered = rules::checks();
    let covered = covered
        .iter()
        .filter(|check| check.rules.contains(&rule.code));
    for (index, check) in covered.enumerate() {
        let text = format!(
            "{} refuses {} ({})",
            check.phase.word(),
            check.refuses,
            check.function
        );
        entry(if index == 0 { "libvirt" } else { "" }, &text);
    }
    if rule.effects.contains(&rules::Effect::Risk) {
        let accept = format!(
            "write `accept: [{}]` into the migration settings of the VM, its cluster or the fleet, or pass `--accept {}`",
            rule.code, rule.code
        );
        entry("accept", &accept);
    }
    page.finish()
}

/// Every rule, a line each.
#[must_use]
pub fn restrictions(style: &Style) -> String {
    let mut page = Page::new(style);
    for rule in rules::catalogue() {
        let verdict = (Role::Aside, format!("({})", effects(&rule)));
        page.columns(0, &[(rule.code, CODE)], &[plain(rule.title), verdict]);
    }
    page.finish()
}

/// The table of the documentation, in Markdown.
#[must_use]
pub fn restrictions_table() -> String {
    let mut table = String::from(
        "| code | what | verdict | why | remedy | source |\n|---|---|---|---|---|---|\n",
    );
    for rule in rules::catalogue() {
        let stricter = in_vmmanager(&rule);
        let verdict = stricter.map_or_else(
            || effects(&rule),
            |word| format!("{}; {word} in profile vmmanager", effects(&rule)),
        );
        let cells = [
            &format!("`{}`", rule.code),
            rule.title,
            &verdict,
            rule.why,
            rule.remedy,
            rule.source,
        ];
        table.push_str("| ");
        table.push_str(&cells.join(" | "));
        table.push_str(" |\n");
    }
    table
}

/// The list of libvirt's checks for the documentation, in Markdown.
#[must_use]
pub fn checks_table() -> String {
    let mut table = String::from(
        "| phase | libvirt's function | refuses | rules | besides |\n|---|---|---|---|---|\n",
    );
    for check in rules::checks() {
        let codes: Vec<String> = check.rules.iter().map(|code| format!("`{code}`")).collect();
        let cells = [
            check.phase.word(),
            check.function,
            check.refuses,
            &codes.join(", "),
            check.besides,
        ];
        table.push_str("| ");
        table.push_str(&cells.join(" | "));
        table.push_str(" |\n");
    }
    table
}
