//! Which steps carry something, so that how long they take can be learned from earlier ones of the same kind.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::model::Calibration;

/// How a step carries what it carries. Steps of one kind are wrong by the same factor, if they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrying {
    /// A live migration.
    Live,
    /// Volumes, without a guest that runs.
    Copy,
}

impl Carrying {
    /// How a step of this action carries; `None` where it carries nothing.
    #[must_use]
    pub fn of(action: &Action) -> Option<Self> {
        match action {
            Action::MigrateLive { .. } => Some(Self::Live),
            Action::MigratePaused { .. }
            | Action::CopyVolume { .. }
            | Action::CompactVolume { .. }
            | Action::VerifyVolume { .. }
            | Action::BlockCopy { .. } => Some(Self::Copy),
            _ => None,
        }
    }

    /// The thousandths by which its durations are corrected.
    #[must_use]
    pub fn thousandths(self, calibration: &Calibration) -> u32 {
        match self {
            Self::Live => calibration.live,
            Self::Copy => calibration.copy,
        }
    }
}
