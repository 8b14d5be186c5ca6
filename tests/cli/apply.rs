//! `apply` on hosts in memory.

use super::Place;

const APPLY: &str = "apply --simulate --observed observed.json";

#[test]
fn an_apply_ends_with_what_moved_and_the_downtime_beside_its_forecast() {
    let words = [
        "web-1 from kvm1 to kvm2:",
        "db-1 from kvm2 to kvm1:",
        "measured",
        "Apply complete: 2 done",
    ];
    let _ = Place::with_fleet()
        .run(&format!("{APPLY} --auto-approve"))
        .ends(0)
        .says(&words);
}

#[test]
fn nobody_to_ask_is_no_yes() {
    let _ = Place::with_fleet()
        .run(APPLY)
        .ends(1)
        .complains(&["there is nobody to ask", "--auto-approve"]);
}

#[test]
fn nothing_to_do_asks_nobody() {
    let _ = Place::with_fleet()
        .run(&format!("{APPLY} --target mail"))
        .ends(0)
        .says(&["No changes."]);
}

#[test]
fn flags_that_contradict_each_other_are_refused_before_anything_is_read() {
    let place = Place::new();
    for (line, word) in [
        ("apply --json", "--json cannot ask"),
        (
            "apply --observed observed.json --auto-approve",
            "add --simulate",
        ),
        ("apply web.plan --target web-1", "cannot be used with"),
        ("apply web.plan -f fleet.yaml", "cannot be used with"),
        ("plan --parallelism 0", "--parallelism"),
        ("plan --timeout soon", "--timeout"),
        ("plan --target a/b", "slash"),
    ] {
        let _ = place.run(line).ends(64).complains(&[word]);
    }
}

#[test]
fn the_stream_is_one_object_a_line_from_the_version_to_the_end() {
    let outcome = Place::with_fleet()
        .run(&format!("{APPLY} --auto-approve --json"))
        .ends(0);
    let lines: Vec<serde_json::Value> = outcome
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    assert_eq!(lines[0]["type"], "version");
    let last = lines.last().expect("there are lines");
    assert_eq!(last["type"], "apply_summary");
    assert_eq!(last["summary"]["moved"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_journal_keeps_every_event_and_an_older_one_is_never_overwritten() {
    let place = Place::with_fleet();
    let command = format!("{APPLY} --auto-approve --journal apply.jsonl");
    let _ = place.run(&command).ends(0);
    let journal = place.read("apply.jsonl");
    assert!(journal.lines().count() > 10, "{journal}");
    let _ = place
        .run(&command)
        .ends(1)
        .complains(&["apply.jsonl", "nothing was started"]);
    assert_eq!(place.read("apply.jsonl"), journal);
}
