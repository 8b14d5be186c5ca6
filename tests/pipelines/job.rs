//! A job of a pipeline file, and running its shell steps as they are written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_yaml::Value;

/// Names to values, as a step's environment or as what `${{ }}` stands for.
pub(super) type Names = BTreeMap<String, String>;

/// A step that is a script.
pub(super) struct Step {
    id: String,
    env: Names,
    script: String,
}

fn read(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/ci")
        .join(file);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn names(value: &Value) -> Names {
    let pairs = value.as_mapping().into_iter().flatten();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    pairs
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

/// The steps of a job of GitHub's or Forgejo's kind.
pub(super) fn actions(file: &str, job: &str) -> Vec<Step> {
    let whole = read(file);
    let steps = whole["jobs"][job]["steps"]
        .as_sequence()
        .expect("it has steps");
    let scripts = steps.iter().filter(|step| step.get("run").is_some());
    scripts
        .map(|step| {
            let mut env = names(&whole["env"]);
            env.extend(names(&step["env"]));
            Step {
                id: step["id"].as_str().unwrap_or_default().to_owned(),
                env,
                script: step["run"].as_str().expect("text").to_owned(),
            }
        })
        .collect()
}

/// A job of GitLab's: all its lines run in one shell.
pub(super) fn gitlab(job: &str) -> Vec<Step> {
    let whole = read("gitlab/gitlab-ci.yml");
    let lines = |value: &Value| -> String {
        let all = value.as_sequence().expect("a list");
        all.iter()
            .map(|line| line.as_str().expect("text"))
            .collect()
    };
    let base = whole[job]["extends"].as_str().expect("it extends");
    vec![Step {
        id: String::new(),
        env: names(&whole["variables"]),
        script: lines(&whole[base]["before_script"]) + &lines(&whole[job]["script"]),
    }]
}

/// How a job ended: the code of the first step that failed, and all that was printed.
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) text: String,
}

/// Runs the steps one after another in a folder, with a stub of curl before everything else.
pub(super) fn run(steps: &[Step], folder: &Path, given: &Names, forced: &Names) -> Ended {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).expect("the folder can be written");
    let stub = bin.join("curl");
    fs::write(&stub, include_str!("curl.sh")).expect("the folder can be written");
    let mut rights = fs::metadata(&stub).expect("it is there").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut rights, 0o755);
    fs::set_permissions(&stub, rights).expect("it is ours");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_domicile"));
    let built = program.parent().expect("it is in a folder");
    let path = format!("{}:{}:/usr/bin:/bin", bin.display(), built.display());

    let mut known = given.clone();
    let mut text = String::new();
    for step in steps {
        assert!(
            !step.script.contains("${{"),
            "a name from outside within a script:\n{}",
            step.script
        );
        let output = folder.join("output");
        fs::write(&output, "").expect("the folder can be written");
        let mut env: Names = step
            .env
            .iter()
            .map(|(name, value)| (name.clone(), filled(value, &known)))
            .collect();
        env.extend(forced.clone());
        let ran = Command::new("bash")
            .args([
                "--noprofile",
                "--norc",
                "-eo",
                "pipefail",
                "-c",
                &step.script,
            ])
            .current_dir(folder)
            .env_clear()
            .env("PATH", &path)
            .env("HOME", folder)
            .env("GITHUB_OUTPUT", &output)
            .envs(env)
            .stdin(Stdio::null())
            .output()
            .expect("bash is there");
        text += &String::from_utf8_lossy(&ran.stdout);
        text += &String::from_utf8_lossy(&ran.stderr);
        if !ran.status.success() {
            return Ended {
                code: ran.status.code().expect("it ended by itself"),
                text,
            };
        }
        for line in fs::read_to_string(&output).expect("it is there").lines() {
            let (name, value) = line.split_once('=').expect("name=value");
            known.insert(
                format!("steps.{}.outputs.{name}", step.id),
                value.to_owned(),
            );
        }
    }
    Ended { code: 0, text }
}

/// A value with what its `${{ }}` stand for.
fn filled(value: &str, known: &Names) -> String {
    let Some((before, rest)) = value.split_once("${{ ") else {
        return value.to_owned();
    };
    let (name, after) = rest.split_once(" }}").expect("it is closed");
    let is = known
        .get(name)
        .unwrap_or_else(|| panic!("nothing is known of {name}"));
    format!("{before}{is}{}", filled(after, known))
}
