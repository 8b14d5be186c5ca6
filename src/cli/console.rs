//! The terminal: what it can show, writing to it, asking the person at it.

use std::env;
use std::io::{self, BufRead, IsTerminal, Write};

use super::exit::Exit;
use super::failure::Failure;
use crate::render::{Grouping, Role, Style};

/// Columns where nobody knows: wide enough for a log, narrow enough to read.
const WIDTH_UNKNOWN: usize = 100;

/// Where output goes and what may be done there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Console {
    /// How to write to standard output.
    pub(super) style: Style,
    /// How to write to standard error.
    pub(super) errors: Style,
    /// Whether lines that were written can be overwritten.
    pub(super) is_live: bool,
    /// Whether hints on what to type next are wanted.
    pub(super) hints: bool,
}

impl Console {
    /// As the environment and the command line say.
    pub(super) fn new(no_color: bool) -> Self {
        let out = io::stdout().is_terminal();
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let forbidden = no_color || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let style = |terminal: bool| Style {
            color: terminal && !dumb && !forbidden,
            width: width(),
        };
        Self {
            style: style(out),
            errors: style(io::stderr().is_terminal()),
            is_live: out && !dumb && io::stderr().is_terminal(),
            hints: !is_set("DOMICILE_IN_AUTOMATION"),
        }
    }

    /// How the log of the pipeline that this runs in folds its lines; on a terminal nothing is folded.
    pub(super) fn grouping(&self) -> Grouping {
        let says = |variable: &str| env::var_os(variable).is_some_and(|value| value == "true");
        if self.is_live {
            Grouping::None
        } else if says("GITHUB_ACTIONS") {
            // Nobody who names a VM can guess it, so no name can end what is not to be obeyed.
            Grouping::Github {
                token: uuid::Uuid::new_v4().simple().to_string(),
            }
        } else if says("GITLAB_CI") {
            Grouping::Gitlab
        } else {
            Grouping::None
        }
    }

    /// Asks whether to go on; only `yes` is a yes.
    pub(super) fn confirm(&self, question: &str) -> Result<(), Failure> {
        let answers = env::var_os("DOMICILE_INPUT").is_none_or(|value| value != "0");
        if !answers || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(Failure::error("there is nobody to ask whether to go on").help(
                "answer at a terminal, pass --auto-approve, or save the plan with `domicile plan --out FILE` and \
                 pass the file to `domicile apply`",
            ));
        }
        let question = self.style.paint(Role::Heading, question);
        print(&format!("\n{question}\n  Only 'yes' will be accepted: "))?;
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| Failure::error(format!("the answer cannot be read: {error}")))?;
        if answer.trim_end_matches(['\r', '\n']) == "yes" {
            Ok(())
        } else {
            Err(Failure::new(
                Exit::DECLINED,
                "not carried out; nothing was changed",
            ))
        }
    }
}

/// Writes to standard output. Nobody reading any more is no error: what was wanted of the output was had.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::error(format!(
            "standard output cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Writes a remark to standard error. It is only a remark, so that nobody can read it is no error.
pub(super) fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty() && value != "0")
}

fn width() -> usize {
    let columns = env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    // Narrower than this nothing could be aligned.
    terminal().or(columns).unwrap_or(WIDTH_UNKNOWN).max(40)
}
