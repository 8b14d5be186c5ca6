//! libvirt's own answers about a VM on the host where it shall be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the destination's libvirt says about a VM that shall come to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fit {
    /// About the VM as it runs now, which is what a live migration brings; `None` where it does not run.
    pub running: Option<Answers>,
    /// About the VM as its persistent definition says, which is what a start there makes of it.
    pub starting: Answers,
}

/// The answers about one form of a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answers {
    /// Whether the host can give it its CPU.
    pub cpu: CpuFit,
    /// Whether the host's hypervisor can make its machine and devices.
    pub domain: DomainFit,
    /// Whether the host's libvirt lists the firmware image that the definition names
    /// (`<os><loader><value>` of the domain capabilities). An image that it does not list can be there all the same.
    /// `None`: the definition names none, or the host does not say.
    pub loader_listed: Option<bool>,
}

/// Whether a host can give a VM its CPU.
///
/// The answer of `virConnectCompareHypervisorCPU` for the VM's `<cpu>`; for a running VM with `host-passthrough`, the
/// answer of `virConnectCompareCPU` for the source's own CPU, since the guest has seen all of that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CpuFit {
    /// It can.
    Compatible {
        /// Whether its own CPU is the same and not one with more features.
        identical: bool,
    },
    /// It cannot, for this reason in libvirt's words.
    Incompatible(String),
    /// It could not be found out, for this reason.
    Unknown(String),
}

/// Whether a host's hypervisor can make a VM's machine and devices, from `virConnectGetDomainCapabilities` for the
/// emulator, architecture, machine type and domain type of its definition.
///
/// What is compared: these four, the number of vCPUs, the way the CPU is chosen, disk buses, graphics, video cards,
/// TPMs, firmware and launch security. Of all else libvirt says nothing, or nothing that a definition could contradict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DomainFit {
    /// Nothing of what libvirt tells speaks against it.
    Supported,
    /// It cannot, for these reasons, each a sentence.
    Refused(Vec<String>),
    /// It could not be found out, for this reason.
    Unknown(String),
}

impl Answers {
    /// Nothing could be found out, for this reason.
    #[must_use]
    pub fn unknown(reason: &str) -> Self {
        Self {
            cpu: CpuFit::Unknown(reason.to_owned()),
            domain: DomainFit::Unknown(reason.to_owned()),
            loader_listed: None,
        }
    }
}
