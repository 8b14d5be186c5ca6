//! Faults and findings at the lines of the manifest, as reviews show them.

use serde_json::Value;

use super::Place;

const FAULTY: &str = "\
version: 1
hosts:
  kvm1: qemu:///system
vms:
  web-1: kvm2
  web-2: { hots: kvm1 }
";

/// A fleet of which one disk is refused: line 11.
fn refused() -> Place {
    let place = Place::with_fleet();
    let manifest = place.read("fleet.yaml").replace(
        "mail: kvm3",
        "mail:\n    host: kvm3\n    disks:\n      vda: bulk",
    );
    place.write("fleet.yaml", &manifest);
    place
}

/// The line of the manifest, counted from 1, that holds the text.
fn line_of(place: &Place, text: &str) -> u64 {
    let manifest = place.read("fleet.yaml");
    let line = manifest.lines().position(|line| line.contains(text));
    line.expect("it is there") as u64 + 1
}

#[test]
fn a_file_is_named_from_the_current_folder_however_it_was_given() {
    let place = Place::new();
    place.write("fleet.yaml", FAULTY);
    let whole = place.path("fleet.yaml");
    for given in ["fleet.yaml", "./fleet.yaml", &whole.display().to_string()] {
        let line = format!("validate -f {given} --annotations github");
        let _ = place.run(&line).ends(1).complains(&[",file=fleet.yaml,"]);
    }
}

#[test]
fn faults_are_workflow_commands_of_github() {
    let place = Place::new();
    place.write("fleet.yaml", FAULTY);
    let outcome = place.run("validate --annotations github").ends(1);
    let commands: Vec<&str> = outcome
        .err
        .lines()
        .filter(|line| line.starts_with("::"))
        .collect();
    assert!(commands.len() >= 2, "{}", outcome.err);
    assert!(
        commands.iter().any(|line| line.starts_with(
            "::error title=unknown-host,file=fleet.yaml,line=5,endLine=5,col=10,endColumn=13::"
        )),
        "{commands:#?}"
    );
    assert!(
        commands
            .iter()
            .any(|line| line.contains("%0Adid you mean `host`?")),
        "{commands:#?}"
    );
    // The report for people is there as well.
    let _ = outcome.complains(&["did you mean"]);
}

#[test]
fn what_a_name_says_cannot_be_a_command() {
    let place = Place::new();
    let manifest =
        "version: 1\nhosts: { kvm1: \"qemu:///system\" }\nvms: { \"a%0A::error::x, y\": kvm9 }\n";
    place.write("fleet.yaml", manifest);
    let outcome = place.run("validate --annotations github").ends(1);
    for line in outcome.err.lines().filter(|line| line.starts_with("::")) {
        assert!(line.starts_with("::error title="), "{line}");
        assert!(!line.contains("a%0A::"), "{line}");
    }
}

#[test]
fn a_finding_about_a_disk_stands_at_the_disks_line() {
    let place = refused();
    let wanted = line_of(&place, "vda: bulk");
    let line = "plan --observed observed.json --annotations sarif --annotations-out out.sarif";
    let _ = place.run(line).ends(3);
    let report: Value = serde_json::from_str(&place.read("out.sarif")).expect("JSON");
    assert_eq!(report["version"], "2.1.0");
    let run = &report["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "Domicile");
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    let results = run["results"].as_array().expect("results");
    for result in results {
        let index = result["ruleIndex"].as_u64().expect("an index");
        let index = usize::try_from(index).expect("a small number");
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().expect("a level")));
        assert!(result["message"]["text"].is_string());
    }
    let error = results
        .iter()
        .find(|result| result["level"] == "error")
        .expect("one is refused");
    let physical = &error["locations"][0]["physicalLocation"];
    assert_eq!(physical["artifactLocation"]["uri"], "fleet.yaml");
    assert_eq!(physical["region"]["startLine"], wanted);
    assert_eq!(physical["region"]["startColumn"], 7);
    assert_eq!(physical["region"]["endColumn"], 16);
}

#[test]
fn a_code_quality_report_has_what_gitlab_reads() {
    let place = refused();
    let line = "plan --observed observed.json --annotations gitlab --annotations-out gl.json";
    let _ = place.run(line).ends(3);
    let read = || -> Vec<Value> { serde_json::from_str(&place.read("gl.json")).expect("a list") };
    let issues = read();
    let mut prints = std::collections::BTreeSet::new();
    for issue in &issues {
        for key in ["description", "check_name", "fingerprint", "severity"] {
            assert!(issue[key].is_string(), "{key} in {issue}");
        }
        let severity = issue["severity"].as_str().expect("a word");
        assert!(["info", "minor", "major", "critical", "blocker"].contains(&severity));
        assert!(
            issue["location"]["lines"]["begin"].as_u64() >= Some(1),
            "{issue}"
        );
        assert_eq!(issue["location"]["path"], "fleet.yaml");
        assert!(
            prints.insert(issue["fingerprint"].to_string()),
            "twice: {issue}"
        );
    }
    let blocker = |issues: &[Value]| -> Value {
        let found = issues.iter().find(|issue| issue["severity"] == "blocker");
        found.expect("one is refused").clone()
    };
    // The same finding is known again where lines were added above it.
    place.write(
        "fleet.yaml",
        &format!("# a word\n{}", place.read("fleet.yaml")),
    );
    let _ = place.run(line).ends(3);
    let later = blocker(&read());
    assert_eq!(later["fingerprint"], blocker(&issues)["fingerprint"]);
    assert_ne!(later["location"], blocker(&issues)["location"]);
}

#[test]
fn a_right_manifest_gives_an_empty_report_and_a_file_is_wanted() {
    let place = Place::with_fleet();
    let _ = place
        .run("validate --annotations gitlab --annotations-out gl.json")
        .ends(0);
    assert_eq!(place.read("gl.json"), "[]\n");
    let _ = place
        .run("validate --annotations sarif")
        .ends(64)
        .complains(&["--annotations-out FILE"]);
}
