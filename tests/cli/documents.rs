//! Help, version and README say what the program does.

use std::process::Command;

use domicile::cli::command;
use domicile::cli::exit::Exit;

use super::Place;

const README: &str = include_str!("../../README.md");

#[test]
fn the_readme_lists_every_exit_code_with_its_meaning() {
    let rows: Vec<&str> = README
        .lines()
        .filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit())
        .collect();
    let wanted: Vec<String> = Exit::ALL
        .iter()
        .map(|exit| format!("| {} | {} |", exit.code, exit.meaning))
        .collect();
    assert_eq!(rows, wanted);
}

#[test]
fn the_readmes_commands_are_ones_that_the_program_takes() {
    let lines = README.lines().filter(|line| line.starts_with("domicile "));
    let mut seen = 0;
    for line in lines {
        let line = line.split('#').next().unwrap_or_default();
        if let Err(error) = command().try_get_matches_from(line.split_whitespace()) {
            panic!("{line}: {error}");
        }
        seen += 1;
    }
    assert!(seen >= 3, "the README shows no commands");
}

#[test]
fn the_readmes_picture_of_a_plan_is_what_the_program_prints() {
    trycmd::TestCases::new().case("README.md").run();
}

#[test]
fn help_is_no_error_and_shows_examples_and_a_wrong_command_is_one() {
    let place = Place::new();
    let _ = place
        .run("--help")
        .ends(0)
        .says(&["Examples:", "domicile plan", "DOMICILE_LOG"]);
    let _ = place
        .run("help apply")
        .ends(0)
        .says(&["--auto-approve", "PLANFILE"]);
    let _ = place.run("aply").ends(64).complains(&["apply"]);
    let _ = place.run("").ends(64).complains(&["Usage:"]);
}

#[test]
fn the_version_names_the_library_that_it_runs_with() {
    let version = env!("CARGO_PKG_VERSION");
    let outcome = Place::new().run("--version").ends(0);
    assert!(
        outcome
            .out
            .starts_with(&format!("domicile {version} (libvirt library ")),
        "{}",
        outcome.out
    );
}

/// Lines of a help text that show a command, each with the words of one command.
fn examples(command: &clap::Command) -> Vec<Vec<String>> {
    let help = command.get_after_help().map(ToString::to_string);
    let help = help.unwrap_or_default();
    let lines = help
        .lines()
        .filter_map(|line| line.strip_prefix("  domicile "));
    let commands = lines.flat_map(|line| line.split(" && domicile "));
    let words = commands.map(|line| {
        // What stands behind two spaces says what the command does; what is behind `>` is the shell's.
        let line = line.split("  ").next().unwrap_or_default();
        let line = line.split(" > ").next().unwrap_or_default();
        let words = ["domicile"].into_iter().chain(line.split_whitespace());
        words.map(str::to_owned).collect()
    });
    words.collect()
}

#[test]
fn every_example_of_the_help_is_a_command_that_the_program_takes() {
    let whole = command();
    let mut seen = 0;
    for part in [&whole].into_iter().chain(whole.get_subcommands()) {
        for words in examples(part) {
            if let Err(error) = command().try_get_matches_from(&words) {
                panic!("{words:?}: {error}");
            }
            let own = part.get_name() == "domicile" || words[1] == part.get_name();
            assert!(own, "{words:?} stands with {}", part.get_name());
            seen += 1;
        }
    }
    assert!(seen >= 14, "only {seen} examples");
}

#[test]
fn scripts_for_shells_are_made_from_the_arguments() {
    let place = Place::new();
    for (shell, word) in [
        ("bash", "--detailed-exitcode"),
        ("zsh", "--detailed-exitcode"),
        ("fish", "detailed-exitcode"),
    ] {
        let script = place
            .run(&format!("completions {shell}"))
            .ends(0)
            .says(&[word]);
        let file = format!("domicile.{shell}");
        place.write(&file, &script.out);
        // Where the shell is there, it must be able to read its script.
        let checked = Command::new(shell)
            .arg("-n")
            .arg(place.path(&file))
            .output();
        if let Ok(checked) = checked {
            assert!(
                checked.status.success(),
                "{shell}: {}",
                String::from_utf8_lossy(&checked.stderr)
            );
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let place = Place::new();
    let _ = place.run("man").ends(0).says(&[".TH", "domicile\\-plan"]);
    std::fs::create_dir(place.path("man1")).expect("the folder can be written");
    let _ = place.run("man --out man1").ends(0);
    let mut pages: Vec<String> = command()
        .get_subcommands()
        .map(|part| format!("man1/domicile-{}.1", part.get_name()))
        .collect();
    pages.push("man1/domicile.1".to_owned());
    for page in pages {
        let text = place.read(&page);
        assert!(text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
    let _ = place
        .run("man --out nowhere")
        .ends(1)
        .complains(&["cannot be written to nowhere", "name a folder"]);
}

#[test]
fn the_command_line_has_no_contradiction_in_itself() {
    command().debug_assert();
}
