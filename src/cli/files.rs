//! Files that people name on the command line.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::Deserialize;

use super::failure::Failure;
use crate::apply::journal;
use crate::observed::{self, Observed};

/// The longest file that is read as a plan or a reading. A reading of 10,000 VMs with all their definitions has about
/// a fifth of it.
const FILE_BYTES_MAX: u64 = 1 << 30;

const JOURNALS: &str = "name a file that `domicile apply --journal FILE` wrote";

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    read_up_to(path, FILE_BYTES_MAX)
}

fn read_up_to(path: &Path, bytes_max: u64) -> Result<String, Failure> {
    let mut text = String::new();
    // One byte more than is allowed tells apart what is too long; a device or a pipe has no length to ask for.
    let read = fs::File::open(path).and_then(|file| {
        file.take(bytes_max.saturating_add(1))
            .read_to_string(&mut text)
    });
    let bytes = read.map_err(|error| {
        let failure = Failure::error(format!("{} cannot be read: {error}", path.display()));
        match error.kind() {
            io::ErrorKind::NotFound => failure.help("check the name and the current folder"),
            io::ErrorKind::InvalidData => failure.help("it is no text file"),
            _ => failure,
        }
    })?;
    if u64::try_from(bytes).is_ok_and(|bytes| bytes <= bytes_max) {
        return Ok(text);
    }
    let failure = Failure::error(format!(
        "{} is longer than the {bytes_max} bytes that are read",
        path.display()
    ));
    Err(failure
        .help("files that Domicile reads here are written by `plan --out` and `observe --out`"))
}

/// Writes a file so that at every moment either the old or the new one is there in full.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let new = path.with_file_name(name);
    let written = create(&new, text).and_then(|()| fs::rename(&new, path));
    written.map_err(|error| {
        // What is left of it is of no use; that it cannot be removed adds nothing to the error.
        let _ = fs::remove_file(&new);
        Failure::error(format!("{} cannot be written: {error}", path.display()))
    })
}

/// Writes a file that must not exist yet.
pub(super) fn create_new(path: &Path, text: &str) -> Result<(), Failure> {
    create(path, text).map_err(|error| {
        let failure = Failure::error(format!("{} cannot be written: {error}", path.display()));
        match error.kind() {
            io::ErrorKind::AlreadyExists => {
                failure.help("choose another name, or move the file away first")
            }
            _ => failure,
        }
    })
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The text of a journal, of a layout that is understood.
pub(super) fn read_journal(path: &Path) -> Result<String, Failure> {
    let text = read(path)?;
    let first = text.lines().next().unwrap_or_default();
    let header: serde_json::Value =
        serde_json::from_str(first).map_err(|error| no_journal(path, &error))?;
    check_version(path, &header, journal::FORMAT_VERSION)
        .map_err(|failure| failure.help(JOURNALS))?;
    Ok(text)
}

/// A file that should be a journal.
pub(super) fn no_journal(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::error(format!("{} is no journal: {error}", path.display())).help(JOURNALS)
}

/// A reading made by `observe --out`.
pub(super) fn read_observed(path: &Path) -> Result<Observed, Failure> {
    parse_observed(path, &read(path)?)
}

/// A reading to plan on, which says nothing twice and differently.
pub(super) fn read_sound(path: &Path) -> Result<Observed, Failure> {
    let observed = read_observed(path)?;
    match observed.contradictions().first() {
        Some(contradiction) => Err(Failure::error(format!(
            "{} contradicts itself: {contradiction}",
            path.display()
        ))
        .help("make a new one with `domicile observe --out FILE`")),
        None => Ok(observed),
    }
}

/// The same from a text that was read already.
pub(super) fn parse_observed(path: &Path, text: &str) -> Result<Observed, Failure> {
    // A reading of thousands of hosts is large, so nothing of it is held besides the text and the reading itself.
    let versioned = match serde_json::from_str(text) {
        Ok(versioned) => versioned,
        Err(error) if error.is_data() => Versioned::default(),
        Err(error) => return Err(no_json(path, &error)),
    };
    expect_version(
        path,
        versioned.format_version.as_deref(),
        observed::FORMAT_VERSION,
    )?;
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        Failure::error(format!(
            "{} is not a reading of hosts: {error}",
            path.display()
        ))
        .help("make one with `domicile observe --out FILE`")
    })
}

/// What every file of ours says first.
#[derive(Default, Deserialize)]
struct Versioned {
    format_version: Option<String>,
}

/// JSON, or where it stops being that.
pub(super) fn parse_json(path: &Path, text: &str) -> Result<serde_json::Value, Failure> {
    serde_json::from_str(text).map_err(|error| no_json(path, &error))
}

fn no_json(path: &Path, error: &serde_json::Error) -> Failure {
    Failure::error(format!("{} is not JSON: {error}", path.display()))
        .help("files that Domicile reads here are written by `plan --out` and `observe --out`")
}

/// Refuses a layout whose meaning this version cannot know.
pub(super) fn check_version(
    path: &Path,
    value: &serde_json::Value,
    ours: &str,
) -> Result<(), Failure> {
    let theirs = value
        .get("format_version")
        .and_then(serde_json::Value::as_str);
    expect_version(path, theirs, ours)
}

fn expect_version(path: &Path, theirs: Option<&str>, ours: &str) -> Result<(), Failure> {
    let path = path.display();
    let Some(theirs) = theirs else {
        return Err(
            Failure::error(format!("{path} does not say its format_version")).help(
                "files that Domicile reads here are written by `plan --out` and `observe --out`",
            ),
        );
    };
    let major = |version: &str| {
        version
            .split('.')
            .next()
            .and_then(|major| major.parse::<u64>().ok())
    };
    match (major(theirs), major(ours)) {
        (Some(theirs), Some(ours)) if theirs == ours => Ok(()),
        (Some(newer), Some(older)) if newer > older => Err(Failure::error(format!(
            "{path} has format_version {theirs}; this Domicile knows {ours}"
        ))
        .help("it was written by a newer Domicile: use that one, or make the file again")),
        _ => Err(Failure::error(format!(
            "{path} has format_version {theirs}; this Domicile knows {ours}"
        ))
        .help("make the file again with this Domicile")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_long_is_refused_whatever_it_says_of_its_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reading.json");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_up_to(&path, 5).unwrap(), "12345");
        assert!(read_up_to(&path, 4).is_err());
        assert!(read_up_to(Path::new("/dev/zero"), 1000).is_err());
    }
}
