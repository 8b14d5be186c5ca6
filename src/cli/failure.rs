//! Why a command failed: a report for people and an exit code.

use std::fmt;

use super::exit::Exit;
use crate::render::clean;

/// A command that failed, with what to tell.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) reports: Vec<miette::Report>,
}

/// A report without a place in a manifest.
#[derive(Debug)]
struct Plain {
    message: String,
    help: Option<String>,
}

impl fmt::Display for Plain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Plain {}

impl miette::Diagnostic for Plain {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.help.as_ref()?;
        Some(Box::new(help))
    }
}

impl Failure {
    /// An error that changed nothing.
    pub(super) fn error(message: impl AsRef<str>) -> Self {
        Self::new(Exit::ERROR, message)
    }

    pub(super) fn new(exit: Exit, message: impl AsRef<str>) -> Self {
        let message = clean_lines(message.as_ref());
        let plain = Plain {
            message,
            help: None,
        };
        Self {
            exit,
            reports: vec![plain.into()],
        }
    }

    /// The same with advice on what to do now.
    pub(super) fn help(self, help: impl AsRef<str>) -> Self {
        let message = self
            .reports
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n");
        let plain = Plain {
            message,
            help: Some(clean_lines(help.as_ref())),
        };
        Self {
            exit: self.exit,
            reports: vec![plain.into()],
        }
    }
}

/// Several lines, each safe for a terminal.
fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}
