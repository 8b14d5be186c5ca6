//! What people and programs see, held by snapshots: a plan with every kind of line in it, a reading, an apply.

mod annotations;
mod comment;
pub(crate) mod detour;
mod graph;
mod hostile;
mod page;
mod reading;
mod sample;
mod stream;

use domicile::apply::{Event, Happening, Summary};
use domicile::model::{Bytes, BytesPerSecond, HostName, Millis, VmName};
use domicile::plan::{Plan, StepId};
use domicile::render::progress::Lines;
use domicile::render::{Style, json, text};

fn vm(name: &str) -> VmName {
    VmName::new(name).expect("a valid name")
}

#[test]
fn a_plan_in_80_columns() {
    insta::assert_snapshot!(text::plan(&sample::plan(), &Style::plain(80)));
}

#[test]
fn a_plan_in_120_columns() {
    insta::assert_snapshot!(text::plan(&sample::plan(), &Style::plain(120)));
}

#[test]
fn a_plan_without_changes_is_one_sentence() {
    insta::assert_snapshot!(text::plan(&sample::nothing(), &Style::plain(80)), @"No changes. Everything that the manifest names is where it shall be.");
}

#[test]
fn colours_change_nothing_but_colours() {
    let style = Style {
        color: true,
        width: 80,
    };
    let colored = text::plan(&sample::plan(), &style);
    assert!(colored.contains("\u{1b}["));
    assert_eq!(
        without_escapes(&colored),
        text::plan(&sample::plan(), &Style::plain(80))
    );
}

fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').expect("a colour ends in m").1;
    }
    plain + rest
}

#[test]
fn what_a_host_says_cannot_act_on_the_terminal() {
    let mut plan = sample::plan();
    for finding in &mut plan.findings {
        finding.message = "bad\u{1b}[2J\u{1b}]0;title\u{7}\rname\u{202e}".to_owned();
    }
    for a_move in &mut plan.moves {
        a_move.reason = "x\u{9b}1A".to_owned();
        if let Some(change) = &mut a_move.definition {
            change.after = change.after.replace("old", "\u{1b}[8mhidden");
        }
    }
    let text = text::plan(&plan, &Style::plain(100));
    assert!(
        text.chars()
            .all(|letter| letter == '\n' || !letter.is_control()),
        "{text}"
    );
    assert!(!text.contains('\u{202e}'));
}

#[test]
fn a_reading_in_80_columns() {
    insta::assert_snapshot!(text::observed(&reading::observed(), &Style::plain(80)));
}

#[test]
fn a_reading_in_120_columns() {
    insta::assert_snapshot!(text::observed(&reading::observed(), &Style::plain(120)));
}

#[test]
fn a_reading_as_json_is_read_back_as_it_was() {
    let text = json::observed(&reading::observed()).unwrap();
    assert_eq!(
        serde_json::from_str::<domicile::observed::Observed>(&text).unwrap(),
        reading::observed()
    );
}

#[test]
fn a_plan_as_json() {
    insta::assert_snapshot!(json::plan(&sample::plan()).unwrap());
}

#[test]
fn a_plan_as_json_is_a_plan_with_totals() {
    let text = json::plan(&sample::plan()).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), sample::plan());
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["format_version"], "1.0");
    assert_eq!(value["applyable"], false);
    assert_eq!(value["totals"]["live"], 1);
    assert_eq!(value["hash"], sample::plan().hash().to_string());
}

fn at(millis: u64, what: Happening) -> Event {
    Event {
        at: Millis(millis),
        what,
    }
}

fn done(step: usize, took: u64, mib: u64, downtime: Option<Millis>) -> Happening {
    Happening::StepDone {
        step: StepId(step),
        took: Millis(took),
        bytes: Bytes::from_mib(mib),
        downtime,
        saved: Bytes::ZERO,
    }
}

/// One VM that is carried to its end.
fn success() -> Vec<Event> {
    let step = StepId(2);
    let progress = |done| Happening::StepProgress {
        step,
        done: Bytes::from_mib(done),
        total: Bytes::from_mib(4096),
        rate: Some(BytesPerSecond(100 << 20)),
    };
    let arrived = Happening::MoveDone {
        vm: vm("web-1"),
        took: Millis(41_300),
        downtime_forecast: Millis(300),
        downtime: Some(Millis(212)),
    };
    vec![
        at(0, Happening::StepStarted { step: StepId(0) }),
        at(40, done(0, 40, 0, None)),
        at(40, Happening::StepStarted { step }),
        at(5_000, progress(500)),
        at(9_000, progress(900)),
        at(11_000, progress(1100)),
        at(15_000, progress(1500)),
        at(21_500, progress(2150)),
        at(41_000, done(2, 40_960, 4096, Some(Millis(212)))),
        at(41_200, done(3, 200, 0, None)),
        at(41_300, arrived),
    ]
}

/// One VM of which the copy fails, so that it is brought back; then a person asks to stop.
fn failure() -> Vec<Event> {
    let failed = Happening::StepFailed {
        step: StepId(7),
        what: "copy kvm2:default/db-1.raw to kvm3:default/db-1.raw".into(),
        why: "kvm3: No space left on device".into(),
        help: Some("make room in pool default of kvm3".into()),
        cancelled: false,
    };
    let skipped = Happening::StepSkipped {
        step: StepId(8),
        because: StepId(7),
    };
    let because = Some(StepId(7));
    let restoring = Happening::RestoreStarted {
        vm: vm("db-1"),
        because,
    };
    let restored = Happening::Restored {
        vm: vm("db-1"),
        host: HostName::new("kvm2").expect("a valid name"),
        downtime: Millis(9_300),
    };
    vec![
        at(50_400, failed),
        at(50_400, skipped),
        at(50_400, restoring),
        at(51_000, restored),
        at(51_500, Happening::CancelAsked { now: false }),
    ]
}

fn summary() -> Summary {
    Summary {
        moved: vec![vm("web-1")],
        failed: vec![vm("db-1")],
        restored: vec![vm("db-1")],
        left: vec![vm("mail")],
        steps_done: 7,
        steps: 10,
        bytes: Bytes::from_mib(4096),
        took: Millis(51_600),
        ..Summary::default()
    }
}

fn events() -> Vec<Event> {
    let end = at(51_600, Happening::Finished(summary()));
    success()
        .into_iter()
        .chain(failure())
        .chain([end])
        .collect()
}

#[test]
fn progress_in_a_log_is_a_line_now_and_then() {
    let plan = sample::plan();
    let mut lines = Lines::new(&plan);
    let text: Vec<String> = events()
        .iter()
        .filter_map(|event| lines.line(event))
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn a_step_of_an_hour_has_few_lines_and_short_steps_have_none() {
    let plan = sample::plan();
    let mut lines = Lines::new(&plan);
    let long = StepId(2);
    let mut shown = usize::from(
        lines
            .line(&at(0, Happening::StepStarted { step: long }))
            .is_some(),
    );
    for second in 1..3600 {
        let progress = Happening::StepProgress {
            step: long,
            done: Bytes::from_mib(second),
            total: Bytes::from_mib(3600),
            rate: None,
        };
        shown += usize::from(lines.line(&at(second * 1000, progress)).is_some());
    }
    assert!((10..25).contains(&shown), "{shown}");
    let short = StepId(0);
    assert_eq!(
        lines.line(&at(0, Happening::StepStarted { step: short })),
        None
    );
    assert_eq!(lines.line(&at(900, done(0, 900, 0, None))), None);
    assert!(lines.line(&at(1900, done(0, 1900, 0, None))).is_some());
}

#[test]
fn the_summary_says_what_moved_what_failed_and_what_was_left() {
    insta::assert_snapshot!(text::summary(&sample::plan(), &events(), &Style::plain(80)));
}

#[test]
fn a_vm_that_is_off_because_of_us_is_told_first_and_last() {
    let mut summary = summary();
    summary.restored.clear();
    summary.stranded = vec![vm("db-1")];
    let lost = Happening::NotRestored {
        vm: vm("db-1"),
        what: "start db-1 on kvm2".into(),
        why: "kvm2 does not answer".into(),
        help: Some("start it by hand once kvm2 answers".into()),
    };
    let text = text::summary(
        &sample::plan(),
        &[
            at(60_000, lost),
            at(60_000, Happening::Finished(summary.clone())),
        ],
        &Style::plain(80),
    );
    assert!(text.contains("db-1 IS OFF"), "{text}");
    assert!(text.contains("kvm2 does not answer"), "{text}");
    let style = Style::plain(200);
    let next = text::next(&sample::plan(), &summary, &style).expect("there is something to do");
    assert!(next.starts_with("Start these VMs first"), "{next}");
}
