//! All hosts of a manifest, with one way to each that readings and steps share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::connection::Connections;
use super::observe;
use super::perform::perform;
use crate::desired;
use crate::hypervisor::{Hypervisor, ObserveRequest, Outcome, StepError, Watch};
use crate::model::{HostName, Millis};
use crate::observed::Observed;
use crate::plan::Action;

/// Real hosts over libvirt. Connections are opened when first needed and kept.
pub struct LibvirtHosts {
    connections: Arc<Connections>,
}

impl LibvirtHosts {
    /// For these hosts; connects to none yet.
    #[must_use]
    pub fn new(hosts: &BTreeMap<HostName, desired::Host>) -> Self {
        Self {
            connections: Arc::new(Connections::new(hosts)),
        }
    }

    /// The ways to the hosts.
    pub(super) fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections)
    }

    /// Whether nobody else can work on the host.
    pub(super) fn is_alone_on(&self, host: &HostName) -> bool {
        self.connections.is_played(host)
    }

    /// How many libvirt calls were made to each host so far, the opening of connections included.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<HostName, u64> {
        self.connections.calls()
    }
}

impl Hypervisor for LibvirtHosts {
    /// The hosts of the request must be of those given to [`LibvirtHosts::new`].
    fn observe(&self, request: &ObserveRequest) -> Observed {
        observe::observe(&self.connections, request)
    }

    fn perform(&self, action: &Action, watch: &dyn Watch) -> Result<Outcome, StepError> {
        perform(&self.connections, action, watch)
    }

    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(Millis::ZERO, Millis::from)
    }
}
