//! Locks on simulated hosts: one at a time on each machine, kept in memory as a daemon keeps an ephemeral secret.

use uuid::Uuid;

use super::faults::{Fault, Moment};
use super::hosts::Simulator;
use super::state::{HostLocks, KeptLock, machine};
use crate::lock::{HeldLock, Kept, LockRecord, Locking};
use crate::model::HostName;

impl Simulator {
    /// The host's daemon starts anew: what it kept in memory alone is gone.
    pub fn restart_daemon(&self, host: &HostName) {
        self.state().restart(host);
    }

    /// From now on this host does not answer, until [`Self::heal`].
    pub fn silence(&self, host: &HostName) {
        self.state().gone.insert(host.clone());
    }

    /// Does one act on the lock of a host, with the faults that strike it.
    fn on_lock<T>(
        &self,
        what: &str,
        host: &HostName,
        act: impl FnOnce(&mut HostLocks, String) -> T,
    ) -> Result<T, String> {
        let mut state = self.state();
        if state.dead {
            return Err("this process has died".to_owned());
        }
        if state.gone.contains(host) || !state.world.hosts.contains_key(host) {
            return Err(format!("{host} does not answer"));
        }
        let words = format!("{what} the lock of {host}");
        let attempt = state.attempts.entry(words.clone()).or_insert(0);
        *attempt += 1;
        let attempt = *attempt;
        let fault = state.faults.strike_words(&words, attempt);
        if let Some(fault) = fault {
            state.struck.push(format!("{words}: {fault:?}"));
        }
        match fault {
            Some(Fault::Fails(Moment::Before)) => {
                return Err("refused by the simulation's faults".to_owned());
            }
            Some(Fault::Dies(Moment::Before, _)) => {
                state.dead = true;
                return Err("this process has died".to_owned());
            }
            Some(Fault::HostGone(..)) => {
                state.gone.insert(host.clone());
                return Err(format!("{host} does not answer"));
            }
            Some(Fault::DaemonRestarts(_)) => {
                state.restart(host);
                return Err(format!(
                    "the connection to {host} is lost: its daemon restarts"
                ));
            }
            _ => {}
        }
        let machine = machine(&state, host);
        let result = act(&mut state.locks, machine);
        match fault {
            Some(Fault::Fails(_) | Fault::Hangs(_)) => Err("its answer was lost".to_owned()),
            Some(Fault::Dies(..)) => {
                state.dead = true;
                Err("this process has died".to_owned())
            }
            _ => Ok(result),
        }
    }
}

impl Locking for Simulator {
    fn take(
        &self,
        host: &HostName,
        id: Uuid,
        record: &LockRecord,
    ) -> Result<Option<HeldLock>, String> {
        self.on_lock("take", host, |locks, machine| {
            let there = locks.get(&machine).map(|kept| kept.lock.clone());
            let there = there.filter(|lock| lock.id != id);
            if there.is_none() {
                let lock = HeldLock {
                    id,
                    record: Ok(record.clone()),
                    beat: None,
                };
                let is_claimed = false;
                locks
                    .entry(machine)
                    .or_insert(KeptLock { lock, is_claimed });
            }
            there
        })
    }

    fn look(&self, host: &HostName) -> Result<Option<HeldLock>, String> {
        self.on_lock("look at", host, |locks, machine| {
            locks.get(&machine).map(|kept| kept.lock.clone())
        })
    }

    fn beat(&self, host: &HostName, id: Uuid, beat: u64) -> Result<Kept, String> {
        self.on_lock("beat on", host, |locks, machine| {
            match locks.get_mut(&machine).filter(|kept| kept.lock.id == id) {
                None => Kept::Gone,
                Some(kept) => {
                    kept.lock.beat = Some(beat);
                    if kept.is_claimed {
                        Kept::Claimed
                    } else {
                        Kept::Ours
                    }
                }
            }
        })
    }

    fn claim(&self, host: &HostName, id: Uuid) -> Result<(), String> {
        self.on_lock("claim", host, |locks, machine| {
            if let Some(kept) = locks.get_mut(&machine).filter(|kept| kept.lock.id == id) {
                kept.is_claimed = true;
            }
        })
    }

    fn remove(&self, host: &HostName, id: Uuid) -> Result<bool, String> {
        self.on_lock("remove", host, |locks, machine| {
            let is_there = locks.get(&machine).is_some_and(|kept| kept.lock.id == id);
            if is_there {
                locks.remove(&machine);
            }
            is_there
        })
    }
}
