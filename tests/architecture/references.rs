//! Source text to the modules that each module refers to. Re-exports are followed to where a name is defined; what
//! stands in a `#[cfg(test)]` item does not count, since tests may look at anything.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use super::{Tree, parse};

/// A module by its path from the crate, such as `["plan", "step"]`; the crate itself is empty.
pub(super) type ModulePath = Vec<String>;

/// What one module refers to.
#[derive(Default)]
struct Module {
    /// Paths as written, made absolute from the crate. A path may end in items, which [`Modules::home`] cuts off.
    uses: BTreeSet<Vec<String>>,
    /// Names that it passes on from elsewhere, and from where.
    reexports: BTreeMap<String, Vec<String>>,
    /// Every first segment of a path in its code, by which a re-export counts as used here, too.
    spoken: BTreeSet<String>,
}

/// Every module of `src/`.
pub(super) struct Modules {
    all: BTreeMap<ModulePath, Module>,
}

/// The module that a file is: `src/plan/step.rs` and `src/plan/step/mod.rs` are `plan::step`.
pub(super) fn module_of(path: &str) -> ModulePath {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let parts = inner.split('/').map(str::to_owned);
    let mut module: ModulePath = parts.collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

impl Modules {
    pub(super) fn of(tree: &Tree) -> Self {
        let mut all = BTreeMap::new();
        for (path, text) in tree.sources() {
            let mut reader = Reader {
                at: module_of(path),
                found: &mut all,
            };
            reader.found.entry(reader.at.clone()).or_default();
            reader.visit_file(&parse(path, text));
        }
        Self { all }
    }

    /// Each pair of modules of which the first refers to the second.
    pub(super) fn edges(&self) -> BTreeSet<(ModulePath, ModulePath)> {
        let mut edges = BTreeSet::new();
        for (from, module) in &self.all {
            let passed_on_and_used = module.reexports.iter();
            let passed_on_and_used =
                passed_on_and_used.filter(|(name, _)| module.spoken.contains(*name));
            for target in module
                .uses
                .iter()
                .chain(passed_on_and_used.map(|(_, target)| target))
            {
                let home = self.home(target);
                if !home.is_empty() && home != *from {
                    edges.insert((from.clone(), home));
                }
            }
        }
        edges
    }

    /// The module in which the thing of that path is defined.
    fn home(&self, path: &[String]) -> ModulePath {
        let mut path = path.to_vec();
        // A chain of re-exports longer than this would be a circle.
        for _ in 0..16 {
            let deepest = (0..=path.len())
                .rev()
                .find(|length| self.all.contains_key(&path[..*length]));
            let Some(length) = deepest else {
                return Vec::new();
            };
            let passed_on = path
                .get(length)
                .and_then(|item| self.all[&path[..length]].reexports.get(item));
            match passed_on {
                Some(target) => path.clone_from(target),
                None => return path[..length].to_vec(),
            }
        }
        Vec::new()
    }
}

/// Walks one file; `at` follows inline modules.
struct Reader<'a> {
    at: ModulePath,
    found: &'a mut BTreeMap<ModulePath, Module>,
}

impl Reader<'_> {
    fn here(&mut self) -> &mut Module {
        self.found.entry(self.at.clone()).or_default()
    }

    /// The path from the crate, where it is one that starts at the crate or at a neighbour.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let mut base = self.at.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            // The program names the library by the crate's name.
            "crate" | "domicile" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|word| word == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            _ => {}
        }
        base.extend_from_slice(rest);
        (!rest.is_empty()).then_some(base)
    }

    fn refer(&mut self, path: &[String]) {
        if let Some(absolute) = self.absolute(path) {
            self.here().uses.insert(absolute);
        }
    }

    fn read_use(&mut self, tree: &syn::UseTree, prefix: &mut Vec<String>, public: bool) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.read_use(&path.tree, prefix, public);
                prefix.pop();
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.read_use(tree, prefix, public);
                }
            }
            syn::UseTree::Glob(_) => self.refer(prefix),
            syn::UseTree::Name(name) => self.read_name(prefix, &name.ident, &name.ident, public),
            syn::UseTree::Rename(rename) => {
                self.read_name(prefix, &rename.ident, &rename.rename, public);
            }
        }
    }

    fn read_name(&mut self, prefix: &[String], item: &syn::Ident, name: &syn::Ident, public: bool) {
        let mut path = prefix.to_vec();
        if item != "self" {
            path.push(item.to_string());
        }
        let Some(absolute) = self.absolute(&path) else {
            return;
        };
        if public {
            self.here().reexports.insert(name.to_string(), absolute);
        } else {
            self.here().uses.insert(absolute);
        }
    }
}

fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_test = |list: &syn::MetaList| list.tokens.to_string() == "test";
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute.meta.require_list().is_ok_and(is_test))
    })
}

/// Visits all of a file but what is built for tests alone.
pub(super) fn is_skipped(item: &syn::Item) -> bool {
    match item {
        syn::Item::Mod(item) => is_test_only(&item.attrs),
        syn::Item::Fn(item) => is_test_only(&item.attrs),
        syn::Item::Impl(item) => is_test_only(&item.attrs),
        syn::Item::Use(item) => is_test_only(&item.attrs),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_skipped(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_some() {
            self.at.push(item.ident.to_string());
            self.here();
            visit::visit_item_mod(self, item);
            self.at.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let public = !matches!(item.vis, syn::Visibility::Inherited);
        self.read_use(&item.tree, &mut Vec::new(), public);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if let Some(first) = words.first() {
            self.here().spoken.insert(first.clone());
        }
        // A single word is a local name or an import; imports are read where they are declared.
        if words.len() > 1 {
            self.refer(&words);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        let tokens = call.tokens.to_string();
        let words: Vec<&str> = tokens
            .split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':')
            .collect();
        let spaced: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        for run in joined_paths(&spaced) {
            if let Some(first) = run.first() {
                self.here().spoken.insert(first.clone());
            }
            if run.len() > 1 {
                self.refer(&run);
            }
        }
    }
}

/// Words with `::` between them, as a token stream prints them, to paths.
fn joined_paths(words: &[&str]) -> Vec<Vec<String>> {
    let mut paths: Vec<Vec<String>> = Vec::new();
    let mut joins = false;
    for word in words {
        if *word == "::" {
            joins = true;
            continue;
        }
        let parts = word
            .split("::")
            .filter(|part| !part.is_empty())
            .map(str::to_owned);
        match paths.last_mut() {
            Some(last) if joins => last.extend(parts),
            _ => paths.push(parts.collect()),
        }
        joins = false;
    }
    paths
}
