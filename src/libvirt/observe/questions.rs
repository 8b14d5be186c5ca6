//! Asking one host: every call counted, every failure that is not fatal noted, and an end when nobody waits any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use virt::connect::Connect;
use virt::error::Error;

use crate::libvirt::connection::{Connection, locked};
use crate::libvirt::error::CallError;

/// What the thread that reads a host and the one that waits for it tell each other.
#[derive(Default)]
pub(super) struct Progress {
    stage: Mutex<&'static str>,
    given_up: AtomicBool,
}

impl Progress {
    /// Says what the next calls ask for.
    pub(super) fn about(&self, stage: &'static str) {
        *locked(&self.stage) = stage;
    }

    /// What is being asked for.
    pub(super) fn stage(&self) -> &'static str {
        *locked(&self.stage)
    }

    /// Says that nobody waits any more.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

/// The connection to a host that is being read, and what could not be read so far.
pub(super) struct Questions {
    connection: Arc<Connection>,
    progress: Arc<Progress>,
    gaps: Mutex<Vec<String>>,
}

impl Questions {
    pub(super) fn new(connection: Arc<Connection>, progress: Arc<Progress>) -> Self {
        Self {
            connection,
            progress,
            gaps: Mutex::default(),
        }
    }

    /// Says what the next calls ask for.
    pub(super) fn about(&self, stage: &'static str) {
        self.progress.about(stage);
    }

    /// The connection, for what it knows without a call.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Makes one counted call, unless nobody waits for the result any more.
    pub(super) fn call<T>(
        &self,
        call: impl FnOnce(&Connect) -> Result<T, Error>,
    ) -> Result<T, CallError> {
        if self.progress.given_up.load(Ordering::Relaxed) {
            let host = &self.connection.host;
            return Err(CallError::ours(host, "nobody waits for the answer"));
        }
        self.connection.call(call)
    }

    /// Notes that something could not be read.
    pub(super) fn gap(&self, gap: impl Into<String>) {
        locked(&self.gaps).push(gap.into());
    }

    /// What the call returned, or nothing and a gap that begins with `what`.
    pub(super) fn or_gap<T>(&self, what: &str, result: Result<T, CallError>) -> Option<T> {
        result
            .map_err(|error| self.gap(format!("{what}: {}", error.message)))
            .ok()
    }

    /// Every gap, in order.
    pub(super) fn gaps(&self) -> Vec<String> {
        let mut gaps = locked(&self.gaps).clone();
        gaps.sort();
        gaps.dedup();
        gaps
    }
}
