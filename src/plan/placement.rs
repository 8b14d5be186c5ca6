//! Where a disk goes in a move, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Bytes, DiskTarget, VolumeFormat, VolumeRef};

/// How a disk gets to its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Carry {
    /// It is where it shall be: storage that both hosts see, or a disk that does not move.
    Stays,
    /// All its data is copied into a volume that stands alone.
    Copy,
    /// A compacted copy is made by the source's daemon, of all its data and without what reads as zeros.
    Compact {
        /// Where that copy lies until it has been carried; `None`: it is made where the disk goes.
        via: Option<VolumeRef>,
    },
    /// The clone's own data is copied onto a base at the destination; it stays thin.
    Thin {
        /// The base at the source.
        base_from: VolumeRef,
        /// The base at the destination.
        base_to: VolumeRef,
    },
    /// Removable media that is not carried; the path must exist at the destination or the drive be empty.
    Media,
}

impl Carry {
    /// Whether bytes of this disk are copied.
    #[must_use]
    pub fn is_copied(&self) -> bool {
        matches!(self, Self::Copy | Self::Compact { .. } | Self::Thin { .. })
    }

    /// Whether the disk is a linked clone that stays one.
    #[must_use]
    pub fn is_thin(&self) -> bool {
        matches!(self, Self::Thin { .. })
    }

    /// Where a compacted copy lies on its way.
    #[must_use]
    pub fn via(&self) -> Option<&VolumeRef> {
        match self {
            Self::Compact { via } => via.as_ref(),
            Self::Stays | Self::Copy | Self::Thin { .. } | Self::Media => None,
        }
    }
}

/// A disk and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskPlacement {
    /// Which disk.
    pub target: DiskTarget,
    /// How.
    pub carry: Carry,
    /// Where it is; `None` for a source that is no volume.
    pub from: Option<VolumeRef>,
    /// Where it will be; `None` for a source that is no volume.
    pub to: Option<VolumeRef>,
    /// Its path at the destination, where it changes or must be proven.
    pub to_path: Option<String>,
    /// Format, at both ends.
    pub format: VolumeFormat,
    /// Virtual size.
    pub capacity: Bytes,
    /// Bytes that its own image occupies at the source.
    pub allocation: Bytes,
    /// Bytes of the images below it that are copied into it; `None` for a disk that keeps its base or has none.
    #[serde(default)]
    pub below: Option<Bytes>,
}

impl DiskPlacement {
    /// The most bytes that a copy of it carries, by what its images occupy.
    #[must_use]
    pub fn data(&self) -> Bytes {
        self.allocation.plus(self.below.unwrap_or_default())
    }

    /// Whether it is a linked clone that becomes a volume of its own.
    #[must_use]
    pub fn is_flattened(&self) -> bool {
        self.below.is_some()
    }
}
