//! `apply` asks a person at a terminal, and only `yes` is a yes.

use super::Place;
use super::running::{AtTerminal, End};

const APPLY: &str = "apply --simulate --observed observed.json --journal apply.jsonl";
const QUESTION: &str = "Only 'yes' will be accepted: ";
const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";

/// What is shown when this is typed at the question, how the program ends, and whether anything was begun.
fn answered(keys: &str) -> (String, End, bool) {
    let place = Place::with_fleet();
    let mut apply = AtTerminal::new(place.command(APPLY));
    apply.wait_for(QUESTION);
    assert!(
        !place.path("apply.jsonl").exists(),
        "it begins before the answer"
    );
    apply.types(keys);
    let (shown, end) = apply.end();
    (shown, end, place.path("apply.jsonl").exists())
}

#[test]
fn yes_at_the_terminal_carries_the_plan_out() {
    let (shown, end, begun) = answered("yes\n");
    assert_eq!((end, begun), (End::Code(0), true), "{shown}");
    assert!(
        shown.contains("Carry out this plan on hosts in memory?"),
        "{shown}"
    );
    assert!(shown.contains("Apply complete: 2 done"), "{shown}");
}

#[test]
fn whatever_is_not_yes_does_nothing_and_ends_with_4() {
    for keys in [
        "no\n",
        "\n",
        "y\n",
        "Yes\n",
        "YES\n",
        " yes\n",
        "yes please\n",
        CTRL_D,
    ] {
        let (shown, end, begun) = answered(keys);
        assert_eq!((end, begun), (End::Code(4), false), "{keys:?}: {shown}");
        assert!(shown.contains("nothing was changed"), "{keys:?}: {shown}");
    }
}

#[test]
fn ctrl_c_at_the_question_ends_the_program_before_anything_begins() {
    let (shown, end, begun) = answered(CTRL_C);
    let interrupted = End::Signal(rustix::process::Signal::INT.as_raw());
    assert_eq!((end, begun), (interrupted, false), "{shown}");
}

#[test]
fn a_terminal_at_which_nobody_may_be_asked_is_no_yes() {
    let place = Place::with_fleet();
    let mut command = place.command(APPLY);
    command.env("DOMICILE_INPUT", "0");
    let (shown, end) = AtTerminal::new(command).end();
    assert_eq!(end, End::Code(1), "{shown}");
    assert!(shown.contains("there is nobody to ask"), "{shown}");
    assert!(!shown.contains(QUESTION), "{shown}");
    assert!(!place.path("apply.jsonl").exists());
}

#[test]
fn with_auto_approve_a_person_at_the_terminal_is_not_asked() {
    let place = Place::with_fleet();
    let command = place.command(&format!("{APPLY} --auto-approve"));
    let (shown, end) = AtTerminal::new(command).end();
    assert_eq!(end, End::Code(0), "{shown}");
    assert!(!shown.contains(QUESTION), "{shown}");
}
