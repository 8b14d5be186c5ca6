//! `import` and `observe`, on the host that libvirt's library plays itself (`test:///default`): no daemon is needed.

use super::Place;

const IMPORT: &str = "import --uri one=test:///default";

#[test]
fn what_is_imported_is_a_manifest_with_which_there_is_nothing_to_do() {
    let place = Place::new();
    let _ = place
        .run(&format!("{IMPORT} --out fleet.yaml"))
        .ends(0)
        .says(&["Wrote fleet.yaml"]);
    assert!(place.read("fleet.yaml").contains("one: test:///default"));
    let _ = place
        .run("plan --detailed-exitcode")
        .ends(0)
        .says(&["No changes."]);
}

#[test]
fn a_manifest_that_is_there_is_not_overwritten() {
    let place = Place::new();
    place.write("fleet.yaml", "mine");
    let words = ["fleet.yaml cannot be written", "choose another name"];
    let _ = place
        .run(&format!("{IMPORT} --out fleet.yaml"))
        .ends(1)
        .complains(&words);
    assert_eq!(place.read("fleet.yaml"), "mine");
}

#[test]
fn a_host_that_does_not_answer_is_named_and_nothing_is_written() {
    let place = Place::new();
    let line = format!("{IMPORT} --uri two=qemu+tcp://127.0.0.1:1/system --out fleet.yaml");
    let _ = place
        .run(&line)
        .ends(1)
        .complains(&["not every host answered", "two: cannot connect"]);
    assert!(!place.path("fleet.yaml").exists());
}

#[test]
fn hosts_need_names_of_their_own_and_uris() {
    let place = Place::new();
    let words = ["would both be called localhost", "--uri one=URI"];
    let _ = place
        .run("import --uri qemu:///system --uri test:///default")
        .ends(1)
        .complains(&words);
    let _ = place
        .run("import --uri kvm1")
        .ends(1)
        .complains(&["is not a libvirt URI"]);
}

#[test]
fn a_reading_shows_who_answered_and_who_did_not() {
    let place = Place::new();
    place.write(
        "fleet.yaml",
        "version: 1\nhosts:\n  one: test:///default\n  two: qemu+tcp://127.0.0.1:1/system\n",
    );
    let words = ["two did not answer", "1 of 2 hosts answered"];
    let _ = place.run("observe --out reading.json").ends(0).says(&words);
    let _ = place.run("show reading.json").ends(0).says(&words);
    let outcome = place.run("observe --json").ends(0);
    let reading: serde_json::Value =
        serde_json::from_str(&outcome.out).expect("JSON and nothing else");
    assert!(
        reading["hosts"]["two"]["unreachable"]["reason"].is_string(),
        "{reading}"
    );
}

#[test]
fn a_saved_plan_that_has_nothing_to_do_asks_nobody_and_is_done() {
    let place = Place::new();
    let _ = place.run(&format!("{IMPORT} --out fleet.yaml")).ends(0);
    let _ = place.run("plan --out one.plan").ends(0);
    let _ = place.run("apply one.plan").ends(0).says(&["No changes."]);
}
