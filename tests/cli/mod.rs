//! The program from outside: what it prints where, and how it ends.

mod annotations;
mod apply;
mod bug;
mod documents;
mod drift;
mod expect;
mod formats;
mod import;
mod manifest;
mod plan;
mod planfile;
mod question;
mod records;
mod refused;
mod rollback;
mod running;
mod signals;
mod unlock;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::planner::fleet::Fleet;

/// A folder of its own, in which the program runs.
struct Place {
    folder: tempfile::TempDir,
}

/// How a run ended.
#[must_use = "look at what it printed or at how it ended"]
struct Outcome {
    code: i32,
    out: String,
    err: String,
}

impl Outcome {
    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.out, self.err
        );
        self
    }

    #[track_caller]
    fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.out.contains(word), "{word:?} is not in\n{}", self.out);
        }
        self
    }

    #[track_caller]
    fn complains(self, words: &[&str]) -> Self {
        // Reports are broken at the width of the terminal.
        let text: Vec<&str> = self
            .err
            .split_whitespace()
            .filter(|word| *word != "│")
            .collect();
        let text = text.join(" ");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in\n{}", self.err);
        }
        self
    }
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        Self { folder }
    }

    /// Three hosts: two VMs shall change places, one is where it shall be.
    fn with_fleet() -> Self {
        let place = Self::new();
        let mut fleet = Fleet::new(3, 16);
        fleet.vm("kvm1", "web-1", 2);
        fleet.vm("kvm2", "db-1", 4);
        fleet.vm("kvm3", "mail", 2);
        place.write("fleet.yaml", MANIFEST);
        place.write(
            "observed.json",
            &serde_json::to_string(&fleet.observed).expect("a reading is JSON"),
        );
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the folder can be written");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("the file is there")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_domicile")));
        command
            .args(line.split_whitespace())
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Outcome {
        let output = self.command(line).output().expect("the program starts");
        Outcome {
            code: output.status.code().expect("it ended by itself"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

const MANIFEST: &str = "\
version: 1
hosts:
  kvm1: qemu+tcp://127.0.0.1:1/system
  kvm2: qemu+tcp://127.0.0.1:2/system
  kvm3: qemu+tcp://127.0.0.1:3/system
vms:
  web-1: kvm2
  db-1:
    host: kvm1
    method: cold
  mail: kvm3
";
