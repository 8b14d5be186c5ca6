//! The example pipelines, each shell step run as it is written: a plan becomes a comment that is kept up to date, what
//! was approved is applied and nothing else, and drift is told. Only the forge behind curl is a stub.

mod job;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::planner::fleet::Fleet;
use job::{Ended, Names, Step};

const MARKER: &str = "<!-- domicile-plan: production -->";

/// One of the forges, and the fleet in whose repository its jobs run.
struct Forge {
    name: &'static str,
    bot: &'static str,
    folder: tempfile::TempDir,
}

const MANIFEST: &str = "\
version: 1
hosts:
  kvm1: qemu+ssh://root@kvm1/system
  kvm2: qemu+ssh://root@kvm2/system
vms:
  web-1: kvm2
";

impl Forge {
    fn all() -> Vec<Self> {
        let forges = [
            ("github", "github-actions[bot]"),
            ("forgejo", "forgejo-actions"),
            ("gitlab", "domicile-bot"),
        ];
        forges
            .into_iter()
            .map(|(name, bot)| Self::new(name, bot))
            .collect()
    }

    fn new(name: &'static str, bot: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let mut fleet = Fleet::new(2, 16);
        fleet.vm("kvm1", "web-1", 2);
        fleet.vm("kvm1", "web-2", 2);
        let forge = Self { name, bot, folder };
        forge.write(
            "observed.json",
            &serde_json::to_string(&fleet.observed).expect("a reading is JSON"),
        );
        forge.write("fleet.yaml", MANIFEST);
        for file in ["key", "known_hosts", "requests"] {
            forge.write(file, "");
        }
        // Somebody else's words with the same mark, and a hash that was never planned.
        let other = serde_json::json!([{
            "id": 1, "user": { "login": "mallory" }, "author": { "username": "mallory" },
            "body": format!("{MARKER}\nPlan hash: `{}`.\n", "0".repeat(64)),
        }]);
        forge.write("comments.json", &other.to_string());
        forge
    }

    fn at(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.at().join(file), text).expect("the folder can be written");
    }

    fn steps(&self, job: &str) -> Vec<Step> {
        match self.name {
            "gitlab" => job::gitlab(job),
            name => job::actions(&format!("{name}/{job}.yml"), job),
        }
    }

    fn run(&self, job: &str, options: &str) -> Ended {
        let names = |pairs: &[(&str, &str)]| -> Names {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let given = names(&[
            ("secrets.DOMICILE_SSH_KEY", "key"),
            ("vars.DOMICILE_KNOWN_HOSTS", "kvm1 ssh-ed25519 AAAA"),
            ("secrets.GITHUB_TOKEN", "hush"),
            ("github.event.pull_request.number", "7"),
        ]);
        let forced = names(&[
            (
                "DOMICILE_OPTIONS",
                &format!("-f fleet.yaml --observed observed.json {options}"),
            ),
            ("FORGE_TOKEN", "hush"),
            ("FORGE_BOT", self.bot),
            ("GITHUB_API_URL", "https://forge.test/api"),
            ("GITHUB_REPOSITORY", "team/fleet"),
            ("GITHUB_SHA", "abc"),
            ("CI_API_V4_URL", "https://forge.test/api/v4"),
            ("CI_PROJECT_ID", "12"),
            ("CI_MERGE_REQUEST_IID", "7"),
            ("CI_COMMIT_SHA", "abc"),
            ("DOMICILE_TOKEN", "hush"),
            ("DOMICILE_BOT", self.bot),
            ("DOMICILE_SSH_KEY", "key"),
            ("DOMICILE_KNOWN_HOSTS", "known_hosts"),
        ]);
        job::run(&self.steps(job), self.at(), &given, &forced)
    }

    /// The comments that the pipeline wrote.
    fn comments(&self) -> Vec<String> {
        let text = fs::read_to_string(self.at().join("comments.json")).expect("it is there");
        let all: Vec<Value> = serde_json::from_str(&text).expect("it is a list");
        let own = all
            .iter()
            .filter(|comment| comment["user"]["login"] == self.bot);
        own.map(|comment| comment["body"].as_str().expect("text").to_owned())
            .collect()
    }
}

#[track_caller]
fn ends(ended: &Ended, code: i32, forge: &Forge) {
    assert_eq!(ended.code, code, "{}:\n{}", forge.name, ended.text);
}

#[test]
fn a_plan_is_one_comment_that_is_kept_up_to_date_and_only_it_is_applied() {
    for forge in Forge::all() {
        ends(&forge.run("plan", ""), 0, &forge);
        let first = forge.comments();
        assert_eq!(first.len(), 1, "{}", forge.name);
        assert!(
            first[0].starts_with(MARKER) && first[0].contains("web-1"),
            "{}",
            first[0]
        );

        forge.write("fleet.yaml", &format!("{MANIFEST}  web-2: kvm2\n"));
        ends(&forge.run("plan", ""), 0, &forge);
        let second = forge.comments();
        assert_eq!(second.len(), 1, "{}", forge.name);
        assert!(second[0].contains("web-2"), "{}", second[0]);

        let applied = forge.run("apply", "--simulate");
        ends(&applied, 0, &forge);
        assert!(
            applied.text.contains("Apply complete: 2 done"),
            "{}",
            applied.text
        );

        // What nobody saw in a comment is not done.
        forge.write("fleet.yaml", MANIFEST);
        let refused = forge.run("apply", "--simulate");
        ends(&refused, 9, &forge);
        assert!(
            refused.text.contains("nothing was started"),
            "{}",
            refused.text
        );
    }
}

#[test]
fn without_a_plan_that_was_approved_there_must_be_nothing_to_do() {
    for forge in Forge::all() {
        ends(&forge.run("apply", ""), 2, &forge);
        forge.write(
            "fleet.yaml",
            &MANIFEST.replace("web-1: kvm2", "web-1: kvm1"),
        );
        ends(&forge.run("apply", ""), 0, &forge);
    }
}

#[test]
fn a_plan_that_fails_is_told_in_the_comment_and_fails_the_job() {
    for forge in Forge::all() {
        forge.write(
            "fleet.yaml",
            &MANIFEST.replace("web-1: kvm2", "web-1: kvm9"),
        );
        ends(&forge.run("plan", ""), 1, &forge);
        let comments = forge.comments();
        assert!(
            comments[0].starts_with(MARKER) && comments[0].contains("failed"),
            "{}",
            comments[0]
        );
        assert!(comments[0].contains("kvm9"), "{}", comments[0]);
        assert!(!comments[0].contains("::error"), "{}", comments[0]);
    }
}

#[test]
fn faults_stand_at_their_lines_where_the_forge_shows_them() {
    for forge in Forge::all() {
        forge.write(
            "fleet.yaml",
            &MANIFEST.replace("web-1: kvm2", "web-1: kvm9"),
        );
        let planned = forge.run("plan", "");
        ends(&planned, 1, &forge);
        match forge.name {
            "github" => {
                let command = "::error title=unknown-host,file=fleet.yaml,line=6,";
                let mut lines = planned.text.lines();
                assert!(
                    lines.any(|line| line.starts_with(command)),
                    "{}",
                    planned.text
                );
            }
            "gitlab" => {
                let report = fs::read_to_string(forge.at().join("codequality.json"));
                let report: Value = serde_json::from_str(&report.expect("a report")).expect("JSON");
                assert_eq!(report[0]["check_name"], "unknown-host");
                assert_eq!(report[0]["location"]["path"], "fleet.yaml");
                assert_eq!(report[0]["location"]["lines"]["begin"], 6);
            }
            // Forgejo shows none.
            _ => {}
        }
    }
}

#[test]
fn what_changed_since_the_last_apply_fails_the_drift_job_with_a_code_of_its_own() {
    for forge in Forge::all() {
        ends(&forge.run("plan", ""), 0, &forge);
        ends(&forge.run("apply", "--simulate"), 0, &forge);
        // The hosts in memory are gone; on real ones this is how they were left.
        let left = fs::read_to_string(forge.at().join("state.json")).expect("a state");
        forge.write("observed.json", &left);
        ends(&forge.run("drift", ""), 0, &forge);

        let mut now: Value = serde_json::from_str(&left).expect("JSON");
        let vms = &mut now["hosts"]["kvm2"]["reached"]["vms"];
        let web = vms["web-1"].take();
        vms.as_object_mut().expect("VMs").remove("web-1");
        now["hosts"]["kvm1"]["reached"]["vms"]["web-1"] = web;
        forge.write("observed.json", &now.to_string());
        let drifted = forge.run("drift", "");
        ends(&drifted, 10, &forge);
        let told = "web-1 is on kvm1 instead of kvm2 (the next apply undoes it)";
        assert!(drifted.text.contains(told), "{}", drifted.text);
    }
}

#[test]
fn drift_fails_the_job() {
    for forge in Forge::all() {
        ends(&forge.run("drift", ""), 2, &forge);
        forge.write(
            "fleet.yaml",
            &MANIFEST.replace("web-1: kvm2", "web-1: kvm1"),
        );
        ends(&forge.run("drift", ""), 0, &forge);
    }
}
