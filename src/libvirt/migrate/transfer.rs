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
use crate::model::{Bytes, HostName};
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
        let may_fall_back = order.options.driver == Driver::Auto && follower.stop().is_none();
        let unreached = match &result {
            Err(error) if may_fall_back && is_out_of_reach(error, &order.options.peer_uri) => {
                // The way that broke must not be ours: then the migration may well go on.
                let nothing_moved = order.guest.connection().is_alive()
                    && !follower.look()
                    && follower.carried() == Bytes::ZERO;
                nothing_moved.then_some(error)
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

/// Whether the source's daemon could not even connect. libvirt has no code of its own for that: older daemons wrap the
/// reason in a message that names the URI, newer ones pass on what their client said.
fn is_out_of_reach(error: &CallError, peer_uri: &str) -> bool {
    let from_the_client = matches!(
        error.domain,
        sys::VIR_FROM_NONE
            | sys::VIR_FROM_RPC
            | sys::VIR_FROM_REMOTE
            | sys::VIR_FROM_URI
            | sys::VIR_FROM_SSH
            | sys::VIR_FROM_LIBSSH
            | sys::VIR_FROM_AUTH
    );
    let kind = matches!(
        error.code,
        sys::VIR_ERR_SYSTEM_ERROR
            | sys::VIR_ERR_RPC
            | sys::VIR_ERR_NO_CONNECT
            | sys::VIR_ERR_AUTH_FAILED
            | sys::VIR_ERR_AUTH_CANCELLED
            | sys::VIR_ERR_AUTH_UNAVAILABLE
            | sys::VIR_ERR_GNUTLS_ERROR
            | sys::VIR_ERR_INVALID_ARG
            | sys::VIR_ERR_INTERNAL_ERROR
    );
    let wrapped = error.is(sys::VIR_ERR_OPERATION_FAILED) && error.message.contains(peer_uri);
    wrapped || (from_the_client && kind)
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
    order.guest.lasting(|domain| {
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

    fn is_unreached(code: u32, domain: u32, message: &str) -> bool {
        let error = CallError {
            host: HostName::new("kvm1").unwrap(),
            code,
            domain,
            errno: 0,
            message: message.into(),
        };
        is_out_of_reach(&error, "qemu+tcp://kvm2/system")
    }

    #[test]
    fn a_daemon_that_could_not_connect_is_known_by_what_either_version_says() {
        let newer = "unable to connect to server at 'kvm2:16509': Connection refused";
        assert!(is_unreached(
            sys::VIR_ERR_SYSTEM_ERROR,
            sys::VIR_FROM_RPC,
            newer
        ));
        let ssh = "Cannot find 'ssh' in path: No such file or directory";
        assert!(is_unreached(
            sys::VIR_ERR_SYSTEM_ERROR,
            sys::VIR_FROM_NONE,
            ssh
        ));
        let older = "Failed to connect to remote libvirt URI qemu+tcp://kvm2/system: refused";
        assert!(is_unreached(
            sys::VIR_ERR_OPERATION_FAILED,
            sys::VIR_FROM_QEMU,
            older
        ));
    }

    #[test]
    fn what_a_reached_host_refuses_is_no_reason_to_drive_differently() {
        let cpu = "guest CPU doesn't match specification: missing features: avx512f";
        assert!(!is_unreached(
            sys::VIR_ERR_CONFIG_UNSUPPORTED,
            sys::VIR_FROM_CPU,
            cpu
        ));
        let failed = "migration out job: unexpectedly failed";
        assert!(!is_unreached(
            sys::VIR_ERR_OPERATION_FAILED,
            sys::VIR_FROM_QEMU,
            failed
        ));
        let aborted = "migration out job: canceled by client";
        assert!(!is_unreached(
            sys::VIR_ERR_OPERATION_ABORTED,
            sys::VIR_FROM_RPC,
            aborted
        ));
    }
}
