//! The lines of `apply --json`, held by a snapshot and by their schema.

use domicile::render::stream;

use super::{events, sample};

const NOW: &str = "2026-01-02T03:04:05.678Z";

fn lines() -> Vec<String> {
    let plan = sample::plan();
    let mut lines = stream::announce(&plan, "0.1.0", NOW).expect("JSON");
    let events = events();
    let of_events = events.iter().map(|event| stream::event(&plan, event, NOW));
    lines.extend(of_events.map(|line| line.expect("JSON")));
    lines
}

#[test]
fn the_stream_of_an_apply() {
    insta::assert_snapshot!(lines().join("\n"));
}

#[test]
fn every_line_is_as_the_schema_says_and_the_first_says_the_version() {
    let validator = jsonschema::validator_for(&stream::schema()).unwrap();
    let values: Vec<serde_json::Value> = lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(values[0]["type"], "version");
    assert_eq!(values[0]["format_version"], stream::FORMAT_VERSION);
    for value in &values {
        let errors: Vec<String> = validator
            .iter_errors(value)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{value}: {errors:?}");
        for key in ["@level", "@message", "@module", "@timestamp", "type"] {
            assert!(value[key].is_string(), "{key} in {value}");
        }
    }
    let of_type = |wanted: &str| values.iter().find(|value| value["type"] == wanted).unwrap();
    assert_eq!(of_type("apply_errored")["@level"], "error");
    assert_eq!(of_type("apply_errored")["at"], 50_400);
    let progress = of_type("apply_progress");
    // 4096 MiB less 500 at 100 MiB/s.
    assert_eq!(progress["left"], 35_960);
    assert_eq!(progress["step"]["vms"], serde_json::json!(["web-1"]));
    let mut wrong = values[0].clone();
    wrong["type"] = "no_such_type".into();
    assert!(!validator.is_valid(&wrong));
}
