//! Workflow commands: lines that GitHub takes from the output of a job.

use std::fmt::Write as _;

use super::Annotation;
use crate::render::clean;
use crate::render::progress::Level;

/// A line for each annotation.
#[must_use]
pub fn github(annotations: &[Annotation]) -> String {
    let mut out = String::new();
    for one in annotations {
        let command = match one.level {
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "notice",
        };
        let _ = write!(out, "::{command} title={}", property(&one.code));
        if let Some(place) = &one.place {
            let file = property(&place.file);
            let (line, column) = (place.line, place.column);
            // The last column is part of what is marked.
            let end = place.end.saturating_sub(1).max(column);
            let _ = write!(
                out,
                ",file={file},line={line},endLine={line},col={column},endColumn={end}"
            );
        }
        let _ = writeln!(out, "::{}", data(&one.text()));
    }
    out
}

/// A message, as the runner unescapes it.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property's value, as the runner unescapes it.
fn property(text: &str) -> String {
    data(&clean(text)).replace(':', "%3A").replace(',', "%2C")
}
