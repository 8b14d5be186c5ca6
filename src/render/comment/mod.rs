//! A plan as a comment on a pull request, in GitHub's Markdown, which GitLab and Forgejo read as well.
//!
//! The comment is made of parts, each of whole rows, and is kept below [`CHARACTERS_MAX`] by leaving out rows where it
//! hurts least, with a word on how many. A row is complete in itself, so fences and tags are balanced whatever is left
//! out. All text from hosts and manifests passes `markdown` first.

mod details;
mod markdown;
mod part;
mod rows;
mod schedule;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::model::VmName;
use crate::plan::{Plan, Severity, Totals};
use crate::render::index::Index;
use crate::render::text;
use markdown::{code, prose, shorten};
use part::{Part, filled};

/// GitHub takes 65,536 characters. Bytes are counted here, of which there are never fewer.
pub const CHARACTERS_MAX: usize = 65_536;

/// What is kept free for words on what was left out.
const RESERVE: usize = 2_000;

/// The most names in a list within a sentence.
const NAMES_SHOWN: usize = 20;

/// What a comment says beside the plan.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// What the plan is called; its hidden marker holds it.
    pub name: &'a str,
    /// When it was made, for one that was not made just now.
    pub made_at: Option<&'a str>,
    /// The file that holds it, where one does.
    pub file: Option<&'a str>,
}

/// The hidden line by which a pipeline finds the comment of this name again.
#[must_use]
pub fn marker(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for byte in name.bytes() {
        // Two dashes would end the comment.
        let dash = byte == b'-' && !safe.ends_with('-') && !safe.is_empty();
        if byte.is_ascii_alphanumeric() || b"._/+".contains(&byte) || dash {
            safe.push(char::from(byte));
        } else {
            let _ = write!(safe, "%{byte:02X}");
        }
    }
    format!("<!-- domicile-plan: {safe} -->")
}

/// The plan as a comment: verdict, reboots and risks, totals, moves, findings, schedule, definitions, and what to do.
#[must_use]
pub fn plan(plan: &Plan, about: &About<'_>) -> String {
    let index = Index::of(plan);
    let head = head(plan, about);
    let foot = foot(plan, about);
    // In the order of the comment, each with its rank: what is filled first is left out last.
    let mut parts: Vec<(usize, Part)> = vec![
        (2, rows::moves(plan, &index)),
        (1, rows::unmoved(plan, &index)),
        (0, details::findings(plan, Severity::Blocks)),
        (3, details::findings(plan, Severity::Risk)),
        (5, schedule::schedule(plan)),
        (4, details::findings(plan, Severity::Note)),
        (6, details::definitions(plan)),
    ];
    let room = CHARACTERS_MAX.saturating_sub(head.len() + foot.len() + RESERVE);
    let texts = filled(&mut parts, room);
    let mut out = head;
    for text in texts {
        out.push_str(&text);
    }
    out.push_str(&foot);
    out
}

fn verdict(plan: &Plan, totals: &Totals) -> String {
    if plan.is_blocked() {
        return match totals.blocked {
            0 => "❌ refused".to_owned(),
            1 => "❌ 1 VM is refused".to_owned(),
            count => format!("❌ {count} VMs are refused"),
        };
    }
    if plan.is_empty() {
        return "✅ no changes".to_owned();
    }
    if plan.steps.is_empty() {
        return "✅ nothing to do now".to_owned();
    }
    let vms: BTreeSet<&VmName> = plan.moves.iter().map(|a_move| &a_move.vm).collect();
    let moves = match vms.len() {
        1 => "1 VM to move".to_owned(),
        count => format!("{count} VMs to move"),
    };
    match totals.reboots {
        0 => format!("✅ {moves}, no reboot"),
        1 => format!("⚠️ {moves}, 1 reboot"),
        count => format!("⚠️ {moves}, {count} reboots"),
    }
}

/// Marker, title, warnings and totals.
fn head(plan: &Plan, about: &About<'_>) -> String {
    let totals = plan.totals();
    let mut out = marker(&shorten(about.name, 100));
    let name = code(&shorten(about.name, 100));
    let _ = writeln!(out, "\n## Plan for {name}: {}\n", verdict(plan, &totals));
    if let Some(made_at) = about.made_at {
        let made_at = prose(&shorten(made_at, 40));
        let _ = writeln!(
            out,
            "> [!WARNING]\n> Made at {made_at}; the hosts may have changed since. An apply checks that first.\n"
        );
    }
    let refused = plan.findings.iter();
    let refused = refused.filter(|finding| finding.severity == Severity::Blocks);
    let refused = refused.map(|finding| match (&finding.vm, &finding.host) {
        (Some(vm), _) => vm.as_str(),
        (None, Some(host)) => host.as_str(),
        (None, None) => finding.code.as_str(),
    });
    alert(&mut out, "CAUTION", "Refused, see the findings", refused);
    let reboots = plan.moves.iter().filter(|a_move| a_move.reboots);
    let reboots = reboots.map(|a_move| a_move.vm.as_str());
    alert(&mut out, "WARNING", "These guests are rebooted", reboots);
    let risks = plan.findings.iter();
    let risks = risks.filter(|finding| finding.severity == Severity::Risk);
    let risks = risks.map(|finding| finding.code.as_str());
    alert(&mut out, "WARNING", "Risks that were accepted", risks);
    let _ = writeln!(out, "**{}**\n", prose(&text::totals(plan)));
    out
}

/// A box with names, each once; nothing where there are none.
fn alert<'n>(out: &mut String, kind: &str, what: &str, names: impl Iterator<Item = &'n str>) {
    let mut all: Vec<&str> = names.collect();
    all.sort_unstable();
    all.dedup();
    if all.is_empty() {
        return;
    }
    let shown: Vec<String> = all
        .iter()
        .take(NAMES_SHOWN)
        .map(|name| code(&shorten(name, rows::NAME)))
        .collect();
    let more = match all.len().saturating_sub(NAMES_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let _ = writeln!(out, "> [!{kind}]\n> {what}: {}{more}.\n", shown.join(", "));
}

/// How to go on, and the hash.
fn foot(plan: &Plan, about: &About<'_>) -> String {
    if plan.is_empty() && !plan.is_blocked() {
        return String::new();
    }
    let hash = plan.hash();
    let told = format!("Plan hash: `{hash}`. It stays the same while the plan means the same.\n");
    let mut out = String::from("\n### How to apply\n\n");
    if plan.is_blocked() {
        out.push_str("Not as it is: do what the findings say, or leave the refused VMs out with `--exclude`.\n\n");
        return out + &told;
    }
    if plan.steps.is_empty() {
        return String::new();
    }
    out.push_str("This plan and no other:\n\n```sh\n");
    // A file's name is not put into a command line that somebody may copy, unless it needs no quotes.
    let needs_no_quotes = |file: &&str| {
        let mut bytes = file.bytes();
        !file.starts_with('-')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte))
    };
    if let Some(file) = about.file.filter(needs_no_quotes) {
        let _ = writeln!(out, "domicile apply {file}");
    }
    let _ = write!(out, "domicile apply --expect {hash}\n```\n\n{told}");
    out
}
