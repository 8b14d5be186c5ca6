//! What steps take while they run and give back at their end.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{ClusterName, HostName, PoolName};

/// Something of which there is only so much.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Memory for VMs on a host, in bytes.
    Memory(HostName),
    /// vCPUs of active VMs on a host.
    Vcpus(HostName),
    /// Active VMs on a host.
    Vms(HostName),
    /// Bytes in a pool of one host. A shared pool is counted on the first host (by name) that has it.
    Pool(HostName, PoolName),
    /// The place on a host for one VM of a group that the manifest keeps apart; groups count from 0.
    Apart(usize, HostName),
}

impl fmt::Display for Resource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(host) => write!(out, "memory of {host}"),
            Self::Vcpus(host) => write!(out, "vCPUs of {host}"),
            Self::Vms(host) => write!(out, "VMs on {host}"),
            Self::Pool(host, pool) => write!(out, "room in pool {pool} of {host}"),
            Self::Apart(group, host) => {
                write!(
                    out,
                    "the place of group {} on {host}",
                    group.saturating_add(1)
                )
            }
        }
    }
}

/// How much of a resource there is for steps to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Capacity {
    /// Of what.
    pub resource: Resource,
    /// The ceiling.
    pub limit: u64,
    /// What is taken before the first step.
    pub used: u64,
}

/// Something of which steps use so much while they run, and no longer. All but the budgets count transfers, of every
/// kind alike: migrations, copies through this process, block copies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Slot {
    /// Transfers away from a host.
    Out(HostName),
    /// Transfers to a host.
    In(HostName),
    /// Transfers from one host to another.
    Link(HostName, HostName),
    /// Transfers that leave, reach or stay within a cluster. One between two clusters counts in both.
    Cluster(ClusterName),
    /// All transfers.
    Fleet,
    /// Bytes a second that leave a host.
    Upload(HostName),
    /// Bytes a second that reach a host.
    Download(HostName),
}

impl Slot {
    /// Whether it is a rate in bytes a second, and not a count of transfers.
    #[must_use]
    pub fn is_rate(&self) -> bool {
        matches!(self, Self::Upload(_) | Self::Download(_))
    }
}

/// `out:kvm1`, since JSON wants texts as keys. A link is `link:kvm1/kvm2`: no name holds a slash.
impl fmt::Display for Slot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Out(host) => write!(out, "out:{host}"),
            Self::In(host) => write!(out, "in:{host}"),
            Self::Link(from, to) => write!(out, "link:{from}/{to}"),
            Self::Cluster(cluster) => write!(out, "cluster:{cluster}"),
            Self::Fleet => out.write_str("fleet"),
            Self::Upload(host) => write!(out, "upload:{host}"),
            Self::Download(host) => write!(out, "download:{host}"),
        }
    }
}

impl From<Slot> for String {
    fn from(slot: Slot) -> Self {
        slot.to_string()
    }
}

impl TryFrom<String> for Slot {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let host = |name: &str| HostName::new(name).map_err(|error| error.to_string());
        let wrong = || format!("{text:?} is not a slot such as out:kvm1");
        match text.split_once(':') {
            Some(("out", name)) => Ok(Self::Out(host(name)?)),
            Some(("in", name)) => Ok(Self::In(host(name)?)),
            Some(("link", names)) => {
                let (from, to) = names.split_once('/').ok_or_else(wrong)?;
                Ok(Self::Link(host(from)?, host(to)?))
            }
            Some(("cluster", name)) => ClusterName::new(name)
                .map(Self::Cluster)
                .map_err(|error| error.to_string()),
            Some(("upload", name)) => Ok(Self::Upload(host(name)?)),
            Some(("download", name)) => Ok(Self::Download(host(name)?)),
            None if text == "fleet" => Ok(Self::Fleet),
            _ => Err(wrong()),
        }
    }
}
