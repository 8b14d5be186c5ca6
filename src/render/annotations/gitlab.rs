//! GitLab's code quality report: a list of issues in the subset of Code Climate's format that GitLab reads.

use serde::Serialize;

use super::Annotation;
use crate::render::progress::Level;

#[derive(Serialize)]
struct Issue<'a> {
    description: String,
    check_name: &'a str,
    fingerprint: &'a str,
    severity: &'static str,
    location: Location<'a>,
}

#[derive(Serialize)]
struct Location<'a> {
    path: &'a str,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: usize,
    end: usize,
}

/// The report. An issue must have a place: one without stands at the first line of `file`.
///
/// # Errors
/// Never: all that is written are texts and numbers.
pub fn gitlab(annotations: &[Annotation], file: &str) -> serde_json::Result<String> {
    let issue = |one| issue(one, file);
    let issues: Vec<Issue<'_>> = annotations.iter().map(issue).collect();
    Ok(serde_json::to_string_pretty(&issues)? + "\n")
}

fn issue<'a>(one: &'a Annotation, file: &'a str) -> Issue<'a> {
    let place = one.place.as_ref();
    let line = place.map_or(1, |place| place.line);
    Issue {
        // The report shows one line.
        description: one.text().replace('\n', ": "),
        check_name: &one.code,
        fingerprint: &one.fingerprint,
        severity: match one.level {
            Level::Error => "blocker",
            Level::Warn => "major",
            Level::Info => "info",
        },
        location: Location {
            path: place.map_or(file, |place| &place.file),
            lines: Lines {
                begin: line,
                end: line,
            },
        },
    }
}
