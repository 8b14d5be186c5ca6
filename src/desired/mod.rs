//! What the manifest demands, as plain values: every name resolved, every quantity checked, nothing of YAML left.
//!
//! Pools and networks have one name for the whole fleet here; [`Desired::pool_on`] and [`Desired::network_on`] turn
//! it into the name on one host.

mod choice;
mod limits;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use choice::{ColdCopy, Driver, OnFailure, OnShutdownTimeout, OnStall};
pub use limits::{HostLimits, Limits, Reserve};

use crate::model::{
    BytesPerSecond, Calibration, ClusterName, DiskTarget, HostName, MacAddress, Millis,
    NetworkName, PoolName, VmName,
};

/// The manifest's whole demand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Desired {
    /// Clusters by name.
    pub clusters: BTreeMap<ClusterName, Cluster>,
    /// Hosts by name.
    pub hosts: BTreeMap<HostName, Host>,
    /// Pools whose name differs between hosts or that are shared.
    pub pools: BTreeMap<PoolName, Pool>,
    /// Networks with the bridge or libvirt network that each is on each host.
    pub networks: BTreeMap<NetworkName, BTreeMap<HostName, String>>,
    /// Ceilings of the whole fleet.
    #[serde(default)]
    pub limits: Limits,
    /// Migration settings, from the general to the particular.
    pub migration: Migration,
    /// Which verdicts the rules give.
    #[serde(default)]
    pub profile: Profile,
    /// Groups of VMs of which no two may be on one host.
    #[serde(default)]
    pub apart: Vec<BTreeSet<VmName>>,
    /// Groups of VMs that must all be on one host.
    #[serde(default)]
    pub together: Vec<BTreeSet<VmName>>,
    /// What comes of an apply of which a step fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// What the command line allows, for all VMs.
    #[serde(default)]
    pub gates: Gates,
    /// What forecasts are corrected by, from the journals that the command line names.
    #[serde(default, skip_serializing_if = "Calibration::is_none")]
    pub calibration: Calibration,
    /// The VMs that the manifest names. No other VM is ever touched.
    pub vms: BTreeMap<VmName, Vm>,
}

/// What the command line of one run allows. It only narrows what the manifest allows, except that it may accept
/// risks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gates {
    /// The longest that any guest may not answer: its pause in a live migration, its time off in a cold move.
    pub max_downtime: Option<Millis>,
    /// Whether no guest may be rebooted.
    pub no_reboot: bool,
    /// Rules whose risk is accepted, by code.
    pub accept: BTreeSet<String>,
    /// How long the planner may look for a shorter schedule, on a machine of 2024; it counts work and not time.
    #[serde(default)]
    pub plan_time: Option<Millis>,
    /// The most VMs that may move by way of a third host; `None`: as many as it takes.
    #[serde(default)]
    pub max_detours: Option<u32>,
}

/// What is allowed unless it is forbidden, in files of an older layout.
fn yes() -> bool {
    true
}

impl Gates {
    fn narrow(&self, settings: &mut MigrationSettings) {
        if let Some(most) = self.max_downtime {
            settings.max_downtime = settings.max_downtime.min(most);
            let cold = settings
                .max_cold_downtime
                .map_or(most, |limit| limit.min(most));
            settings.max_cold_downtime = Some(cold);
        }
        settings.allow_reboot &= !self.no_reboot;
        settings.accept.extend(self.accept.iter().cloned());
    }
}

/// Which verdicts the rules give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Domicile's own.
    #[default]
    Default,
    /// The stricter ones of VMmanager 6, for those who come from there.
    Vmmanager,
}

/// How a cluster's networks are made (VMmanager's kinds).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkKind {
    /// Bridges into common layer-2 networks.
    #[default]
    Switching,
    /// Addresses routed to one host: VMs are bound to it.
    Routing,
    /// A routed fabric with addresses announced by each host.
    IpFabric,
}

/// Properties that hosts have by belonging together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cluster {
    /// How its networks are made.
    pub network: NetworkKind,
    /// Whether VMs with SPICE graphics can be used there.
    pub spice_denied: bool,
    /// The family of the hosts' operating system where the manifest says it, such as `debian` or `redhat`.
    pub os: Option<String>,
    /// The version of the hosts' operating system where the manifest says it.
    #[serde(default)]
    pub os_version: Option<String>,
    /// Fleet-wide networks that are full-mesh VXLANs there.
    #[serde(default)]
    pub full_mesh: BTreeSet<NetworkName>,
    /// Its ceilings.
    #[serde(default)]
    pub limits: Limits,
}

/// One host as the manifest describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// The libvirt URI by which this machine reaches it.
    pub uri: String,
    /// The cluster it belongs to.
    pub cluster: Option<ClusterName>,
    /// The libvirt URI by which other hosts' daemons reach it, where that differs from `uri`.
    pub peer_uri: Option<String>,
    /// The address at which its QEMU listens for migrations, where that differs from the host of `peer_uri`.
    pub address: Option<String>,
    /// What VMs must leave free.
    pub reserve: Reserve,
    /// Ceilings that are not the hardware's.
    pub limits: HostLimits,
    /// Whether VMs may not be moved to it.
    pub maintenance: bool,
}

/// A pool whose name differs between hosts, or that is one storage for all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pool {
    /// Whether it is the same storage on every host that has it.
    pub shared: bool,
    /// The name it has on each host, where that differs from the name in the manifest.
    pub on: BTreeMap<HostName, PoolName>,
}

/// Migration settings, from the general to the particular; the more particular wins field by field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Migration {
    /// For the fleet.
    pub fleet: MigrationOverrides,
    /// For moves that start in a cluster.
    pub clusters: BTreeMap<ClusterName, MigrationOverrides>,
    /// For moves from one host to another, as a list because JSON has no pairs as keys.
    pub pairs: Vec<(HostName, HostName, MigrationOverrides)>,
}

/// Migration settings where some are given and some are left to the more general level.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MigrationOverrides {
    /// Rate of one migration, memory and disks.
    pub bandwidth: Option<BytesPerSecond>,
    /// Migrations into and out of one host at once, each; of a pair of hosts: from the one to the other.
    pub parallel: Option<u32>,
    /// Longest pause of a guest at the end of a live migration.
    pub max_downtime: Option<Millis>,
    /// The ladder for a migration that does not converge.
    pub on_stall: Option<Vec<OnStall>>,
    /// How long a live migration may take before the ladder is climbed.
    pub stall_after: Option<Millis>,
    /// How long a guest may take to shut down.
    pub shutdown_timeout: Option<Millis>,
    /// What happens when it takes longer.
    pub on_shutdown_timeout: Option<OnShutdownTimeout>,
    /// Compression method of QEMU (`zlib`, `zstd`, `xbzrle`).
    pub compression: Option<String>,
    /// Streams per migration (QEMU's multifd).
    pub connections: Option<u32>,
    /// Encrypt with TLS.
    pub tls: Option<bool>,
    /// Who drives.
    pub driver: Option<Driver>,
    /// How a cold move carries bytes.
    pub cold_copy: Option<ColdCopy>,
    /// Whether a linked clone is moved live where the method is `auto`.
    pub live_clones: Option<bool>,
    /// Whether a base that loses its last user at the source is removed there.
    pub remove_unused_bases: Option<bool>,
    /// Whether images are compacted while their VM is off for its move.
    #[serde(default)]
    pub shrink: Option<bool>,
    /// Whether a linked clone's disk that moves becomes a volume of its own.
    #[serde(default)]
    pub flatten: Option<bool>,
    /// Whether a guest may be shut down and started again for a move.
    #[serde(default)]
    pub allow_reboot: Option<bool>,
    /// Whether it may move by way of a third host.
    #[serde(default)]
    pub allow_detour: Option<bool>,
    /// The longest that a guest may be off for a cold move, by the forecast.
    #[serde(default)]
    pub max_cold_downtime: Option<Millis>,
    /// How long a live migration may take in all.
    #[serde(default)]
    pub live_timeout: Option<Millis>,
    /// Rules whose risk is accepted, by code; they add to those of more general levels.
    #[serde(default)]
    pub accept: Option<BTreeSet<String>>,
    /// Whether QEMU itself is asked.
    pub ask_qemu: Option<bool>,
}

/// Migration settings with every one decided.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of the manifest that is on or off, and none excludes another"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MigrationSettings {
    /// Rate of one migration; `None`: as fast as it goes.
    pub bandwidth: Option<BytesPerSecond>,
    /// Migrations into and out of one host at once, each.
    pub parallel: u32,
    /// Longest pause of a guest at the end of a live migration.
    pub max_downtime: Millis,
    /// The ladder for a migration that does not converge.
    pub on_stall: Vec<OnStall>,
    /// How long a live migration may take before the ladder is climbed.
    pub stall_after: Millis,
    /// How long a guest may take to shut down.
    pub shutdown_timeout: Millis,
    /// What happens when it takes longer.
    pub on_shutdown_timeout: OnShutdownTimeout,
    /// Compression method of QEMU.
    pub compression: Option<String>,
    /// Streams per migration; `None`: QEMU's single stream.
    pub connections: Option<u32>,
    /// Encrypt with TLS.
    pub tls: bool,
    /// Who drives.
    pub driver: Driver,
    /// How a cold move carries bytes.
    pub cold_copy: ColdCopy,
    /// Whether a linked clone is moved live where the method is `auto`.
    pub live_clones: bool,
    /// Whether a base that loses its last user at the source is removed there.
    pub remove_unused_bases: bool,
    /// Whether images are compacted while their VM is off for its move.
    #[serde(default)]
    pub shrink: bool,
    /// Whether a linked clone's disk that moves becomes a volume of its own.
    #[serde(default)]
    pub flatten: bool,
    /// Whether a guest may be shut down and started again for a move.
    pub allow_reboot: bool,
    /// Whether it may move by way of a third host.
    #[serde(default = "yes")]
    pub allow_detour: bool,
    /// The longest that a guest may be off for a cold move, by the forecast; `None`: not limited.
    pub max_cold_downtime: Option<Millis>,
    /// How long a live migration may take in all; `None`: not limited.
    pub live_timeout: Option<Millis>,
    /// Rules whose risk is accepted, by code.
    pub accept: BTreeSet<String>,
    /// Whether the QEMU of a running VM that shall change its host is asked, which taints the VM in libvirt's books.
    #[serde(default)]
    pub ask_qemu: bool,
}

impl Default for MigrationSettings {
    fn default() -> Self {
        Self {
            bandwidth: None,
            parallel: 2,
            // QEMU's own default.
            max_downtime: Millis(300),
            on_stall: vec![OnStall::AutoConverge, OnStall::Abort],
            stall_after: Millis::from_secs(300),
            shutdown_timeout: Millis::from_secs(180),
            on_shutdown_timeout: OnShutdownTimeout::Fail,
            compression: None,
            connections: None,
            tls: false,
            driver: Driver::Auto,
            cold_copy: ColdCopy::Auto,
            live_clones: false,
            remove_unused_bases: false,
            shrink: false,
            flatten: false,
            allow_reboot: true,
            allow_detour: true,
            max_cold_downtime: None,
            live_timeout: None,
            accept: BTreeSet::new(),
            ask_qemu: false,
        }
    }
}

impl MigrationSettings {
    /// The rate at which a move carries bytes: what is named, else what a link of 1 Gbit/s carries.
    #[must_use]
    pub fn rate(&self) -> BytesPerSecond {
        self.bandwidth.unwrap_or(BytesPerSecond(117_000_000))
    }

    fn overlay(&mut self, over: &MigrationOverrides) {
        fn set<T: Clone>(place: &mut T, over: Option<&T>) {
            if let Some(value) = over {
                place.clone_from(value);
            }
        }
        let MigrationOverrides {
            bandwidth,
            parallel,
            max_downtime,
            on_stall,
            stall_after,
            shutdown_timeout,
            on_shutdown_timeout,
            compression,
            connections,
            tls,
            driver,
            cold_copy,
            live_clones,
            remove_unused_bases,
            shrink,
            flatten,
            allow_reboot,
            allow_detour,
            max_cold_downtime,
            live_timeout,
            accept,
            ask_qemu,
        } = over;
        self.bandwidth = bandwidth.or(self.bandwidth);
        set(&mut self.parallel, parallel.as_ref());
        set(&mut self.max_downtime, max_downtime.as_ref());
        set(&mut self.on_stall, on_stall.as_ref());
        set(&mut self.stall_after, stall_after.as_ref());
        set(&mut self.shutdown_timeout, shutdown_timeout.as_ref());
        set(&mut self.on_shutdown_timeout, on_shutdown_timeout.as_ref());
        self.compression = compression.clone().or_else(|| self.compression.take());
        self.connections = connections.or(self.connections);
        set(&mut self.tls, tls.as_ref());
        set(&mut self.driver, driver.as_ref());
        set(&mut self.cold_copy, cold_copy.as_ref());
        set(&mut self.live_clones, live_clones.as_ref());
        set(&mut self.remove_unused_bases, remove_unused_bases.as_ref());
        set(&mut self.shrink, shrink.as_ref());
        set(&mut self.flatten, flatten.as_ref());
        set(&mut self.allow_reboot, allow_reboot.as_ref());
        set(&mut self.allow_detour, allow_detour.as_ref());
        self.max_cold_downtime = max_cold_downtime.or(self.max_cold_downtime);
        self.live_timeout = live_timeout.or(self.live_timeout);
        self.accept.extend(accept.iter().flatten().cloned());
        set(&mut self.ask_qemu, ask_qemu.as_ref());
    }
}

/// By which method a VM may be moved.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Live where nothing speaks against it, else cold, with the reason.
    #[default]
    Auto,
    /// Live or not at all: the guest is never rebooted.
    Live,
    /// Shut down, moved, started.
    Cold,
}

/// One VM as the manifest wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Vm {
    /// The host where it shall live.
    pub host: HostName,
    /// The pool of each disk that is named; another disk stays in the pool of the same fleet-wide name.
    pub disks: BTreeMap<DiskTarget, PoolName>,
    /// The network of each interface that is named; another stays on the network of the same fleet-wide name.
    pub interfaces: BTreeMap<MacAddress, NetworkName>,
    /// How it may be moved.
    pub method: Method,
    /// Its own migration settings.
    pub migration: MigrationOverrides,
}

impl Desired {
    /// The settings of a move of this VM between these hosts: defaults, then fleet, cluster of the source, pair, VM,
    /// and what the command line allows.
    #[must_use]
    pub fn settings(&self, vm: &VmName, from: &HostName, to: &HostName) -> MigrationSettings {
        let mut settings = MigrationSettings::default();
        settings.overlay(&self.migration.fleet);
        let cluster = self.hosts.get(from).and_then(|host| host.cluster.as_ref());
        if let Some(over) = cluster.and_then(|name| self.migration.clusters.get(name)) {
            settings.overlay(over);
        }
        for (source, destination, over) in &self.migration.pairs {
            if source == from && destination == to {
                settings.overlay(over);
            }
        }
        if let Some(vm) = self.vms.get(vm) {
            settings.overlay(&vm.migration);
        }
        self.gates.narrow(&mut settings);
        settings
    }

    /// The name that a fleet-wide pool has on a host.
    #[must_use]
    pub fn pool_on(&self, pool: &PoolName, host: &HostName) -> PoolName {
        let mapped = self.pools.get(pool).and_then(|known| known.on.get(host));
        mapped.unwrap_or(pool).clone()
    }

    /// The fleet-wide name of a host's pool.
    #[must_use]
    pub fn pool_named(&self, local: &PoolName, host: &HostName) -> PoolName {
        let of_that_name = |(_, pool): &(&PoolName, &Pool)| pool.on.get(host) == Some(local);
        self.pools
            .iter()
            .find(of_that_name)
            .map_or(local, |(name, _)| name)
            .clone()
    }

    /// Whether a fleet-wide pool is declared to be the same storage on every host that has it.
    #[must_use]
    pub fn is_shared(&self, pool: &PoolName) -> bool {
        self.pools.get(pool).is_some_and(|known| known.shared)
    }

    /// The bridge or libvirt network that a fleet-wide network is on a host, where the manifest says it.
    #[must_use]
    pub fn network_on(&self, network: &NetworkName, host: &HostName) -> Option<&str> {
        self.networks.get(network)?.get(host).map(String::as_str)
    }

    /// The fleet-wide network that a host's bridge or libvirt network belongs to.
    #[must_use]
    pub fn network_named(&self, local: &str, host: &HostName) -> Option<&NetworkName> {
        let here = |on: &BTreeMap<HostName, String>| on.get(host).is_some_and(|name| name == local);
        self.networks
            .iter()
            .find(|(_, on)| here(on))
            .map(|(name, _)| name)
    }
}
