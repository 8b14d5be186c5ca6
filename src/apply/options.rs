//! What an apply is given besides its plan.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::lock::Locks;
use crate::desired;
use crate::model::{HostName, Millis};

/// What carrying out a plan needs besides the plan.
#[derive(Debug, Clone)]
pub struct Options {
    /// The hosts, for looking again where a VM is that must be brought back.
    pub hosts: BTreeMap<HostName, desired::Host>,
    /// How long one host may take to answer such a look.
    pub timeout: Millis,
    /// Most steps at once, whatever the plan's slots would allow: a bound on threads and connections. With one the
    /// order of all that happens depends on nothing but the plan and the hosts.
    pub at_once: NonZeroUsize,
    /// The locks of every host that the plan touches; `None` where nobody else can reach the hosts, such as hosts in
    /// memory.
    pub locks: Option<Arc<Locks>>,
}

impl Options {
    /// Most steps at once where nobody says otherwise: transfers are bounded by the plan's slots, and this keeps the
    /// short steps of a large plan from flooding a daemon (libvirtd serves 20 calls at a time by default).
    pub const AT_ONCE: NonZeroUsize = NonZeroUsize::new(16).unwrap();

    /// Options for these hosts with everything else as it is where nobody says otherwise.
    #[must_use]
    pub fn new(hosts: BTreeMap<HostName, desired::Host>) -> Self {
        Self {
            hosts,
            timeout: Millis::from_secs(30),
            at_once: Self::AT_ONCE,
            locks: None,
        }
    }
}
