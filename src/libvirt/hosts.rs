//! All hosts of a manifest, with one way to each that readings and steps share.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::connection::Connections;
use super::perform::perform;
use crate::desired;
use crate::hypervisor::{Outcome, StepError, Watch};
use crate::model::HostName;
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

    /// Performs one step; see [`crate::hypervisor::Hypervisor::perform`].
    pub fn perform(&self, action: &Action, watch: &dyn Watch) -> Result<Outcome, StepError> {
        perform(&self.connections, action, watch)
    }

    /// How many libvirt calls were made to each host so far, the opening of connections included.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<HostName, u64> {
        self.connections.calls()
    }
}
