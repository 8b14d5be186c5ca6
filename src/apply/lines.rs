//! The text of a journal to its first line and its events, for whoever learns from them.

use std::iter::Peekable;
use std::str::Lines;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::event::Event;

/// A line that a journal does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}, is not what a journal has there: {why}")]
pub struct NotAJournal {
    /// Which line, from 1.
    pub line: usize,
    /// Which byte of it, from 1; 0 where the line as a whole is wrong.
    pub column: usize,
    /// Why.
    pub why: String,
}

impl NotAJournal {
    fn at(line: usize, error: &serde_json::Error) -> Self {
        let (within, column) = (error.line(), error.column());
        let why = error.to_string();
        let place = format!(" at line {within} column {column}");
        let why = why.strip_suffix(&place).unwrap_or(&why).to_owned();
        Self { line, column, why }
    }
}

/// The events of a journal. Its last line may be cut off: the apply may have died in the midst of it.
#[derive(Debug)]
pub(super) struct Events<'t> {
    lines: Peekable<std::iter::Enumerate<Lines<'t>>>,
}

#[derive(Deserialize)]
struct Line {
    event: Event,
}

/// The first line, as far as its reader is interested, and what follows it.
pub(super) fn read<Header: DeserializeOwned>(
    journal: &str,
) -> Result<(Header, Events<'_>), NotAJournal> {
    let mut lines = journal.lines().enumerate().peekable();
    let (_, first) = lines.next().unwrap_or_default();
    let header = serde_json::from_str(first).map_err(|error| NotAJournal::at(1, &error))?;
    Ok((header, Events { lines }))
}

impl Iterator for Events<'_> {
    type Item = Result<Event, NotAJournal>;

    fn next(&mut self) -> Option<Self::Item> {
        let (index, line) = self.lines.next()?;
        match serde_json::from_str::<Line>(line) {
            Ok(line) => Some(Ok(line.event)),
            Err(_) if self.lines.peek().is_none() => None,
            Err(error) => Some(Err(NotAJournal::at(index + 1, &error))),
        }
    }
}
