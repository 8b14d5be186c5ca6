//! Every symbol and colour, in one table each.

use anstyle::{AnsiColor, Style as Ansi};

use crate::plan::{MoveKind, Severity};

/// How to write for the place where the text is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether escape sequences for colours are wanted.
    pub color: bool,
    /// Columns; lines of prose are broken there, a definition's lines are not.
    pub width: usize,
}

impl Style {
    /// Without colours, for files and tests.
    #[must_use]
    pub const fn plain(width: usize) -> Self {
        Self {
            color: false,
            width,
        }
    }

    /// The text in the colours of its role. The text must be clean.
    #[must_use]
    pub fn paint(&self, role: Role, text: &str) -> String {
        let ansi = role.ansi();
        if self.color && ansi != Ansi::new() && !text.is_empty() {
            format!("{ansi}{text}{ansi:#}")
        } else {
            text.to_owned()
        }
    }
}

/// What a piece of text is, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Ordinary text.
    Plain,
    /// A line that starts something.
    Heading,
    /// Said for completeness.
    Aside,
    /// Without harm to a guest; also what is added.
    Good,
    /// It changes something that runs.
    Change,
    /// A guest reboots; also what may hurt.
    Warning,
    /// Refused or failed; also what is removed.
    Bad,
    /// Good to know.
    Note,
}

impl Role {
    fn ansi(self) -> Ansi {
        let color = |color: AnsiColor| Ansi::new().fg_color(Some(color.into()));
        match self {
            Self::Plain => Ansi::new(),
            Self::Heading => Ansi::new().bold(),
            Self::Aside => Ansi::new().dimmed(),
            Self::Good => color(AnsiColor::Green),
            Self::Change => color(AnsiColor::Blue),
            Self::Warning => color(AnsiColor::Yellow),
            Self::Bad => color(AnsiColor::Red).bold(),
            Self::Note => color(AnsiColor::Cyan),
        }
    }
}

/// The sign of an action, as it stands before a VM's name, with its meaning for the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) sign: &'static str,
    pub(super) role: Role,
    pub(super) meaning: &'static str,
}

/// The sign of a VM of which a change is refused.
pub(super) const REFUSED: Symbol = Symbol {
    sign: "x",
    role: Role::Bad,
    meaning: "refused: nothing is done to the VM",
};

/// The sign of a VM that differs but waits for a move of its own accord.
pub(super) const LATER: Symbol = Symbol {
    sign: "?",
    role: Role::Note,
    meaning: "differs: nothing is done now",
};

/// The sign of each way to move.
pub(super) const fn symbol(kind: MoveKind) -> Symbol {
    match kind {
        MoveKind::Live => Symbol {
            sign: "->",
            role: Role::Good,
            meaning: "migrate live: the guest runs on",
        },
        MoveKind::Cold => Symbol {
            sign: "-/>",
            role: Role::Warning,
            meaning: "shut down, move, start: the guest reboots",
        },
        MoveKind::Offline => Symbol {
            sign: "=>",
            role: Role::Change,
            meaning: "move while it is off",
        },
        MoveKind::DiskOnly => Symbol {
            sign: "~",
            role: Role::Change,
            meaning: "move disks on the same host",
        },
        MoveKind::Finish => Symbol {
            sign: ">|",
            role: Role::Note,
            meaning: "finish what an earlier apply began",
        },
    }
}

/// A severity as a word and its colour.
pub(super) const fn severity(severity: Severity) -> (&'static str, Role) {
    match severity {
        Severity::Blocks => ("blocks", Role::Bad),
        Severity::Risk => ("risk", Role::Warning),
        Severity::Note => ("note", Role::Note),
    }
}
