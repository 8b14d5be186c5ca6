//! Holds the source tree to the layers that the crate's documentation lists, and to the rules that a compiler does
//! not know. Each check turns a [`Tree`] into a list of problems, so that the checks themselves are tested on small
//! trees in memory.

mod bites;
mod cycles;
mod layers;
mod references;
mod rules;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Text files by their path from the top of the repository.
#[derive(Default)]
struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// The repository that this test was built from.
    fn of_this_repository() -> Self {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut tree = Self::default();
        tree.read_folder(top, top);
        assert!(tree.files.contains_key("src/lib.rs"), "no sources found");
        tree
    }

    fn read_folder(&mut self, top: &Path, folder: &Path) {
        for entry in fs::read_dir(folder).expect("a folder of the repository is readable") {
            let path = entry.expect("an entry is readable").path();
            let name = path.strip_prefix(top).expect("it is below the top");
            let name = name.to_string_lossy().replace('\\', "/");
            if path.is_symlink() || [".git", "target"].contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                self.read_folder(top, &path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                self.files.insert(name, text);
            }
        }
    }

    /// The files of the crate's library and program.
    fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self
            .files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()));
        pairs.filter(|(path, _)| path.starts_with("src/") && is_rust(path))
    }
}

fn is_rust(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "rs")
}

fn parse(path: &str, text: &str) -> syn::File {
    syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn a_module_uses_only_the_layers_above_it() {
    assert_none(&layers::problems(&Tree::of_this_repository()));
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    assert_none(&cycles::problems(&Tree::of_this_repository()));
}

#[test]
fn no_source_or_test_file_is_forgotten() {
    assert_none(&rules::forgotten_files(&Tree::of_this_repository()));
}

#[test]
fn files_and_functions_are_short() {
    assert_none(&rules::too_long(&Tree::of_this_repository()));
}

#[test]
fn what_ends_the_process_prints_or_is_unsafe_stands_only_where_it_may() {
    assert_none(&rules::misplaced(&Tree::of_this_repository()));
}

#[test]
fn one_word_has_one_meaning_and_nothing_speaks_of_the_machine_it_was_written_on() {
    assert_none(&words::problems(&Tree::of_this_repository()));
}
