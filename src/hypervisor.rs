//! What doing needs of the hosts: read them, perform one step, follow it, cancel it.
//!
//! Two things implement it: real libvirt hosts, and hosts in memory. Who uses it may not ask which.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired;
use crate::model::{Bytes, BytesPerSecond, HostName, Millis, PoolName, VmName, VolumeName};
use crate::observed::Observed;
use crate::plan::Action;

/// How closely VMs are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Depth {
    /// Only what bulk calls tell.
    Bulk,
    /// Besides, the XML of these VMs and the details of the volumes that they use.
    Named {
        /// Everything about these.
        closely: BTreeSet<VmName>,
        /// About these only what others must know of them: their disks with what is below, and their interfaces. It is
        /// what their running form says, or the persistent one of a VM that is off.
        beside: BTreeSet<VmName>,
    },
    /// The XML of every VM and the details of every volume.
    Full,
}

impl Depth {
    /// How closely this one reads a VM.
    #[must_use]
    pub fn of(&self, vm: &VmName) -> Look {
        match self {
            Self::Full => Look::Closely,
            Self::Named { closely, .. } if closely.contains(vm) => Look::Closely,
            Self::Named { beside, .. } if beside.contains(vm) => Look::Beside,
            Self::Bulk | Self::Named { .. } => Look::No,
        }
    }
}

/// How closely one VM is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Not at all.
    No,
    /// For its disks and interfaces.
    Beside,
    /// For everything.
    Closely,
}

/// A request for a reading.
#[derive(Debug, Clone)]
pub struct ObserveRequest {
    /// The hosts to ask.
    pub hosts: BTreeMap<HostName, desired::Host>,
    /// How closely.
    pub depth: Depth,
    /// Where VMs shall be. Each host is asked about those of them that are looked into on another host
    /// ([`crate::observed::Fit`]).
    pub fits: Vec<(VmName, HostName)>,
    /// Running VMs whose QEMU is asked too ([`crate::observed::QemuAnswer`]), of those that are looked into. libvirt
    /// marks them as tainted for it.
    pub ask_qemu: BTreeSet<VmName>,
    /// Pools in which each host is made to look for volumes anew before it is read.
    pub refresh: BTreeMap<HostName, BTreeSet<PoolName>>,
    /// Volumes whose details each host is asked for, besides those of volumes that VMs use which are looked into.
    pub volumes: BTreeMap<HostName, BTreeSet<(PoolName, VolumeName)>>,
    /// How long one host may take before it counts as unreachable.
    pub timeout: Millis,
}

/// How far a step has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes carried.
    pub done: Bytes,
    /// Bytes to carry, as known now; may grow.
    pub total: Bytes,
    /// Rate now.
    pub rate: Option<BytesPerSecond>,
}

/// How urgently a person wants the apply to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cancel {
    /// Not at all.
    No,
    /// Start nothing new, let finish what runs.
    Drain,
    /// Cancel what can be cancelled without loss.
    Now,
}

/// The eyes on a step while it runs. Calls must be cheap and must not block.
pub trait Watch: Send + Sync {
    /// Takes note of progress.
    fn progress(&self, progress: Progress);
    /// Takes note of something a person should read, such as a fallback that was taken.
    fn note(&self, text: &str);
    /// What the person wants. A long step asks this often, and at [`Cancel::Now`] aborts and undoes itself.
    fn cancel(&self) -> Cancel;
}

/// Nobody looks on, and nobody may cancel.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn progress(&self, _: Progress) {}
    fn note(&self, _: &str) {}
    fn cancel(&self) -> Cancel {
        Cancel::No
    }
}

/// What came of a step that succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes carried, where something was.
    pub bytes: Bytes,
    /// How long the guest stood still, where it did and somebody measured it.
    pub downtime: Option<Millis>,
    /// Bytes that a compacted copy occupies less than its original.
    pub saved: Bytes,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct StepError {
    /// What failed, such as `migrate web-1 from kvm1 to kvm2`.
    pub what: String,
    /// Why, in the words of who refused.
    pub why: String,
    /// What to do now.
    pub help: Option<String>,
    /// Whether it was cancelled on request and everything is as before.
    pub cancelled: bool,
}

impl StepError {
    /// A failure without advice.
    #[must_use]
    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: why.into(),
            help: None,
            cancelled: false,
        }
    }

    /// The same with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// An act that was cancelled on request and left everything as it was.
    #[must_use]
    pub fn cancelled(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: "cancelled".into(),
            help: None,
            cancelled: true,
        }
    }
}

/// Hosts that can be read and worked on. Methods are called from several threads at once.
pub trait Hypervisor: Send + Sync {
    /// One reading of all hosts in parallel. A host that cannot be read is part of the result, not an error.
    fn observe(&self, request: &ObserveRequest) -> Observed;

    /// Performs one step and returns when it is done and proven, or failed.
    ///
    /// # Errors
    /// When something that must hold before or after the step does not, or a host refuses. The VM then runs where
    /// it ran before or where it was going, and every volume that was complete still is.
    fn perform(&self, action: &Action, watch: &dyn Watch) -> Result<Outcome, StepError>;

    /// Says how many steps are under way from now on. Whoever performs steps on several threads calls it from the
    /// thread that hands them out, before it hands out and after it has taken note of an end; whoever performs them
    /// one after the other need not. Hosts in memory let time pass only while that many steps are there to spend it;
    /// real hosts have no use for it.
    fn under_way(&self, steps: usize) {
        let _ = steps;
    }

    /// Milliseconds since 1970, or since the start of a simulation.
    fn now(&self) -> Millis;
}
