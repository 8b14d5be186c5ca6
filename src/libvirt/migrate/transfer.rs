//! The call that migrates, on a thread of its own, with somebody watching until it returns.

use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};
use virt_sys as sys;

use super::follow::Follower;
use super::options::{self, Definitions};
use crate::desired::Driver;
use crate::libvirt::connection::Connection;
use crate::libvirt::context::Context;
use crate::libvirt::domain::Guest;
use crate::libvirt::error::CallError;
use crate::libvirt::ffi;
use crate::model::HostName;
use crate::plan::MigrationOptions;

/// How often a migration is looked at.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Everything that the call needs.
pub(super) struct Order<'a> {
    /// The VM, over a connection that nobody else uses: the call occupies it to its end.
    pub(super) guest: &'a Guest,
    /// To where.
    pub(super) to: &'a HostName,
    /// How.
    pub(super) options: &'a MigrationOptions,
    /// Its definitions at the destination.
    pub(super) definitions: &'a Definitions,
    /// Whether it stands still, here and there.
    pub(super) paused: bool,
}

/// Who drives.
enum Way<'a> {
    /// The source's daemon.
    PeerToPeer,
    /// This process, with a connection to the destination.
    Managed(&'a Connection),
}

/// Migrates and returns what libvirt says. Where nothing says who drives, the source's daemon does, unless it cannot
/// reach the destination's.
pub(super) fn transfer(
    context: &Context,
    order: &Order,
    follower: &mut Follower,
) -> Result<(), CallError> {
    if order.options.driver != Driver::Managed {
        let result = call(order, &Way::PeerToPeer, follower);
        let unreached = match &result {
            Err(error) if order.options.driver == Driver::Auto && follower.stop().is_none() => {
                is_out_of_reach(error, &order.options.peer_uri).then_some(error)
            }
            _ => None,
        };
        let Some(error) = unreached else {
            return result;
        };
        context.watch.note(&format!(
            "managed from here, since {} does not reach {}: {}",
            order.guest.host(),
            order.to,
            error.message
        ));
    }
    let destination = context.own(order.to)?;
    call(order, &Way::Managed(&destination), follower)
}

/// Whether the source's daemon could not even connect. libvirt has no code of its own for that, but its message names
/// the URI, and nothing has been moved then.
fn is_out_of_reach(error: &CallError, peer_uri: &str) -> bool {
    error.is(sys::VIR_ERR_OPERATION_FAILED) && error.message.contains(peer_uri)
}

fn call(order: &Order, way: &Way, follower: &mut Follower) -> Result<(), CallError> {
    let (sender, ended) = bounded(1);
    thread::scope(|scope| {
        // The receiver waits below until it has heard, so this cannot fail.
        scope.spawn(move || drop(sender.send(migrate(order, way))));
        loop {
            match ended.recv_timeout(LOOK_AGAIN) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) => drop(follower.look()),
                Err(RecvTimeoutError::Disconnected) => {
                    let host = order.guest.host();
                    return Err(CallError::ours(
                        host,
                        "the migration ended without a result",
                    ));
                }
            }
        }
    })
}

fn migrate(order: &Order, way: &Way) -> Result<(), CallError> {
    let flags = options::flags(order.options, order.paused);
    order.guest.call(|domain| {
        let mut params = options::params(order.options, order.definitions)?;
        match way {
            Way::PeerToPeer => {
                let flags = flags | sys::VIR_MIGRATE_PEER2PEER;
                ffi::migrate_to_uri(domain, &order.options.peer_uri, &mut params, flags)
            }
            Way::Managed(destination) => {
                ffi::migrate(domain, destination.connect(), &mut params, flags).map(drop)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_daemon_that_could_not_connect_is_out_of_reach() {
        let uri = "qemu+tcp://kvm2/system";
        let error = |code: u32, message: &str| CallError {
            code,
            ..CallError::ours(&HostName::new("kvm1").unwrap(), message)
        };
        let unreached = "operation failed: Failed to connect to remote libvirt URI qemu+tcp://kvm2/system: no route";
        assert!(is_out_of_reach(
            &error(sys::VIR_ERR_OPERATION_FAILED, unreached),
            uri
        ));
        let later = "operation failed: migration out job: unexpectedly failed";
        assert!(!is_out_of_reach(
            &error(sys::VIR_ERR_OPERATION_FAILED, later),
            uri
        ));
        assert!(!is_out_of_reach(
            &error(sys::VIR_ERR_OPERATION_ABORTED, unreached),
            uri
        ));
    }
}
