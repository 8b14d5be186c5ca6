//! All hosts at once, each in a thread of its own with the whole time limit.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::host;
use super::questions::{Progress, Questions};
use crate::hypervisor::{Depth, ObserveRequest};
use crate::libvirt::connection::{Connections, Purpose};
use crate::libvirt::error::CallError;
use crate::model::{HostName, Millis};
use crate::observed::{FORMAT_VERSION, Observed, Reading};

/// Reads all hosts of the request. A host that does not answer in time is unreachable in the result, and what still
/// waits for it is left behind: it makes no further call.
pub(in crate::libvirt) fn observe(
    connections: &Arc<Connections>,
    request: &ObserveRequest,
) -> Observed {
    let began = Instant::now();
    let taken_at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| Millis::from(since).0);
    let timeout = Duration::from(request.timeout);
    let asked: Vec<(HostName, Asked)> = request
        .hosts
        .keys()
        .map(|name| {
            (
                name.clone(),
                ask(connections, name, &request.depth, timeout),
            )
        })
        .collect();
    let hosts = asked
        .into_iter()
        .map(|(name, asked)| {
            let reading = asked.reading(began, timeout);
            (name, reading)
        })
        .collect();
    Observed {
        format_version: FORMAT_VERSION.into(),
        taken_at,
        hosts,
    }
}

/// A host that is being read by another thread.
struct Asked {
    result: mpsc::Receiver<Result<crate::observed::Host, CallError>>,
    progress: Arc<Progress>,
}

fn ask(connections: &Arc<Connections>, name: &HostName, depth: &Depth, timeout: Duration) -> Asked {
    let (sender, result) = mpsc::sync_channel(1);
    let progress = Arc::new(Progress::default());
    let (connections, depth) = (Arc::clone(connections), depth.clone());
    let (theirs, host) = (Arc::clone(&progress), name.clone());
    let started = thread::Builder::new()
        .name(format!("read {name}"))
        .spawn(move || {
            theirs.about("a connection");
            // A little less than the whole, so that the refusal that names the address comes first.
            let reading = connections
                .get_within(&host, Purpose::Work, timeout / 20 * 19)
                .and_then(|connection| host::read(&Questions::new(connection, theirs), &depth));
            // Nobody listens where the time was over.
            drop(sender.send(reading));
        });
    if let Err(error) = started {
        log::error!("cannot start a thread to read {name}: {error}");
    }
    Asked { result, progress }
}

impl Asked {
    fn reading(self, began: Instant, timeout: Duration) -> Reading {
        let left = timeout.saturating_sub(began.elapsed());
        let unreachable = |reason: String| Reading::Unreachable {
            reason,
            after: Millis::from(began.elapsed()),
        };
        match self.result.recv_timeout(left) {
            Ok(Ok(host)) => Reading::Reached(Box::new(host)),
            Ok(Err(error)) => unreachable(error.message),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.progress.give_up();
                unreachable(format!(
                    "no answer within {} when asked for {}",
                    Millis::from(timeout),
                    self.progress.stage()
                ))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => unreachable(
                "reading it ended without a result, which is a fault of Domicile".into(),
            ),
        }
    }
}
