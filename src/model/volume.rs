//! Volumes and how they are named across the fleet.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Bytes, HostName, PoolName, VolumeName};

/// The format of an image, by libvirt's names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VolumeFormat {
    /// Every byte where the guest sees it.
    Raw,
    /// QEMU's copy-on-write format.
    Qcow2,
    /// Another format of libvirt's list, which Domicile carries but does not create.
    #[serde(untagged)]
    Other(String),
}

impl VolumeFormat {
    /// The format of libvirt's name.
    #[must_use]
    pub fn from_libvirt(name: &str) -> Self {
        match name {
            "raw" => Self::Raw,
            "qcow2" => Self::Qcow2,
            other => Self::Other(other.to_owned()),
        }
    }

    /// libvirt's name of the format.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for VolumeFormat {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

/// Where a volume is: host, that host's name of the pool, and the volume's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeRef {
    /// The host that is asked for it.
    pub host: HostName,
    /// The pool, by its name on that host.
    pub pool: PoolName,
    /// The volume in the pool.
    pub volume: VolumeName,
}

impl fmt::Display for VolumeRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}/{}", self.host, self.pool, self.volume)
    }
}

/// One image below another in a backing chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackingLayer {
    /// Absolute path on the host.
    pub path: String,
    /// Its format.
    pub format: VolumeFormat,
    /// Virtual size, where known.
    pub capacity: Option<Bytes>,
    /// Bytes it occupies, where known.
    pub allocation: Option<Bytes>,
    /// The pool and volume of that path, where the host has one.
    pub volume: Option<(PoolName, VolumeName)>,
}
