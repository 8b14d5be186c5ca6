//! A VM from one host to another: running, or started paused only to be carried.
//!
//! A migration that fails, or whose end nobody heard, may leave the VM in many states on two hosts. So what a call
//! says is never the last word: [`settle`] asks both hosts what is, until the VM is in one place.
//!
//! What a disk never held is not sent. A qcow2 volume at the destination stays as small as its original; a raw one ends
//! up occupying all of its capacity, since QEMU writes zeros there where the original has holes.

mod cold;
mod follow;
mod ladder;
mod live;
mod options;
mod paused;
mod running;
mod settle;
mod standstill;
mod transfer;

pub(super) use live::adopt;
pub(super) use paused::run as paused;
pub(super) use running::run as live;

use crate::model::{HostName, VmName};

/// Which VM goes from where to where.
#[derive(Clone, Copy)]
pub(super) struct Route<'a> {
    /// The VM.
    pub(super) vm: &'a VmName,
    /// From where.
    pub(super) from: &'a HostName,
    /// To where.
    pub(super) to: &'a HostName,
}
