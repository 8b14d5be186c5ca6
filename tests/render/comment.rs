//! The comment, held by snapshots, and rendered as GitHub renders it: whatever names there are, it has the parts that
//! it shall have and no others, and it is never too long.

use std::collections::BTreeMap;

use comrak::nodes::{AstNode, NodeValue};
use comrak::{Arena, Options, parse_document};
use domicile::model::VmName;
use domicile::plan::{Plan, Severity};
use domicile::render::comment::{self, About, CHARACTERS_MAX, marker};
use proptest::prelude::*;

use super::hostile::{NAMES, renamed};
use super::sample;

const ABOUT: About<'_> = About {
    name: "production",
    made_at: None,
    file: None,
};

fn options() -> Options<'static> {
    let mut options = Options::default();
    options.extension.strikethrough = true;
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options.extension.alerts = true;
    options.extension.math_dollars = true;
    options.render.r#unsafe = true;
    options
}

/// How often each kind of part comes in the text.
fn parts(text: &str) -> BTreeMap<String, usize> {
    let arena = Arena::new();
    let mut counts = BTreeMap::new();
    count(parse_document(&arena, text, &options()), &mut counts);
    counts
}

fn count<'a>(part: &'a AstNode<'a>, counts: &mut BTreeMap<String, usize>) {
    let value = &part.data.borrow().value;
    let name = match value {
        NodeValue::Text(_) | NodeValue::SoftBreak => None,
        // The tags themselves, which are only ours.
        NodeValue::HtmlInline(tag) => (tag != "<wbr>").then(|| tag.clone()),
        NodeValue::HtmlBlock(block) => {
            // Of the marker and of a fold the beginning, behind which stands a name.
            let tags = block.literal.split(':').next().unwrap_or_default();
            Some(tags.split("<code>").next().unwrap_or_default().to_owned())
        }
        NodeValue::CodeBlock(block) => Some(format!("code {}", block.info)),
        other => Some(other.xml_node_name().to_owned()),
    };
    if let Some(name) = name {
        *counts.entry(name).or_default() += 1;
    }
    for child in part.children() {
        count(child, counts);
    }
}

fn html(text: &str) -> String {
    comrak::markdown_to_html(text, &options())
}

#[track_caller]
fn is_sound(text: &str) {
    assert!(text.len() < CHARACTERS_MAX, "{} bytes", text.len());
    let html = html(text);
    for tag in [
        "details",
        "summary",
        "code",
        "table",
        "tr",
        "td",
        "blockquote",
    ] {
        let opened =
            html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        let closed = html.matches(&format!("</{tag}>")).count();
        assert_eq!(opened, closed, "{tag}");
    }
    for wrong in [
        "<a ",
        "<img",
        "<script",
        "<em>",
        "<strong><",
        "<del>",
        "data-math",
        "class=\"footnote",
    ] {
        if let Some((_, behind)) = html.split_once(wrong) {
            let behind: String = behind.chars().take(200).collect();
            panic!("{wrong}{behind}");
        }
    }
    let stray = text.chars().find(|letter| {
        (letter.is_control() && *letter != '\n') || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    });
    assert_eq!(stray, None);
}

#[test]
fn a_plan_as_a_comment() {
    let text = comment::plan(&sample::plan(), &ABOUT);
    is_sound(&text);
    insta::assert_snapshot!(text);
}

#[test]
fn a_saved_plan_without_changes_as_a_comment() {
    let about = About {
        made_at: Some("2026-01-02 03:04:05 UTC"),
        file: Some("web.plan"),
        ..ABOUT
    };
    insta::assert_snapshot!(comment::plan(&sample::nothing(), &about));
}

#[test]
fn a_plan_that_can_be_applied_says_how() {
    let mut plan = sample::plan();
    plan.findings
        .retain(|finding| finding.severity != Severity::Blocks);
    let about = About {
        file: Some("web.plan"),
        ..ABOUT
    };
    let text = comment::plan(&plan, &about);
    assert!(text.contains("domicile apply web.plan\n"), "{text}");
    let hash = plan.hash();
    assert!(text.contains(&format!("domicile apply --expect {hash}\n")));
    // What would need quotes is not put into a command line.
    let about = About {
        file: Some("x; rm -rf ~.plan"),
        ..ABOUT
    };
    assert!(!comment::plan(&plan, &about).contains("rm -rf"));
}

#[test]
fn a_marker_says_the_name_and_cannot_be_left() {
    assert_eq!(marker("production"), "<!-- domicile-plan: production -->");
    assert_eq!(marker("a --> b"), "<!-- domicile-plan: a%20-%2D%3E%20b -->");
    assert_ne!(marker("a b"), marker("a%20b"));
    let text = comment::plan(&sample::plan(), &ABOUT);
    assert!(text.starts_with(&(marker("production") + "\n")));
}

#[test]
fn names_change_nothing_of_what_the_comment_is_made_of() {
    let plain = parts(&comment::plan(&renamed(&sample::plan(), "plain"), &ABOUT));
    assert!(plain["table"] >= 2, "{plain:#?}");
    assert!(
        plain["code mermaid"] == 1 && plain["code diff"] == 1,
        "{plain:#?}"
    );
    for name in NAMES {
        let text = comment::plan(&renamed(&sample::plan(), name), &About { name, ..ABOUT });
        is_sound(&text);
        // Within what a person is told to do, a name with backticks is shown as what is typed, which acts no more.
        let but_for_code = |mut parts: BTreeMap<String, usize>| {
            if name.contains('`') {
                parts.retain(|part, _| !part.ends_with("code>"));
            }
            parts
        };
        let (found, wanted) = (but_for_code(parts(&text)), but_for_code(plain.clone()));
        assert_eq!(found, wanted, "{name}");
    }
}

#[test]
fn names_are_shown_as_they_are() {
    for name in ["a|b", "x`y", "<b>", "@you", "#1", "a\\b", "[x](y)"] {
        let html = html(&comment::plan(&renamed(&sample::plan(), name), &ABOUT));
        let shown = html
            .replace("<wbr>", "")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&amp;", "&");
        assert!(
            shown.contains(&format!("<td><code>{name}web-1</code></td>")),
            "{name}\n{shown}"
        );
    }
}

/// The plan again and again, under other names.
fn many(times: usize) -> Plan {
    let one = sample::plan();
    let mut all = sample::plan();
    for number in 1..times {
        let more = renamed(&one, &format!("vm{number}-"));
        all.changes.extend(more.changes);
        all.moves.extend(more.moves);
        all.findings.extend(more.findings);
    }
    all
}

#[test]
fn a_large_plan_is_shortened_and_says_what_was_left_out() {
    let text = comment::plan(&many(3000), &ABOUT);
    is_sound(&text);
    assert!(
        text.len() > CHARACTERS_MAX / 2,
        "much room was wasted: {}",
        text.len()
    );
    assert!(text.contains("of 6000 moves left out"), "{text}");
    // What refuses and what reboots is told before anything else.
    assert!(text.contains("❌ 3000 VMs are refused"), "{text}");
    assert!(text.contains("pool-missing"), "{text}");
    assert!(text.contains("### How to apply"));
}

fn words() -> impl Strategy<Value = String> {
    let any_letter = proptest::string::string_regex("[ -.0-~\u{80}-\u{2fff}]{1,40}")
        .expect("a right expression");
    let hostile = proptest::sample::select(NAMES).prop_map(str::to_owned);
    prop_oneof![
        any_letter,
        hostile.clone(),
        (hostile.clone(), hostile).prop_map(|(a, b)| a + &b)
    ]
    .prop_filter("a name", |name| VmName::new(format!("{name}web-1")).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_names_the_comment_keeps_its_form(name in words(), times in 1_usize..40) {
        let mut plan = many(times);
        for (place, a_move) in plan.moves.iter_mut().enumerate() {
            a_move.vm = VmName::new(format!("{name}{place}")).expect("a valid name");
            a_move.reason.clone_from(&name);
            if let Some(change) = &mut a_move.definition {
                change.after = change.after.replace("old", &name);
            }
        }
        for finding in &mut plan.findings {
            finding.message.clone_from(&name);
            finding.remedy.clone_from(&name);
        }
        let text = comment::plan(&plan, &About { name: &name, ..ABOUT });
        is_sound(&text);
        let found = parts(&text);
        prop_assert!(found["table"] == 2, "{found:#?}");
        // One row of head in each table, and the cells of a row are as many as its head's.
        let rows = found["table_row"];
        let html = html(&text);
        prop_assert_eq!(html.matches("<tr>").count(), rows);
        let cells = html.matches("<td").count() + html.matches("<th").count() - html.matches("<thead").count();
        let moves = html.matches("<tr>").count();
        prop_assert!(cells >= 3 * moves && cells <= 8 * moves, "{cells} cells in {moves} rows");
    }
}
