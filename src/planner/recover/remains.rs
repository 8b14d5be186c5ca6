//! What an earlier apply left, as the rest of the planner takes it.

use std::collections::BTreeSet;

use crate::model::{HostName, VolumeRef};
use crate::observed::Vm;
use crate::plan::Action;

/// What an earlier apply left of one VM's move.
#[derive(Debug, Clone)]
pub(crate) struct Remains<'a> {
    /// Where the VM is once the prelude is done.
    pub(crate) host: &'a HostName,
    /// The VM as read there.
    pub(crate) vm: &'a Vm,
    /// What was found, in a sentence.
    pub(crate) found: String,
    /// What must be done before anything else.
    pub(crate) prelude: Vec<Action>,
    /// Volumes that the prelude removes.
    pub(crate) discarded: BTreeSet<VolumeRef>,
    /// Volumes that may be left of the move, and of which nothing proves that they may go.
    pub(crate) unproven: Vec<VolumeRef>,
    /// Bases at the destination that may be half-written.
    pub(crate) stale_bases: BTreeSet<VolumeRef>,
    /// Bases at the source that go unless another clone stands on them, each with its copy at the destination.
    pub(crate) unused_bases: Vec<(VolumeRef, VolumeRef)>,
    /// Whether the VM ran before the earlier apply.
    pub(crate) was_active: bool,
    /// Whether it runs once the prelude is done.
    pub(crate) is_active_at_end: bool,
    /// Its migration, where that goes on by itself: more is done only when it has arrived.
    pub(crate) under_way: Option<UnderWay<'a>>,
}

/// A migration that goes on without us.
#[derive(Debug, Clone)]
pub(crate) struct UnderWay<'a> {
    pub(crate) source: &'a HostName,
    /// The volumes that are carried, each with what takes its place at the destination.
    pub(crate) volumes: Vec<(VolumeRef, VolumeRef)>,
}
