//! The checks find what they are for: each on a small tree that breaks one rule.

use super::{Tree, cycles, layers, rules, words};

const LIB: &str = "//! 1. [`model`]: nouns.\n//! 2. [`plan`], [`manifest`]: not [`cli`].\n//! 3. [`cli`]: arguments.\n\
                   pub mod cli;\npub mod manifest;\npub mod model;\npub mod plan;\n";

/// A tree that keeps every rule, with these files in it or in place of its own.
fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::default();
    for (path, text) in [
        ("Cargo.toml", ""),
        ("src/lib.rs", LIB),
        ("src/main.rs", "fn main() { domicile::cli::run(); }"),
        ("src/model.rs", "pub struct Name;"),
        ("src/plan/mod.rs", "mod step;\npub use step::Step;"),
        (
            "src/plan/step.rs",
            "use crate::model::Name;\npub struct Step(Name);",
        ),
        ("src/manifest.rs", "use crate::model::{self, Name};"),
        ("src/cli.rs", "use crate::{plan::Step, manifest};"),
    ]
    .iter()
    .chain(files)
    {
        tree.files.insert((*path).to_owned(), (*text).to_owned());
    }
    tree
}

#[track_caller]
fn assert_one(problems: &[String], words: &[&str]) {
    assert_eq!(problems.len(), 1, "{problems:#?}");
    for word in words {
        assert!(
            problems[0].contains(word),
            "{word:?} is not in {:?}",
            problems[0]
        );
    }
}

#[test]
fn a_tree_that_keeps_the_rules_has_no_problems() {
    let tree = tree(&[]);
    let mut problems = layers::problems(&tree);
    problems.extend(cycles::problems(&tree));
    problems.extend(rules::too_long(&tree));
    problems.extend(rules::forgotten_files(&tree));
    problems.extend(rules::misplaced(&tree));
    problems.extend(words::problems(&tree));
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn a_use_of_a_lower_line_of_the_table_is_found_however_it_is_written() {
    for text in [
        "use crate::plan::Step;",
        "use crate::{plan::{Step}};",
        "use crate::plan as other;",
        "use super::plan::Step;",
        "fn f(step: &crate::plan::Step) {}",
        "fn f() { format!(\"{}\", crate::plan::COUNT); }",
    ] {
        assert_one(
            &layers::problems(&tree(&[("src/model.rs", text)])),
            &["model uses plan", "layer 1"],
        );
    }
}

#[test]
fn modules_on_one_line_of_the_table_know_nothing_of_each_other() {
    let tree = tree(&[("src/manifest.rs", "use crate::plan::Step;")]);
    assert_one(&layers::problems(&tree), &["manifest uses plan::step"]);
}

#[test]
fn a_module_that_the_table_lacks_is_found() {
    let tree = tree(&[("src/extra.rs", "")]);
    assert_one(&layers::problems(&tree), &["`extra`"]);
}

#[test]
fn the_program_may_only_start_the_command_line() {
    let tree = tree(&[("src/main.rs", "use domicile::plan::Step;\nfn main() {}")]);
    assert_one(&layers::problems(&tree), &["src/main.rs uses plan"]);
}

#[test]
fn what_only_tests_use_does_not_count() {
    let text = "pub struct Name;\n#[cfg(test)]\nmod tests { use crate::plan::Step; fn f() { None::<u8>.unwrap(); } }";
    let tree = tree(&[("src/model.rs", text)]);
    assert_eq!(layers::problems(&tree), Vec::<String>::new());
    assert_eq!(rules::misplaced(&tree), Vec::<String>::new());
}

#[test]
fn a_child_that_uses_its_parents_own_type_closes_a_circle() {
    let tree = tree(&[
        (
            "src/plan/mod.rs",
            "mod step;\npub use step::Step;\npub struct Plan(Vec<Step>);",
        ),
        ("src/plan/step.rs", "pub struct Step(Box<super::Plan>);"),
    ]);
    assert_one(&cycles::problems(&tree), &["plan, plan::step"]);
}

#[test]
fn a_re_export_alone_closes_no_circle() {
    let tree = tree(&[
        (
            "src/plan/mod.rs",
            "mod other;\nmod step;\npub use other::Other;\npub use step::Step;",
        ),
        ("src/plan/other.rs", "pub struct Other;"),
        ("src/plan/step.rs", "pub struct Step(super::Other);"),
    ]);
    assert_eq!(cycles::problems(&tree), Vec::<String>::new());
}

#[test]
fn folders_that_use_each_other_are_a_circle_even_where_their_files_are_not() {
    let tree = tree(&[
        ("src/plan/mod.rs", "mod a;\nmod b;"),
        ("src/plan/a/mod.rs", "pub mod one;\npub mod two;"),
        ("src/plan/a/one.rs", "use crate::plan::b::one::One;"),
        ("src/plan/a/two.rs", "pub struct Two;"),
        ("src/plan/b/mod.rs", "pub mod one;\npub mod two;"),
        ("src/plan/b/one.rs", "pub struct One;"),
        ("src/plan/b/two.rs", "use super::super::a::two::Two;"),
    ]);
    assert_one(&cycles::problems(&tree), &["plan::a, plan::b"]);
}

#[test]
fn a_long_file_and_a_long_function_are_found() {
    let long = "// a\n".repeat(500);
    assert_one(
        &rules::too_long(&tree(&[("src/model.rs", &long)])),
        &["src/model.rs has 500 lines"],
    );
    let body = "    call();\n".repeat(71);
    let text = format!("fn f() {{\n{body}}}\n");
    assert_one(
        &rules::too_long(&tree(&[("src/model.rs", &text)])),
        &["src/model.rs:1: fn f has 71 lines"],
    );
    let text = format!("impl A {{\n    fn g() {{\n{body}}}\n}}\n");
    assert_one(
        &rules::too_long(&tree(&[("src/model.rs", &text)])),
        &["fn g has 71 lines"],
    );
}

#[test]
fn a_file_that_nothing_names_is_found() {
    let tests = ("tests/runner.rs", "mod one;");
    let target = (
        "Cargo.toml",
        "[[test]]\nname = \"runner\"\npath = \"tests/runner.rs\"\n",
    );
    let kept = tree(&[tests, target, ("tests/one.rs", "")]);
    assert_eq!(rules::forgotten_files(&kept), Vec::<String>::new());
    let forgotten = tree(&[tests, target, ("tests/one.rs", ""), ("tests/two.rs", "")]);
    assert_one(&rules::forgotten_files(&forgotten), &["tests/two.rs"]);
    let forgotten = tree(&[("src/plan/old.rs", "")]);
    assert_one(&rules::forgotten_files(&forgotten), &["src/plan/old.rs"]);
}

#[test]
fn what_stands_where_it_may_not_is_found() {
    for (text, words) in [
        ("fn f() { None::<u8>.unwrap(); }", "unwrap"),
        ("fn f() { panic!(\"no\"); }", "panic!"),
        ("fn f() { println!(\"no\"); }", "println!"),
        ("use miette::Report;", "miette"),
        ("fn f() -> miette::Report { g() }", "miette"),
        ("use virt::connect::Connect;", "bindings"),
        ("type A = virt_sys::virDomainPtr;", "bindings"),
    ] {
        assert_one(
            &rules::misplaced(&tree(&[("src/model.rs", text)])),
            &["src/model.rs:1", words],
        );
    }
    let text = "fn f() { unsafe { g() } }";
    assert_eq!(rules::misplaced(&tree(&[("src/model.rs", text)])).len(), 2);
    assert_one(
        &rules::misplaced(&tree(&[("src/libvirt/a.rs", text)])),
        &["SAFETY"],
    );
    let text = "fn f() {\n    // SAFETY: g needs nothing.\n    unsafe { g() }\n}";
    assert_eq!(
        rules::misplaced(&tree(&[("src/libvirt/a.rs", text)])),
        Vec::<String>::new()
    );
}

#[test]
fn banned_words_are_found_as_whole_words() {
    for text in [
        ["// the no", "de is full"],
        ["// TO", "DO"],
        ["let path = \"/wo", "rk/x\";"],
        ["https://static.crates", ".io/x"],
    ] {
        assert_one(
            &words::problems(&tree(&[("src/model.rs", &text.concat())])),
            &["src/model.rs:1"],
        );
    }
    assert_eq!(
        words::problems(&tree(&[("src/model.rs", "graph.node_count(); anode")])),
        Vec::<String>::new()
    );
    let other = "source = \"registry+https://example.org/index\"";
    assert_one(
        &words::problems(&tree(&[("Cargo.lock", other)])),
        &["another source"],
    );
}
