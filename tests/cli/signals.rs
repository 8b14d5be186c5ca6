//! A wish to stop that comes by signal, while an apply runs and before it has begun.
//!
//! The apply is held by not reading what it prints: it goes on only as far as its lines are read. So a signal comes at
//! a known moment, and its log says when the wish has arrived.

use std::io::BufRead;
use std::net::TcpListener;

use rustix::process::Signal;

use super::Place;
use super::running::{AtTerminal, End, Running};
use crate::planner::fleet::Fleet;

const VMS: u64 = 40;

const HOSTS: &str = "\
version: 1
hosts:
  kvm1: qemu+tcp://127.0.0.1:1/system
  kvm2: qemu+tcp://127.0.0.1:2/system
vms:
";

/// As many as the program carries at once. What it tells of them until the last is there is several times of what it
/// can write ahead of its reader.
const AT_ONCE: usize = 16;

/// All VMs shall go from one host to the other. Each is larger than the one before, so that no two arrive together.
fn busy_place() -> Place {
    let place = Place::new();
    let mut fleet = Fleet::new(2, 8192);
    let mut manifest = HOSTS.to_owned();
    for number in 1..=VMS {
        let name = format!("vm-{number}");
        fleet.vm("kvm1", &name, 4 * number);
        manifest.push_str(&["  ", &name, ": kvm2\n"].concat());
    }
    place.write("fleet.yaml", &manifest);
    place.write(
        "observed.json",
        &serde_json::to_string(&fleet.observed).expect("a reading is JSON"),
    );
    place
}

const APPLY: &str = "apply --simulate --observed observed.json --auto-approve --parallelism 16";

const STARTED: &str = "live from kvm1 to kvm2: started";

/// What an apply prints that gets these signals, one after the other, while as many migrations run as it carries at
/// once, and how it ended.
fn after_signals(line: &str, signals: &[Signal]) -> (Vec<String>, End) {
    let place = busy_place();
    let mut command = place.command(line);
    command.env("DOMICILE_LOG", "info");
    let mut apply = Running::piped(command);
    let (mut out, mut log) = (apply.out(), apply.err().lines());
    let mut lines = Vec::new();
    while count(&lines, STARTED) < AT_ONCE {
        lines.push(out.next().expect("that many are started"));
    }
    for signal in signals {
        apply.signal(*signal);
        let arrived = |line: std::io::Result<String>| {
            let number = signal.as_raw();
            line.is_ok_and(|line| line.contains(&format!("signal {number}: ")))
        };
        assert!(log.any(arrived), "the signal arrives");
    }
    lines.extend(out);
    (lines, apply.end())
}

/// How many of the lines have these words.
fn count(lines: &[String], words: &str) -> usize {
    lines.iter().filter(|line| line.contains(words)).count()
}

/// What follows the line with these words.
#[track_caller]
fn after<'l>(lines: &'l [String], words: &str) -> &'l [String] {
    let place = lines.iter().position(|line| line.contains(words));
    let Some(place) = place else {
        panic!("{words:?} is not in {lines:#?}");
    };
    &lines[place + 1..]
}

#[test]
fn one_signal_lets_what_runs_end_and_starts_nothing_new() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let (lines, end) = after_signals(&format!("{APPLY} --json"), &[signal]);
        let rest = after(&lines, r#""now":false"#);
        assert_eq!(count(rest, r#""type":"apply_start""#), 0, "{rest:#?}");
        let arrived = count(&lines, "live from kvm1 to kvm2: done in");
        assert_eq!(arrived, count(&lines, STARTED), "{lines:#?}");
        assert!(count(rest, r#""type":"apply_skipped""#) > 0, "{rest:#?}");
        let last = lines.last().expect("there are lines");
        let last: serde_json::Value = serde_json::from_str(last).expect("an object a line");
        assert_eq!(last["type"], "apply_summary");
        assert_eq!(last["summary"]["cancelled"], true);
        assert_eq!(last["summary"]["failed"], serde_json::json!([]));
        assert_eq!(end, End::Code(6));
    }
}

#[test]
fn a_second_signal_cancels_what_runs() {
    for signals in [
        [Signal::INT; 2],
        [Signal::TERM; 2],
        [Signal::INT, Signal::TERM],
    ] {
        let (lines, end) = after_signals(&format!("{APPLY} --json"), &signals);
        let rest = after(&lines, r#""now":true"#);
        assert_eq!(count(rest, r#""type":"apply_start""#), 0, "{rest:#?}");
        let arrived = count(&lines, "live from kvm1 to kvm2: done in");
        let cancelled = count(&lines, "live from kvm1 to kvm2: cancelled");
        assert_eq!(arrived + cancelled, count(&lines, STARTED), "{lines:#?}");
        assert!(cancelled > 0, "{lines:#?}");
        assert_eq!(count(&lines, "FAILED"), 0, "{lines:#?}");
        assert_eq!(end, End::Code(6));
    }
}

#[test]
fn an_apply_that_was_stopped_says_so_and_how_to_go_on() {
    let (lines, end) = after_signals(APPLY, &[Signal::INT]);
    let rest = after(&lines, "stopping: what runs is finished").join("\n");
    assert!(rest.contains("Apply stopped on request"), "{rest}");
    assert!(rest.contains("domicile plan"), "{rest}");
    assert_eq!(end, End::Code(6));
}

#[test]
fn a_terminal_that_is_closed_ends_an_apply_in_order() {
    let place = busy_place();
    let mut command = place.command(&format!("{APPLY} --journal apply.jsonl"));
    // Lines instead of bars: they are many enough to hold the program until the terminal is gone.
    command.env("TERM", "dumb");
    let mut apply = AtTerminal::new(command);
    apply.wait_for("] step ");
    // Whether the wish to stop arrives before all is done is a matter of luck. Either way nothing is left undone
    // without a word, and the exit code does not say that nothing was changed.
    let end = apply.closed();
    assert!([End::Code(0), End::Code(6)].contains(&end), "{end:?}");
    let journal = place.read("apply.jsonl");
    let last = journal.lines().last().expect("there are lines");
    assert!(last.contains("finished"), "{last}");
}

#[test]
fn a_signal_while_hosts_are_read_ends_the_program_at_once_and_writes_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("it is bound").port();
    let place = Place::new();
    place.write(
        "fleet.yaml",
        &format!("version: 1\nhosts:\n  kvm1: qemu+tcp://127.0.0.1:{port}/system\n"),
    );
    for line in [
        "plan --out new.file",
        "observe --out new.file",
        "apply --auto-approve --journal new.file",
    ] {
        for signal in [Signal::INT, Signal::TERM] {
            let running = Running::piped(place.command(line));
            let connection = silent.accept().expect("it connects");
            running.signal(signal);
            assert_eq!(running.end(), End::Signal(signal.as_raw()), "{line}");
            drop(connection);
            let files = place.folder.path().read_dir().expect("it is there");
            assert_eq!(files.count(), 1, "{line}: only the manifest");
        }
    }
}

#[test]
fn a_terminal_that_is_closed_counts_once_however_often_it_is_told() {
    let (lines, end) = after_signals(&format!("{APPLY} --json"), &[Signal::HUP; 2]);
    let _ = after(&lines, r#""now":false"#);
    assert_eq!(count(&lines, r#""now":true"#), 0);
    assert_eq!(count(&lines, "live from kvm1 to kvm2: cancelled"), 0);
    assert_eq!(end, End::Code(6));
}

#[test]
fn a_third_signal_changes_nothing() {
    let signals = [Signal::INT, Signal::INT, Signal::TERM];
    let (lines, end) = after_signals(&format!("{APPLY} --json"), &signals);
    let last = lines.last().expect("there are lines");
    assert!(last.contains(r#""type":"apply_summary""#), "{last}");
    assert_eq!(end, End::Code(6));
}

#[test]
fn a_signal_that_was_ignored_from_the_start_stays_ignored() {
    let place = busy_place();
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_domicile"))
        .args(APPLY.split_whitespace())
        .current_dir(place.folder.path());
    let mut apply = Running::piped(command);
    let mut out = apply.out();
    assert!(out.any(|line| line.contains(STARTED)));
    apply.signal(Signal::HUP);
    assert!(out.any(|line| line.contains("Apply complete")));
    assert_eq!(apply.end(), End::Code(0));
}

#[test]
fn an_apply_whose_reader_has_gone_is_carried_out_to_its_end() {
    let place = busy_place();
    let mut apply = Running::piped(place.command(&format!("{APPLY} --journal apply.jsonl")));
    let mut out = apply.out();
    assert!(out.any(|line| line.contains(STARTED)));
    drop(out);
    drop(apply.err());
    assert_eq!(apply.end(), End::Code(0));
    let journal = place.read("apply.jsonl");
    let last = journal.lines().last().expect("there are lines");
    assert!(last.contains("finished"), "{last}");
}
