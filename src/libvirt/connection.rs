//! URIs to open connections: one event loop for the process, a time limit on opening, keepalive so that a dead host
//! becomes an error and not a wait, and a count of the calls made.
//!
//! A connection carries five calls at once (`max_client_requests` of the daemon), and a migration occupies one of them
//! for its whole run. So each host has a connection for work, one for watching and cancelling, and whoever makes a
//! call that lasts opens one of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use virt::connect::Connect;
use virt::error::{Error, ErrorNumber};

use super::error::{CallError, one_line};
use super::overdue::{ANSWERS_WITHIN, Patience, WORKS_WITHIN, within};
use crate::desired;
use crate::model::HostName;

/// Seconds between two keepalive messages on an idle connection, and how many may go unanswered: QEMU's own setting
/// for the connections between daemons.
const KEEPALIVE: (i32, u32) = (5, 5);

/// How long a host may take to let us in when a step needs it.
const OPEN_WITHIN: Duration = Duration::from_secs(20);

/// How long the end of the process waits for daemons to say that they have heard of it.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// Short calls that do something.
    Work,
    /// Progress and cancelling, which must get through while work waits.
    Watch,
    /// The host's lock, whose beat must get through whatever else is done.
    Lock,
}

/// An open connection to one host's daemon. Its methods may be called from any thread.
pub(super) struct Connection {
    /// The host, by its name in the manifest.
    pub(super) host: HostName,
    connect: Connect,
    calls: Arc<AtomicU64>,
    version: Arc<OnceLock<u64>>,
    /// For how long whoever uses it waits.
    patience: Arc<Patience>,
}

impl Connection {
    /// Opens the URI, giving up after `within`; a daemon that asks for credentials is an error. Calls are counted
    /// in `calls`.
    pub(super) fn open(
        host: &HostName,
        uri: &str,
        within: Duration,
        calls: Arc<AtomicU64>,
    ) -> Result<Self, CallError> {
        let shown = without_password(uri);
        let failed = |error: &Error| {
            let mut failure = CallError::new(host, error);
            failure.message = format!("cannot connect to {shown}: {}", failure.message);
            failure
        };
        start_event_loop().map_err(|error| CallError::ours(host, error))?;
        calls.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::sync_channel(1);
        let wanted = unattended(uri);
        // Opening has no time limit of its own: when it hangs, the thread is left behind and what it opens after
        // all is closed with the message nobody receives.
        thread::Builder::new()
            .name(format!("open {host}"))
            .spawn(move || drop(sender.send(open_kept_alive(&wanted))))
            .map_err(|error| CallError::ours(host, format!("cannot start a thread: {error}")))?;
        match receiver.recv_timeout(within) {
            Ok(Ok(connect)) => Ok(Self {
                host: host.clone(),
                connect,
                calls,
                version: Arc::default(),
                patience: Arc::default(),
            }),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(CallError {
                host: host.clone(),
                code: virt_sys::VIR_ERR_NO_CONNECT,
                domain: virt_sys::VIR_FROM_RPC,
                errno: 0,
                message: format!(
                    "no answer from {shown} within {}",
                    crate::model::Millis::from(within)
                ),
            }),
        }
    }

    /// Makes one libvirt call, counted, with its error told by host.
    pub(super) fn call<T>(
        &self,
        call: impl FnOnce(&Connect) -> Result<T, Error>,
    ) -> Result<T, CallError> {
        self.counted(Some(ANSWERS_WITHIN), call)
    }

    /// The same for a call whose work grows with a VM's memory or disks.
    pub(super) fn work<T>(
        &self,
        call: impl FnOnce(&Connect) -> Result<T, Error>,
    ) -> Result<T, CallError> {
        self.counted(Some(WORKS_WITHIN), call)
    }

    /// The same for a call that may last for hours and is watched while it does.
    pub(super) fn lasting<T>(
        &self,
        call: impl FnOnce(&Connect) -> Result<T, Error>,
    ) -> Result<T, CallError> {
        self.counted(None, call)
    }

    fn counted<T>(
        &self,
        limit: Option<Duration>,
        call: impl FnOnce(&Connect) -> Result<T, Error>,
    ) -> Result<T, CallError> {
        let told = || call(&self.connect).map_err(|error| CallError::new(&self.host, &error));
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.patience.call(&self.host, limit, told)
    }

    /// The same connection for whoever has this patience.
    pub(super) fn with(&self, patience: &Arc<Patience>) -> Self {
        Self {
            host: self.host.clone(),
            connect: self.connect.clone(),
            calls: Arc::clone(&self.calls),
            version: Arc::clone(&self.version),
            patience: Arc::clone(patience),
        }
    }

    /// The bare connection, for calls that take it beside a domain; they are made through [`Self::call`] too.
    pub(super) fn connect(&self) -> &Connect {
        &self.connect
    }

    /// The daemon's libvirt version as `major * 1_000_000 + minor * 1000 + release`, asked once.
    pub(super) fn version(&self) -> Result<u64, CallError> {
        if let Some(known) = self.version.get() {
            return Ok(*known);
        }
        let found = self.call(|connect| connect.lib_version().map(u64::from))?;
        Ok(*self.version.get_or_init(|| found))
    }

    /// Whether the way to the daemon still stands, as far as this end knows (`virConnectIsAlive`, no round trip).
    pub(super) fn is_alive(&self) -> bool {
        self.connect.is_alive().unwrap_or(false)
    }
}

/// The connections to every host, opened when first needed and again when they broke.
pub(super) struct Connections {
    hosts: BTreeMap<HostName, Line>,
}

/// What is known of the way to one host.
struct Line {
    uri: String,
    calls: Arc<AtomicU64>,
    work: Mutex<Slot>,
    watch: Mutex<Slot>,
    lock: Mutex<Slot>,
}

/// A connection that is shared.
#[derive(Default)]
struct Slot {
    open: Option<Arc<Connection>>,
    /// When it could last not be opened, and why.
    refused: Option<(Instant, CallError)>,
}

impl Connections {
    /// For these hosts; opens nothing yet.
    pub(super) fn new(hosts: &BTreeMap<HostName, desired::Host>) -> Self {
        let line = |host: &desired::Host| Line {
            uri: host.uri.clone(),
            calls: Arc::default(),
            work: Mutex::default(),
            watch: Mutex::default(),
            lock: Mutex::default(),
        };
        Self {
            hosts: hosts
                .iter()
                .map(|(name, host)| (name.clone(), line(host)))
                .collect(),
        }
    }

    fn line(&self, host: &HostName) -> Result<&Line, CallError> {
        self.hosts
            .get(host)
            .ok_or_else(|| CallError::ours(host, "the manifest has no host of this name"))
    }

    /// The host's shared connection for that purpose, opened anew where it broke.
    pub(super) fn get(
        &self,
        host: &HostName,
        purpose: Purpose,
    ) -> Result<Arc<Connection>, CallError> {
        self.get_within(host, purpose, OPEN_WITHIN)
    }

    /// The same with a time limit of the caller's.
    pub(super) fn get_within(
        &self,
        host: &HostName,
        purpose: Purpose,
        within: Duration,
    ) -> Result<Arc<Connection>, CallError> {
        let line = self.line(host)?;
        let asked = Instant::now();
        let mut slot = locked(match purpose {
            Purpose::Work => &line.work,
            Purpose::Watch => &line.watch,
            Purpose::Lock => &line.lock,
        });
        if let Some(open) = slot.open.as_ref().filter(|open| open.is_alive()) {
            return Ok(Arc::clone(open));
        }
        // Whoever stood behind an attempt that failed has waited as long as if it were its own.
        if let Some((_, error)) = slot.refused.as_ref().filter(|(at, _)| *at >= asked) {
            return Err(error.clone());
        }
        let calls = Arc::clone(&line.calls);
        match Connection::open(host, &line.uri, within, calls) {
            Ok(opened) => {
                let opened = Arc::new(opened);
                slot.open = Some(Arc::clone(&opened));
                Ok(opened)
            }
            Err(error) => {
                slot.refused = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// A connection that nobody else uses, for a call that lasts.
    pub(super) fn own(&self, host: &HostName) -> Result<Connection, CallError> {
        let line = self.line(host)?;
        Connection::open(host, &line.uri, OPEN_WITHIN, Arc::clone(&line.calls))
    }

    /// Whether nobody else can work on the host: libvirt's test driver plays it within this process.
    pub(super) fn is_played(&self, host: &HostName) -> bool {
        let line = self.hosts.get(host);
        line.is_some_and(|line| line.uri.starts_with("test:///"))
    }

    /// How many libvirt calls were made to each host.
    pub(super) fn calls(&self) -> BTreeMap<HostName, u64> {
        self.hosts
            .iter()
            .map(|(name, line)| (name.clone(), line.calls.load(Ordering::Relaxed)))
            .collect()
    }
}

/// Closing tells the daemon and waits for its answer; a host that hangs must not hold up the end of the process.
impl Drop for Connections {
    fn drop(&mut self) {
        let slots = std::mem::take(&mut self.hosts)
            .into_values()
            .flat_map(|line| [line.work, line.watch, line.lock]);
        let mut open: Vec<Arc<Connection>> = slots
            .filter_map(|slot| slot.into_inner().ok()?.open)
            .collect();
        if !open.is_empty() {
            within(CLOSED_WITHIN, move || open.clear());
        }
    }
}

/// The lock's content, also after a thread panicked with it: every value here is whole at every moment.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_kept_alive(uri: &str) -> Result<Connect, Error> {
    // `virConnectOpen` and not `…Auth`: without a callback a daemon that wants credentials is an error, not a prompt.
    let connect = Connect::open(Some(uri))?;
    match connect.set_keep_alive(KEEPALIVE.0, KEEPALIVE.1) {
        // Drivers without a daemon have nothing to keep alive.
        Err(error) if error.code().known() != Some(ErrorNumber::NoSupport) => Err(error),
        _ => Ok(connect),
    }
}

/// Keepalive needs an event loop that was registered before the first connection and keeps running.
fn start_event_loop() -> Result<(), String> {
    static STARTED: OnceLock<Result<(), String>> = OnceLock::new();
    STARTED
        .get_or_init(|| {
            let failed = |error: Error| format!("libvirt cannot be used: {}", error.message());
            // Asking for the version initialises the library; its errors are ours to show, not to print.
            Connect::version().map_err(failed)?;
            virt::error::clear_error_callback();
            virt::event::event_register_default_impl().map_err(failed)?;
            let run = || {
                loop {
                    if let Err(error) = virt::event::event_run_default_impl() {
                        log::warn!("libvirt's event loop: {}", one_line(error.message()));
                        thread::sleep(Duration::from_millis(100));
                    }
                }
            };
            thread::Builder::new()
                .name("libvirt events".into())
                .spawn(run)
                .map(drop)
                .map_err(|error| format!("cannot start a thread: {error}"))
        })
        .clone()
}

/// The URI with ssh kept from asking anything: libvirt's `no_tty` makes it run in batch mode.
fn unattended(uri: &str) -> String {
    let by_ssh = uri
        .split_once("://")
        .is_some_and(|(scheme, _)| scheme.ends_with("+ssh"));
    let (address, query) = uri.split_once('?').unwrap_or((uri, ""));
    let decided = query.split('&').any(|part| part.starts_with("no_tty="));
    match query {
        _ if !by_ssh || decided => uri.to_owned(),
        "" => format!("{address}?no_tty=1"),
        _ => format!("{address}?{query}&no_tty=1"),
    }
}

/// The URI for people: without the password that some write into it.
pub(super) fn without_password(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{name}@{host}{path}")
        }
        None => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(uri: &str) -> Result<Connection, CallError> {
        let host = HostName::new("kvm1").unwrap();
        Connection::open(&host, uri, Duration::from_secs(5), Arc::default())
    }

    #[test]
    fn ssh_is_told_not_to_ask() {
        assert_eq!(
            unattended("qemu+ssh://root@kvm1/system"),
            "qemu+ssh://root@kvm1/system?no_tty=1"
        );
        assert_eq!(
            unattended("qemu+ssh://kvm1/system?keyfile=/k&no_tty=0"),
            "qemu+ssh://kvm1/system?keyfile=/k&no_tty=0"
        );
        assert_eq!(unattended("qemu:///system"), "qemu:///system");
    }

    #[test]
    fn a_password_in_a_uri_is_never_shown() {
        assert_eq!(
            without_password("qemu+tcp://admin:secret@kvm1:16509/system?x=1"),
            "qemu+tcp://admin@kvm1:16509/system?x=1"
        );
        let refused = open("qemu+nosuch://admin:secret@kvm1/system")
            .err()
            .unwrap();
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }

    #[test]
    fn calls_are_counted_and_an_error_names_its_host() {
        let connection = open("test:///default").unwrap();
        let before = connection.calls.load(Ordering::Relaxed);
        let error = connection
            .call(|connect| connect.lookup_domain_by_name("nosuch"))
            .err()
            .unwrap();
        assert!(error.is_no_domain(), "{error}");
        assert!(error.to_string().starts_with("kvm1: "), "{error}");
        assert_eq!(connection.calls.load(Ordering::Relaxed), before + 1);
    }

    #[test]
    fn a_daemon_that_asks_for_a_password_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let xml = "<node><auth><user password='x'>root</user></auth></node>";
        std::fs::write(file.path(), xml).unwrap();
        let error = open(&format!("test://{}", file.path().display()))
            .err()
            .unwrap();
        assert!(error.message.contains("auth"), "{error}");
    }

    #[test]
    fn a_host_that_accepts_and_says_nothing_is_given_up() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let host = HostName::new("kvm1").unwrap();
        let uri = format!("qemu+tcp://127.0.0.1:{port}/system");
        let error = Connection::open(&host, &uri, Duration::from_millis(300), Arc::default())
            .err()
            .unwrap();
        assert!(error.is_connection(), "{error}");
        assert!(error.message.contains("no answer"), "{error}");
    }

    #[test]
    fn a_connection_is_opened_once_for_each_purpose() {
        let name = HostName::new("kvm1").unwrap();
        let host = desired::Host {
            uri: "test:///default".into(),
            cluster: None,
            peer_uri: None,
            address: None,
            reserve: desired::Reserve::default(),
            limits: desired::HostLimits::default(),
            maintenance: false,
        };
        let all = Connections::new(&BTreeMap::from([(name.clone(), host)]));
        let work = all.get(&name, Purpose::Work).unwrap();
        let again = all.get(&name, Purpose::Work).unwrap();
        let watch = all.get(&name, Purpose::Watch).unwrap();
        assert!(Arc::ptr_eq(&work, &again));
        assert!(!Arc::ptr_eq(&work, &watch));
        assert_eq!(all.calls()[&name], 2);
    }
}
