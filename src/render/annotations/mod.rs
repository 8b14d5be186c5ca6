//! Faults of a manifest and findings of a plan in the forms in which reviews show them at the line that they are about.

mod github;
mod gitlab;
mod sarif;

pub use github::github;
pub use gitlab::gitlab;
pub use sarif::sarif;

use super::progress::Level;

/// Something to be said at a line of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// How grave it is.
    pub level: Level,
    /// The code of the fault or rule.
    pub code: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do about it; empty where there is nothing to say.
    pub remedy: String,
    /// Where; `None` where the manifest has no such place.
    pub place: Option<Place>,
    /// What tells it from others and stays the same when lines are added above it, in hexadecimal digits.
    pub fingerprint: String,
}

/// A piece of one line of a file. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named, with slashes.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The first column.
    pub column: usize,
    /// The column behind the last.
    pub end: usize,
}

impl Annotation {
    /// Message and remedy, the remedy in a line of its own; clean.
    fn text(&self) -> String {
        let message = super::clean(&self.message);
        if self.remedy.is_empty() {
            message.into_owned()
        } else {
            format!("{message}\n{}", super::clean(&self.remedy))
        }
    }
}
