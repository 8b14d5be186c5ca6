//! `plan` and `show` in every format.

use super::Place;

const PLAN: &str = "plan --observed observed.json";

/// A word that stands in the plan of `Place::with_fleet` in this format.
const FORMATS: [(&str, &str); 5] = [
    ("text", "# web-1 will be migrated live"),
    ("markdown", "## Plan for <code>fleet</code>"),
    ("json", "\"format_version\""),
    ("mermaid", "flowchart LR"),
    ("dot", "digraph plan {"),
];

#[test]
fn a_plan_is_printed_in_every_format_and_a_saved_one_is_shown_the_same() {
    let place = Place::with_fleet();
    let _ = place.run(&format!("{PLAN} --out web.plan")).ends(0);
    for (format, word) in FORMATS {
        let planned = place
            .run(&format!("{PLAN} --format {format}"))
            .ends(0)
            .says(&[word]);
        let shown = place
            .run(&format!("show web.plan --format {format}"))
            .ends(0)
            .says(&[word]);
        match format {
            // The comment of a saved plan says when it was made, and which file it is in.
            "markdown" => {
                let shown = shown.says(&["> Made at ", "domicile apply web.plan\n"]);
                assert!(
                    shown.err.contains("may have changed since"),
                    "{}",
                    shown.err
                );
            }
            "text" => assert!(shown.out.starts_with(&planned.out), "{}", shown.out),
            _ => {
                assert_eq!(shown.out, planned.out);
                assert!(
                    shown.err.contains("may have changed since"),
                    "{}",
                    shown.err
                );
            }
        }
    }
    let json = place.run(&format!("{PLAN} --json")).ends(0).out;
    assert_eq!(
        json,
        place.run(&format!("{PLAN} --format json")).ends(0).out
    );
    let _ = place.run(&format!("{PLAN} --json --format dot")).ends(64);
    let _ = place
        .run("show observed.json --format mermaid")
        .ends(64)
        .complains(&["is a reading of hosts, not a plan"]);
}

#[test]
fn every_format_but_text_is_the_same_for_the_same_input_and_speaks_of_no_terminal() {
    let place = Place::with_fleet();
    for (format, _) in FORMATS {
        let command = format!("{PLAN} --format {format}");
        let once = place.run(&command).ends(0).out;
        assert_eq!(once, place.run(&command).ends(0).out);
        assert!(!once.contains('\u{1b}'), "{once}");
    }
}

#[test]
fn a_comment_has_the_name_that_was_chosen() {
    let place = Place::with_fleet();
    let outcome = place
        .run(&format!("{PLAN} --format markdown --comment-id production"))
        .ends(0);
    assert!(
        outcome
            .out
            .starts_with("<!-- domicile-plan: production -->\n"),
        "{}",
        outcome.out
    );
}

#[test]
fn every_schema_is_printed() {
    let place = Place::new();
    for (name, title) in [
        ("", "Domicile manifest"),
        ("plan", "Domicile plan"),
        ("saved-plan", "Domicile saved plan"),
        ("reading", "Observed"),
        ("events", "Domicile event"),
    ] {
        let out = place.run(&format!("schema {name}")).ends(0).out;
        let schema: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(schema["title"], title);
    }
}

#[test]
fn a_pipelines_log_is_folded_and_obeys_no_line_of_a_plan() {
    let place = Place::with_fleet();
    let line = "apply --simulate --observed observed.json --auto-approve";
    let run = |variable: &str| {
        let output = place.command(line).env(variable, "true").output();
        String::from_utf8(output.expect("the program starts").stdout).expect("text")
    };
    let github = run("GITHUB_ACTIONS");
    let lines: Vec<&str> = github.lines().collect();
    for title in ["::group::Plan", "::group::Steps"] {
        let open = lines.iter().position(|line| *line == title).expect(title);
        let token = lines[open + 1]
            .strip_prefix("::stop-commands::")
            .expect("a token");
        assert_eq!(token.len(), 32, "{token}");
        let close = format!("::{token}::");
        let close = lines
            .iter()
            .position(|line| *line == close)
            .expect("it ends");
        assert_eq!(lines[close + 1], "::endgroup::");
        assert!(close > open + 2);
    }
    assert!(
        lines.last().expect("a line").starts_with("Apply complete"),
        "{github}"
    );
    let gitlab = run("GITLAB_CI");
    assert_eq!(gitlab.matches("section_start:").count(), 2, "{gitlab}");
    assert_eq!(gitlab.matches("section_end:").count(), 2, "{gitlab}");
}
