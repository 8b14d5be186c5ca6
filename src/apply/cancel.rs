//! A person's wish to stop, set from any thread, signal handlers included.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::hypervisor::Cancel;

/// A person's wish to stop. Clones share it; it only ever grows more urgent.
#[derive(Debug, Clone, Default)]
pub struct CancelHandle {
    asked: Arc<AtomicU8>,
}

impl CancelHandle {
    /// Nobody has asked to stop yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks to stop this urgently; a milder wish after a more urgent one changes nothing. Only an atomic is written,
    /// so a signal handler may call it.
    pub fn ask(&self, cancel: Cancel) {
        let urgency = match cancel {
            Cancel::No => 0,
            Cancel::Drain => 1,
            Cancel::Now => 2,
        };
        self.asked.fetch_max(urgency, Ordering::SeqCst);
    }

    /// The next degree of urgency: the first call drains, each later one cancels. This is what Ctrl-C does.
    pub fn press(&self) {
        match self.asked() {
            Cancel::No => self.ask(Cancel::Drain),
            Cancel::Drain | Cancel::Now => self.ask(Cancel::Now),
        }
    }

    /// What was asked so far.
    #[must_use]
    pub fn asked(&self) -> Cancel {
        match self.asked.load(Ordering::SeqCst) {
            0 => Cancel::No,
            1 => Cancel::Drain,
            _ => Cancel::Now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_to_stop_only_grows_more_urgent() {
        let handle = CancelHandle::new();
        handle.press();
        assert_eq!(handle.asked(), Cancel::Drain);
        handle.press();
        handle.clone().ask(Cancel::Drain);
        assert_eq!(handle.asked(), Cancel::Now);
    }
}
