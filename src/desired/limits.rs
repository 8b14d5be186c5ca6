//! How much of what there is moves and VMs may use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Bytes, BytesPerSecond};

/// What VMs must leave free on a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reserve {
    /// Memory for the host itself.
    pub memory: Bytes,
    /// Processors for the host itself.
    pub vcpus: u32,
}

/// Ceilings of a host that are not its hardware's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostLimits {
    /// The most active VMs.
    pub vms: Option<u32>,
    /// The most vCPUs per processor. Without it vCPUs are not limited, as in libvirt itself.
    pub vcpu_ratio: Option<f64>,
    /// Migrations into and out of the host at once, each, where it differs from the `parallel` setting.
    pub parallel: Option<u32>,
    /// Migrations into the host at once, where that differs from `parallel`.
    #[serde(default)]
    pub parallel_in: Option<u32>,
    /// Migrations out of the host at once, where that differs from `parallel`.
    #[serde(default)]
    pub parallel_out: Option<u32>,
    /// The most that all transfers together may send from the host.
    #[serde(default)]
    pub upload: Option<BytesPerSecond>,
    /// The most that all transfers together may send to the host.
    #[serde(default)]
    pub download: Option<BytesPerSecond>,
}

/// Ceilings of a cluster or of the whole fleet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Transfers at once: of a cluster those that leave it, reach it or stay within it; of the fleet all.
    pub parallel: Option<u32>,
}
