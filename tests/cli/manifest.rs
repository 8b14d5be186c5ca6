//! Commands that need the manifest alone.

use super::Place;

#[test]
fn a_right_manifest_is_called_valid_without_asking_a_host() {
    let place = Place::with_fleet();
    let outcome = place.run("validate").ends(0);
    assert_eq!(outcome.out, "The manifest is valid: 3 hosts, 3 VMs.\n");
    assert_eq!(outcome.err, "");
}

#[test]
fn every_fault_of_a_manifest_is_reported_at_once_with_its_line() {
    let place = Place::new();
    place.write("fleet.yaml", "version: 1\nhosts:\n  kvm1: qemu:///system\nvms:\n  web-1: kvm2\n  web-2: { hots: kvm1 }\n");
    let _ = place
        .run("validate")
        .ends(1)
        .complains(&["web-1: kvm2", "did you mean", "hots"]);
}

#[test]
fn the_lines_of_a_manifest_cannot_act_on_the_terminal() {
    let place = Place::new();
    place.write(
        "fleet.yaml",
        "version: 1\nhosts: {}\nvms:\n  web\u{202e}1: kvm2\n",
    );
    let outcome = place.run("validate").ends(1);
    assert!(!outcome.err.contains('\u{202e}'), "{}", outcome.err);
}

#[test]
fn a_missing_manifest_is_an_error_with_the_way_in() {
    let _ = Place::new()
        .run("plan")
        .ends(1)
        .complains(&["fleet.yaml cannot be read", "domicile import"]);
}

#[test]
fn a_folder_is_a_manifest_too() {
    let place = Place::with_fleet();
    let _ = place.run("validate -f .").ends(0).says(&["3 hosts, 3 VMs"]);
}

#[test]
fn the_schema_is_json_and_knows_the_sections() {
    let outcome = Place::new().run("schema").ends(0);
    let schema: serde_json::Value = serde_json::from_str(&outcome.out).expect("JSON");
    for section in ["hosts", "vms", "migration"] {
        assert!(schema["properties"].get(section).is_some(), "{section}");
    }
}
