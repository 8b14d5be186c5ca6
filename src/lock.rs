//! The lock on a host: what it tells, and what a host must be able to do with it, so that two applies never work on
//! one host at once.
//!
//! A lock has an identifier that was never used before and will never be used again, so whoever names it means this
//! lock and no later one. That is what taking over and beating rest on: both are done to an identifier, never to
//! "whatever lock there is".
//!
//! A lock can be claimed, for good, by who takes its owner for dead. The owner learns of it at its next beat. So who
//! claims and then sees that the owner has not beaten may remove the lock: should the owner wake up in between, both
//! its beat and the claim are there for the other to see, and at least one of them sees it.
//!
//! Real hosts keep it as an ephemeral secret of libvirt, so it is gone when the daemon restarts.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::{HostName, Millis};

/// What a lock tells of its owner, for people and for whoever finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRecord {
    /// The layout of this record; see [`Self::VERSION`].
    pub version: u32,
    /// Who: `user@machine`.
    pub owner: String,
    /// The process there.
    pub pid: u32,
    /// What for, in a few words.
    pub purpose: String,
    /// Since when, in milliseconds since 1970 by the owner's clock. Nothing is decided by it.
    pub since: u64,
    /// How often the owner promises to beat.
    pub beats_every: Millis,
}

/// Why a record cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its record cannot be understood ({0}); it may be of another version of Domicile")]
pub struct UnreadableRecord(pub String);

impl LockRecord {
    /// The layout that this version writes and reads.
    pub const VERSION: u32 = 1;

    /// The longest text that is read as a record: it comes from a host, and what this version writes is far shorter.
    const BYTES_MAX: usize = 4096;

    /// The record as the text that a host keeps.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Strings and numbers always are JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the text of a host.
    ///
    /// # Errors
    /// When it is no record of a version that this one knows.
    pub fn from_text(text: &str) -> Result<Self, UnreadableRecord> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        if text.len() > Self::BYTES_MAX {
            return Err(UnreadableRecord("it is too long".to_owned()));
        }
        let broken = |error: serde_json::Error| UnreadableRecord(error.to_string());
        let Versioned { version } = serde_json::from_str(text).map_err(broken)?;
        if version != Self::VERSION {
            return Err(UnreadableRecord(format!("version {version}")));
        }
        serde_json::from_str(text).map_err(broken)
    }
}

/// A lock that is on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLock {
    /// Which.
    pub id: Uuid,
    /// What it tells of its owner.
    pub record: Result<LockRecord, UnreadableRecord>,
    /// The owner's latest beat; `None` before the first, and where the host does not tell.
    pub beat: Option<u64>,
}

/// What a beat finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The lock is there, and nobody claims it.
    Ours,
    /// The lock is there, and somebody has claimed it.
    Claimed,
    /// The lock is not on the host any more, and nothing was done.
    Gone,
}

/// Hosts that can be locked. Each call is one atomic act on one host, and returns within a bounded time. An error is
/// told in words that name the host; after one nothing is known of what became of the call.
pub trait Locking: Send + Sync {
    /// Puts this lock on the host, unless another one is on it, which is returned.
    ///
    /// # Errors
    /// When the host does not answer or cannot keep a lock.
    fn take(
        &self,
        host: &HostName,
        id: Uuid,
        record: &LockRecord,
    ) -> Result<Option<HeldLock>, String>;

    /// The lock that is on the host.
    ///
    /// # Errors
    /// When the host does not answer.
    fn look(&self, host: &HostName) -> Result<Option<HeldLock>, String>;

    /// Puts a beat on this lock, and then looks whether it was claimed.
    ///
    /// # Errors
    /// When the host does not answer.
    fn beat(&self, host: &HostName, id: Uuid, beat: u64) -> Result<Kept, String>;

    /// Claims this lock: every beat from now on tells so. A lock that is claimed already, or gone, is no failure.
    ///
    /// # Errors
    /// When the host does not answer.
    fn claim(&self, host: &HostName, id: Uuid) -> Result<(), String>;

    /// Removes this lock with its claim. `false`: it was not on the host any more, and nothing was done.
    ///
    /// # Errors
    /// When the host does not answer.
    fn remove(&self, host: &HostName, id: Uuid) -> Result<bool, String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> LockRecord {
        LockRecord {
            version: LockRecord::VERSION,
            owner: "ann <&> 'o'@ws".into(),
            pid: 7,
            purpose: "apply of 2 moves".into(),
            since: 1,
            beats_every: Millis(3000),
        }
    }

    #[test]
    fn a_record_reads_back() {
        assert_eq!(LockRecord::from_text(&record().to_text()), Ok(record()));
    }

    #[test]
    fn a_record_of_another_version_or_none_at_all_is_told_apart_from_ours() {
        let newer = LockRecord {
            version: 2,
            ..record()
        };
        let told = LockRecord::from_text(&newer.to_text()).unwrap_err();
        assert!(told.to_string().contains("version 2"), "{told}");
        for text in ["", "{}", "[1]", "{\"version\":1}", &"x".repeat(5000)] {
            assert!(LockRecord::from_text(text).is_err(), "{text}");
        }
    }
}
