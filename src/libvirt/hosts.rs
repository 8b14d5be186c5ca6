//! All hosts of a manifest, with one way to each that readings and steps share.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::connection::Connections;
use super::observe;
use crate::desired;
use crate::hypervisor::ObserveRequest;
use crate::model::HostName;
use crate::observed::Observed;

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

    /// One reading of the hosts of the request, all of which must be of those given to [`Self::new`].
    #[must_use]
    pub fn read(&self, request: &ObserveRequest) -> Observed {
        observe::observe(&self.connections, request)
    }

    /// How many libvirt calls were made to each host so far, the opening of connections included.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<HostName, u64> {
        self.connections.calls()
    }
}
