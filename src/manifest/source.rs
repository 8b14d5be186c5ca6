//! Files and folders to the texts of a manifest.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// One file of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file as it was named on the command line or found in a folder.
    pub name: String,
    /// Its text, without a byte order mark.
    pub text: String,
}

impl Source {
    /// A text that did not come from a file.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }
}

/// The largest manifest in bytes, all files together: some 200,000 VMs in their short form. A larger one is a mistake,
/// such as the image of a disk named as a manifest, and must not fill the memory.
pub const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// Why the files of a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refuses.
    #[error("{} cannot be read: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A folder without a file that could be part of a manifest.
    #[error("the folder {} has no file whose name ends in .yaml or .yml; folders in it are not searched", path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Some bytes are not text.
    #[error("{} is not UTF-8 text: line {line} has a byte that belongs to no character; save the file as UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The line of the first such byte, counted from 1.
        line: usize,
    },
    /// More than [`MANIFEST_BYTES_MAX`].
    #[error("{} makes the manifest larger than {} MiB, which no manifest is; is it the right file?", path.display(), MANIFEST_BYTES_MAX >> 20)]
    TooLarge {
        /// The file at which the limit was passed.
        path: PathBuf,
    },
}

/// Reads the files of a manifest in the order given. A folder stands for its files `*.yaml` and `*.yml` in the order
/// of their names, without those that start with a dot and without its own folders. A file that is named twice, or
/// both by itself and by its folder, is read once.
///
/// # Errors
/// At the first file that cannot be read as text; see [`ReadError`].
pub fn read(paths: &[PathBuf]) -> Result<Vec<Source>, ReadError> {
    let mut sources = Vec::new();
    let mut seen = BTreeSet::new();
    let mut room = MANIFEST_BYTES_MAX;
    for path in paths {
        let folder = path.is_dir();
        let files = if folder {
            files_of(path)?
        } else {
            vec![path.clone()]
        };
        for file in files {
            let real = file.canonicalize().map_err(|error| ReadError::Io {
                path: file.clone(),
                error,
            })?;
            if seen.insert(real) {
                sources.push(read_file(&file, &mut room)?);
            }
        }
    }
    Ok(sources)
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let failed = |error| ReadError::Io {
        path: folder.to_owned(),
        error,
    };
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml = path
            .extension()
            .is_some_and(|end| end == "yaml" || end == "yml");
        if yaml && !hidden && !path.is_dir() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(ReadError::EmptyFolder {
            path: folder.to_owned(),
        });
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path, room: &mut u64) -> Result<Source, ReadError> {
    let failed = |error| ReadError::Io {
        path: path.to_owned(),
        error,
    };
    let mut bytes = Vec::new();
    // One byte more than there is room for tells a file that is too large, also where its size is unknown (a pipe).
    File::open(path)
        .and_then(|file| file.take(*room + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    *room = room
        .checked_sub(bytes.len() as u64)
        .ok_or_else(|| ReadError::TooLarge {
            path: path.to_owned(),
        })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let right = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let lines_before = right.split(|byte| *byte == b'\n').count();
        ReadError::NotText {
            path: path.to_owned(),
            line: lines_before,
        }
    })?;
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    Ok(Source {
        name: path.display().to_string(),
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_its_yaml_files_in_order_and_no_file_is_read_twice() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yaml", "notes.txt", ".hidden.yaml"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        std::fs::create_dir(folder.path().join("old.yaml")).unwrap();
        let paths = [folder.path().join("b.yml"), folder.path().to_owned()];
        let texts: Vec<String> = read(&paths)
            .unwrap()
            .into_iter()
            .map(|source| source.text)
            .collect();
        assert_eq!(texts, ["b.yml", "a.yaml"]);
    }

    #[test]
    fn what_cannot_be_read_says_which_file_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| read(&[path.to_owned()]).unwrap_err().to_string();
        assert!(said(folder.path()).contains("no file whose name ends in .yaml"));
        let path = folder.path().join("fleet.yaml");
        assert!(said(&path).contains("fleet.yaml cannot be read: No such file"));
        std::fs::write(&path, b"version: 1\nvms: \xff\n").unwrap();
        assert!(said(&path).contains("line 2"));
        let file = File::create(&path).unwrap();
        file.set_len(MANIFEST_BYTES_MAX + 1).unwrap();
        assert!(said(&path).contains("larger than 16 MiB"));
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.yaml");
        std::fs::write(&path, "\u{feff}version: 1\n").unwrap();
        assert_eq!(read(&[path]).unwrap()[0].text, "version: 1\n");
    }
}
