//! What a step works with: connections to the hosts and the eyes of whoever asked for it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::connection::{Connection, Connections, Purpose};
use super::error::CallError;
use super::failure::Failure;
use super::overdue::Patience;
use crate::hypervisor::{Cancel, Watch};
use crate::model::HostName;

/// How long a lost host is called for before the step gives up on it: a daemon that is restarted is back by then.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// What a step works with.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// The hosts.
    pub(super) connections: &'a Connections,
    /// Who watches.
    pub(super) watch: &'a dyn Watch,
    /// For how long it waits for calls.
    pub(super) patience: &'a Arc<Patience>,
}

impl Context<'_> {
    /// The host's connection for work.
    pub(super) fn work(&self, host: &HostName) -> Result<Arc<Connection>, CallError> {
        self.get(host, Purpose::Work)
    }

    /// The host's connection for watching and cancelling.
    pub(super) fn watching(&self, host: &HostName) -> Result<Arc<Connection>, CallError> {
        self.get(host, Purpose::Watch)
    }

    fn get(&self, host: &HostName, purpose: Purpose) -> Result<Arc<Connection>, CallError> {
        let shared = self.connections.get(host, purpose)?;
        Ok(Arc::new(shared.with(self.patience)))
    }

    /// A connection that only this step uses.
    pub(super) fn own(&self, host: &HostName) -> Result<Arc<Connection>, CallError> {
        let own = self.connections.own(host)?;
        Ok(Arc::new(own.with(self.patience)))
    }

    /// Connections for work to all of these hosts; one that does not answer fails the whole.
    pub(super) fn all(&self, hosts: &[HostName]) -> Result<Vec<Arc<Connection>>, CallError> {
        hosts.iter().map(|host| self.work(host)).collect()
    }

    /// Whether running steps are to be cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        self.watch.cancel() == Cancel::Now
    }

    /// Fails as cancelled where that is wanted.
    pub(super) fn expect_not_cancelled(&self) -> Result<(), Failure> {
        if self.is_cancelled() {
            return Err(Failure::cancelled());
        }
        Ok(())
    }

    /// Asks again and again while the way to a host is broken, opening new connections, for a minute at most.
    pub(super) fn insist<T>(mut ask: impl FnMut() -> Result<T, CallError>) -> Result<T, CallError> {
        let began = Instant::now();
        loop {
            match ask() {
                Err(error) if error.is_connection() && began.elapsed() < BACK_WITHIN => {
                    log::info!("{error}; asking again");
                    thread::sleep(Duration::from_secs(1));
                }
                other => return other,
            }
        }
    }
}
