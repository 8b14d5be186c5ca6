//! `plan --records`: journals of earlier applies correct the forecasts.

use super::Place;

const PLAN: &str = "plan --observed observed.json";

impl Place {
    /// The journal of an apply, as if real hosts had taken so many times as long as was reckoned.
    fn journal(&self, name: &str, times: u64) {
        let _ = self
            .run(&format!(
                "apply --simulate --observed observed.json --auto-approve --journal {name}"
            ))
            .ends(0);
        let text = self.read(name);
        let mut lines = text.lines();
        let first = lines.next().expect("a journal has a first line");
        let mut header: serde_json::Value = serde_json::from_str(first).expect("JSON");
        header["times"] = "measured".into();
        let mut out = vec![header.to_string()];
        for line in lines {
            let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let what = &mut line["event"]["what"];
            let known = header["reckoned"].as_array().expect("a list");
            let known = known.iter().find(|it| it["step"] == what["step"]);
            if let (Some(known), "step-done") = (known, what["type"].as_str().unwrap_or_default()) {
                let reckoned = known["time"].as_u64().expect("a number");
                what["took"] = (reckoned * times).into();
            }
            out.push(line.to_string());
        }
        self.write(name, &(out.join("\n") + "\n"));
    }

    /// Three journals in the folder `records`, with durations three times as long as reckoned.
    fn with_records() -> Self {
        let place = Self::with_fleet();
        std::fs::create_dir(place.path("records")).expect("the folder can be written");
        for name in ["a.jsonl", "b.jsonl", "c.jsonl.rollback"] {
            place.journal(&format!("records/{name}"), 3);
        }
        place.write("records/README", "no journal, and none by its name");
        place
    }

    fn made(&self, arguments: &str) -> serde_json::Value {
        let outcome = self.run(&format!("{PLAN} --json {arguments}")).ends(0);
        serde_json::from_str(&outcome.out).expect("a plan is JSON")
    }
}

#[test]
fn a_folder_of_journals_corrects_the_forecast_and_every_format_says_so() {
    let place = Place::with_records();
    let (reckoned, corrected) = (place.made(""), place.made("--records records"));
    let live = |plan: &serde_json::Value| {
        let steps = plan["steps"].as_array().expect("a list").clone();
        let live = steps
            .into_iter()
            .find(|step| step["action"]["action"] == "migrate-live");
        live.expect("one goes live")["forecast"]["duration"]
            .as_u64()
            .expect("a number")
    };
    assert_eq!(live(&corrected), 3 * live(&reckoned));
    assert!(corrected["makespan"].as_u64() > reckoned["makespan"].as_u64());
    assert_eq!(corrected["calibration"]["live"], 3000);
    assert!(reckoned.get("calibration").is_none());
    assert_eq!(corrected["hash"], reckoned["hash"]);
    let said = "Forecasts are corrected by earlier applies: live migrations 300 %";
    for format in ["text", "markdown", "html", "line"] {
        let with = format!("{PLAN} --records records --format {format}");
        // Signs that mean something in Markdown are written as entities there.
        let with = place.run(&with).ends(0).out.replace("&#58;", ":");
        let words: Vec<&str> = with.split_whitespace().collect();
        assert!(words.join(" ").contains(said), "{format}: {with}");
        let without = place.run(&format!("{PLAN} --format {format}")).ends(0);
        assert!(!without.out.contains("earlier applies"), "{format}");
    }
}

#[test]
fn a_saved_plan_keeps_what_its_forecasts_are_corrected_by() {
    let place = Place::with_records();
    let _ = place
        .run(&format!("{PLAN} --records records --out web.plan"))
        .ends(0);
    std::fs::remove_dir_all(place.path("records")).expect("the folder can be written");
    let _ = place
        .run("show web.plan")
        .ends(0)
        .says(&["live migrations 300 %"]);
    let _ = place
        .run("apply web.plan --records records")
        .ends(64)
        .complains(&["cannot be used with"]);
}

#[test]
fn journals_that_teach_nothing_are_told_and_are_no_error() {
    let place = Place::with_records();
    let _ = place
        .run(&format!(
            "{PLAN} --records records/a.jsonl --records records/a.jsonl"
        ))
        .ends(0)
        .complains(&["forecasts are as reckoned", "fewer than 3"]);
    let _ = place
        .run("apply --simulate --observed observed.json --auto-approve --journal sim.jsonl")
        .ends(0);
    let _ = place
        .run(&format!("{PLAN} --records sim.jsonl"))
        .ends(0)
        .complains(&["sim.jsonl tells of an apply on hosts in memory"]);
    std::fs::create_dir(place.path("empty")).expect("the folder can be written");
    let _ = place
        .run(&format!("{PLAN} --records empty"))
        .ends(0)
        .complains(&["there are no journals in empty", ".jsonl"]);
}

#[test]
fn a_broken_journal_is_refused_with_its_name_and_line() {
    let place = Place::with_records();
    let good = place.read("records/a.jsonl");
    let broken = good.replacen("\n{", "\n{{", 2);
    let newer = good.replacen(r#""format_version":"1."#, r#""format_version":"7."#, 1);
    let binary = "\u{0}\u{1b}[31m";
    for (text, words) in [
        (
            broken.as_str(),
            [
                "records/b.jsonl is no journal: line 2, column 2",
                "apply --journal FILE",
            ],
        ),
        (
            newer.as_str(),
            [
                "records/b.jsonl has format_version 7.",
                "apply --journal FILE",
            ],
        ),
        (
            binary,
            ["records/b.jsonl is no journal", "apply --journal FILE"],
        ),
        (
            "",
            ["records/b.jsonl is no journal", "apply --journal FILE"],
        ),
        (
            "{}",
            [
                "records/b.jsonl does not say its format_version",
                "apply --journal FILE",
            ],
        ),
    ] {
        place.write("records/b.jsonl", text);
        let _ = place
            .run(&format!("{PLAN} --records records"))
            .ends(1)
            .complains(&words);
    }
    let _ = place
        .run(&format!("{PLAN} --records nowhere.jsonl"))
        .ends(1)
        .complains(&["nowhere.jsonl cannot be read"]);
}
