//! Every folder of `tests/scenarios` is a case: what is wanted, what was read, and the plan that must come of it.
//!
//! The folder's name is what is shown. Each plan is checked, carried out on hosts in memory, and planning again must
//! find nothing that can still be done; not where a migration is under way, which those hosts know nothing of (the
//! migrations that seeds find under way are their own). `DOMICILE_UPDATE_SCENARIOS=1 cargo test scenarios` writes the plans anew;
//! read the difference before it is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use domicile::apply::{self, CancelHandle, Event, Options};
use domicile::hypervisor::{Depth, Hypervisor as _, ObserveRequest};
use domicile::model::Millis;
use domicile::observed::Observed;
use domicile::plan::{Action, Plan, check};
use domicile::render::{Style, text};
use domicile::simulator::Simulator;
use domicile::{desired::Desired, manifest, planner};

pub(crate) fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = std::fs::read_dir(root).expect("the scenarios are there");
    let mut folders: Vec<_> = entries
        .map(|entry| entry.expect("a readable entry").path())
        .collect();
    folders.sort();
    folders
}

fn planned(desired: &Desired, observed: &Observed, name: &str) -> Plan {
    let plan = planner::plan(desired, observed);
    assert_eq!(check::check(desired, observed, &plan), Vec::new(), "{name}");
    plan
}

/// Applies on hosts in memory and plans again: what is left must be what was refused from the start.
fn carry_out(desired: &Desired, observed: &Observed, first: &Plan, name: &str) {
    let hosts = Simulator::new(observed.clone());
    let mut events = Vec::new();
    let mut sink = |event: &Event| events.push(event.clone());
    let options = Options::new(desired.hosts.clone());
    let summary = apply::run(first, &hosts, &options, &CancelHandle::default(), &mut sink);
    assert_eq!(summary.steps_done, first.steps.len(), "{name}: {events:#?}");
    assert_eq!(hosts.breaches(), Vec::new(), "{name}");
    let request = ObserveRequest {
        hosts: desired.hosts.clone(),
        depth: Depth::Full,
        fits: Vec::new(),
        ask_qemu: BTreeSet::new(),
        refresh: BTreeMap::new(),
        volumes: BTreeMap::new(),
        timeout: Millis::from_secs(10),
    };
    let again = planned(desired, &hosts.observe(&request), name);
    assert!(again.steps.is_empty(), "{name}: {again:#?}");
    assert_eq!(again.is_blocked(), first.is_blocked(), "{name}");
}

#[test]
fn every_scenario_gives_its_plan_and_the_plan_does_what_it_says() {
    let update = std::env::var_os("DOMICILE_UPDATE_SCENARIOS").is_some();
    let mut differing = Vec::new();
    for folder in folders() {
        let name = folder
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let sources = manifest::read(&[folder.join("manifest.yaml")]).expect("a manifest");
        let loaded = manifest::load(&sources).expect("a right manifest");
        let read = std::fs::read_to_string(folder.join("observed.json")).expect("a reading");
        let observed: Observed = serde_json::from_str(&read).expect("a right reading");
        let plan = planned(&loaded.desired, &observed, &name);
        let shown = text::plan(&plan, &Style::plain(110));
        let expected = folder.join("plan.txt");
        if update {
            std::fs::write(&expected, &shown).expect("a plan that can be written");
        }
        if std::fs::read_to_string(&expected).unwrap_or_default() != shown {
            differing.push(format!("{name}:\n{shown}"));
        }
        let mut actions = plan.steps.iter().map(|step| &step.action);
        if !actions.any(|action| matches!(action, Action::AwaitMigration { .. })) {
            carry_out(&loaded.desired, &observed, &plan, &name);
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
