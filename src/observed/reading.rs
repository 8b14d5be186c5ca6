//! Hosts with their pools, volumes and VMs as they are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fit::Fit;
use super::needs::Needs;
use super::offers::Offers;
use super::qemu::QemuAnswer;
use crate::model::{
    BackingLayer, Bytes, BytesPerSecond, CpuMode, DiskDevice, DiskTarget, HostName, Interface,
    JobKind, Millis, MoveMark, PoolName, PowerState, VmName, VolumeFormat, VolumeName, VolumeRef,
};

/// The layout of a reading on disk. A minor step adds fields, a major one changes their meaning.
pub const FORMAT_VERSION: &str = "1.2";

/// VMs, with the hosts that have each.
pub type Places<'o> = BTreeMap<&'o VmName, Vec<(&'o HostName, &'o Vm)>>;

/// One reading of all hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Observed {
    /// The layout, see [`FORMAT_VERSION`].
    pub format_version: String,
    /// When the reading began, in milliseconds since 1970.
    pub taken_at: u64,
    /// Every host that was asked.
    pub hosts: BTreeMap<HostName, Reading>,
}

/// What came of asking one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// It answered.
    Reached(Box<Host>),
    /// It could not be read.
    Unreachable {
        /// What failed, in a sentence a person can act on.
        reason: String,
        /// How long was waited.
        after: Millis,
    },
}

/// A host as it is. The default is a host of which nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// libvirt's host UUID (`<host><uuid>` of the capabilities).
    pub uuid: String,
    /// The name the host gives itself.
    pub hostname: String,
    /// libvirt's version as `major * 1_000_000 + minor * 1000 + release`.
    pub libvirt_version: u64,
    /// The hypervisor's version, in the same form.
    pub hypervisor_version: u64,
    /// Architecture, such as `x86_64`.
    pub arch: String,
    /// The `<cpu>` element of the host's capabilities.
    pub cpu_xml: String,
    /// The CPU model that libvirt calls it.
    pub cpu_model: String,
    /// Processors.
    pub cpus: u32,
    /// Memory of the machine.
    pub memory: Bytes,
    /// Memory not in use, as the kernel counts it, in a full reading and nothing in others; information only,
    /// capacity is counted from what VMs are given.
    pub memory_free: Bytes,
    /// Machine types that its emulator offers, aliases included.
    pub machines: Vec<String>,
    /// Pools by name.
    pub pools: BTreeMap<PoolName, Pool>,
    /// Bridges that are there. Whether there may be others says `bridges_complete`; [`Host::has_bridge`] answers by
    /// both.
    pub bridges: Vec<String>,
    /// Whether `bridges` is all of them (`virConnectListAllInterfaces`). Where libvirt's interface driver is missing
    /// they are only those that networks of libvirt and running VMs use.
    #[serde(default = "yes")]
    pub bridges_complete: bool,
    /// libvirt networks and whether each is active.
    pub networks: BTreeMap<String, bool>,
    /// Every VM, defined or running.
    pub vms: BTreeMap<VmName, Vm>,
    /// What its hypervisor offers.
    #[serde(default)]
    pub offers: Offers,
    /// What its libvirt answered about VMs that shall come to it. A VM that is not among them was not asked about.
    #[serde(default)]
    pub fits: BTreeMap<VmName, Fit>,
    /// Parts that could not be read, each as a sentence. A reading with such parts is no ground for a deletion.
    pub gaps: Vec<String>,
}

/// A storage pool as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pool {
    /// libvirt's kind of pool, such as `dir`, `netfs`, `logical`.
    pub kind: String,
    /// Whether it is started.
    pub active: bool,
    /// The folder or device directory of its volumes.
    pub path: String,
    /// What identifies the storage across hosts, such as `nfs://server/export`; `None` where only this host has it.
    pub storage: Option<String>,
    /// Its size.
    pub capacity: Bytes,
    /// Room for new data.
    pub available: Bytes,
    /// Volumes by name.
    pub volumes: BTreeMap<VolumeName, Volume>,
    /// Whether libvirt was made to look for its volumes anew for this reading, so that what is not listed is not there.
    #[serde(default)]
    pub refreshed: bool,
}

/// A volume as it is. The sizes are known only where somebody had reason to ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Volume {
    /// Absolute path on the host.
    pub path: String,
    /// What libvirt found out about its contents.
    pub detail: Option<VolumeDetail>,
}

/// What libvirt found out about a volume's contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeDetail {
    /// Its format.
    pub format: VolumeFormat,
    /// Virtual size.
    pub capacity: Bytes,
    /// Bytes occupied.
    pub allocation: Bytes,
    /// Path and format of the image below it.
    pub backing: Option<(String, VolumeFormat)>,
}

/// A VM as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Vm {
    /// Its UUID.
    pub uuid: String,
    /// Whether and why it runs or not.
    pub power: PowerState,
    /// Whether it has a definition that outlives its running.
    pub persistent: bool,
    /// The most memory it may have: a balloon in it may be emptied at any time.
    pub memory: Bytes,
    /// vCPUs it has now.
    pub vcpus: u32,
    /// Whether it has a saved state that the next start would resume.
    pub managed_save: bool,
    /// Whether it is started with the host.
    pub autostart: bool,
    /// What only its XML tells; read for the VMs that somebody had reason to look into.
    pub detail: Option<Box<VmDetail>>,
}

/// What only a VM's XML tells. The default is a VM of which nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VmDetail {
    /// The definition of the running VM, without secrets; `None` when it does not run.
    pub live_xml: Option<String>,
    /// The persistent definition, without secrets; the live one where there is no persistent one.
    pub inactive_xml: String,
    /// Machine type.
    pub machine: String,
    /// How its CPU is chosen.
    pub cpu: CpuMode,
    /// Disks in the order of the definition.
    pub disks: Vec<Disk>,
    /// Interfaces in the order of the definition.
    pub interfaces: Vec<Interface>,
    /// Path of the UEFI variable store on its host.
    pub nvram: Option<String>,
    /// Whether it has an emulated TPM, whose state lies on its host.
    pub tpm: bool,
    /// Local paths that its start needs besides disks, drives and variable store: kernel, initrd, firmware.
    pub local_paths: Vec<String>,
    /// Devices that cannot leave their host, each in libvirt's words.
    pub host_devices: Vec<String>,
    /// Whether it has SPICE graphics.
    pub spice: bool,
    /// Names of libvirt snapshots.
    pub snapshots: Vec<String>,
    /// A job that runs on it.
    pub job: Option<JobKind>,
    /// What Domicile wrote when it began to move it.
    pub mark: Option<MoveMark>,
    /// Metadata of ours that could not be read, with the reason: such a VM is not touched.
    pub unreadable_mark: Option<String>,
    /// What it demands of its host now: by its running form, or by the persistent one where it does not run.
    #[serde(default)]
    pub needs: Needs,
    /// What its persistent definition demands, where that is not the same; [`VmDetail::needs_at_start`] has both.
    #[serde(default)]
    pub later_needs: Option<Box<Needs>>,
    /// The `<cpu>` element of the running form to the letter: what a destination of a live migration must provide.
    #[serde(default)]
    pub live_cpu: Option<String>,
    /// The `<cpu>` element of the persistent definition to the letter: what the next start asks for.
    #[serde(default)]
    pub inactive_cpu: Option<String>,
    /// What the next start changes, each as a sentence: differences between its running form and its persistent
    /// definition.
    #[serde(default)]
    pub pending: Vec<String>,
    /// How fast the guest dirtied its memory when somebody last had it measured (`virDomainListGetStats`); no
    /// measurement is begun for a reading.
    #[serde(default)]
    pub dirty_rate: Option<BytesPerSecond>,
    /// What its QEMU occupies of its host's memory (`balloon.rss` of `virDomainListGetStats`); `None` where it does not
    /// run. Huge pages are not in it.
    #[serde(default)]
    pub resident: Option<Bytes>,
    /// What its QEMU said; `None` where it does not run or was not asked, which only happens on demand.
    #[serde(default)]
    pub qemu: Option<QemuAnswer>,
}

/// A VM's use of a volume or file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disk {
    /// Its name for the guest, such as `vda`.
    pub target: DiskTarget,
    /// What it is for the guest.
    pub device: DiskDevice,
    /// Bus, such as `virtio`.
    pub bus: String,
    /// libvirt's type of its source: `file`, `block`, `volume`, `network`, `dir`, `nvme`, …
    pub source_kind: String,
    /// Path or name of its source; `None`: an empty drive.
    pub path: Option<String>,
    /// The pool and volume that the source is, where the host has such.
    pub volume: Option<(PoolName, VolumeName)>,
    /// Format as the definition names it.
    pub format: VolumeFormat,
    /// Virtual size.
    pub capacity: Option<Bytes>,
    /// Bytes occupied by the top image.
    pub allocation: Option<Bytes>,
    /// Images below, the nearest first, as libvirt read them from the images.
    pub backing: Vec<BackingLayer>,
    /// Whether the guest cannot write to it.
    pub readonly: bool,
    /// Whether several VMs may write to it at once.
    pub shareable: bool,
    /// Whether what the guest writes is thrown away at its end.
    pub transient: bool,
    /// Cache mode as the definition names it.
    pub cache: Option<String>,
    /// What becomes of a start without its source, where the definition says it (`startupPolicy`): `mandatory`,
    /// `requisite` or `optional`.
    #[serde(default)]
    pub startup_policy: Option<String>,
    /// The serial number that the guest sees, where the definition names one.
    #[serde(default)]
    pub serial: Option<String>,
    /// The path of the volume that it is being copied to, where a copy is under way that will switch it over.
    #[serde(default)]
    pub copied_to: Option<String>,
}

/// What an older reading, which had a gap instead, is taken for.
fn yes() -> bool {
    true
}

impl Observed {
    /// The host, if it was reached.
    #[must_use]
    pub fn host(&self, name: &HostName) -> Option<&Host> {
        match self.hosts.get(name)? {
            Reading::Reached(host) => Some(host),
            Reading::Unreachable { .. } => None,
        }
    }

    /// Every host that was reached, in order of name.
    pub fn reached(&self) -> impl Iterator<Item = (&HostName, &Host)> {
        self.hosts
            .iter()
            .filter_map(|(name, reading)| match reading {
                Reading::Reached(host) => Some((name, host.as_ref())),
                Reading::Unreachable { .. } => None,
            })
    }

    /// Every host that has a VM of this name.
    pub fn hosts_of<'a>(
        &'a self,
        vm: &'a VmName,
    ) -> impl Iterator<Item = (&'a HostName, &'a Vm)> + 'a {
        self.reached()
            .filter_map(move |(name, host)| Some((name, host.vms.get(vm)?)))
    }

    /// Every VM that was read, with the hosts that have it, in order of name: for who asks about many of them.
    #[must_use]
    pub fn places(&self) -> Places<'_> {
        let mut all = Places::new();
        for (host, reading) in self.reached() {
            for (name, vm) in &reading.vms {
                all.entry(name).or_default().push((host, vm));
            }
        }
        all
    }

    /// The volume at that place, if the host has it.
    #[must_use]
    pub fn volume(&self, at: &VolumeRef) -> Option<&Volume> {
        self.host(&at.host)?
            .pools
            .get(&at.pool)?
            .volumes
            .get(&at.volume)
    }
}

impl Host {
    /// The pool and volume whose path this is.
    #[must_use]
    pub fn volume_at(&self, path: &str) -> Option<(PoolName, VolumeName)> {
        self.pools.iter().find_map(|(pool_name, pool)| {
            let found = pool.volumes.iter().find(|(_, volume)| volume.path == path);
            found.map(|(name, _)| (pool_name.clone(), name.clone()))
        })
    }

    /// Takes over what a later reading of the same host tells of its pools. What is known of the contents of volumes
    /// that it did not look into stays known.
    pub fn learn_volumes(&mut self, later: Self) {
        for (name, mut pool) in later.pools {
            if let Some(known) = self.pools.remove(&name) {
                pool.refreshed = pool.active && (pool.refreshed || known.refreshed);
                for (volume, known) in known.volumes {
                    let same = |now: &&mut Volume| now.path == known.path && now.detail.is_none();
                    if let Some(now) = pool.volumes.get_mut(&volume).filter(same) {
                        now.detail = known.detail;
                    }
                }
            }
            self.pools.insert(name, pool);
        }
        for gap in later.gaps {
            if !self.gaps.contains(&gap) {
                self.gaps.push(gap);
            }
        }
    }

    /// Whether it has a bridge of that name; `None` where that is unknown.
    #[must_use]
    pub fn has_bridge(&self, name: &str) -> Option<bool> {
        if self.bridges.iter().any(|bridge| bridge == name) {
            return Some(true);
        }
        // How readings of layout 1.0 say that the bridges could not be listed.
        let unlisted = |gap: &String| gap.starts_with("its bridges cannot be listed");
        (self.bridges_complete && !self.gaps.iter().any(unlisted)).then_some(false)
    }
}

impl Vm {
    /// The mark of a move of ours, where it was looked for and one is there that can be read.
    #[must_use]
    pub fn mark(&self) -> Option<&MoveMark> {
        self.detail.as_ref()?.mark.as_ref()
    }
}

impl VmDetail {
    /// What its next start demands of the host.
    #[must_use]
    pub fn needs_at_start(&self) -> &Needs {
        self.later_needs.as_deref().unwrap_or(&self.needs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_that_is_not_listed_is_absent_only_where_all_are_listed() {
        let mut host = Host {
            bridges: vec!["br0".into()],
            ..Host::default()
        };
        assert_eq!(host.has_bridge("br0"), Some(true));
        assert_eq!(host.has_bridge("br1"), None);
        host.bridges_complete = true;
        assert_eq!(host.has_bridge("br1"), Some(false));
    }

    #[test]
    fn a_reading_of_the_first_layout_says_by_a_gap_that_bridges_are_unknown() {
        let text = serde_json::to_string(&Host::default()).unwrap();
        let mut older: serde_json::Value = serde_json::from_str(&text).unwrap();
        for later in ["bridges_complete", "offers", "fits"] {
            assert!(older.as_object_mut().unwrap().remove(later).is_some());
        }
        let mut host: Host = serde_json::from_value(older).unwrap();
        assert_eq!(host.has_bridge("br0"), Some(false));
        let gap = "its bridges cannot be listed, because its libvirt has no interface driver";
        host.gaps.push(gap.into());
        assert_eq!(host.has_bridge("br0"), None);
    }
}
