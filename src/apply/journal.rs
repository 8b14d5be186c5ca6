//! Events to a file of JSON lines, so that a person can see afterwards what an apply did, also one that was killed.
//!
//! The first line says what the file is and what the plan's steps are, so that later lines need only their numbers.
//! Nothing reads a journal to learn how things are: the hosts are the truth. What an apply is to be undone to, and how long
//! its steps took against what was reckoned, only its journal knows ([`super::undo`], [`super::records`]).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::event::Event;
use super::records::{self, Reckoned, Times};
use super::undo::{self, Origin};
use crate::plan::Plan;

/// The layout of a journal. A minor step adds fields, a major one changes their meaning.
pub const FORMAT_VERSION: &str = "1.2";

/// Why a journal could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the journal {} could not be written", path.display())]
pub struct JournalError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// A journal that is being written. Each line is handed to the system at once, so it outlives this process.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

#[derive(Serialize)]
struct Header<'a> {
    format_version: &'a str,
    domicile: &'a str,
    time: String,
    /// Each step in words; a step's number is its index.
    steps: Vec<String>,
    /// Where each VM was before, for undoing it.
    origins: Vec<Origin>,
    /// Whether the times of the events are those of real hosts.
    times: Times,
    /// What was reckoned of steps that carry something, for the forecasts of later plans.
    reckoned: Vec<Reckoned>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    event: &'a Event,
}

impl Journal {
    /// Begins a journal in a new file. A file of that name is not overwritten: it may be the only record of an
    /// earlier apply.
    ///
    /// # Errors
    /// When the file exists or cannot be created or written.
    pub fn create(path: &Path, plan: &Plan, times: Times) -> Result<Self, JournalError> {
        let open = OpenOptions::new().write(true).create_new(true).open(path);
        let file = open.map_err(|source| JournalError {
            path: path.to_owned(),
            source,
        })?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
        };
        journal.line(&Header {
            format_version: FORMAT_VERSION,
            domicile: env!("CARGO_PKG_VERSION"),
            time: Timestamp::now().to_string(),
            steps: plan
                .steps
                .iter()
                .map(|step| step.action.to_string())
                .collect(),
            origins: undo::origins(plan),
            times,
            reckoned: records::reckoned(plan),
        })?;
        Ok(journal)
    }

    /// Writes down one event with the time of day.
    ///
    /// # Errors
    /// When the file cannot be written; the apply can go on without it.
    pub fn write(&mut self, event: &Event) -> Result<(), JournalError> {
        self.line(&Line {
            time: Timestamp::now().to_string(),
            event,
        })
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), JournalError> {
        let written = serde_json::to_string(line)
            .map_err(io::Error::from)
            .and_then(|text| self.file.write_all(format!("{text}\n").as_bytes()));
        written.map_err(|source| JournalError {
            path: self.path.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::Happening;
    use crate::model::Millis;
    use crate::plan::StepId;

    fn empty_plan() -> Plan {
        Plan {
            format_version: crate::plan::FORMAT_VERSION.to_owned(),
            changes: Vec::new(),
            moves: Vec::new(),
            findings: Vec::new(),
            steps: Vec::new(),
            capacities: Vec::new(),
            slots: std::collections::BTreeMap::new(),
            makespan: Millis::ZERO,
            bound: crate::plan::Bound::default(),
            critical: Vec::new(),
            alternatives: std::collections::BTreeMap::new(),
            calibration: crate::model::Calibration::default(),
        }
    }

    #[test]
    fn every_event_is_a_line_that_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apply.jsonl");
        let event = Event {
            at: Millis(7),
            what: Happening::StepNote {
                step: StepId(3),
                text: "two\nlines \u{1b}[31m".to_owned(),
            },
        };
        let mut journal = Journal::create(&path, &empty_plan(), Times::Measured).unwrap();
        journal.write(&event).unwrap();

        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["format_version"], FORMAT_VERSION);
        assert_eq!(
            serde_json::from_value::<Event>(lines[1]["event"].clone()).unwrap(),
            event
        );
        assert!(
            lines[1]["time"]
                .as_str()
                .unwrap()
                .parse::<Timestamp>()
                .is_ok()
        );
    }

    #[test]
    fn a_journal_never_overwrites_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apply.jsonl");
        std::fs::write(&path, "of an earlier apply").unwrap();
        let error = Journal::create(&path, &empty_plan(), Times::Measured).unwrap_err();
        assert!(error.to_string().contains("apply.jsonl"), "{error}");
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "of an earlier apply"
        );
    }
}
