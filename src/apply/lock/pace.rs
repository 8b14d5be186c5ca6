//! How fast locks beat, and after how much silence what is thought of them.

use crate::model::Millis;

/// Beats that an owner must miss before its lock counts as dead. It stops starting anything after half as many.
pub(super) const BEATS_MISSED: u64 = 10;

/// How fast locks beat and are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two beats.
    pub beat_every: Millis,
    /// Between two looks at a lock that is in the way.
    pub look_every: Millis,
    /// After that long without a beat that succeeded nobody hopes for the host any more, and what is to be done there
    /// fails instead of waiting.
    pub hopeless_after: Millis,
    /// How long a host may take to let go of a lock at the end.
    pub release_within: Millis,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            beat_every: Millis::from_secs(3),
            look_every: Millis::from_secs(1),
            hopeless_after: Millis::from_secs(60),
            release_within: Millis::from_secs(10),
        }
    }
}

impl Pace {
    /// For how long after its latest beat an owner relies on its lock.
    pub(super) fn sure_for(&self) -> Millis {
        Millis(self.dead_after().0 / 2)
    }

    /// After how long without a beat the lock of an owner with this pace counts as dead.
    #[must_use]
    pub fn dead_after(&self) -> Millis {
        Millis(self.beat_every.0.saturating_mul(BEATS_MISSED))
    }
}
