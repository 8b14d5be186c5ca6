//! Ctrl-C and its relatives to a wish to stop.
//!
//! - SIGINT and SIGTERM: the first asks to start nothing new, the second to cancel what can be cancelled without loss.
//!   Systems that end jobs send both, or one of them and then SIGKILL, which no program sees: what it leaves is
//!   found by the next plan.
//! - A third changes nothing, and is told so: what is still done then is what keeps VMs from being lost.
//! - SIGHUP only ever asks for the first: a terminal that is closed may send it twice, from the system and from the
//!   shell, and nobody who does that is in a hurry.
//! - Signals that were ignored when the program was started (`nohup`, jobs in the background of a script) stay so.

use std::fs;
use std::io;
use std::thread::JoinHandle;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use super::console::remark;
use crate::apply::CancelHandle;
use crate::hypervisor::Cancel;

/// Listens while it lives.
pub(super) struct Listener {
    signals: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Begins to listen.
    pub(super) fn new(cancel: &CancelHandle) -> io::Result<Self> {
        let ignored = fs::read_to_string("/proc/self/status").map_or(0, |text| ignored_in(&text));
        let heard = [SIGINT, SIGTERM, SIGHUP]
            .into_iter()
            .filter(|signal| ignored >> (signal - 1) & 1 == 0);
        let mut signals = Signals::new(heard)?;
        let handle = signals.handle();
        let cancel = cancel.clone();
        let thread = std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    match (signal, cancel.asked()) {
                        (SIGHUP, _) => cancel.ask(Cancel::Drain),
                        (_, Cancel::Now) => remark(
                            "already stopping: what is still done brings VMs to where they run and cannot be left out. \
                             `kill -9` ends this program at once; `domicile plan` then shows what it left.",
                        ),
                        _ => cancel.press(),
                    }
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

/// The signals that this process ignores, by the text of `/proc/self/status`: bit 0 is signal 1.
fn ignored_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_are_ignored_are_known() {
        let status = "Name:\tdomicile\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored_in(status), 1 << (SIGHUP - 1) | 1 << 12);
        assert_eq!(ignored_in("nothing"), 0);
    }
}
