//! Hostile input: whatever a file or a host says, it is understood or refused in short time, and what was understood
//! can be planned with, shown and carried out without a panic.
//!
//! The inputs are those of the repository, changed at random: a fuzzer without feedback from coverage, which any stable
//! compiler builds.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use domicile::apply::{CancelHandle, Options, run};
use domicile::definition::{self, Rewrite};
use domicile::desired::Desired;
use domicile::lock::LockRecord;
use domicile::manifest::{Source, load, read};
use domicile::model::{HostName, Millis, MoveMark};
use domicile::observed::Observed;
use domicile::plan::{
    Plan,
    check::{check, check_alone},
};
use domicile::planner::plan;
use domicile::render::{Style, html, json, stream, text};
use domicile::simulator::{Faults, Simulator};
use serde_json::Value;

use crate::dice::Dice;
use crate::each::{count, each_seed};
use crate::mutate;

/// What one input may take, on a busy machine as well.
const TAKES_AT_MOST: Duration = Duration::from_secs(20);

/// What the mutations begin with.
struct Corpus {
    manifests: Vec<String>,
    definitions: Vec<String>,
    scenarios: Vec<Scenario>,
}

struct Scenario {
    desired: Desired,
    observed: Value,
    plan: Value,
}

static CORPUS: LazyLock<Corpus> = LazyLock::new(|| {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scenarios: Vec<Scenario> = files(&top.join("tests/scenarios"), "observed.json")
        .iter()
        .map(|path| scenario(path))
        .collect();
    let mut definitions = texts(&top.join("tests/data/definitions"), ".xml");
    for scenario in &scenarios {
        definitions.extend(strings(&scenario.observed).filter(|text| text.starts_with("<domain")));
    }
    let mut manifests = texts(&top.join("examples"), ".yaml");
    manifests.extend(texts(&top.join("tests"), ".yaml"));
    Corpus {
        manifests,
        definitions,
        scenarios,
    }
});

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the entry is readable").path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn texts(folder: &Path, end: &str) -> Vec<String> {
    let files = files(folder, end);
    let texts = files
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    texts.collect()
}

fn scenario(path: &Path) -> Scenario {
    let text = std::fs::read_to_string(path).expect("a reading");
    let observed: Observed = serde_json::from_str(&text).expect("a right reading");
    let sources = read(&[path.with_file_name("manifest.yaml")]).expect("a manifest");
    let desired = load(&sources).expect("a right manifest").desired;
    let plan = plan(&desired, &observed);
    Scenario {
        desired,
        observed: serde_json::to_value(observed).expect("JSON"),
        plan: serde_json::to_value(plan).expect("JSON"),
    }
}

/// What is wanted and what was read in each scenario.
pub(crate) fn scenarios() -> Vec<(Desired, Observed)> {
    let all = CORPUS.scenarios.iter();
    all.map(|scenario| {
        let observed = serde_json::from_value(scenario.observed.clone()).expect("a reading");
        (scenario.desired.clone(), observed)
    })
    .collect()
}

fn strings(value: &Value) -> Box<dyn Iterator<Item = String> + '_> {
    match value {
        Value::String(text) => Box::new(std::iter::once(text.clone())),
        Value::Array(all) => Box::new(all.iter().flat_map(strings)),
        Value::Object(all) => Box::new(all.values().flat_map(strings)),
        _ => Box::new(std::iter::empty()),
    }
}

/// How many of a kind of input are changed, however few seeds are asked for.
const FEW: u64 = 20;

/// Tries that many changed inputs.
fn try_all(test: &str, share: u64, input: impl Fn(&mut Dice) -> Result<(), String> + Sync) {
    each_seed(test, count(share).max(FEW), |seed| {
        let began = Instant::now();
        input(&mut Dice::new(seed))?;
        if began.elapsed() > TAKES_AT_MOST {
            return Err(format!("it takes {:?}", began.elapsed()));
        }
        Ok(())
    });
}

/// A plan that was made or read is shown in every form, and carried out as far as it goes.
fn use_plan(plan: &Plan, desired: &Desired, observed: Option<Observed>) {
    let shown = [
        text::plan(plan, &Style::plain(100)),
        html::plan(plan, &html::About::default()),
        json::plan(plan).expect("a plan is JSON"),
    ];
    assert!(shown.iter().all(|text| !text.contains(['\0', '\u{1b}'])));
    if check_alone(plan).is_empty()
        && let Some(observed) = observed
    {
        let hosts = Simulator::new(observed);
        let options = Options::new(desired.hosts.clone());
        run(plan, &hosts, &options, &CancelHandle::new(), &mut |_| {});
    }
}

#[test]
fn any_manifest_is_read_or_refused() {
    try_all("any_manifest", 50, |dice| {
        let all = &CORPUS.manifests;
        let (from, other) = (dice.one_of(all), dice.one_of(all));
        let text = mutate::text(dice, from, other);
        let sources = [Source::new("any.yaml", &text)];
        match load(&sources) {
            Ok(loaded) => {
                let observed = dice.one_of(&CORPUS.scenarios).observed.clone();
                let observed: Observed = serde_json::from_value(observed).expect("a reading");
                let plan = plan(&loaded.desired, &observed);
                match check(&loaded.desired, &observed, &plan).first() {
                    Some(violation) => Err(format!("{violation}\n{text}")),
                    None => Ok(()),
                }
            }
            Err(faults) if faults.is_empty() => Err(format!("refused without a word:\n{text}")),
            Err(_) => Ok(()),
        }
    });
}

#[test]
fn any_definition_is_read_or_refused_and_a_mark_comes_and_goes() {
    try_all("any_definition", 50, |dice| {
        let all = &CORPUS.definitions;
        let (from, other) = (dice.one_of(all), dice.one_of(all));
        let text = mutate::text(dice, from, other);
        let Ok(facts) = definition::read(&text) else {
            return Ok(());
        };
        let unchanged = definition::rewrite(&text, &Rewrite::default());
        if unchanged.as_deref() != Ok(text.as_str()) {
            return Err(format!(
                "a rewrite of nothing changes it or fails: {unchanged:?}\n{text}"
            ));
        }
        let mark = mark();
        if let Ok(marked) = definition::with_mark(&text, &mark) {
            let again = definition::read(&marked).map_err(|error| format!("{error}\n{marked}"))?;
            if again.disks.len() != facts.disks.len() {
                return Err(format!("a mark changes the disks\n{marked}"));
            }
            definition::without_mark(&marked).map_err(|error| format!("{error}\n{marked}"))?;
        }
        Ok(())
    });
}

fn mark() -> MoveMark {
    let host = |name: &str| HostName::new(name).expect("a name");
    MoveMark {
        version: MoveMark::VERSION,
        from: host("kvm1"),
        from_uuid: "1".into(),
        to: host("kvm2"),
        to_uuid: "2".into(),
        was_active: true,
        autostart: false,
        cold: false,
        complete: false,
        source_volumes: Vec::new(),
        created_volumes: Vec::new(),
        created_bases: Vec::new(),
        temporary_volumes: Vec::new(),
        claimed: Vec::new(),
        made: Vec::new(),
        made_at_source: Vec::new(),
        source_bases: Vec::new(),
        kept_bases: Vec::new(),
    }
}

#[test]
fn any_reading_is_read_or_refused_and_planned_with() {
    try_all("any_reading", 20, |dice| {
        let scenarios = &CORPUS.scenarios;
        let scenario = &scenarios[dice.below(scenarios.len())];
        let mut value = scenario.observed.clone();
        let other = dice.below(scenarios.len());
        mutate::tree(dice, &mut value, &scenarios[other].observed);
        let observed = serde_json::from_value::<Observed>(value).ok();
        let Some(observed) = observed.filter(|read| read.contradictions().is_empty()) else {
            return Ok(());
        };
        let plan = plan(&scenario.desired, &observed);
        if let Some(violation) = check(&scenario.desired, &observed, &plan).first() {
            return Err(violation.to_string());
        }
        use_plan(&plan, &scenario.desired, Some(observed));
        Ok(())
    });
}

#[test]
fn any_saved_plan_is_read_or_refused_and_shown() {
    try_all("any_saved_plan", 2, |dice| {
        let scenarios = &CORPUS.scenarios;
        let scenario = &scenarios[dice.below(scenarios.len())];
        let mut value = scenario.plan.clone();
        let other = dice.below(scenarios.len());
        mutate::tree(dice, &mut value, &scenarios[other].plan);
        if let Ok(plan) = serde_json::from_value::<Plan>(value)
            && plan.missing_step().is_none()
        {
            let observed = serde_json::from_value(scenario.observed.clone()).expect("a reading");
            use_plan(&plan, &scenario.desired, Some(observed));
        }
        Ok(())
    });
}

/// Where libvirt or a person has put a secret into a definition, it is nowhere in what people and other programs get.
#[test]
fn no_secret_of_a_definition_is_told() {
    const SECRET: &str = "hunter2";
    let graphics = format!("<devices><graphics type='vnc' passwd='{SECRET}'/>");
    let mut changed = 0;
    for scenario in &CORPUS.scenarios {
        let text = scenario
            .observed
            .to_string()
            .replace("<devices>", &graphics);
        let observed: Observed = serde_json::from_str(&text).expect("a reading");
        let plan = plan(&scenario.desired, &observed);
        changed += plan
            .moves
            .iter()
            .filter(|a_move| a_move.definition.is_some())
            .count();
        let mut told = vec![
            text::plan(&plan, &Style::plain(100)),
            html::plan(&plan, &html::About::default()),
            json::plan(&plan).expect("a plan is JSON"),
            serde_json::to_string(&plan).expect("a plan is JSON"),
        ];
        let options = Options::new(scenario.desired.hosts.clone());
        let hosts = Simulator::new(observed);
        hosts.set_faults(Faults::from_seed(changed as u64));
        run(
            &plan,
            &hosts,
            &options,
            &CancelHandle::new(),
            &mut |event| {
                told.push(stream::event(&plan, event, "now").expect("an event is JSON"));
            },
        );
        assert!(told.iter().all(|text| !text.contains(SECRET)), "{told:#?}");
    }
    assert!(changed > 3, "only {changed} definitions change");
}

#[test]
fn any_record_of_a_lock_is_read_or_refused() {
    let record = LockRecord {
        version: LockRecord::VERSION,
        owner: "root@admin".into(),
        pid: 1,
        purpose: "apply web-1".into(),
        since: 1,
        beats_every: Millis(5000),
    };
    let whole = record.to_text();
    assert_eq!(LockRecord::from_text(&whole), Ok(record));
    try_all("any_record", 5, |dice| {
        let text = mutate::text(dice, &whole, &whole);
        // What was understood is of a size that a person can be told.
        match LockRecord::from_text(&text) {
            Ok(record) if record.to_text().len() > 16_384 => Err(text),
            _ => Ok(()),
        }
    });
}
