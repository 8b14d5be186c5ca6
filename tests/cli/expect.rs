//! `apply --expect`: the plan that was reviewed, or none.

use super::Place;

const APPLY: &str = "apply --simulate --observed observed.json --auto-approve";

fn hash(place: &Place) -> String {
    let text = place.run("plan --observed observed.json").ends(0).out;
    let line = text.lines().find_map(|line| line.strip_prefix("Hash: "));
    line.expect("a plan has a hash").to_owned()
}

/// `db-1` is moved cold to kvm1; now it shall go elsewhere.
fn change(place: &Place) {
    let manifest = place
        .read("fleet.yaml")
        .replace("host: kvm1\n", "host: kvm3\n");
    place.write("fleet.yaml", &manifest);
}

#[test]
fn the_plan_that_was_expected_is_carried_out() {
    let place = Place::with_fleet();
    let hash = hash(&place);
    let json = place
        .run("plan --observed observed.json --json")
        .ends(0)
        .out;
    assert!(json.contains(&format!("\"hash\": \"{hash}\"")), "{json}");
    let comment = place
        .run("plan --observed observed.json --format markdown")
        .ends(0);
    let _ = comment.says(&[&hash]);
    let line = format!("{APPLY} --expect {hash}");
    let _ = place.run(&line).ends(0).says(&["Apply complete"]);
}

#[test]
fn another_plan_than_the_expected_one_is_not_begun() {
    let place = Place::with_fleet();
    let was = hash(&place);
    change(&place);
    let now = hash(&place);
    let line = format!("{APPLY} --expect {was} --journal apply.jsonl");
    // The plan as it is now stands above, so that people see what they would have got.
    let _ = place
        .run(&line)
        .ends(9)
        .says(&["moved from kvm2 to kvm3"])
        .complains(&["is not the one that was expected", &was, &now]);
    assert!(!place.path("apply.jsonl").exists());
}

#[test]
fn with_the_reviewed_file_every_difference_is_named() {
    let place = Place::with_fleet();
    let _ = place
        .run("plan --observed observed.json --out web.plan")
        .ends(0);
    let line = format!("{APPLY} --expect web.plan");
    let _ = place.run(&line).ends(0);
    change(&place);
    let _ = place.run(&line).ends(9).complains(&[
        "db-1: cold from kvm2 to kvm3, with a reboot instead of cold from kvm2 to kvm1, with a reboot",
    ]);
    let _ = place
        .run(&format!("{APPLY} --expect 12ab"))
        .ends(1)
        .complains(&["12ab cannot be read", "64 hexadecimal digits"]);
}

#[test]
fn a_plan_that_changed_only_in_its_figures_is_the_same() {
    let place = Place::with_fleet();
    let was = hash(&place);
    let mut reading: serde_json::Value =
        serde_json::from_str(&place.read("observed.json")).expect("a reading is JSON");
    let kvm1 = &mut reading["hosts"]["kvm1"]["reached"];
    kvm1["memory_free"] = 4096.into();
    let disk = &mut kvm1["vms"]["web-1"]["detail"]["disks"][0]["allocation"];
    assert!(disk.is_u64(), "{disk}");
    *disk = (disk.as_u64().unwrap_or_default() + 65_536).into();
    place.write("observed.json", &reading.to_string());
    assert_eq!(hash(&place), was);
}
