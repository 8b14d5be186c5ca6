//! `plan` and `show`, from a recorded reading.

use std::io::Read;
use std::process::Stdio;

use domicile::observed::FORMAT_VERSION;

use super::Place;

const PLAN: &str = "plan --observed observed.json";

#[test]
fn a_plan_with_changes_ends_with_0_or_with_2_where_that_is_asked_for() {
    let place = Place::with_fleet();
    let words = [
        "# web-1 will be migrated live from kvm1 to kvm2",
        "# db-1 will be shut down, moved from kvm2 to kvm1 and started again",
        "Plan: 1 to migrate live, 1 cold (1 reboot)",
    ];
    let _ = place.run(PLAN).ends(0).says(&words);
    let _ = place.run(&format!("{PLAN} --detailed-exitcode")).ends(2);
}

#[test]
fn no_changes_end_with_0_in_any_case() {
    let place = Place::with_fleet();
    let command = format!("{PLAN} --target mail --detailed-exitcode");
    let _ = place.run(&command).ends(0).says(&["No changes."]);
}

#[test]
fn a_refused_change_has_an_exit_code_of_its_own_and_stops_an_apply() {
    let place = Place::with_fleet();
    let manifest = place
        .read("fleet.yaml")
        .replace("mail: kvm3", "mail: { host: kvm3, disks: { vda: bulk } }");
    place.write("fleet.yaml", &manifest);
    let words = ["# mail stays as it is", "blocks", "1 VM is refused"];
    let _ = place.run(PLAN).ends(3).says(&words);
    let apply = "apply --simulate --observed observed.json --auto-approve";
    let _ = place.run(apply).ends(3).complains(&["nothing was started"]);
    let _ = place
        .run(&format!("{apply} --exclude mail"))
        .ends(0)
        .says(&["Apply complete"]);
}

#[test]
fn only_what_is_targeted_is_planned_and_a_wrong_name_gets_the_right_one() {
    let place = Place::with_fleet();
    let outcome = place.run(&format!("{PLAN} --target web-1")).ends(0);
    assert!(!outcome.out.contains("db-1 will"), "{}", outcome.out);
    let _ = place
        .run(&format!("{PLAN} --exclude wbe-1"))
        .ends(1)
        .complains(&["the manifest has no VM wbe-1", "did you mean web-1?"]);
}

#[test]
fn a_plan_as_json_has_its_version_and_totals() {
    let outcome = Place::with_fleet().run(&format!("{PLAN} --json")).ends(0);
    let plan: serde_json::Value =
        serde_json::from_str(&outcome.out).expect("JSON and nothing else");
    assert_eq!(plan["format_version"], "1.0");
    assert_eq!(plan["totals"]["cold"], 1);
    assert_eq!(plan["applyable"], true);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let place = Place::with_fleet();
    let once = place.run(&format!("{PLAN} --json")).ends(0).out;
    assert_eq!(once, place.run(&format!("{PLAN} --json")).ends(0).out);
}

#[test]
fn a_saved_plan_is_shown_as_it_was() {
    let place = Place::with_fleet();
    let saved = place
        .run(&format!("{PLAN} --out web.plan"))
        .ends(0)
        .says(&["domicile apply web.plan"]);
    let shown = place
        .run("show web.plan")
        .ends(0)
        .says(&["the hosts may have changed since"]);
    let plan = saved
        .out
        .split("\nSaved to")
        .next()
        .expect("there is a plan");
    assert!(shown.out.starts_with(plan), "{}", shown.out);
    let _ = place
        .run("show observed.json")
        .ends(0)
        .says(&["3 of 3 hosts answered"]);
}

#[test]
fn a_plan_file_that_was_changed_is_refused() {
    let place = Place::with_fleet();
    let _ = place.run(&format!("{PLAN} --out web.plan")).ends(0);
    let text = place.read("web.plan");
    place.write(
        "web.plan",
        &text.replacen("\"reboots\": true", "\"reboots\": false", 1),
    );
    assert_ne!(text, place.read("web.plan"));
    for command in ["show web.plan", "apply web.plan"] {
        let _ = place
            .run(command)
            .ends(1)
            .complains(&["its checksum does not fit", "plan again"]);
    }
}

#[test]
fn files_of_a_newer_domicile_and_files_of_another_kind_are_refused() {
    let place = Place::with_fleet();
    let ours = format!("\"format_version\":\"{FORMAT_VERSION}\"");
    let reading = place.read("observed.json");
    assert!(reading.contains(&ours));
    let newer = reading.replacen(&ours, "\"format_version\":\"2.0\"", 1);
    place.write("newer.json", &newer);
    let words = [
        "newer.json has format_version 2.0",
        "written by a newer Domicile",
    ];
    let _ = place
        .run("plan --observed newer.json")
        .ends(1)
        .complains(&words);
    place.write("broken.json", "{ \"format_version\":");
    let _ = place
        .run("plan --observed broken.json")
        .ends(1)
        .complains(&["is not JSON"]);
    let elsewhere = reading.replacen("\"volume\":[\"default\"", "\"volume\":[\"elsewhere\"", 1);
    assert_ne!(elsewhere, reading);
    place.write("changed.json", &elsewhere);
    let words = [
        "changed.json contradicts itself",
        "on volume elsewhere/",
        "make a new one",
    ];
    let _ = place
        .run("plan --observed changed.json")
        .ends(1)
        .complains(&words);
    let _ = place
        .run("apply observed.json")
        .ends(1)
        .complains(&["is not a saved plan"]);
    let _ = place
        .run("plan --observed nowhere.json")
        .ends(1)
        .complains(&["cannot be read"]);
}

#[test]
fn hosts_that_do_not_answer_are_named_with_the_reason() {
    let place = Place::with_fleet();
    let _ = place.run("plan --timeout 5s").ends(1).complains(&[
        "no host answered",
        "kvm1:",
        "kvm2:",
        "kvm3:",
        "virsh -c",
    ]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::with_fleet();
    let mut child = place
        .command(&format!("{PLAN} --detailed-exitcode"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let mut err = String::new();
    let mut pipe = child.stderr.take().expect("it is a pipe");
    pipe.read_to_string(&mut err).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(2));
    assert_eq!(err, "");
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let place = Place::with_fleet();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("Linux has it");
    let status = place
        .command(PLAN)
        .stdout(full)
        .stderr(Stdio::null())
        .status();
    assert_eq!(status.expect("the program starts").code(), Some(1));
}

#[test]
fn a_plan_is_a_page_for_a_browser_also_when_it_was_saved() {
    let place = Place::with_fleet();
    let made = place.run(&format!("{PLAN} --format html --out web.plan"));
    let page = made
        .ends(0)
        .says(&["<!DOCTYPE html>", "web-1", "Content-Security-Policy"])
        .out;
    assert!(page.ends_with("</html>"), "nothing follows the page");
    // A VM that the plan leaves alone is shown on its host, also from the file.
    let stays = "<li data-vm=\"mail\">";
    let shown = place.run("show web.plan --format html");
    let _ = shown
        .ends(0)
        .says(&[stays, "the hosts may have changed since"]);
    assert!(page.contains(stays));
    let reading = place.run("show observed.json --format html");
    let _ = reading
        .ends(64)
        .complains(&["is a reading of hosts, not a plan"]);
}
