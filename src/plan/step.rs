//! One executable act: what it does, what it waits for, what it takes and gives back.
//!
//! What must hold before a step and what holds after it follows from its [`Action`]; each action says it. Whoever
//! performs a step proves both and fails with a reason where one does not hold.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resource::{Resource, Slot};
use super::seen::Seen;
use super::wait::{Dependency, Held};
use crate::definition::Rewrite;
use crate::desired::{Driver, OnShutdownTimeout, OnStall};
use crate::model::{
    Bytes, BytesPerSecond, DiskTarget, HostName, Millis, MoveMark, VmName, VolumeFormat, VolumeRef,
};

/// One executable act of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// The VMs whose moves need it; several for a base that several clones share.
    pub vms: Vec<VmName>,
    /// Steps that must have succeeded before.
    pub after: Vec<Dependency>,
    /// What is taken when it starts, and kept until some step gives it back.
    pub takes: Vec<(Resource, u64)>,
    /// What is given back when it ends.
    pub frees: Vec<(Resource, u64)>,
    /// What it uses while it runs, and how much of it.
    pub uses: Vec<(Slot, u64)>,
    /// When it starts by the forecast, counted from the start of the apply.
    pub start: Millis,
    /// What it will take by the forecast.
    pub forecast: Forecast,
    /// What determined its start, by the forecast; `None` where it starts at once. This is told and not enforced: an
    /// apply waits for nothing but `after` and for the slots.
    #[serde(default)]
    pub held: Option<Held>,
}

impl Step {
    /// When it ends by the forecast.
    #[must_use]
    pub fn end(&self) -> Millis {
        self.start.plus(self.forecast.duration)
    }
}

/// What a step will take by the forecast.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// How long it runs.
    pub duration: Millis,
    /// Bytes it carries.
    pub bytes: Bytes,
    /// How long the guest stands still in it; for a shutdown, until the start that follows.
    pub downtime: Millis,
}

/// The VM whose mark says that a volume was made for its move, and by that whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Owner {
    /// The host where the VM is while the volume is made.
    pub host: HostName,
    /// The VM.
    pub vm: VmName,
}

/// What a new volume is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeSpec {
    /// Whose mark takes note that it was made; nothing else proves that it is ours to remove.
    pub owner: Owner,
    /// Where.
    pub at: VolumeRef,
    /// Absolute path that it must turn out to have.
    pub path: String,
    /// Format.
    pub format: VolumeFormat,
    /// Virtual size, as the guest sees it.
    pub capacity: Bytes,
    /// Path and format of the image below it.
    pub backing: Option<(String, VolumeFormat)>,
}

/// Which disk data a migration copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CopyMode {
    /// None: the disks are on storage that both hosts see.
    None,
    /// The whole contents of each copied disk (libvirt's `NON_SHARED_DISK`).
    Full,
    /// The top image of each copied disk (libvirt's `NON_SHARED_INC`); a disk without a base is copied whole.
    Incremental,
}

/// The cold move that ends the ladder of a migration which does not converge: the guest is shut down, carried host to
/// host and started again, all within the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ColdRung {
    /// How long the guest may take to shut down.
    pub shutdown_timeout: Millis,
    /// What happens when it takes longer.
    pub on_shutdown_timeout: OnShutdownTimeout,
}

/// How a migration is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MigrationOptions {
    /// Who drives.
    pub driver: Driver,
    /// URI by which the source's daemon reaches the destination's.
    pub peer_uri: String,
    /// Address at which the destination's QEMU listens; `None`: what libvirt finds.
    pub address: Option<String>,
    /// Which disk data is copied.
    pub copy: CopyMode,
    /// The disks whose data is copied.
    pub disks: Vec<DiskTarget>,
    /// What changes in the definition.
    pub rewrite: Rewrite,
    /// Rate limit.
    pub bandwidth: Option<BytesPerSecond>,
    /// Longest pause of the guest.
    pub max_downtime: Millis,
    /// The ladder for a migration that does not converge.
    pub on_stall: Vec<OnStall>,
    /// How long it may take before the ladder is climbed.
    pub stall_after: Millis,
    /// How long it may take in all; then what ends the ladder comes about.
    #[serde(default)]
    pub timeout: Option<Millis>,
    /// How the guest is shut down where the ladder ends in a cold move; `None`: it does not.
    #[serde(default)]
    pub cold: Option<ColdRung>,
    /// Compression method.
    pub compression: Option<String>,
    /// Streams.
    pub connections: Option<u32>,
    /// Encrypt with TLS.
    pub tls: bool,
}

/// What a step does. Before each: the host answers and what is named there is as the plan saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// Writes the mark into the VM's metadata. After: the persistent definition carries it.
    Mark {
        /// On which host.
        host: HostName,
        /// Which VM.
        vm: VmName,
        /// What is written.
        mark: MoveMark,
        /// What the plan rests on: where it no longer holds, nothing is begun.
        #[serde(default)]
        seen: Option<Seen>,
    },
    /// Removes the mark. After: the definition carries none.
    Unmark {
        /// On which host.
        host: HostName,
        /// Which VM.
        vm: VmName,
    },
    /// Creates an empty volume. Before: the pool is refreshed and active, no volume or file of that name exists.
    /// After: it exists at the path and of the size, format and backing that are named, and its owner's mark says that
    /// we made it. The same is true of everything else that makes a volume.
    CreateVolume {
        /// What it is.
        spec: VolumeSpec,
    },
    /// Copies an image byte for byte through this process into a volume that it creates. Before: nothing writes
    /// to the source, the destination does not exist. After: both have the same contents, format and sizes.
    CopyVolume {
        /// From where.
        from: VolumeRef,
        /// What is created.
        spec: VolumeSpec,
        /// Rate limit.
        #[serde(default)]
        bandwidth: Option<BytesPerSecond>,
    },
    /// Lets the host's daemon write what a guest reads of an image and of everything below it into a volume that it
    /// creates and that stands alone, without what was never written or reads as zeros. Before: nothing writes to the
    /// source, which holds nothing else, such as internal snapshots; the new volume does not exist. After: it exists
    /// with the same virtual size. What is in it rests on the word of the daemon's converter: nothing in libvirt reads
    /// an image as a guest would.
    CompactVolume {
        /// From where.
        from: VolumeRef,
        /// What is created, on the same host.
        spec: VolumeSpec,
    },
    /// Proves that two images have the same contents. After: it is proven, or the step has failed.
    VerifyVolume {
        /// The one.
        from: VolumeRef,
        /// The other.
        to: VolumeRef,
        /// Rate limit of each of the two readings.
        #[serde(default)]
        bandwidth: Option<BytesPerSecond>,
    },
    /// Removes a volume. Before: no domain of any host that sees the pool uses it, as a disk or below one, and
    /// where a replacement is named it exists with the same capacity. After: it is gone.
    DeleteVolume {
        /// Which.
        at: VolumeRef,
        /// Every host whose daemon can see the storage; each is asked who uses it.
        seen_by: Vec<HostName>,
        /// The volume that replaces it and must exist.
        replaced_by: Option<VolumeRef>,
        /// Whether being in use is no failure: the volume is then left in place and the step says so.
        only_if_unused: bool,
        /// Whether the same is true where something is written in it.
        #[serde(default)]
        only_if_empty: bool,
    },
    /// Migrates a running VM. Before: it is active at the source and not at the destination. After: it is active
    /// and persistent at the destination and neither active nor defined at the source.
    MigrateLive {
        /// Which VM.
        vm: VmName,
        /// From where.
        from: HostName,
        /// To where.
        to: HostName,
        /// How.
        options: MigrationOptions,
    },
    /// Starts a VM paused at the source, migrates it with its disks, and ends it at the destination; the guest's
    /// code never runs. Before: it is defined and off at the source. After: it is defined and off at the
    /// destination and not defined at the source.
    MigratePaused {
        /// Which VM.
        vm: VmName,
        /// From where.
        from: HostName,
        /// To where.
        to: HostName,
        /// How.
        options: MigrationOptions,
    },
    /// Asks the guest to shut down and waits. After: it is off.
    ShutDown {
        /// On which host.
        host: HostName,
        /// Which VM.
        vm: VmName,
        /// How long it is waited for.
        timeout: Millis,
        /// What happens then.
        on_timeout: OnShutdownTimeout,
    },
    /// Defines the VM at the destination from its definition at the source. Before: it is off at the source, every
    /// disk is at the destination, also where its path stays the same. After: it is defined and off at the destination, with autostart, metadata and
    /// snapshots' metadata as at the source, and its mark there says that the copies are complete.
    Define {
        /// Which VM.
        vm: VmName,
        /// From where.
        from: HostName,
        /// To where.
        to: HostName,
        /// What changes in the definition.
        rewrite: Rewrite,
    },
    /// Changes the definition of a VM that is off, on its host.
    Redefine {
        /// On which host.
        host: HostName,
        /// Which VM.
        vm: VmName,
        /// What changes in the definition.
        rewrite: Rewrite,
    },
    /// Starts the VM. Before: it is active nowhere. After: it runs.
    Start {
        /// On which host.
        host: HostName,
        /// Which VM.
        vm: VmName,
        /// Hosts that must answer that they do not run it.
        not_active_on: Vec<HostName>,
    },
    /// Removes the VM's definition. Before: it is off there and defined or active at the host that keeps it.
    Undefine {
        /// On which host.
        host: HostName,
        /// Which VM.
        vm: VmName,
        /// The host which must have it.
        kept_by: HostName,
    },
    /// Copies a running VM's disk to a new volume and switches over to it (libvirt's block copy and pivot).
    /// Before: the new volume exists, empty. After: the live and the persistent definition use the new volume.
    BlockCopy {
        /// On which host.
        host: HostName,
        /// Which VM.
        vm: VmName,
        /// Which disk.
        disk: DiskTarget,
        /// Path of the new volume.
        path: String,
        /// Its format.
        format: VolumeFormat,
        /// Whether the images below are kept as they are.
        shallow: bool,
        /// Rate limit.
        bandwidth: Option<BytesPerSecond>,
    },
    /// Lets a VM that a broken migration left paused run again. Before: it is active nowhere else.
    Resume {
        /// On which host.
        host: HostName,
        /// Which VM.
        vm: VmName,
        /// Hosts that must answer that they do not run it.
        not_active_on: Vec<HostName>,
    },
    /// Ends an instance whose guest's code is not executed and must never be again. Before: it is paused there, and
    /// either `runs_on` is named and runs the VM, or the VM's mark says that it is moved while off, so that the
    /// instance never executed anything. With `runs_on`, it may as well have ended since. After: it is not active there.
    Destroy {
        /// On which host.
        host: HostName,
        /// Which VM.
        vm: VmName,
        /// The host which must run it.
        runs_on: Option<HostName>,
    },
    /// Waits for a migration of ours that is still under way. After: the VM is active at the destination.
    AwaitMigration {
        /// Which VM.
        vm: VmName,
        /// From where.
        from: HostName,
        /// To where.
        to: HostName,
    },
}

impl Action {
    /// The VM that it is done to; `None` where it is done to volumes alone.
    #[must_use]
    pub fn vm(&self) -> Option<&VmName> {
        match self {
            Self::Mark { vm, .. }
            | Self::Unmark { vm, .. }
            | Self::MigrateLive { vm, .. }
            | Self::MigratePaused { vm, .. }
            | Self::ShutDown { vm, .. }
            | Self::Define { vm, .. }
            | Self::Redefine { vm, .. }
            | Self::Start { vm, .. }
            | Self::Undefine { vm, .. }
            | Self::BlockCopy { vm, .. }
            | Self::Resume { vm, .. }
            | Self::Destroy { vm, .. }
            | Self::AwaitMigration { vm, .. } => Some(vm),
            Self::CreateVolume { .. }
            | Self::CopyVolume { .. }
            | Self::CompactVolume { .. }
            | Self::VerifyVolume { .. }
            | Self::DeleteVolume { .. } => None,
        }
    }

    /// The hosts that it talks to.
    #[must_use]
    pub fn hosts(&self) -> Vec<&HostName> {
        match self {
            Self::Mark { host, .. }
            | Self::Unmark { host, .. }
            | Self::ShutDown { host, .. }
            | Self::Redefine { host, .. }
            | Self::Start { host, .. }
            | Self::BlockCopy { host, .. }
            | Self::Resume { host, .. }
            | Self::Destroy { host, .. } => vec![host],
            Self::CreateVolume { spec } => vec![&spec.at.host],
            Self::CopyVolume { from, spec, .. } | Self::CompactVolume { from, spec } => {
                vec![&from.host, &spec.at.host]
            }
            Self::VerifyVolume { from, to, .. } => vec![&from.host, &to.host],
            Self::DeleteVolume { at, .. } => vec![&at.host],
            Self::Undefine { host, kept_by, .. } => vec![host, kept_by],
            Self::MigrateLive { from, to, .. }
            | Self::MigratePaused { from, to, .. }
            | Self::Define { from, to, .. }
            | Self::AwaitMigration { from, to, .. } => vec![from, to],
        }
    }
}

/// What people call it, with its objects, on one line.
impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mark { host, vm, .. } => write!(out, "mark {vm} on {host}"),
            Self::Unmark { host, vm } => write!(out, "remove the mark of {vm} on {host}"),
            Self::CreateVolume { spec } => write!(out, "create volume {}", spec.at),
            Self::CopyVolume { from, spec, .. } => write!(out, "copy {from} to {}", spec.at),
            Self::CompactVolume { from, spec } => write!(out, "compact {from} into {}", spec.at),
            Self::VerifyVolume { from, to, .. } => write!(out, "verify that {to} equals {from}"),
            Self::DeleteVolume { at, .. } => write!(out, "delete volume {at}"),
            Self::MigrateLive { vm, from, to, .. } => {
                write!(out, "migrate {vm} live from {from} to {to}")
            }
            Self::MigratePaused { vm, from, to, .. } => {
                write!(out, "carry {vm} with its disks from {from} to {to}")
            }
            Self::ShutDown { host, vm, .. } => write!(out, "shut down {vm} on {host}"),
            Self::Define { vm, to, .. } => write!(out, "define {vm} on {to}"),
            Self::Redefine { host, vm, .. } => {
                write!(out, "change the definition of {vm} on {host}")
            }
            Self::Start { host, vm, .. } => write!(out, "start {vm} on {host}"),
            Self::Undefine { host, vm, .. } => {
                write!(out, "remove the definition of {vm} on {host}")
            }
            Self::BlockCopy {
                host,
                vm,
                disk,
                path,
                ..
            } => {
                write!(
                    out,
                    "copy disk {disk} of {vm} on {host} to {path} and switch to it"
                )
            }
            Self::Resume { host, vm, .. } => write!(out, "resume {vm} on {host}"),
            Self::Destroy { host, vm, .. } => write!(out, "end the paused {vm} on {host}"),
            Self::AwaitMigration { vm, from, to } => {
                write!(
                    out,
                    "await the migration of {vm} from {from} to {to}, which is in flight"
                )
            }
        }
    }
}
