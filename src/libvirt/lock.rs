//! The lock on a host, kept as an ephemeral secret with a fixed use: libvirt keeps at most one secret for a use, and
//! checks that and adds a new one under one lock of its own, so defining it is an atomic test-and-set.
//!
//! - Its UUID is the lock's identifier, new for each attempt. Defining a second one fails with a general error, so what
//!   is there is looked up by its use. Undefining is by UUID and so compares and deletes at once.
//! - Its description carries the record, its value the beat. Setting a value fails where the secret is gone, so a beat
//!   never brings a lock back; defining the same UUID again would.
//! - A claim is another such secret, whose use names the lock's identifier.
//! - It is ephemeral: in the daemon's memory, on no disk, gone with the daemon (the daemon for secrets, where each
//!   driver has one of its own).
//!
//! The test driver has no secrets. Its hosts live within one process, so nobody else can work on them, and they
//! count as locked when asked for.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use uuid::Uuid;
use virt::secret::Secret;
use virt_sys as sys;

use super::connection::{Connection, Connections, Purpose};
use super::error::CallError;
use super::ffi;
use super::hosts::LibvirtHosts;
use super::overdue::within;
use super::volume_xml::escaped;
use crate::lock::{HeldLock, Kept, LockRecord, Locking, UnreadableRecord};
use crate::model::HostName;

/// The kind of use: the oldest that is named and not a path.
const KIND: u32 = sys::VIR_SECRET_USAGE_TYPE_CEPH;

/// The name under which the lock is used, on every host and in every version.
const NAME: &str = "domicile.lock";

/// The name under which a claim of this lock is used.
fn claim_of(id: Uuid) -> String {
    format!("domicile.claim.{id}")
}

/// How long one act on a lock may take in all, connecting included. A daemon does it in memory.
const WITHIN: Duration = Duration::from_secs(20);

/// How often a lock is tried for that is refused and then not there: each time somebody has just let go of it.
const ATTEMPTS: usize = 5;

/// What is found of a lock when it is looked at through its secret.
fn held(connection: &Connection) -> Result<Option<(Secret, HeldLock)>, CallError> {
    let kind = KIND.cast_signed();
    let found = or_gone(connection.call(|connect| connect.lookup_secret_by_usage(kind, NAME)))?;
    let Some(secret) = found else { return Ok(None) };
    let Some(xml) = or_gone(connection.call(|_| secret.xml_desc(0)))? else {
        return Ok(None);
    };
    // No value yet, gone by now, or not for us to see: an owner of whom nothing is known.
    let value = connection.call(|_| ffi::secret_value(&secret)).ok();
    let value = value.and_then(|value| String::from_utf8(value).ok());
    let id = connection.call(|_| secret.uuid())?;
    let lock = HeldLock {
        id,
        record: record_in(&xml),
        beat: value.and_then(|value| value.parse().ok()),
    };
    Ok(Some((secret, lock)))
}

/// What libvirt says of a secret that is not there is no failure.
fn or_gone<T>(result: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is(sys::VIR_ERR_NO_SECRET) => Ok(None),
        Err(error) => Err(error),
    }
}

fn record_in(xml: &str) -> Result<LockRecord, UnreadableRecord> {
    let broken = |error: roxmltree::Error| UnreadableRecord(error.to_string());
    let document = roxmltree::Document::parse(xml).map_err(broken)?;
    let mut children = document.root_element().children();
    let description = children.find(|child| child.has_tag_name("description"));
    let text = description.and_then(|element| element.text());
    LockRecord::from_text(text.unwrap_or_default())
}

fn xml(id: Uuid, description: &str, use_name: &str) -> String {
    format!(
        "<secret ephemeral='yes' private='no'><uuid>{id}</uuid><description>{}</description>\
         <usage type='ceph'><name>{use_name}</name></usage></secret>",
        escaped(description)
    )
}

fn take(
    connection: &Connection,
    id: Uuid,
    record: &LockRecord,
) -> Result<Option<HeldLock>, CallError> {
    let definition = xml(id, &record.to_text(), NAME);
    let mut refusal = None;
    for _ in 0..ATTEMPTS {
        let defined = connection.call(|connect| connect.define_secret_xml(&definition, 0));
        let Err(error) = defined else {
            return Ok(None);
        };
        match held(connection)? {
            Some((_, lock)) if lock.id == id => return Ok(None),
            Some((_, lock)) => return Ok(Some(lock)),
            None => refusal = Some(error),
        }
        thread::sleep(Duration::from_millis(50));
    }
    let never = || CallError::ours(&connection.host, "it was never tried");
    let mut error = refusal.unwrap_or_else(never);
    error.message = format!(
        "it cannot be locked: {} (a lock is kept as a secret of libvirt: see that the driver for secrets is installed \
         and that this user may define them)",
        error.message
    );
    Err(error)
}

fn beat(connection: &Connection, id: Uuid, beat: u64) -> Result<Kept, CallError> {
    let found = or_gone(connection.call(|connect| connect.lookup_secret_by_uuid(id)))?;
    let Some(secret) = found else {
        return Ok(Kept::Gone);
    };
    let value = beat.to_string();
    let set = or_gone(connection.call(|_| secret.set_value(value.as_bytes(), 0)))?;
    if set.is_none() {
        return Ok(Kept::Gone);
    }
    // After the beat: who claims looks at the beat after its claim.
    Ok(match claim_on(connection, id)? {
        Some(_) => Kept::Claimed,
        None => Kept::Ours,
    })
}

fn claim_on(connection: &Connection, id: Uuid) -> Result<Option<Secret>, CallError> {
    let (kind, name) = (KIND.cast_signed(), claim_of(id));
    or_gone(connection.call(|connect| connect.lookup_secret_by_usage(kind, &name)))
}

fn claim(connection: &Connection, id: Uuid) -> Result<(), CallError> {
    let description = "A lock of Domicile whose owner is taken for dead";
    let definition = xml(Uuid::new_v4(), description, &claim_of(id));
    match connection.call(|connect| connect.define_secret_xml(&definition, 0)) {
        Err(error) if claim_on(connection, id)?.is_none() => Err(error),
        _ => Ok(()),
    }
}

/// Found by its use first: an identifier that a person has typed may be that of another secret.
fn remove(connection: &Connection, id: Uuid) -> Result<bool, CallError> {
    match held(connection)? {
        Some((secret, lock)) if lock.id == id => {
            let is_ours = or_gone(connection.call(|_| secret.undefine()))?.is_some();
            // Only now: while the lock is there its claim must be.
            if let Some(claim) = claim_on(connection, id)? {
                or_gone(connection.call(|_| claim.undefine()))?;
            }
            Ok(is_ours)
        }
        _ => Ok(false),
    }
}

impl LibvirtHosts {
    /// Does one act over the host's connection for locks, in a thread that is left behind when it takes too long.
    fn on_lock<T: Send + 'static>(
        &self,
        host: &HostName,
        act: impl FnOnce(&Connection) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, String> {
        let connections: Arc<Connections> = self.connections();
        let name = host.clone();
        let all = move || {
            // A little less than the whole, so that the refusal that names the address comes first.
            let connection = connections.get_within(&name, Purpose::Lock, WITHIN / 20 * 19)?;
            act(&connection)
        };
        within(WITHIN, all)
            .unwrap_or_else(|| {
                let limit = crate::model::Millis::from(WITHIN);
                let message = format!("no answer within {limit} when asked for its lock");
                Err(CallError::ours(host, message))
            })
            .map_err(|error| error.to_string())
    }
}

impl Locking for LibvirtHosts {
    fn take(
        &self,
        host: &HostName,
        id: Uuid,
        record: &LockRecord,
    ) -> Result<Option<HeldLock>, String> {
        if self.is_alone_on(host) {
            return Ok(None);
        }
        let record = record.clone();
        self.on_lock(host, move |connection| take(connection, id, &record))
    }

    fn look(&self, host: &HostName) -> Result<Option<HeldLock>, String> {
        if self.is_alone_on(host) {
            return Ok(None);
        }
        let look = |connection: &Connection| Ok(held(connection)?.map(|(_, lock)| lock));
        self.on_lock(host, look)
    }

    fn beat(&self, host: &HostName, id: Uuid, number: u64) -> Result<Kept, String> {
        if self.is_alone_on(host) {
            return Ok(Kept::Ours);
        }
        self.on_lock(host, move |connection| beat(connection, id, number))
    }

    fn claim(&self, host: &HostName, id: Uuid) -> Result<(), String> {
        if self.is_alone_on(host) {
            return Ok(());
        }
        self.on_lock(host, move |connection| claim(connection, id))
    }

    fn remove(&self, host: &HostName, id: Uuid) -> Result<bool, String> {
        if self.is_alone_on(host) {
            return Ok(true);
        }
        self.on_lock(host, move |connection| remove(connection, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;

    #[test]
    fn a_record_with_any_text_in_it_reads_back_from_the_secret() {
        let record = LockRecord {
            version: LockRecord::VERSION,
            owner: "a]]>&<'\"\u{1b}@ws".into(),
            pid: 7,
            purpose: "x".into(),
            since: 1,
            beats_every: Millis(3000),
        };
        assert_eq!(
            record_in(&xml(Uuid::nil(), &record.to_text(), NAME)),
            Ok(record)
        );
        assert!(record_in("<secret/>").is_err());
        assert!(record_in("no xml").is_err());
    }
}
