//! `plan --drift`: what somebody else changed since the last apply, told apart from what the manifest wants.

use serde_json::Value;

use super::Place;

/// A fleet after an apply that left its state.
fn applied() -> Place {
    let place = Place::with_fleet();
    let line = "apply --simulate --observed observed.json --auto-approve --state-out state.json";
    let _ = place.run(line).ends(0).says(&["Apply complete"]);
    place
}

/// Hosts as the state says, after somebody has worked on them.
fn meddle(place: &Place, how: impl Fn(&mut Value)) {
    let mut reading: Value =
        serde_json::from_str(&place.read("state.json")).expect("a reading is JSON");
    reading["taken_at"] = 1_767_225_600_000_u64.into();
    how(&mut reading["hosts"]);
    place.write("now.json", &reading.to_string());
}

fn vm<'r>(hosts: &'r mut Value, host: &str, vm: &str) -> &'r mut Value {
    let found = &mut hosts[host]["reached"]["vms"][vm];
    assert!(found.is_object(), "{vm} is on {host}");
    found
}

fn carry_by_hand(hosts: &mut Value, name: &str, from: &str, to: &str) {
    let taken = vm(hosts, from, name).clone();
    let all = hosts[from]["reached"]["vms"].as_object_mut();
    let _ = all.expect("it has VMs").remove(name);
    hosts[to]["reached"]["vms"][name] = taken;
}

const DRIFT: &str = "plan --drift state.json --observed now.json";

fn report(place: &Place, code: i32) -> Value {
    let out = place.run(&format!("{DRIFT} --json")).ends(code).out;
    serde_json::from_str(&out).expect("JSON")
}

#[test]
fn after_an_apply_there_is_no_drift_until_somebody_changes_something() {
    let place = applied();
    meddle(&place, |_| {});
    let _ = place
        .run(&format!("{DRIFT} --detailed-exitcode"))
        .ends(0)
        .says(&["No drift since "]);
    meddle(&place, |hosts| {
        carry_by_hand(hosts, "mail", "kvm3", "kvm1");
        vm(hosts, "kvm2", "web-1")["detail"]["inactive_xml"] = "<domain/>".into();
    });
    let _ = place.run(DRIFT).ends(10).says(&[
        "moved mail is on kvm1 instead of kvm3 (the next apply undoes it)",
        "definition the definition of web-1 on kvm2 was changed",
        "Drift: 2 since ",
        "(1 moved, 1 definition).",
    ]);
    let report = report(&place, 10);
    assert_eq!(report["drifted"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["drifted"][0]["verdict"], "undone");
    assert_eq!(report["drifted"][1]["verdict"], "left");
    // The way back is no wish of its own.
    assert_eq!(report["wanted"], serde_json::json!([]));
}

#[test]
fn what_the_manifest_wants_is_no_drift_and_is_told_apart() {
    let place = applied();
    meddle(&place, |_| {});
    let manifest = place.read("fleet.yaml").replace("mail: kvm3", "mail: kvm1");
    place.write("fleet.yaml", &manifest);
    let wishes = "; the manifest wants 1 change besides";
    let _ = place.run(DRIFT).ends(0).says(&["No drift", wishes]);
    let _ = place.run(&format!("{DRIFT} --detailed-exitcode")).ends(2);
    // Somebody did by hand what the manifest wants by now.
    meddle(&place, |hosts| carry_by_hand(hosts, "mail", "kvm3", "kvm1"));
    let report = report(&place, 10);
    assert_eq!(report["drifted"][0]["verdict"], "wanted");
    assert_eq!(report["wanted"], serde_json::json!([]));
}

#[test]
fn hosts_vms_power_and_disks_drift_each_in_its_way() {
    let place = applied();
    meddle(&place, |hosts| {
        let mail = vm(hosts, "kvm3", "mail").clone();
        hosts["kvm2"]["reached"]["vms"]["mail"] = mail;
        vm(hosts, "kvm2", "web-1")["power"]["state"] = "shut-off".into();
        let kvm1 = &mut hosts["kvm1"]["reached"];
        kvm1["uuid"] = "another".into();
        let db = &mut kvm1["vms"]["db-1"]["detail"]["disks"][0];
        db["path"] = "/elsewhere/db-1.qcow2".into();
        db["volume"] = Value::Null;
    });
    let report = report(&place, 10);
    let drifted = report["drifted"].as_array().expect("a list");
    let kinds: Vec<&str> = drifted
        .iter()
        .filter_map(|one| one["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["host-replaced", "disk", "second", "power"]);
    assert_eq!(drifted[1]["is"], "/elsewhere/db-1.qcow2");

    // VMs of a host that does not answer are not called missing.
    meddle(&place, |hosts| {
        hosts["kvm3"] = serde_json::json!({ "unreachable": { "reason": "no route", "after": 1 } });
    });
    let line = place.run(&format!("{DRIFT} --format line")).ends(10).out;
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains("(1 host-silent)"), "{line}");
}

#[test]
fn monitoring_gets_metrics_in_a_file_that_is_there_in_full_at_every_moment() {
    let place = applied();
    meddle(&place, |hosts| carry_by_hand(hosts, "mail", "kvm3", "kvm1"));
    place.write("domicile.prom", "old\n");
    let line = format!("{DRIFT} --metrics-out domicile.prom");
    let _ = place.run(&line).ends(10);
    let metrics = place.read("domicile.prom");
    assert!(
        metrics.contains("\ndomicile_drift{kind=\"moved\"} 1\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("\ndomicile_drift{kind=\"disk\"} 0\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("\ndomicile_drift_checked_timestamp_seconds 1767225600\n"),
        "{metrics}"
    );
    // Each line is a comment or a sample, and each sample's name has been declared.
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.split_once(' ').expect("a series and a value");
        let name = series.split('{').next().unwrap_or_default();
        assert!(
            metrics.contains(&format!("# TYPE {name} gauge\n")),
            "{line}"
        );
        assert!(value.parse::<u64>().is_ok(), "{line}");
    }
    let files = place.folder.path().read_dir().expect("it is there");
    let left = files.filter_map(Result::ok).map(|file| file.file_name());
    let left: Vec<_> = left
        .filter(|name| name.to_string_lossy().contains(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // A run that cannot tell leaves the old figures, whose time gives them away.
    let _ = place
        .run("plan --drift gone.json --observed now.json --metrics-out domicile.prom")
        .ends(1);
    assert_eq!(place.read("domicile.prom"), metrics);
}

#[test]
fn an_apply_with_nothing_to_do_leaves_its_state_too() {
    let place = applied();
    let line = "apply --simulate --observed state.json --auto-approve --state-out again.json";
    let _ = place.run(line).ends(0).says(&["No changes"]);
    let _ = place
        .run("plan --drift again.json --observed state.json")
        .ends(0);
}

#[test]
fn drift_has_no_graph_and_no_plan_file() {
    let place = applied();
    meddle(&place, |_| {});
    let _ = place
        .run(&format!("{DRIFT} --format mermaid"))
        .ends(64)
        .complains(&["text, json or line"]);
    let _ = place.run(&format!("{DRIFT} --out web.plan")).ends(64);
    let _ = place.run("plan --metrics-out x.prom").ends(64);
}
