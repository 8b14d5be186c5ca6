//! Migration settings as a manifest writes them. The same fields stand at the fleet, a cluster, a pair of hosts and a
//! VM, so they are written down once here.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::written::Written;
use crate::desired::{ColdCopy, Driver, MigrationOverrides, OnShutdownTimeout, OnStall};
use crate::model::{BytesPerSecond, ClusterName, HostName, Millis};

/// How QEMU compresses the memory that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Compression {
    /// zlib, on several streams.
    Zlib,
    /// zstd, on several streams.
    Zstd,
    /// Only what changed in a page that was sent before.
    Xbzrle,
}

impl Compression {
    fn name(self) -> String {
        match self {
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
            Self::Xbzrle => "xbzrle",
        }
        .to_owned()
    }
}

macro_rules! settings {
    ($(#[$doc:meta])* $type:ident { $($extra:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, expecting = "migration settings, such as { bandwidth: 800MiB/s }")]
        pub(super) struct $type {
            $($extra)*
            /// Rate of one migration, memory and disks, such as 800MiB/s or 400Mbit/s. Without it, as fast as it goes.
            pub(super) bandwidth: Option<Written<BytesPerSecond>>,
            /// Migrations into and out of one host at once, each; 2 unless given. Of a pair of hosts: migrations
            /// and copies from the one to the other at once; not limited unless given.
            #[schemars(range(min = 1))]
            pub(super) parallel: Option<u32>,
            /// Longest pause of a guest at the end of a live migration; 300ms unless given.
            pub(super) max_downtime: Option<Written<Millis>>,
            /// What to do, in this order, when a live migration does not converge; [auto-converge, abort] unless given.
            #[schemars(length(min = 1))]
            pub(super) on_stall: Option<Vec<OnStall>>,
            /// How long a live migration may take before the first entry of `on_stall`; 5m unless given.
            pub(super) stall_after: Option<Written<Millis>>,
            /// How long a guest may take to shut down; 3m unless given.
            pub(super) shutdown_timeout: Option<Written<Millis>>,
            /// What happens when it takes longer; fail unless given.
            pub(super) on_shutdown_timeout: Option<OnShutdownTimeout>,
            /// How QEMU compresses memory; not at all unless given.
            pub(super) compression: Option<Compression>,
            /// Streams per migration; QEMU's single stream unless given.
            #[schemars(range(min = 1, max = 255))]
            pub(super) connections: Option<u32>,
            /// Whether migrations are encrypted with TLS; the hosts need certificates. false unless given.
            pub(super) tls: Option<bool>,
            /// Who drives a live migration; auto unless given.
            pub(super) driver: Option<Driver>,
            /// How a cold move carries bytes; auto unless given.
            pub(super) cold_copy: Option<ColdCopy>,
            /// Whether a linked clone is moved live where the method is auto; false unless given.
            pub(super) live_clones: Option<bool>,
            /// Whether a base that loses its last user at the source is removed there; false unless given.
            pub(super) remove_unused_bases: Option<bool>,
            /// Whether qcow2 images are compacted for a move in which their VM is off, so that less is carried. A
            /// running VM is then shut down for its move where the method is auto. false unless given.
            pub(super) shrink: Option<bool>,
            /// Whether a linked clone's disk that moves becomes a volume of its own; its base stays where it is. false
            /// unless given.
            pub(super) flatten: Option<bool>,
            /// Whether a guest may be shut down and started again for a move; true unless given.
            pub(super) allow_reboot: Option<bool>,
            /// Whether it may move by way of a third host where it cannot go straight, or where all moves together take
            /// less time so; true unless given.
            pub(super) allow_detour: Option<bool>,
            /// The longest that a guest may be off for a cold move, by the forecast; not limited unless given.
            pub(super) max_cold_downtime: Option<Written<Millis>>,
            /// How long a live migration may take in all; then it is cancelled, and what ends `on_stall` comes about.
            /// Not limited unless given.
            pub(super) live_timeout: Option<Written<Millis>>,
            /// Rules whose risk is accepted, by their codes (`domicile explain` lists them), besides those that are
            /// accepted at a more general level.
            #[schemars(with = "Option<Vec<String>>")]
            pub(super) accept: Option<BTreeSet<String>>,
            /// Whether the QEMU of a running VM that shall change its host is asked for its version and for its own reasons not
            /// to migrate. libvirt marks such a VM as tainted (custom-monitor) until it stops. false unless given.
            pub(super) ask_qemu: Option<bool>,
        }

        impl $type {
            /// The settings themselves.
            pub(super) fn overrides(&self) -> MigrationOverrides {
                MigrationOverrides {
                    bandwidth: self.bandwidth.map(|written| written.0),
                    parallel: self.parallel,
                    max_downtime: self.max_downtime.map(|written| written.0),
                    on_stall: self.on_stall.clone(),
                    stall_after: self.stall_after.map(|written| written.0),
                    shutdown_timeout: self.shutdown_timeout.map(|written| written.0),
                    on_shutdown_timeout: self.on_shutdown_timeout,
                    compression: self.compression.map(Compression::name),
                    connections: self.connections,
                    tls: self.tls,
                    driver: self.driver,
                    cold_copy: self.cold_copy,
                    live_clones: self.live_clones,
                    remove_unused_bases: self.remove_unused_bases,
                    shrink: self.shrink,
                    flatten: self.flatten,
                    allow_reboot: self.allow_reboot,
                    allow_detour: self.allow_detour,
                    max_cold_downtime: self.max_cold_downtime.map(|written| written.0),
                    live_timeout: self.live_timeout.map(|written| written.0),
                    accept: self.accept.clone(),
                    ask_qemu: self.ask_qemu,
                }
            }
        }
    };
}

settings! {
    /// Migration settings; what is not given is taken from the more general level: VM, pair, cluster, fleet.
    Settings {}
}

settings! {
    /// How VMs are moved: settings for the fleet, and others for clusters and pairs of hosts.
    Migration {
        /// Settings of moves that start in a cluster, by the cluster's name.
        #[serde(default)]
        #[schemars(with = "BTreeMap<String, Settings>")]
        pub(super) clusters: BTreeMap<ClusterName, Settings>,
        /// Settings of moves from one host to another.
        #[serde(default)]
        pub(super) pairs: Vec<Pair>,
    }
}

settings! {
    /// Settings of moves from one host to another.
    Pair {
        /// The host that VMs leave.
        #[schemars(with = "String")]
        pub(super) from: HostName,
        /// The host that VMs come to.
        #[schemars(with = "String")]
        pub(super) to: HostName,
    }
}
