//! Every rule of the catalogue has a file in `tests/rules`, named by its code: cases in which it speaks, and cases
//! that look alike and that it rightly leaves alone.
//!
//! Each case is the fleet of `tests/rules/fleet.yaml`, where `web` is to go from kvm1 to kvm2, with changes: those of
//! the `manifest`, and those of the reading under the names of what they change (`kvm2: { ... }` is a host, `web` the
//! VM, `detail` what its definition tells, `disk` its first disk, `interface` its first interface). A change is laid
//! over what is there; `null` takes a field away.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use domicile::desired::Desired;
use domicile::manifest::{self, Source};
use domicile::model::VmName;
use domicile::observed::Observed;
use domicile::plan::{Finding, MoveKind, Plan, Severity, check};
use domicile::{planner, render, rules};
use serde::Deserialize;
use serde_yaml::{Mapping, Value};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    speaks: Vec<Case>,
    silent: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    /// What is the case, in a sentence.
    when: String,
    /// What the finding says; for a method that is refused without a finding, the reason that the move gives.
    says: Option<String>,
    /// How grave the finding is; `method`: there is none, and the move is made in another way for this reason.
    verdict: Option<String>,
    #[serde(default)]
    manifest: Value,
    /// Changes of the reading.
    #[serde(flatten)]
    changes: Mapping,
}

#[derive(Debug, Deserialize)]
struct Fleet {
    manifest: Value,
    observed: Value,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules")
}

/// Lays one value over another: mappings are joined, `null` takes away, all else is replaced.
fn lay(over: &Value, place: &mut Value) {
    let Value::Mapping(changes) = over else {
        place.clone_from(over);
        return;
    };
    if !place.is_mapping() {
        *place = Value::Mapping(Mapping::new());
    }
    let into = place.as_mapping_mut().unwrap();
    for (key, change) in changes {
        if change.is_null() && into.contains_key(key) {
            into.remove(key);
        } else {
            lay(change, into.entry(key.clone()).or_insert(Value::Null));
        }
    }
}

fn at<'v>(value: &'v mut Value, path: &[&str]) -> &'v mut Value {
    path.iter().fold(value, |value, key| {
        if let Ok(index) = key.parse::<usize>() {
            &mut value[index]
        } else {
            &mut value[*key]
        }
    })
}

fn change(observed: &mut Value, what: &str, change: &Value) {
    let web = ["hosts", "kvm1", "reached", "vms", "web"];
    let path = match what {
        "web" => web.to_vec(),
        "detail" => [&web[..], &["detail"]].concat(),
        "disk" => [&web[..], &["detail", "disks", "0"]].concat(),
        "interface" => [&web[..], &["detail", "interfaces", "0"]].concat(),
        "hosts" => vec!["hosts"],
        host => vec!["hosts", host, "reached"],
    };
    lay(change, at(observed, &path));
}

fn plan_of(fleet: &Fleet, case: &Case) -> Plan {
    let mut manifest = fleet.manifest.clone();
    if !case.manifest.is_null() {
        lay(&case.manifest, &mut manifest);
    }
    let text = serde_yaml::to_string(&manifest).unwrap();
    let loaded = manifest::load(&[Source::new("fleet.yaml", &text)]);
    let desired: Desired = loaded
        .unwrap_or_else(|faults| panic!("{}: {faults:#?}", case.when))
        .desired;
    let mut observed = fleet.observed.clone();
    for (what, over) in &case.changes {
        change(&mut observed, what.as_str().unwrap(), over);
    }
    let observed: Observed = serde_json::to_value(observed)
        .and_then(serde_json::from_value)
        .unwrap_or_else(|error| panic!("{}: {error}", case.when));
    let plan = planner::plan(&desired, &observed);
    assert_eq!(
        check::check(&desired, &observed, &plan),
        Vec::new(),
        "{}",
        case.when
    );
    plan
}

fn found<'p>(plan: &'p Plan, code: &str) -> Option<&'p Finding> {
    plan.findings.iter().find(|finding| finding.code == code)
}

/// Whether web's move is made in another way because of the rule.
fn changes_method(plan: &Plan, code: &str) -> Option<String> {
    let web = VmName::new("web").unwrap();
    let its = plan.moves.iter().find(|a_move| a_move.vm == web)?;
    let because = its.reason.strip_prefix(&format!("{code}: "))?;
    assert_ne!(its.kind, MoveKind::Live);
    Some(because.to_owned())
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Blocks => "blocks",
        Severity::Risk => "risk",
        Severity::Note => "note",
    }
}

fn fault_of_speaking(code: &str, case: &Case, plan: &Plan) -> Option<String> {
    let (verdict, says) = match (found(plan, code), changes_method(plan, code)) {
        (Some(finding), _) => (word(finding.severity), finding.message.clone()),
        (None, Some(because)) => ("method", because),
        (None, None) => {
            return Some(format!("says nothing; the plan has {:#?}", plan.findings));
        }
    };
    let wanted = case.verdict.as_deref().unwrap_or_default();
    if verdict != wanted {
        return Some(format!("verdict {verdict}, expected {wanted}: {says}"));
    }
    let expected = case.says.as_deref().unwrap_or_default();
    (says != expected).then(|| format!("says: {says}\n  expected: {expected}"))
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.ends_with("fleet.yaml"));
    files.sort();
    files
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap();
    let merged = || -> Result<T, serde_yaml::Error> {
        let mut value: Value = serde_yaml::from_str(&text)?;
        value.apply_merge()?;
        serde_yaml::from_value(value)
    };
    merged().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_rule_speaks_where_it_must_and_nowhere_else() {
    let fleet: Fleet = read(&folder().join("fleet.yaml"));
    let mut faults = Vec::new();
    for path in files() {
        let code = path.file_stem().unwrap().to_string_lossy().into_owned();
        let cases: Cases = read(&path);
        for case in &cases.speaks {
            if let Some(fault) = fault_of_speaking(&code, case, &plan_of(&fleet, case)) {
                faults.push(format!("{code}, when {}: {fault}", case.when));
            }
        }
        for case in &cases.silent {
            let plan = plan_of(&fleet, case);
            if let Some(finding) = found(&plan, &code) {
                faults.push(format!(
                    "{code} must be silent when {}, and says {}",
                    case.when, finding.message
                ));
            }
            if let Some(because) = changes_method(&plan, &code) {
                faults.push(format!(
                    "{code} must be silent when {}, and refuses: {because}",
                    case.when
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_rule_is_without_a_case_in_which_it_speaks_and_one_in_which_it_is_silent() {
    let codes: BTreeSet<String> = rules::catalogue()
        .iter()
        .map(|rule| rule.code.to_owned())
        .collect();
    let mut covered = BTreeSet::new();
    for path in files() {
        let cases: Cases = read(&path);
        assert!(!cases.speaks.is_empty(), "{}", path.display());
        assert!(!cases.silent.is_empty(), "{}", path.display());
        covered.insert(path.file_stem().unwrap().to_string_lossy().into_owned());
    }
    assert_eq!(codes, covered);
}

#[test]
fn the_unchanged_fleet_moves_live_without_a_word() {
    let fleet: Fleet = read(&folder().join("fleet.yaml"));
    let unchanged = serde_yaml::from_str("when: nothing is special").unwrap();
    let plan = plan_of(&fleet, &unchanged);
    assert_eq!(plan.findings, Vec::new());
    assert_eq!(plan.moves.len(), 1);
    assert_eq!(plan.moves[0].kind, MoveKind::Live);
}

#[test]
fn the_table_of_the_documentation_is_the_catalogue() {
    let head = "# Restrictions\n\nWhat can stop a move, endanger it, or deserves a word. `domicile explain CODE` shows one. [CHECKS.md](CHECKS.md)\nlists what libvirt checks, and which of these know of it beforehand.\n\n";
    let table = render::text::restrictions_table();
    is_made("src/rules/RESTRICTIONS.md", &format!("{head}{table}"));
}

#[test]
fn the_list_of_libvirts_checks_is_the_one_of_the_code() {
    let head = "# What libvirt checks before a migration\n\nRead in libvirt 9.0.0 and 11.3.0, in the order of the phases. Each has the rules of [the catalogue](RESTRICTIONS.md)\nthat know of it beforehand, or says why none can.\n\n";
    let table = render::text::checks_table();
    is_made("src/rules/CHECKS.md", &format!("{head}{table}"));
}

/// Holds a document of the repository to the text that is made of the code.
fn is_made(document: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    if std::env::var_os("DOMICILE_UPDATE_RULES").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == made,
        "run DOMICILE_UPDATE_RULES=1 cargo test --test runner rules and look at the difference"
    );
}

#[test]
fn every_check_of_libvirt_has_a_rule_of_the_catalogue_or_a_reason() {
    let mut seen = BTreeSet::new();
    for check in rules::checks() {
        let named = format!("{}: {}", check.function, check.refuses);
        for code in check.rules {
            assert!(rules::rule(code).is_some(), "{named}: no rule {code}");
        }
        let explained = !check.rules.is_empty() || check.besides.len() > 20;
        assert!(explained, "{named}: neither a rule nor a reason");
        for text in [check.function, check.refuses, check.besides] {
            assert!(!text.contains('|'), "{named}: it would break the table");
        }
        assert!(seen.insert(named.clone()), "{named} is there twice");
    }
    assert!(
        seen.len() > 60,
        "libvirt checks more than {} things",
        seen.len()
    );
}

#[test]
fn codes_are_unique_and_every_entry_says_something() {
    let mut seen = BTreeSet::new();
    for rule in rules::catalogue() {
        assert!(seen.insert(rule.code), "{} is there twice", rule.code);
        assert!(!rule.effects.is_empty(), "{}", rule.code);
        for text in [rule.title, rule.why, rule.remedy, rule.source] {
            assert!(text.len() > 3, "{}", rule.code);
            assert!(
                !text.contains('|'),
                "{}: it would break the table",
                rule.code
            );
        }
    }
}
