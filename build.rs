//! Tells the program which revision it is built from: `DOMICILE_REVISION` where somebody sets it, else what git says of
//! this folder, else what cargo wrote into a package. A tarball of the sources says nothing, and then `--version` does not.
//!
//! Only release builds ask git: others are built again and again while somebody works, and would be once more for
//! each commit.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DOMICILE_REVISION");
    let given = env::var("DOMICILE_REVISION").ok();
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let found = || is_release.then(|| of_git().or_else(of_package)).flatten();
    if let Some(revision) = given.filter(|text| !text.is_empty()).or_else(found) {
        println!("cargo::rustc-env=DOMICILE_BUILT_FROM={revision}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The commit, with `-dirty` where files differ from it. A folder that only lies within somebody's repository is no
/// checkout of ours.
fn of_git() -> Option<String> {
    let top = fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()?;
    let ours = fs::canonicalize(env::var_os("CARGO_MANIFEST_DIR")?).ok()?;
    if top != ours {
        return None;
    }
    for changing in ["logs/HEAD", "index"] {
        println!(
            "cargo::rerun-if-changed={}",
            git(&["rev-parse", "--git-path", changing])?
        );
    }
    git(&[
        "describe",
        "--always",
        "--abbrev=12",
        "--dirty",
        "--exclude=*",
    ])
}

/// `cargo package` notes the commit.
fn of_package() -> Option<String> {
    let noted = fs::read_to_string(Path::new(".cargo_vcs_info.json")).ok()?;
    let (_, rest) = noted.split_once("\"sha1\": \"")?;
    let sha1 = rest.split('"').next()?;
    sha1.get(..12).map(str::to_owned)
}
