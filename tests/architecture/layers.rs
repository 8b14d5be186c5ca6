//! The table of layers in the crate's documentation, and whether every module keeps to it.

use std::collections::{BTreeMap, BTreeSet};

use super::Tree;
use super::references::Modules;

/// The layer of each top-level module: the numbered lines of the crate's documentation, names before the colon.
fn table(lib: &str) -> BTreeMap<String, usize> {
    let mut table = BTreeMap::new();
    for line in lib.lines() {
        let Some(text) = line.strip_prefix("//! ") else {
            continue;
        };
        let Some((number, rest)) = text.split_once(". [`") else {
            continue;
        };
        let Ok(layer) = number.parse::<usize>() else {
            continue;
        };
        let names = rest.split(':').next().unwrap_or_default();
        for name in names.split(", ") {
            let name = name.trim_matches(|letter: char| !letter.is_alphanumeric() && letter != '_');
            table.insert(name.to_owned(), layer);
        }
    }
    table
}

/// The modules that `lib.rs` declares.
fn declared(tree: &Tree) -> BTreeSet<String> {
    let names = tree
        .sources()
        .filter_map(|(path, _)| path.strip_prefix("src/"));
    let top = names.filter_map(|name| match name.split_once('/') {
        Some((folder, _)) => Some(folder.to_owned()),
        None => name.strip_suffix(".rs").map(str::to_owned),
    });
    top.filter(|name| name != "lib" && name != "main").collect()
}

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let table = table(&tree.files["src/lib.rs"]);
    let declared = declared(tree);
    let listed: BTreeSet<String> = table.keys().cloned().collect();
    let mut problems: Vec<String> = declared
        .symmetric_difference(&listed)
        .map(|name| {
            format!("`{name}` stands in only one of src/ and the table of layers in src/lib.rs")
        })
        .collect();
    for (from, to) in Modules::of(tree).edges() {
        let (Some(user), Some(target)) = (from.first(), to.first()) else {
            continue;
        };
        if user == target {
            continue;
        }
        if user == "main" {
            if target != "cli" {
                problems.push(format!("src/main.rs uses {target}; it may only start cli"));
            }
            continue;
        }
        if let (Some(high), Some(low)) = (table.get(user), table.get(target))
            && high <= low
        {
            problems.push(format!(
                "{} uses {}: layer {high} may use only the layers above it in the table, not layer {low}",
                from.join("::"),
                to.join("::"),
            ));
        }
    }
    problems
}
