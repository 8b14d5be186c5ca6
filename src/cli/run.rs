//! From arguments to the command that they name, and from its outcome to reports and an exit code.

use std::env;
use std::ffi::OsString;
use std::panic;
use std::sync::LazyLock;

use clap::{CommandFactory, FromArgMatches};

use super::args::{Arguments, Command};
use super::console::Console;
use super::exit::Exit;
use super::{
    apply, drift, explain, import, observe, plan, report, schema, shell, show, unlock, validate,
};
use crate::libvirt;

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let revision = option_env!("DOMICILE_BUILT_FROM").map(|of| format!(", revision {of}"));
    format!(
        "{} (libvirt library {}{})",
        env!("CARGO_PKG_VERSION"),
        libvirt::library_version(),
        revision.unwrap_or_default()
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
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Asking libvirt's library for its version makes it set itself up, which is left out where nobody wants to know it.
    let asks = arguments
        .iter()
        .any(|one| one == "--version" || one == "-V");
    let command = if asks {
        command()
    } else {
        Arguments::command().version(env!("CARGO_PKG_VERSION"))
    };
    let matches = command.try_get_matches_from(arguments);
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
        Command::Plan(arguments) => match &arguments.drift {
            Some(since) => drift::run(console, arguments, since),
            None => plan::run(console, arguments),
        },
        Command::Apply(arguments) => apply::run(console, arguments),
        Command::Unlock(arguments) => unlock::run(arguments),
        Command::Show(arguments) => show::run(console, arguments),
        Command::Explain { code } => explain::run(console, code.as_deref()),
        Command::Schema { of } => schema::run(*of),
        Command::Completions { shell } => shell::completions(command(), *shell),
        Command::Man { out } => shell::man(command(), out.as_deref()),
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
