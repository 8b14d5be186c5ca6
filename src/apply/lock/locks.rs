//! The locks of an apply: taken on all hosts or none, kept, asked, removed.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::keeper::Keeper;
use super::pace::Pace;
use super::taking::{Answer, Ask, End, Taking, Turn};
use super::tenure::{Moment, Standing};
use crate::apply::CancelHandle;
use crate::hypervisor::Cancel;
use crate::lock::{HeldLock, LockRecord, Locking};
use crate::model::{HostName, Millis};

/// How soon a wish to stop is seen while a lock is waited for.
const CANCEL_SEEN_WITHIN: Duration = Duration::from_millis(100);

/// Why nothing was locked. Nothing is held then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// A host is locked by another.
    #[error("{host} is locked")]
    Held {
        /// The host.
        host: HostName,
        /// The lock that is on it.
        by: Box<HeldLock>,
    },
    /// A host did not answer, or cannot be locked.
    #[error("{0}")]
    Failed(String),
    /// A person asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

/// What is to be locked, by whom, and with how much patience.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Each host with its UUID as libvirt tells it, which may be empty.
    pub hosts: BTreeMap<HostName, String>,
    /// What the locks tell.
    pub record: LockRecord,
    /// How long to wait for another to end; `None`: until it shows a sign of life.
    pub patience: Option<Millis>,
    /// How fast.
    pub pace: Pace,
}

/// Locks that are held. Dropping them removes them from the hosts.
pub struct Locks {
    hosts: Arc<dyn Locking>,
    pace: Pace,
    /// One identifier for all hosts, so that a person can name them at once; a new one for each round.
    id: Uuid,
    keepers: Vec<Keeper>,
    /// Which keeper is responsible for each host: two names may be one machine.
    responsible: BTreeMap<HostName, usize>,
}

impl Locks {
    /// Takes the locks of all hosts or none. `waiting` is called when another lock is met, once for each.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn take(
        hosts: &Arc<dyn Locking>,
        wanted: &Wanted,
        cancel: &CancelHandle,
        waiting: &mut dyn FnMut(&HostName, &HeldLock),
    ) -> Result<Self, LockError> {
        let (order, responsible) = in_order(&wanted.hosts);
        expect_answers(hosts, &order, cancel)?;
        let mut locks = Self {
            hosts: Arc::clone(hosts),
            pace: wanted.pace,
            id: Uuid::nil(),
            keepers: Vec::new(),
            responsible,
        };
        let began = Instant::now();
        let now = || Millis::from(began.elapsed());
        let mut taking = Taking::new(order, wanted.patience, wanted.pace, now());
        let mut told: Option<Uuid> = None;
        loop {
            if cancel.asked() != Cancel::No {
                taking.cancel();
            }
            let ask = match taking.next() {
                Turn::Ask(ask) => ask,
                Turn::Won(_) => return Ok(locks),
                Turn::Over(end) => {
                    return Err(match end {
                        End::Held { host, by } => LockError::Held { host, by },
                        End::Failed(why) => LockError::Failed(why),
                        End::Cancelled => LockError::Cancelled,
                    });
                }
            };
            taking.hear(locks.act(ask, wanted, cancel), now());
            if let Some((host, held)) = taking.waits_for()
                && told.replace(held.id) != Some(held.id)
            {
                waiting(host, held);
            }
        }
    }

    fn act(&mut self, ask: Ask, wanted: &Wanted, cancel: &CancelHandle) -> Answer {
        match ask {
            Ask::Take(host) => {
                if self.keepers.is_empty() {
                    self.id = Uuid::new_v4();
                }
                let (id, began) = (self.id, Moment::now());
                match self.hosts.take(&host, id, &wanted.record) {
                    Ok(None) => self.keep(&host, id, &wanted.record, began),
                    Ok(Some(held)) => Answer::Took(id, Some(held)),
                    Err(why) => Answer::Failed(why, Some(id)),
                }
            }
            Ask::Look(host) => match self.hosts.look(&host) {
                Ok(held) => Answer::Saw(held),
                Err(why) => Answer::Failed(why, None),
            },
            Ask::Claim(host, id) => match self.hosts.claim(&host, id) {
                Ok(()) => Answer::Claimed,
                Err(why) => Answer::Failed(why, None),
            },
            Ask::Remove(host, id) => {
                self.keepers.retain(|keeper| {
                    let is_it = *keeper.host() == host;
                    if is_it {
                        keeper.end();
                    }
                    !is_it
                });
                match self.hosts.remove(&host, id) {
                    Ok(_) => Answer::Removed,
                    Err(why) => Answer::Failed(why, None),
                }
            }
            Ask::Rest => {
                let began = Instant::now();
                let whole = Duration::from(wanted.pace.look_every);
                while began.elapsed() < whole && cancel.asked() == Cancel::No {
                    thread::sleep(CANCEL_SEEN_WITHIN.min(whole));
                }
                Answer::Rested
            }
        }
    }

    fn keep(&mut self, host: &HostName, id: Uuid, record: &LockRecord, began: Moment) -> Answer {
        match Keeper::start(&self.hosts, host, id, record, self.pace, began) {
            Ok(keeper) => {
                self.keepers.push(keeper);
                Answer::Took(id, None)
            }
            Err(why) => Answer::Failed(why, Some(id)),
        }
    }

    /// The hosts that are locked.
    pub fn hosts(&self) -> impl Iterator<Item = &HostName> {
        self.responsible.keys()
    }

    /// Whether it must be waited before anything starts on these hosts: a lock may have been lost.
    pub(in crate::apply) fn are_unsure(&self, hosts: &[&HostName]) -> bool {
        hosts
            .iter()
            .any(|host| self.standing(host) == Standing::Unsure)
    }

    /// Why nothing may be started on these hosts, if so. Waits while it is not known.
    pub(in crate::apply) fn refusal(
        &self,
        hosts: &[&HostName],
        for_bringing_back: bool,
    ) -> Option<String> {
        hosts.iter().find_map(|host| {
            loop {
                match self.standing(host) {
                    Standing::Ours => return None,
                    Standing::Lost { anew: true, .. } if for_bringing_back => return None,
                    Standing::Lost { why, .. } => {
                        return Some(format!("the lock of {host} is lost: {why}"));
                    }
                    Standing::Unsure => thread::sleep(CANCEL_SEEN_WITHIN),
                }
            }
        })
    }

    fn standing(&self, host: &HostName) -> Standing {
        let responsible = self.responsible.get(host).copied();
        match responsible.and_then(|index| self.keepers.get(index)) {
            Some(keeper) => keeper.standing(),
            None => Standing::Lost {
                why: "it was never taken".to_owned(),
                anew: false,
            },
        }
    }

    /// Removes the locks; those of which a host did not say in time that they are gone are returned with the reason.
    /// They are dead soon.
    pub fn release(&mut self) -> Vec<(HostName, String)> {
        let (sender, ended) = mpsc::channel();
        let mut open = BTreeMap::new();
        for keeper in self.keepers.drain(..) {
            let (host, ids) = (keeper.host().clone(), keeper.end());
            let (hosts, sender, name) = (Arc::clone(&self.hosts), sender.clone(), host.clone());
            let remove = move || {
                let result = ids
                    .into_iter()
                    .try_for_each(|id| hosts.remove(&name, id).map(drop));
                // Nobody listens where the time was over.
                drop(sender.send((name, result)));
            };
            let why = match thread::Builder::new().spawn(remove) {
                Ok(_) => "no answer in time".to_owned(),
                Err(error) => format!("cannot start a thread: {error}"),
            };
            open.insert(host, why);
        }
        drop(sender);
        let (began, limit) = (Instant::now(), Duration::from(self.pace.release_within));
        while let Ok((host, result)) = ended.recv_timeout(limit.saturating_sub(began.elapsed())) {
            match result {
                Ok(()) => drop(open.remove(&host)),
                Err(why) => drop(open.insert(host, why)),
            }
        }
        open.into_iter().collect()
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        for (host, why) in self.release() {
            log::warn!("the lock of {host} could not be removed: {why}");
        }
    }
}

impl std::fmt::Debug for Locks {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts = self.responsible.keys();
        let each = hosts.map(|host| (host, self.standing(host)));
        out.debug_map().entries(each).finish()
    }
}

/// One name for each machine in the order in which they are taken, and for each name the number of its machine.
fn in_order(hosts: &BTreeMap<HostName, String>) -> (Vec<HostName>, BTreeMap<HostName, usize>) {
    let mut machines: BTreeMap<(&str, &str), Vec<&HostName>> = BTreeMap::new();
    for (name, uuid) in hosts {
        // Without a UUID nobody can tell whether two names are one machine; then one waits for itself and is told.
        let own = if uuid.is_empty() { name.as_str() } else { "" };
        machines.entry((uuid, own)).or_default().push(name);
    }
    let mut order = Vec::new();
    let mut responsible = BTreeMap::new();
    for names in machines.values() {
        responsible.extend(names.iter().map(|name| ((*name).clone(), order.len())));
        order.extend(names.first().map(|name| (*name).clone()));
    }
    (order, responsible)
}

/// Looks at all hosts at once, so that connecting takes as long as to the slowest, and one that does not answer is
/// found before anything is locked.
fn expect_answers(
    hosts: &Arc<dyn Locking>,
    order: &[HostName],
    cancel: &CancelHandle,
) -> Result<(), LockError> {
    let (sender, ended) = mpsc::channel();
    for host in order {
        let (hosts, sender, host) = (Arc::clone(hosts), sender.clone(), host.clone());
        let look = move || drop(sender.send(hosts.look(&host).map(drop)));
        let started = thread::Builder::new().spawn(look);
        started.map_err(|error| LockError::Failed(format!("cannot start a thread: {error}")))?;
    }
    drop(sender);
    loop {
        if cancel.asked() != Cancel::No {
            return Err(LockError::Cancelled);
        }
        match ended.recv_timeout(CANCEL_SEEN_WITHIN) {
            Ok(Ok(())) | Err(mpsc::RecvTimeoutError::Timeout) => {}
            Ok(Err(why)) => return Err(LockError::Failed(why)),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostName {
        HostName::new(name).unwrap()
    }

    #[test]
    fn hosts_are_taken_by_uuid_and_a_machine_with_two_names_once() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, uuid)| (host(name), (*uuid).to_owned()));
            in_order(&pairs.collect())
        };
        let (order, responsible) = of(&[("a", "3"), ("b", "1"), ("c", "2"), ("d", "1")]);
        assert_eq!(order, [host("b"), host("c"), host("a")]);
        assert_eq!(responsible[&host("d")], responsible[&host("b")]);
        // Two operators who name them differently take them in the same order.
        let (other, _) = of(&[("x", "2"), ("y", "3"), ("z", "1")]);
        assert_eq!(other, [host("z"), host("x"), host("y")]);
        let (nameless, _) = of(&[("a", ""), ("b", "")]);
        assert_eq!(nameless.len(), 2);
    }
}
