//! What is wrong with a manifest, with the places in the text that show it.

use std::fmt;
use std::ops::Range;

/// One fault of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault it is, in kebab case, such as `unknown-host`.
    pub code: &'static str,
    /// What is wrong, in a sentence.
    pub message: String,
    /// Where in the manifest, such as `vms.web-1.disks.vda`; empty for the whole file.
    pub path: String,
    /// The text that is wrong.
    pub label: Label,
    /// Another place that belongs to it, such as the first definition of a name that is defined twice.
    pub second: Option<Label>,
    /// What to do about it.
    pub help: Option<String>,
}

/// A piece of one source and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Which of the sources that were loaded, counted from 0.
    pub source: usize,
    /// The bytes of its text.
    pub span: Range<usize>,
    /// A few words that stand beside the underlined text.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl Fault {
    /// A fault with one place; control characters in its texts are shown as escapes.
    #[must_use]
    pub fn new(
        code: &'static str,
        path: impl Into<String>,
        label: Label,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            message: one_line(message.into()),
            path: one_line(path.into()),
            label,
            second: None,
            help: None,
        }
    }

    /// The same with what can be done.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(one_line(help.into()));
        self
    }

    pub(super) fn second(mut self, label: Label) -> Self {
        self.second = Some(label);
        self
    }
}

/// A text that may hold pieces of the manifest, safe to be shown: no line breaks, no commands to the terminal.
fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let shown = |letter: char| {
        if letter.is_control() {
            letter.escape_default().to_string()
        } else {
            letter.to_string()
        }
    };
    text.chars().map(shown).collect()
}
