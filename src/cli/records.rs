//! Journals that the command line names to what forecasts are corrected by.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::console::remark;
use super::failure::Failure;
use super::files;
use crate::apply::records::{Records, SAMPLES_MIN, Times};
use crate::model::Calibration;

/// How the names of journals in a folder end; other files there are none of ours.
const ENDINGS: [&str; 2] = [".jsonl", ".rollback"];

/// Reads journals, and says where they teach nothing.
pub(super) fn read(paths: &[PathBuf]) -> Result<Calibration, Failure> {
    let mut records = Records::default();
    let journals = journals(paths)?;
    for path in &journals {
        let text = files::read_journal(path)?;
        let times = records
            .add(&text)
            .map_err(|error| files::no_journal(path, &error))?;
        if times == Times::Simulated {
            remark(&format!(
                "{} tells of an apply on hosts in memory: forecasts learn nothing from it",
                path.display()
            ));
        }
    }
    if !journals.is_empty() && !records.suffice() {
        remark(&format!(
            "forecasts are as reckoned: the journals have fewer than {SAMPLES_MIN} migrations or copies that came to \
             their end and were to take a second or more"
        ));
    }
    Ok(records.calibration())
}

/// The files, and those in the folders, each once.
fn journals(paths: &[PathBuf]) -> Result<BTreeSet<PathBuf>, Failure> {
    let mut journals = BTreeSet::new();
    for path in paths {
        if !path.is_dir() {
            journals.insert(path.clone());
            continue;
        }
        let found = in_folder(path).map_err(|error| {
            Failure::error(format!(
                "the folder {} cannot be read: {error}",
                path.display()
            ))
        })?;
        if found.is_empty() {
            remark(&format!(
                "there are no journals in {}: the names of those end in {}",
                path.display(),
                ENDINGS.join(" or ")
            ));
        }
        journals.extend(found);
    }
    Ok(journals)
}

fn in_folder(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if ENDINGS.iter().any(|ending| name.ends_with(ending)) && path.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}
