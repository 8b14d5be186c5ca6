//! What a VM consists of, as far as moving it depends on it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HostName, MacAddress, PoolName, VolumeName, VolumeRef};

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
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of a record that is stored"
)]
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
    /// Whether the VM starts with its host. While it is moved it does not: a source that loses power must not start a
    /// definition beside the VM that runs at the destination already. It does again when the mark is removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub autostart: bool,
    /// Whether the VM is off while it is moved. An instance of it that is found paused has then never executed
    /// anything: it was started paused to be carried.
    pub cold: bool,
    /// Whether every disk was proven to be at the destination. Only ever true in the destination's definition:
    /// from then on the destination's copies count, before it the source's.
    pub complete: bool,
    /// Volumes at the source which the move empties and which are removed at its end.
    pub source_volumes: Vec<(PoolName, VolumeName)>,
    /// The volume at the destination for each of `source_volumes`, in the same order: what the move means to make.
    pub created_volumes: Vec<(PoolName, VolumeName)>,
    /// Bases that the move means to copy.
    pub created_bases: Vec<(PoolName, VolumeName)>,
    /// Volumes that the move means to make at the source to carry them in place of others; they go before it ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub temporary_volumes: Vec<(PoolName, VolumeName)>,
    /// Those of `created_volumes` and `created_bases` that are about to be made: the name was seen to be free. One that
    /// is there all the same was made by us, or by somebody else in that instant; it is ours only while it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claimed: Vec<(PoolName, VolumeName)>,
    /// Those of `created_volumes` and `created_bases` that are known to have been made by us; these are ours to
    /// remove, complete or not. What is only meant may have been made by somebody else meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<(PoolName, VolumeName)>,
    /// The same of `temporary_volumes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_at_source: Vec<(PoolName, VolumeName)>,
    /// Bases at the source that go with the last clone that stands on them, since the manifest says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_bases: Vec<(PoolName, VolumeName)>,
    /// The base at the destination for each of `source_bases`, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_bases: Vec<(PoolName, VolumeName)>,
}

impl MoveMark {
    /// The layout that this version of Domicile writes, and the only one that it reads. Every change of the layout,
    /// also a new field, is another version.
    pub const VERSION: u32 = 3;
    /// The XML namespace of the metadata element. It never changes: by it every version finds the marks of all others.
    pub const NAMESPACE: &'static str = "https://domicile.dev/xmlns/move/1";
    /// The prefix under which libvirt stores the element.
    pub const PREFIX: &'static str = "domicile";

    /// Takes note of what became of a volume that the move means to make. False where it does not mean to.
    pub fn note(&mut self, at: &VolumeRef, noted: Noted) -> bool {
        let volume = (at.pool.clone(), at.volume.clone());
        let mut meant = self.created_volumes.iter().chain(&self.created_bases);
        let made = if at.host == self.to && meant.any(|it| *it == volume) {
            &mut self.made
        } else if at.host == self.from && self.temporary_volumes.contains(&volume) {
            &mut self.made_at_source
        } else {
            return false;
        };
        made.retain(|it| *it != volume);
        self.claimed.retain(|it| *it != volume);
        match noted {
            Noted::NotMade => {}
            Noted::Claimed => self.claimed.push(volume),
            Noted::Made => made.push(volume),
        }
        true
    }
}

/// What a mark says of a volume that its move means to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It is not there.
    NotMade,
    /// Its name is free, and it is about to be made.
    Claimed,
    /// We have made it.
    Made,
}
