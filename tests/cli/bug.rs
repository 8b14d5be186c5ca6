//! A panic of the program: what a person reads, and how it ends.
//!
//! Nothing that a person can type makes the program panic, so that these tests hand it arguments that do. The report
//! is for the whole process, so that this happens in a process of its own: this test binary again, with one test.

use std::ffi::OsString;
use std::process::{Command, Output};

use domicile::cli;
use domicile::cli::exit::Exit;

/// Set where a test is that process.
const IN_CHILD: &str = "DOMICILE_TEST_PANICS";

/// Runs the test of this name as a process of its own.
fn child(test: &str) -> Output {
    let binary = std::env::current_exe().expect("a test has a binary");
    Command::new(binary)
        .args(["--exact", "--nocapture", test])
        .env(IN_CHILD, "1")
        .output()
        .expect("the test binary starts")
}

/// Arguments that cannot be told, which is a bug of whoever hands them over.
fn arguments() -> impl Iterator<Item = OsString> {
    std::iter::once_with(|| panic!("the cat sat\non \u{1b}[31mthe keyboard"))
}

#[test]
fn a_bug_is_told_with_its_place_and_what_to_do_and_has_an_exit_code_of_its_own() {
    if std::env::var_os(IN_CHILD).is_some() {
        assert_eq!(cli::run(arguments()), Exit::BUG);
        return;
    }
    let output = child(
        "cli::bug::a_bug_is_told_with_its_place_and_what_to_do_and_has_an_exit_code_of_its_own",
    );
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{told}");
    for words in [
        "Domicile has met a bug in itself: the cat sat",
        "(at tests/cli/bug.rs:",
        "Please report it with the command that you ran",
        "run `domicile plan` before anything else",
    ] {
        assert!(told.contains(words), "{words:?} is not in\n{told}");
    }
    assert!(!told.contains('\u{1b}'), "{told}");
    for raw in ["panicked at", "RUST_BACKTRACE", "stack backtrace"] {
        assert!(!told.contains(raw), "{told}");
    }
    assert_eq!(Exit::BUG.code, 70);
}
