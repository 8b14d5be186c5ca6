//! What Domicile writes for programs is as its schemas say: every scenario's plan and reading, and the example's.

use std::path::{Path, PathBuf};

use domicile::observed::Observed;
use domicile::render::json;
use domicile::{manifest, planner};
use jsonschema::Validator;

fn schema(name: &str) -> Validator {
    let path = root().join(format!("schemas/{name}.schema.json"));
    let text = std::fs::read_to_string(path).expect("the schema is there");
    let schema = serde_json::from_str(&text).expect("a schema is JSON");
    jsonschema::validator_for(&schema).expect("a right schema")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

#[track_caller]
fn is_valid(validator: &Validator, text: &str, what: &str) {
    let value = serde_json::from_str(text).expect("JSON");
    let errors: Vec<String> = validator
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}");
}

#[test]
fn plans_and_readings_are_as_their_schemas_say() {
    let (plans, readings) = (schema("plan"), schema("reading"));
    let mut seen = 0;
    for folder in crate::scenarios::folders() {
        let sources = manifest::read(&[folder.join("manifest.yaml")]).expect("a manifest");
        let desired = manifest::load(&sources).expect("a right manifest").desired;
        let text = std::fs::read_to_string(folder.join("observed.json")).expect("a reading");
        let observed: Observed = serde_json::from_str(&text).expect("a right reading");
        let plan = planner::plan(&desired, &observed);
        let what = folder.display().to_string();
        is_valid(&plans, &json::plan(&plan).expect("JSON"), &what);
        is_valid(&readings, &json::observed(&observed).expect("JSON"), &what);
        seen += 1;
    }
    assert!(seen > 5);
}

#[test]
fn the_schemas_refuse_what_is_none_of_theirs() {
    let nothing = serde_json::json!({});
    for name in ["plan", "saved-plan", "reading", "drift", "events"] {
        assert!(!schema(name).is_valid(&nothing), "{name}");
    }
}

#[test]
fn drift_is_as_its_schema_says() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let reading = root().join("examples/quickstart/observed.json");
    let text = std::fs::read_to_string(reading).expect("a reading");
    let mut now: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    // Every VM is gone.
    let hosts = now["hosts"].as_object_mut().expect("there are hosts");
    for host in hosts.values_mut() {
        host["reached"]["vms"] = serde_json::json!({});
    }
    std::fs::write(folder.path().join("now.json"), now.to_string()).expect("room for a file");
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_domicile"))
        .args(["plan", "-f", "examples/quickstart/fleet.yaml", "--json"])
        .args(["--drift", "examples/quickstart/observed.json", "--observed"])
        .arg(folder.path().join("now.json"))
        .current_dir(root())
        .output()
        .expect("the program starts");
    assert_eq!(made.status.code(), Some(10));
    let text = String::from_utf8(made.stdout).expect("text");
    assert!(text.contains("\"missing\""), "{text}");
    is_valid(&schema("drift"), &text, "drift");
}

#[test]
fn a_saved_plan_is_as_its_schema_says() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_domicile"))
        .args(["plan", "-f", "examples/quickstart/fleet.yaml", "--observed"])
        .args(["examples/quickstart/observed.json", "--out"])
        .arg(folder.path().join("web.plan"))
        .current_dir(root())
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.expect("the program starts").success());
    let text = std::fs::read_to_string(folder.path().join("web.plan")).expect("it was written");
    is_valid(&schema("saved-plan"), &text, "web.plan");
}
