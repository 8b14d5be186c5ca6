//! Every wrong manifest in `tests/invalid/` with all that is said about it. A file there is one manifest, and so is a
//! folder; `<name>.txt` beside it is what is expected.

use std::fs;
use std::path::{Path, PathBuf};

use domicile::manifest::{self, Fault, Label, Source};

/// Set to write what is said instead of comparing it.
const UPDATE: &str = "DOMICILE_UPDATE_INVALID";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid")
}

fn entries() -> Vec<PathBuf> {
    let entries = folder().read_dir().expect("the folder is there");
    entries
        .map(|entry| entry.expect("it can be read").path())
        .collect()
}

fn manifests() -> Vec<PathBuf> {
    let mut paths = entries();
    paths.retain(|path| path.extension().is_none_or(|end| end != "txt"));
    paths.sort();
    paths
}

/// The line with its number and what is underlined in it.
fn shown(label: &Label, sources: &[Source]) -> String {
    let source = &sources[label.source];
    let name = Path::new(&source.name)
        .file_name()
        .expect("a file has a name")
        .display();
    let before = &source.text[..label.span.start];
    let line_start = before.rfind('\n').map_or(0, |found| found + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    let text = source.text[line_start..].lines().next().unwrap_or_default();
    let marked = source.text[label.span.clone()].chars().count().max(1);
    let head = format!("  {name}:{line}:{column}: ");
    let indent = " ".repeat(column - 1);
    let marks = "^".repeat(marked);
    format!(
        "{head}{}\n    | {text}\n    | {indent}{marks}\n",
        label.text
    )
}

fn said(faults: &[Fault], sources: &[Source]) -> String {
    let one = |fault: &Fault| {
        let head = format!("{} [{}] {}\n", fault.code, fault.path, fault.message);
        let second = fault.second.as_ref().map(|label| shown(label, sources));
        let help = fault.help.as_ref().map(|help| format!("  help: {help}\n"));
        let pieces = [Some(head), Some(shown(&fault.label, sources)), second, help];
        let text: Vec<String> = pieces.into_iter().flatten().collect();
        text.concat() + "\n"
    };
    faults.iter().map(one).collect()
}

#[test]
fn every_wrong_manifest_says_all_that_is_wrong_and_where() {
    let mut differing = Vec::new();
    let manifests = manifests();
    assert!(manifests.len() > 25);
    for path in manifests {
        let sources = manifest::read(std::slice::from_ref(&path)).unwrap();
        let Err(faults) = manifest::load(&sources) else {
            panic!("{} is right", path.display());
        };
        let said = said(&faults, &sources);
        let expected = path.with_extension("txt");
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&expected, &said).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != said {
            differing.push(format!("{}\n{said}", path.display()));
        }
    }
    let advice = format!("if this is what should be said, run `{UPDATE}=1 cargo test invalid`");
    assert!(differing.is_empty(), "{}\n{advice}", differing.join("\n"));
}

#[test]
fn what_is_expected_belongs_to_a_manifest() {
    for path in entries() {
        if path.extension().is_some_and(|end| end == "txt") {
            let manifest = path.with_extension("yaml");
            let either = manifest.is_file() || path.with_extension("").is_dir();
            assert!(either, "{} has no manifest", path.display());
        }
    }
}
