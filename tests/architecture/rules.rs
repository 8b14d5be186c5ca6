//! Rules on single files: their length, that each is built at all, and what may stand only in certain places.

use std::collections::BTreeSet;
use std::path::Path;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::references::is_skipped;
use super::{Tree, is_rust, parse};

/// The most lines of a file of Rust: what a person still reads in one go.
const FILE_LINES_MAX: usize = 499;
/// The most lines of code in a function, as in clippy's `too-many-lines-threshold`.
const FUNCTION_LINES_MAX: usize = 70;

pub(super) fn too_long(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.files.iter().filter(|(path, _)| is_rust(path)) {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            problems.push(format!(
                "{path} has {lines} lines, more than {FILE_LINES_MAX}"
            ));
        }
        let mut functions = Functions {
            path,
            text,
            problems: &mut problems,
        };
        functions.visit_file(&parse(path, text));
    }
    problems
}

struct Functions<'a> {
    path: &'a str,
    text: &'a str,
    problems: &'a mut Vec<String>,
}

impl Functions<'_> {
    fn measure(&mut self, name: &syn::Ident, body: &syn::Block) {
        let first = body.span().start().line;
        let last = body.span().end().line;
        let within = self
            .text
            .lines()
            .skip(first)
            .take(last.saturating_sub(first + 1));
        let code = within
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("//"));
        let lines = code.count();
        if lines > FUNCTION_LINES_MAX {
            let path = self.path;
            self.problems.push(format!(
                "{path}:{first}: fn {name} has {lines} lines, more than {FUNCTION_LINES_MAX}"
            ));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig.ident, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig.ident, &item.block);
        visit::visit_impl_item_fn(self, item);
    }
}

/// Files that no `mod` line and no target of `Cargo.toml` reaches, so that nothing in them is ever built.
pub(super) fn forgotten_files(tree: &Tree) -> Vec<String> {
    let manifest = tree.files.get("Cargo.toml").map_or("", String::as_str);
    let mut reached = BTreeSet::new();
    let mut open: Vec<String> = ["src/lib.rs", "src/main.rs"].map(str::to_owned).into();
    let targets = manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("path = \"")?.strip_suffix('"'));
    open.extend(targets.map(str::to_owned));
    while let Some(path) = open.pop() {
        let Some(text) = tree.files.get(&path) else {
            continue;
        };
        if !reached.insert(path.clone()) {
            continue;
        }
        let folder = folder_of_children(&path);
        for item in &parse(&path, text).items {
            if let syn::Item::Mod(syn::ItemMod {
                ident,
                content: None,
                ..
            }) = item
            {
                open.push(format!("{folder}/{ident}.rs"));
                open.push(format!("{folder}/{ident}/mod.rs"));
            }
        }
    }
    let rust = tree.files.keys().filter(|path| is_rust(path));
    let ours = rust.filter(|path| {
        path.starts_with("src/") || path.starts_with("tests/") || path.starts_with("benches/")
    });
    let forgotten = ours.filter(|path| !reached.contains(*path));
    forgotten
        .map(|path| format!("{path} is never built: no `mod` line names it"))
        .collect()
}

/// Where the modules that this file declares lie.
fn folder_of_children(path: &str) -> String {
    let path = Path::new(path);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let folder = path
        .parent()
        .unwrap_or(Path::new(""))
        .to_string_lossy()
        .into_owned();
    match stem.as_ref() {
        "mod" | "lib" | "main" | "runner" => folder,
        other => format!("{folder}/{other}"),
    }
}

pub(super) fn misplaced(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.sources() {
        let mut reader = Misplaced {
            path,
            text,
            problems: &mut problems,
        };
        reader.visit_file(&parse(path, text));
    }
    problems
}

struct Misplaced<'a> {
    path: &'a str,
    text: &'a str,
    problems: &'a mut Vec<String>,
}

impl Misplaced<'_> {
    fn complain(&mut self, at: proc_macro2::Span, what: &str) {
        self.problems
            .push(format!("{}:{}: {what}", self.path, at.start().line));
    }

    fn is_below(&self, folder: &str) -> bool {
        self.path
            .strip_prefix("src/")
            .is_some_and(|inner| inner.starts_with(folder))
    }

    fn crate_name(&mut self, at: proc_macro2::Span, name: &str) {
        if name == "miette" && !self.is_below("cli/") {
            self.complain(at, "miette is for src/cli/ alone");
        }
        if (name == "virt" || name == "virt_sys") && !self.is_below("libvirt/") {
            self.complain(at, "libvirt's bindings are for src/libvirt/ alone");
        }
    }

    fn unsafety(&mut self, at: proc_macro2::Span) {
        if !self.is_below("libvirt/") {
            self.complain(at, "unsafe code is for src/libvirt/ alone");
        }
        let line = at.start().line;
        let above: Vec<&str> = self.text.lines().take(line).collect();
        let reasons = above.iter().rev().skip(1).take_while(|line| {
            let line = line.trim();
            line.starts_with("//")
                || line.starts_with("#[")
                || line.ends_with('=')
                || line.ends_with('(')
        });
        let same_line = above.last().is_some_and(|line| line.contains("SAFETY:"));
        if !same_line && !reasons.clone().any(|line| line.contains("// SAFETY:")) {
            self.complain(at, "unsafe code without a `// SAFETY:` reason above it");
        }
    }
}

impl<'ast> Visit<'ast> for Misplaced<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_skipped(item) {
            visit::visit_item(self, item);
        }
    }

    /// A panic in a constant is an error of the compiler's.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}

    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}

    fn visit_use_path(&mut self, path: &'ast syn::UsePath) {
        self.crate_name(path.ident.span(), &path.ident.to_string());
        visit::visit_use_path(self, path);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let first = &path.segments[0].ident;
            self.crate_name(first.span(), &first.to_string());
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "unwrap" {
            self.complain(call.method.span(), "unwrap would reach a user as a panic");
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let name = call
            .path
            .segments
            .last()
            .map(|segment| segment.ident.to_string())
            .unwrap_or_default();
        match name.as_str() {
            "panic" | "todo" | "unimplemented" | "dbg" => {
                self.complain(call.span(), &format!("{name}! would reach a user"));
            }
            "print" | "println" | "eprint" | "eprintln"
                if !self.is_below("cli/") && !self.is_below("main.rs") =>
            {
                self.complain(
                    call.span(),
                    &format!("{name}!: only src/cli/ and src/main.rs print"),
                );
            }
            _ => {}
        }
        visit::visit_macro(self, call);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.unsafety(block.unsafe_token.span);
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let Some(token) = &item.unsafety {
            self.unsafety(token.span);
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if matches!(signature.safety, syn::Safety::Unsafe(_)) && !self.is_below("libvirt/") {
            self.complain(
                signature.ident.span(),
                "unsafe code is for src/libvirt/ alone",
            );
        }
        visit::visit_signature(self, signature);
    }
}
