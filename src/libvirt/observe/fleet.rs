//! All hosts at once, each in a thread of its own with the whole time limit.
//!
//! A thread reads its host and then answers what is asked about VMs that shall come to it. What must be asked is known
//! as soon as such a VM's source and its destination have been read, so that no host waits for a third one.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::answers::Respondent;
use super::gathering::{Gathering, News, Started};
use super::host::{self, Manner};
use super::questions::{Progress, Questions};
use super::visitor::Visitor;
use crate::hypervisor::ObserveRequest;
use crate::libvirt::connection::{Connections, Purpose};
use crate::model::{HostName, Millis};
use crate::observed::{FORMAT_VERSION, Observed};

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
    let (sender, heard) = mpsc::channel();
    let mut gathering = Gathering::new(&request.fits, began, request.timeout);
    for name in request.hosts.keys() {
        let manner = Manner {
            depth: request.depth.clone(),
            ask_qemu: request.ask_qemu.clone(),
            refresh: request.refresh.get(name).cloned().unwrap_or_default(),
            volumes: request.volumes.get(name).cloned().unwrap_or_default(),
        };
        gathering.expect(name, start(connections, name, manner, timeout, &sender));
    }
    drop(sender);
    while gathering.goes_on() {
        match heard.recv_timeout(timeout.saturating_sub(began.elapsed())) {
            Ok((host, news)) => gathering.hear(&host, news),
            // The time is over, or nobody is left who could say anything.
            Err(_) => break,
        }
    }
    Observed {
        format_version: FORMAT_VERSION.into(),
        taken_at,
        hosts: gathering.end(),
    }
}

/// Tells that the thread ended, however it does.
struct AtEnd {
    host: HostName,
    told: mpsc::Sender<(HostName, News)>,
}

impl AtEnd {
    /// Nobody listens where the time was over.
    fn tell(&self, news: News) {
        drop(self.told.send((self.host.clone(), news)));
    }
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.tell(News::Ended);
    }
}

fn start(
    connections: &Arc<Connections>,
    host: &HostName,
    manner: Manner,
    timeout: Duration,
    told: &mpsc::Sender<(HostName, News)>,
) -> Started {
    let progress = Arc::new(Progress::default());
    let (visitors, arriving) = mpsc::channel::<Vec<Visitor>>();
    let (connections, theirs) = (Arc::clone(connections), Arc::clone(&progress));
    let here = AtEnd {
        host: host.clone(),
        told: told.clone(),
    };
    let work = move || {
        theirs.about("a connection");
        // A little less than the whole, so that the refusal that names the address comes first.
        let connection = connections.get_within(&here.host, Purpose::Work, timeout / 20 * 19);
        let questions = match connection {
            Ok(connection) => Questions::new(connection, theirs),
            Err(error) => return here.tell(News::Read(Box::new(Err(error)))),
        };
        here.tell(News::Read(Box::new(host::read(&questions, &manner))));
        let mut respondent = Respondent::new(&questions);
        for visitors in arriving {
            here.tell(News::Answered(respondent.about(&visitors)));
        }
    };
    let started = thread::Builder::new()
        .name(format!("read {host}"))
        .spawn(work);
    if let Err(error) = started {
        log::error!("cannot start a thread to read {host}: {error}");
    }
    Started { progress, visitors }
}
