//! What a VM's definition demands of the host that runs it, besides disks and interfaces.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Bytes;

/// What a definition demands of its host. The default demands nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Needs {
    /// How it is virtualised (`<domain type>`): `kvm`, `qemu`; empty: unknown.
    pub virt_type: String,
    /// The guest's architecture (`<os><type arch>`); empty: the host's.
    pub arch: String,
    /// Path of the emulator (`<emulator>`).
    pub emulator: Option<String>,
    /// The most vCPUs it may have (`<vcpu>`); 0: unknown.
    pub vcpus_max: u32,
    /// The named CPU model (`<cpu><model>`). A running VM has one also where its persistent definition says
    /// `host-model`.
    pub cpu_model: Option<String>,
    /// What its `<cpu>` says of hardware virtualisation for guests of the guest (`vmx`, `svm`). Many AMD models
    /// have `svm` without a word; `host-passthrough` and `maximum` have what the host has.
    pub nested: Vec<CpuFeature>,
    /// Whether it demands an invariant TSC and names no frequency for it: libvirt does not migrate such a VM live.
    pub invtsc_without_frequency: bool,
    /// Memory pages that it must be given (`<memoryBacking><hugepages>`).
    pub hugepages: Option<MemoryPages>,
    /// The highest number of a host processor that it is pinned to (`<vcpu cpuset>` and `<cputune>`).
    pub highest_pinned_cpu: Option<u32>,
    /// NUMA cells of the host that its memory is bound to (`<numatune>`).
    pub numa_cells: BTreeSet<u32>,
    /// Plugged memory whose place in the guest's memory is not written down (`<memory>` without slot and base):
    /// libvirt does not migrate such a VM live. Each in libvirt's words.
    pub unplaced_memory: Vec<String>,
    /// Memory encryption or isolation (`<launchSecurity type>`), such as `sev`, `sev-snp`, `tdx`.
    pub launch_security: Option<String>,
    /// SCSI disks whose commands are not filtered (`sgio='unfiltered'`), by target.
    pub unfiltered_scsi: Vec<String>,
    /// Kinds of graphics, such as `vnc`, `spice`.
    pub graphics: Vec<String>,
    /// Models of video cards.
    pub videos: Vec<String>,
    /// TPMs.
    pub tpms: Vec<Tpm>,
    /// Path of the firmware image (`<os><loader>`).
    pub loader: Option<String>,
    /// Firmware that libvirt chooses at each start (`<os firmware>`), such as `efi`.
    pub firmware: Option<String>,
    /// Whether the firmware must be one with secure boot (`<loader secure='yes'>`).
    pub secure_boot: bool,
    /// Addresses of its host that graphics and serial ports listen on, each as written. Wildcards, loopback and what
    /// libvirt takes from a network are not among them.
    pub listen_addresses: Vec<String>,
    /// UNIX sockets on its host that it is tied to: of vhost-user devices, and of ports and graphics outside of
    /// libvirt's own folders.
    pub sockets: Vec<String>,
    /// Secrets of libvirt that it cannot be started without.
    pub secrets: Vec<SecretRef>,
    /// Whether the guest has no ACPI, and so does not notice a shutdown by the power button.
    pub without_acpi: bool,
    /// The channel of the QEMU guest agent, where there is one.
    pub agent: Option<Agent>,
    /// The frequency that its clock names for the TSC (`<timer name='tsc' frequency>`), in Hz.
    pub tsc_frequency: Option<u64>,
    /// Security drivers whose labels it has (`<seclabel model>`), such as `apparmor`. A running VM has those that its
    /// host gave it, too; `none` among them: it asks not to be confined (`<seclabel type='none'>`).
    pub security_models: BTreeSet<String>,
    /// What it names of its host that only one VM can have: `port 5901`, `vsock address 3`, `network device tap-web`.
    pub claims: BTreeSet<String>,
    /// The same, as libvirt chose it for the VM as it runs.
    pub holds: BTreeSet<String>,
    /// Programs that libvirt starts beside QEMU and whose presence it does not tell, such as `passt`.
    pub helpers: BTreeSet<String>,
}

/// A CPU feature that a definition names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CpuFeature {
    /// libvirt's name for it.
    pub name: String,
    /// What the definition says about it.
    pub policy: FeaturePolicy,
}

/// libvirt's `policy` of a CPU feature.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum FeaturePolicy {
    /// The guest has it, whatever the host has.
    Force,
    /// The guest has it, and a host without it cannot run the guest.
    Require,
    /// The guest has it where the host has it.
    Optional,
    /// The guest does not have it.
    Disable,
    /// The guest does not have it, and a host with it cannot run the guest.
    Forbid,
}

/// Memory pages that a VM must be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryPages {
    /// Of the size that is the default of its host.
    Default,
    /// Of these sizes, in bytes.
    Sizes(BTreeSet<Bytes>),
}

/// A TPM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tpm {
    /// libvirt's model, such as `tpm-crb`.
    pub model: String,
    /// What it is made of: `emulator`, `passthrough`, `external`.
    pub backend: String,
}

/// How a definition refers to a secret of libvirt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecretRef {
    /// By its UUID.
    Uuid(String),
    /// By what it is for.
    Usage {
        /// libvirt's word for the kind of use: `volume`, `ceph`, `iscsi`.
        kind: String,
        /// The name under which it is used.
        name: String,
    },
}

/// Whether the QEMU guest agent listens at its channel, as libvirt last heard (`<channel><target state>`).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Agent {
    /// It listens.
    Connected,
    /// It does not.
    Disconnected,
    /// The VM is off, or libvirt does not say.
    Unknown,
}
