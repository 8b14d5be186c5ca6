//! Names that try to be more than names.

use domicile::model::{HostName, VmName};
use domicile::plan::{Change, Detour, Difference, Drift, DriftKind, Drifted, Half, Plan, Verdict};
use domicile::render::{Style, drift, html, json, stream, text};

use super::sample;

/// Each is a name that libvirt takes; none may act on what shows it.
pub(super) const NAMES: &[&str] = &[
    "a|b|c",
    "`code` ``more``",
    "```` ends a fence",
    "\\|x\\\\|",
    "<b>bold<",
    "<!-- hidden",
    "--> shown",
    "<details><summary>x<",
    "@octocat and @org",
    "#123 GH-7 org#5 !4 $2 ~label %1",
    "[text](javascript:alert(1))",
    "![image][ref] [ref]: x",
    "http:x www.example.com a@example.com",
    "**bold** _it_ ~~gone~~",
    "&lt;b&gt; &amp; &#60;",
    "\"; click s1 call x(); \"",
    "end",
    "right\u{202e}left\u{2066}",
    "zero\u{200b}width\u{feff}",
    "$math$ $$more$$",
    ":smile: :x:",
    "1. list",
    "- item",
    "deadbeefcafe",
];

/// Terminals, logs and the lines of programs show a name, and none acts on what shows it.
#[test]
fn no_name_acts_on_a_terminal_a_log_a_page_or_the_lines_of_a_program() {
    for name in NAMES {
        let mut was = sample::plan();
        was.moves[0].detour = Some(Detour {
            half: Half::First,
            from: sample::host("kvm1"),
            to: sample::host("kvm3"),
        });
        let is = renamed(&was, name);
        let roomy = Style::plain(10_000);
        for shown in [text::plan(&is, &roomy), text::plan(&is, &Style::plain(80))] {
            is_harmless(&shown);
        }
        let lines = |plan| text::plan(plan, &roomy).lines().count();
        // The definition has one line more, since its text has.
        assert_eq!(
            lines(&is),
            lines(&renamed(&was, "plain")),
            "{name}\n{}",
            text::plan(&is, &roomy)
        );
        assert_eq!(text::totals(&is), text::totals(&was), "{name}");

        let as_json: serde_json::Value =
            serde_json::from_str(&json::plan(&is).expect("JSON")).expect("JSON");
        let wanted = format!("{name}web-1");
        assert_eq!(as_json["moves"][0]["vm"], wanted.as_str());

        let stream = stream::announce(&is, "0.1.0", "").expect("JSON");
        assert_eq!(stream.len(), is.moves.len() + is.findings.len() + 2);
        for line in stream {
            assert!(!line.contains('\n'), "{line}");
            let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            is_harmless(line["@message"].as_str().expect("text"));
        }

        let page = html::plan(&is, &html::About::default());
        is_harmless(&page);
        let elements = |page: &str| page.matches("<b>").count() + page.matches("<!--").count();
        let plain = html::plan(&renamed(&was, "plain"), &html::About::default());
        assert_eq!(elements(&page), elements(&plain), "{name}");

        let told = drift::text(&drifted(name), "today", &roomy);
        is_harmless(&told);
        assert_eq!(told.lines().count(), 5, "{told}");
        assert_eq!(drift::line(&drifted(name), "today").lines().count(), 1);
        assert!(!drift::prometheus(&drifted(name)).contains(name));
    }
}

/// Nothing that moves a cursor, hides, or turns a part of a line.
#[track_caller]
fn is_harmless(text: &str) {
    let bad = |letter: char| {
        letter.is_control() && letter != '\n' || "\u{202e}\u{2066}\u{200b}\u{feff}".contains(letter)
    };
    assert!(!text.contains(bad), "{text:?}");
}

fn drifted(name: &str) -> Drift {
    let host = |host: &str| HostName::new(format!("{name}{host}")).expect("a valid name");
    let one = |kind, vm: Option<&str>| Drifted {
        kind,
        vm: vm.map(|vm| VmName::new(format!("{name}{vm}")).expect("a valid name")),
        host: host("kvm1"),
        disk: None,
        was: host("kvm2").to_string(),
        is: format!("{name}\n{name}"),
        verdict: Verdict::Left,
    };
    Drift {
        format_version: "1.0".into(),
        since: 0,
        now: 0,
        drifted: vec![
            one(DriftKind::Moved, Some("web")),
            one(DriftKind::HostReplaced, None),
        ],
        wanted: vec![],
    }
}

/// The plan with every VM and host called this, with its own name behind it.
pub(super) fn renamed(plan: &Plan, name: &str) -> Plan {
    let mut plan = plan.clone();
    let vm = |vm: &VmName| VmName::new(format!("{name}{vm}")).expect("a valid name");
    let host = |host: &HostName| HostName::new(format!("{name}{host}")).expect("a valid name");
    for a_move in &mut plan.moves {
        a_move.vm = vm(&a_move.vm);
        a_move.from = host(&a_move.from);
        a_move.to = host(&a_move.to);
        if let Some(detour) = &mut a_move.detour {
            (detour.from, detour.to) = (host(&detour.from), host(&detour.to));
        }
        a_move.reason = format!("{}: {name}", a_move.reason);
        if let Some(definition) = &mut a_move.definition {
            definition.after = definition.after.replace("old", &format!("{name}\n{name}"));
        }
    }
    for Change { vm: of, what } in &mut plan.changes {
        *of = vm(of);
        if let Difference::Host { is, wanted } = what {
            *is = host(is);
            *wanted = host(wanted);
        }
    }
    for finding in &mut plan.findings {
        finding.vm = finding.vm.as_ref().map(vm);
        finding.host = finding.host.as_ref().map(host);
        finding.message = format!("{name} {}\n{name}", finding.message);
        finding.remedy = format!("{} {name}", finding.remedy);
    }
    for step in &mut plan.steps {
        step.vms = step.vms.iter().map(vm).collect();
        if let domicile::plan::Action::Mark {
            host: on, vm: of, ..
        }
        | domicile::plan::Action::ShutDown {
            host: on, vm: of, ..
        } = &mut step.action
        {
            *on = host(on);
            *of = vm(of);
        }
    }
    plan
}
