//! Settings that choose between a few ways of doing something.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to do, in the order given, when a live migration does not converge.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum OnStall {
    /// Slow the guest down (libvirt's auto-converge).
    AutoConverge,
    /// Switch to post-copy.
    PostCopy,
    /// Suspend the guest until its memory is over.
    Pause,
    /// Cancel, then move it cold: the guest is rebooted.
    Cold,
    /// Cancel and leave it where it was.
    Abort,
}

/// Who drives a live migration.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// Peer-to-peer where the source's daemon reaches the destination's, else managed.
    #[default]
    Auto,
    /// The source's daemon: the migration goes on when this process dies.
    PeerToPeer,
    /// This process: only QEMU's ports between the hosts are needed, and our death cancels it.
    Managed,
}

/// How a cold move carries bytes.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ColdCopy {
    /// Host to host unless the VM could not be started at the destination, then through this process.
    #[default]
    Auto,
    /// Host to host: QEMU is started paused and migrated, the guest's code never runs.
    Direct,
    /// Through this process, by volume streams.
    Stream,
}

/// What to do with a guest that does not follow a request to shut down.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum OnShutdownTimeout {
    /// The move fails and the VM runs on where it was.
    #[default]
    Fail,
    /// It is switched off.
    Destroy,
}
