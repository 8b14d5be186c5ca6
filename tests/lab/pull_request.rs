//! A pull request from its branch to a clean drift run, on real hosts: the shell steps of the example pipelines as they are
//! written, a real repository, and of the forge nothing but a stub of curl.

#[path = "../pipelines/job.rs"]
#[expect(
    dead_code,
    reason = "one forge's steps are enough here; all of them run in another test"
)]
mod job;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::lab::Lab;
use job::{Ended, Names};

const BOT: &str = "github-actions[bot]";

/// A repository with the fleet, and what its pipelines know.
struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    /// With one commit; `domicile` is run where the operator of the lab sits.
    fn of(lab: &Lab, manifest: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Self { folder };
        let bin = repository.at().join("bin");
        fs::create_dir(&bin).unwrap();
        let program = bin.join("domicile");
        fs::write(&program, lab.wrapper()).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(repository.at().join("comments.json"), "[]").unwrap();
        fs::copy(manifest, repository.at().join("fleet.yaml")).unwrap();
        repository.git(&["init", "-q", "-b", "main"]);
        repository.commit("the fleet as it is");
        repository
    }

    fn at(&self) -> &Path {
        self.folder.path()
    }

    fn git(&self, line: &[&str]) {
        let who = ["-c", "user.name=team", "-c", "user.email=team@example.com"];
        let ran = Command::new("git")
            .args(who)
            .args(line)
            .current_dir(self.at())
            .status();
        assert!(ran.unwrap().success(), "git {line:?}");
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "fleet.yaml"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    /// Another host for a VM, in the file that is checked out.
    fn change(&self, was: &str, is: &str) {
        let path = self.at().join("fleet.yaml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(was), "{was} is not in {text}");
        fs::write(&path, text.replace(was, is)).unwrap();
    }

    /// Runs the steps of a job on what is checked out.
    fn run(&self, job: &str) -> Ended {
        let names = |pairs: &[(&str, &str)]| -> Names {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let given = names(&[
            ("secrets.DOMICILE_SSH_KEY", "key"),
            ("vars.DOMICILE_KNOWN_HOSTS", "known hosts"),
            ("secrets.GITHUB_TOKEN", "hush"),
            ("github.event.pull_request.number", "7"),
        ]);
        let forced = names(&[
            ("FORGE_TOKEN", "hush"),
            ("FORGE_BOT", BOT),
            ("GITHUB_API_URL", "https://forge.test/api"),
            ("GITHUB_REPOSITORY", "team/fleet"),
            ("GITHUB_SHA", "abc"),
        ]);
        let steps = job::actions(&format!("github/{job}.yml"), job);
        let ended = job::run(&steps, self.at(), &given, &forced);
        eprintln!("== {job} ended with {}\n{}", ended.code, ended.text);
        ended
    }

    fn comment(&self) -> String {
        let text = fs::read_to_string(self.at().join("comments.json")).unwrap();
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(all.as_array().map(Vec::len), Some(1), "{text}");
        all[0]["body"].as_str().unwrap().to_owned()
    }
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn what_a_pull_request_showed_is_applied_and_nothing_else_and_drift_is_seen_after() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--fill", "8"]);
    lab.guest("kvm1", "db", &[]);
    let manifest = lab.manifest("vms:\n  web: kvm1\n  db: kvm1\n");
    let repository = Repository::of(&lab, &manifest);
    // Nothing was applied yet, so the hosts are compared with the manifest.
    assert_eq!(repository.run("drift").code, 0);

    repository.git(&["switch", "-q", "-c", "move-web"]);
    repository.change("web: kvm1", "web: kvm2");
    repository.commit("web moves to kvm2");
    assert_eq!(repository.run("plan").code, 0);
    let comment = repository.comment();
    assert!(
        comment.contains("web") && comment.contains("kvm2"),
        "{comment}"
    );
    repository.git(&["switch", "-q", "main"]);
    repository.git(&["merge", "-q", "--no-ff", "-m", "merged", "move-web"]);

    // What nobody saw in the pull request came in between.
    repository.change("db: kvm1", "db: kvm2");
    let refused = repository.run("apply");
    assert_eq!(refused.code, 9);
    assert!(refused.text.contains("not the one that was expected"));
    lab.assert_lives("web", "kvm1", "kvm1");
    repository.git(&["restore", "fleet.yaml"]);

    assert_eq!(repository.run("apply").code, 0);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_live("web");
    let clean = repository.run("drift");
    assert_eq!(clean.code, 0);
    assert!(clean.text.contains("No drift since "), "{}", clean.text);

    lab.on("kvm1", &["virsh", "destroy", "db"]);
    let drifted = repository.run("drift");
    assert_eq!(drifted.code, 10);
    assert!(
        drifted.text.contains("db on kvm1 is off"),
        "{}",
        drifted.text
    );
}
