//! What a VM consists of, as far as moving it depends on it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HostName, MacAddress, PoolName, VolumeName};

/// Whether the guest's code is being executed, from libvirt's `virDomainState`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Running, blocked or shutting down: the guest executes.
    Running,
    /// Paused or suspended by power management: memory is held, nothing executes.
    Paused,
    /// Not started, or ended.
    ShutOff,
    /// The guest crashed and is kept for inspection.
    Crashed,
}

/// A VM's state with libvirt's reason for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PowerState {
    /// The state.
    pub state: RunState,
    /// libvirt's word for the reason, such as `user`, `migration`, `post-copy failed`.
    pub reason: String,
}

impl PowerState {
    /// Whether libvirt calls the domain active: it holds memory on its host.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state != RunState::ShutOff
    }

    /// State and reason in a few words, such as `paused, migration`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let state = match self.state {
            RunState::Running => "running",
            RunState::Paused => "paused",
            RunState::ShutOff => "off",
            RunState::Crashed => "crashed",
        };
        if self.reason.is_empty() {
            state.to_owned()
        } else {
            format!("{state}, {}", self.reason)
        }
    }
}

/// What kind of device a disk is for the guest (libvirt's `<disk device>`).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum DiskDevice {
    /// A disk.
    Disk,
    /// A CD-ROM.
    Cdrom,
    /// A floppy.
    Floppy,
    /// A SCSI LUN passed through.
    Lun,
}

/// How the guest's CPU is chosen (libvirt's `<cpu mode>`).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum CpuMode {
    /// A named model with features.
    Custom,
    /// The closest model to the host's.
    HostModel,
    /// The host's CPU itself.
    HostPassthrough,
    /// As much as the host can give, under emulation.
    Maximum,
    /// No `<cpu>` in the definition: QEMU's default.
    #[default]
    Default,
}

/// What an interface is connected to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceSource {
    /// A bridge of the host, by name.
    Bridge(String),
    /// A libvirt network, by name.
    Network(String),
    /// Directly on a device of the host (macvtap), by name.
    Direct(String),
    /// Anything else; libvirt's type name.
    Other(String),
}

impl InterfaceSource {
    /// The name of the bridge or libvirt network, where it is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Bridge(name) | Self::Network(name) => Some(name),
            Self::Direct(_) | Self::Other(_) => None,
        }
    }
}

/// As people say it: `bridge br0`, `network default`.
impl fmt::Display for InterfaceSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge(name) => write!(out, "bridge {name}"),
            Self::Network(name) => write!(out, "network {name}"),
            Self::Direct(device) => write!(out, "device {device}"),
            Self::Other(kind) => write!(out, "a source of type {kind}"),
        }
    }
}

/// An interface of a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Interface {
    /// Its MAC address.
    pub mac: MacAddress,
    /// What it is connected to.
    pub source: InterfaceSource,
    /// Its MTU in bytes, where the definition names one (`<mtu size>`).
    #[serde(default)]
    pub mtu: Option<u32>,
    /// The network filter of libvirt that its traffic goes through (`<filterref filter>`).
    #[serde(default)]
    pub filter: Option<String>,
}

/// A job that libvirt runs on a VM.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// A migration away from this host.
    MigrationOut,
    /// A migration to this host.
    MigrationIn,
    /// A block job on one of its disks.
    Block,
    /// Save, snapshot, dump, backup or a job of an unknown kind.
    Other,
}

/// What Domicile writes into a VM's metadata before it starts to move it, so that any later run, from any machine,
/// knows which volumes are ours and what was under way.
///
/// It lies in the persistent definition and therefore travels with the VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveMark {
    /// The layout of this record; a reader refuses one that it does not know.
    pub version: u32,
    /// The source, by its name in the manifest of the run that wrote the mark.
    pub from: HostName,
    /// The source's libvirt host UUID: names may differ between manifests, this does not.
    pub from_uuid: String,
    /// The destination; the source where only disks move.
    pub to: HostName,
    /// The destination's libvirt host UUID.
    pub to_uuid: String,
    /// Whether the VM was active when the move began and so must be active at its end.
    pub was_active: bool,
    /// Whether the VM is off while it is moved. An instance of it that is found paused has then never executed
    /// anything: it was started paused to be carried.
    pub cold: bool,
    /// Whether every disk was proven to be at the destination. Only ever true in the destination's definition:
    /// from then on the destination's copies count, before it the source's.
    pub complete: bool,
    /// Volumes at the source which the move empties and which are removed at its end.
    pub source_volumes: Vec<(PoolName, VolumeName)>,
    /// The volume at the destination for each of `source_volumes`, in the same order. Until the move ends they are
    /// ours to remove.
    pub created_volumes: Vec<(PoolName, VolumeName)>,
    /// Bases copied for this move; complete or not, they are ours until the move ends.
    pub created_bases: Vec<(PoolName, VolumeName)>,
    /// Volumes that the move makes at the source to carry them in place of others; complete or not, they are ours and
    /// go before the move ends. Left out where there are none, which is what earlier versions can read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub temporary_volumes: Vec<(PoolName, VolumeName)>,
}

impl MoveMark {
    /// The layout that this version of Domicile writes.
    pub const VERSION: u32 = 1;
    /// The XML namespace of the metadata element.
    pub const NAMESPACE: &'static str = "https://domicile.dev/xmlns/move/1";
    /// The prefix under which libvirt stores the element.
    pub const PREFIX: &'static str = "domicile";
}
