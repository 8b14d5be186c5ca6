//! Help, version and README say what the program does.

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

/// Every example in the help of the program and of its commands.
#[test]
fn the_examples_of_the_help_are_commands_that_the_program_takes() {
    let program = command();
    let helps = [&program].into_iter().chain(program.get_subcommands());
    let mut seen = 0;
    for help in helps.filter_map(|command| command.get_after_help()) {
        for line in help.to_string().lines() {
            let Some(line) = line.strip_prefix("  domicile ") else {
                continue;
            };
            // Behind wide spaces stands what an example does.
            let line = line.split("   ").next().unwrap_or_default();
            for one in line.split(" && domicile ") {
                let words = ["domicile"].into_iter().chain(one.split_whitespace());
                if let Err(error) = command().try_get_matches_from(words) {
                    panic!("{one}: {error}");
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 12, "{seen}");
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

#[test]
fn scripts_and_the_manual_page_are_made_from_the_same_arguments() {
    let place = Place::new();
    let _ = place
        .run("completions bash")
        .ends(0)
        .says(&["--detailed-exitcode"]);
    let _ = place.run("man").ends(0).says(&[".TH"]);
}

#[test]
fn the_command_line_has_no_contradiction_in_itself() {
    command().debug_assert();
}
