//! `apply --rollback` on hosts in memory.

use super::Place;

const APPLY: &str = "apply --simulate --observed observed.json --auto-approve";

#[test]
fn an_apply_is_undone_by_its_journal_as_a_plan_that_is_shown() {
    let place = Place::with_fleet();
    let _ = place.run(&format!("{APPLY} --journal there.jsonl")).ends(0);
    // As the hosts are after it: the two have changed places.
    let mut reading: serde_json::Value =
        serde_json::from_str(&place.read("observed.json")).unwrap();
    let hosts = reading["hosts"].as_object_mut().unwrap();
    for of in ["vms", "pools"] {
        let [one, other] = ["kvm1", "kvm2"].map(|host| hosts[host]["reached"][of].clone());
        hosts["kvm1"]["reached"][of] = other;
        hosts["kvm2"]["reached"][of] = one;
    }
    place.write("observed.json", &reading.to_string());
    let _ = place
        .run(&format!("{APPLY} --rollback there.jsonl"))
        .ends(0)
        .says(&[
            "web-1 will be migrated live from kvm2 to kvm1",
            "db-1 will be shut down, moved from kvm1 to kvm2 and started again",
            "Apply complete: 2 done",
        ])
        .complains(&["the manifest is not changed by this"]);
}

#[test]
fn what_is_where_it_was_needs_no_undoing() {
    let place = Place::with_fleet();
    let _ = place.run(&format!("{APPLY} --journal there.jsonl")).ends(0);
    let _ = place
        .run(&format!("{APPLY} --rollback there.jsonl"))
        .ends(0)
        .says(&["No changes."]);
}

#[test]
fn a_file_that_is_no_journal_and_a_vm_that_is_not_named_any_more_are_refused() {
    let place = Place::with_fleet();
    let _ = place
        .run(&format!("{APPLY} --rollback fleet.yaml"))
        .ends(1)
        .complains(&["fleet.yaml"]);
    let _ = place.run(&format!("{APPLY} --journal there.jsonl")).ends(0);
    let without = place.read("fleet.yaml").replace("  web-1: kvm2\n", "");
    place.write("fleet.yaml", &without);
    let _ = place
        .run(&format!("{APPLY} --rollback there.jsonl"))
        .ends(3)
        .complains(&["does not name web-1 any more", "nothing was started"]);
}

#[test]
fn the_manifest_says_what_comes_of_a_failure() {
    let place = Place::with_fleet();
    for policy in ["continue", "stop", "rollback"] {
        let text = format!("{}on_failure: {policy}\n", super::MANIFEST);
        place.write("fleet.yaml", &text);
        let _ = place.run("validate").ends(0);
    }
    place.write(
        "fleet.yaml",
        &format!("{}on_failure: retry\n", super::MANIFEST),
    );
    let _ = place.run("validate").ends(1).complains(&["rollback"]);
}
