//! What a host is, as far as the choice of a host depends on it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The family of a host's operating system: distributions of one family build QEMU alike.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OsFamily {
    /// Debian, Ubuntu and their kin.
    Debian,
    /// Red Hat Enterprise Linux, `CentOS`, `AlmaLinux`, Rocky Linux and their kin.
    Redhat,
}

impl OsFamily {
    /// The word for it in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Redhat => "redhat",
        }
    }
}

impl fmt::Display for OsFamily {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
