//! The `domicile` program: parse, run, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    domicile::cli::run(std::env::args_os()).into()
}
