//! Keeps one lock: beats on a thread of its own, and notices when the lock is gone.
//!
//! The thread is never waited for: a host that hangs holds up its own keeper and nobody else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use uuid::Uuid;

use super::pace::Pace;
use super::tenure::{Moment, Standing, Tenure};
use crate::lock::{Kept, LockRecord, Locking};
use crate::model::HostName;

/// A lock that is kept while this lives.
pub(super) struct Keeper {
    host: HostName,
    shared: Arc<Mutex<Shared>>,
    pace: Pace,
    /// Dropped to end the thread.
    _stop: Sender<()>,
}

struct Shared {
    tenure: Tenure,
    /// The beginning of the latest act that proved the lock.
    proven: Moment,
    /// Every lock of ours that may be on the host: the last, and those of which the host did not say.
    ids: Vec<Uuid>,
    /// Whether the lock is not wanted any more.
    is_over: bool,
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// Keeps the lock that was taken on that host by an act that began then.
    pub(super) fn start(
        hosts: &Arc<dyn Locking>,
        host: &HostName,
        id: Uuid,
        record: &LockRecord,
        pace: Pace,
        began: Moment,
    ) -> Result<Self, String> {
        let shared = Arc::new(Mutex::new(Shared {
            tenure: Tenure::default(),
            proven: began,
            ids: vec![id],
            is_over: false,
        }));
        let (stop, stopped) = bounded(0);
        let beating = Beating {
            hosts: Arc::clone(hosts),
            host: host.clone(),
            record: record.clone(),
            shared: Arc::clone(&shared),
            pace,
        };
        thread::Builder::new()
            .name(format!("lock of {host}"))
            .spawn(move || beating.go_on(id, &stopped))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self {
            host: host.clone(),
            shared,
            pace,
            _stop: stop,
        })
    }

    pub(super) fn host(&self) -> &HostName {
        &self.host
    }

    pub(super) fn standing(&self) -> Standing {
        let shared = locked(&self.shared);
        shared.tenure.standing(shared.proven.age(), &self.pace)
    }

    /// Ends the keeping: no beat and no lock comes after this. What may be on the host is returned.
    pub(super) fn end(&self) -> Vec<Uuid> {
        let mut shared = locked(&self.shared);
        shared.is_over = true;
        shared.ids.clone()
    }
}

/// What the thread works with.
struct Beating {
    hosts: Arc<dyn Locking>,
    host: HostName,
    record: LockRecord,
    shared: Arc<Mutex<Shared>>,
    pace: Pace,
}

impl Beating {
    fn go_on(self, mut id: Uuid, stopped: &Receiver<()>) {
        let mut number: u64 = 0;
        loop {
            number += 1;
            match self.beat(id, number) {
                Some(Beat::Good) => {}
                Some(Beat::Gone) => match self.take_anew() {
                    Some(new) => id = new,
                    None => log::warn!("the lock of {} is gone", self.host),
                },
                None => return,
            }
            let every = self.pace.beat_every.into();
            if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Beats once; `None` where that is not wanted any more.
    fn beat(&self, id: Uuid, number: u64) -> Option<Beat> {
        if locked(&self.shared).is_over {
            return None;
        }
        let began = Moment::now();
        let result = self.hosts.beat(&self.host, id, number);
        let mut shared = locked(&self.shared);
        Some(match result {
            Ok(Kept::Ours) => {
                shared.proven = began;
                // Where nobody had said whether another one of ours came to be there.
                shared.tenure.take_anew();
                Beat::Good
            }
            Ok(Kept::Claimed) => {
                shared
                    .tenure
                    .lose("another apply takes this one for dead and has claimed it");
                Beat::Good
            }
            Ok(Kept::Gone) => {
                shared.tenure.lose("it is not on the host any more");
                Beat::Gone
            }
            Err(why) => {
                log::warn!("the lock of {}: {why}", self.host);
                Beat::Good
            }
        })
    }

    /// Puts another lock on the host where it is free, so that a VM that is off because of us can be brought back.
    fn take_anew(&self) -> Option<Uuid> {
        let id = Uuid::new_v4();
        {
            // Named before it is there, so that whoever ends the keeping removes it in any case.
            let mut shared = locked(&self.shared);
            if shared.is_over {
                return None;
            }
            shared.ids = vec![id];
        }
        let began = Moment::now();
        let result = self.hosts.take(&self.host, id, &self.record);
        let mut shared = locked(&self.shared);
        match result {
            Ok(None) => {
                shared.tenure.take_anew();
                shared.proven = began;
            }
            Ok(Some(other)) => {
                let by = other.record.map_or_else(
                    |_| "somebody else".to_owned(),
                    |record| format!("{} (process {})", record.owner, record.pid),
                );
                shared.tenure.lose(format!("{by} has taken it"));
                return None;
            }
            Err(why) => log::warn!("the lock of {}: {why}", self.host),
        }
        let is_over = shared.is_over;
        drop(shared);
        if is_over {
            // Whoever ended it may have looked before the lock was there.
            if let Err(why) = self.hosts.remove(&self.host, id) {
                log::warn!("the lock of {}: {why}", self.host);
            }
            return None;
        }
        Some(id)
    }
}

/// What came of a beat.
enum Beat {
    /// The lock is there, claimed or not, or nobody knows.
    Good,
    Gone,
}
