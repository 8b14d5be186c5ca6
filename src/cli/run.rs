//! From arguments to the command that they name, and from its outcome to reports and an exit code.

use std::env;
use std::ffi::OsString;
use std::io;
use std::panic;
use std::sync::LazyLock;

use clap::{CommandFactory, FromArgMatches};

use super::args::{Arguments, Command};
use super::console::{Console, print};
use super::exit::Exit;
use super::failure::Failure;
use super::{apply, explain, import, observe, plan, report, schema, show, validate};
use crate::libvirt;

static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} (libvirt library {})",
        env!("CARGO_PKG_VERSION"),
        libvirt::library_version()
    )
});

/// The command line, for parsing and for documents made from it.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command().version(VERSION.as_str())
}

/// Runs one command and says how it ended; everything that is to be told has been told by then.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    panic::set_hook(Box::new(report::bug));
    panic::catch_unwind(panic::AssertUnwindSafe(|| parse(arguments))).unwrap_or(Exit::BUG)
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let matches = command().try_get_matches_from(arguments);
    let parsed = matches.and_then(|matches| Arguments::from_arg_matches(&matches));
    match parsed {
        Ok(arguments) => execute(&arguments),
        Err(error) => {
            // Help and version come this way, too. That nobody reads them is no error.
            let _ = error.print();
            if error.use_stderr() {
                Exit::USAGE
            } else {
                Exit::DONE
            }
        }
    }
}

fn execute(arguments: &Arguments) -> Exit {
    let console = Console::new(arguments.no_color);
    log_as_asked();
    let outcome = match &arguments.command {
        Command::Validate(arguments) => validate::run(arguments),
        Command::Observe(arguments) => observe::run(console, arguments),
        Command::Import(arguments) => import::run(console, arguments),
        Command::Plan(arguments) => plan::run(console, arguments),
        Command::Apply(arguments) => apply::run(console, arguments),
        Command::Show(arguments) => show::run(console, arguments),
        Command::Explain { code } => explain::run(console, code.as_deref()),
        Command::Schema { of } => schema::run(*of),
        Command::Completions { shell } => completions(*shell),
        Command::Man => man(),
    };
    outcome.unwrap_or_else(|failure| {
        report::report(console, &failure);
        failure.exit
    })
}

/// Logs go to standard error, and only where they are asked for.
fn log_as_asked() {
    if let Ok(filter) = env::var("DOMICILE_LOG") {
        // Whoever calls this twice in one process has a log already.
        let _ = env_logger::Builder::new().parse_filters(&filter).try_init();
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "domicile", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::DONE)
}

fn man() -> Result<Exit, Failure> {
    let mut page = Vec::new();
    let rendered: io::Result<()> = clap_mangen::Man::new(command()).render(&mut page);
    rendered.map_err(|error| Failure::error(format!("the manual page cannot be made: {error}")))?;
    print(&String::from_utf8_lossy(&page))?;
    Ok(Exit::DONE)
}
