//! Ctrl-C and its relatives to a wish to stop.

use std::io;
use std::thread::JoinHandle;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::apply::CancelHandle;

/// Listens while it lives: the first signal asks to start nothing new, the next to cancel what can be cancelled.
pub(super) struct Listener {
    signals: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Begins to listen. A closed terminal counts as well: the apply ends in order instead of in the middle.
    pub(super) fn new(cancel: &CancelHandle) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let cancel = cancel.clone();
        let thread = std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    cancel.press();
                    log::info!("signal {signal}: the wish to stop is passed on");
                }
            })?;
        Ok(Self {
            signals: handle,
            thread: Some(thread),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.signals.close();
        if let Some(thread) = self.thread.take() {
            // It does nothing that could panic.
            let _ = thread.join();
        }
    }
}
