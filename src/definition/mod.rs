//! A domain's XML: facts out of it, and a rewritten text in which all that is not named stays to the letter.
//!
//! The text comes from a host and is hostile until parsed: size and depth are limited, nothing panics, and no value
//! of it reaches an output unchecked.

mod claims;
mod device;
mod disk;
mod mark;
mod needs;
mod pending;
mod read;
mod rewrite;
mod secrets;
mod splice;
pub(crate) mod xml;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use mark::{mark_element, with_mark, without_mark};
pub use pending::pending;
pub use read::{Facts, Mark, read};
pub use rewrite::rewrite;
pub use secrets::without_secrets;
pub use xml::XmlError;

use crate::model::{DiskTarget, InterfaceSource, InvalidName, MacAddress, VolumeFormat};

/// What changes in a definition; all else is kept to the letter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rewrite {
    /// New source of a disk whose libvirt type is `file`, `block` or `volume`. Afterwards it is `block` where the new
    /// path is a device below `/dev`, else `file`: QEMU opens the one with another driver than the other, and the
    /// pool at the destination may be of another kind than the one at the source.
    pub disks: BTreeMap<DiskTarget, DiskRewrite>,
    /// New connection of an interface: a bridge, a libvirt network or a device of the host.
    pub interfaces: BTreeMap<MacAddress, InterfaceSource>,
}

/// A disk's source after the rewrite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskRewrite {
    /// Path of the top image.
    pub path: String,
    /// Paths and formats of the images below it, the nearest first; empty where it stands alone. They replace the
    /// chain that the definition names. A definition that names none, as most persistent ones, gets none: libvirt
    /// then reads the chain from the images at every start.
    pub backing: Vec<(String, VolumeFormat)>,
}

impl Rewrite {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.disks.is_empty() && self.interfaces.is_empty()
    }
}

/// Why a definition cannot be read or rewritten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// The text is no XML of a domain.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// Something that every definition has is missing or has no meaning.
    #[error("the definition has no usable {what}")]
    Missing {
        /// What, such as `<memory>`.
        what: &'static str,
    },
    /// A name in it is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A disk that is to be rewritten is not there.
    #[error("the definition has no disk {0}")]
    NoDisk(DiskTarget),
    /// An interface that is to be rewritten is not there.
    #[error("the definition has no interface {0}")]
    NoInterface(MacAddress),
    /// Something that is to be rewritten is there several times.
    #[error("the definition has several of {what}, and nobody can say which is meant")]
    Twice {
        /// Which disk or interface.
        what: String,
    },
    /// A source of a kind that cannot be replaced.
    #[error("the source of {of} is of type {kind}, which cannot be replaced by {wanted}")]
    Source {
        /// Of which disk or interface.
        of: String,
        /// libvirt's type.
        kind: String,
        /// What was to take its place.
        wanted: String,
    },
    /// A new value that cannot stand in XML or means nothing to libvirt.
    #[error("{value:?} cannot be written into a definition as {what}")]
    Value {
        /// What it was to be.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// Two changes want the same place.
    #[error("two changes of the definition want the same place in it")]
    Overlap,
}
