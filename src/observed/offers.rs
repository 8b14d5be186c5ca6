//! What a host's hypervisor offers to guests of the host's own architecture.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::needs::SecretRef;
use crate::model::{Bytes, OsFamily};

/// What a host offers to guests. All but secrets and filters comes from `virConnectGetCapabilities`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Offers {
    /// Path of the emulator (`<guest><arch><emulator>`).
    pub emulator: Option<String>,
    /// Domain types (`<guest><arch><domain type>`), `kvm` only where its kernel can; empty: unknown.
    pub virt_types: Vec<String>,
    /// The family of its operating system, as far as what its packagers put into QEMU proves it.
    pub os_family: Option<OsFamily>,
    /// The newest release that its machine types are named after, such as `rhel 9.6.0` or `ubuntu noble`. It tells
    /// where QEMU comes from: the system itself may be newer, or older with QEMU from a backport.
    pub os_release: Option<String>,
    /// Whether it can migrate live (`<migration_features><live>`).
    pub live_migration: Option<bool>,
    /// Schemes of migration URIs that it takes (`<uri_transport>`), such as `tcp`, `rdma`; empty: unknown.
    pub migration_transports: Vec<String>,
    /// Memory pages by size, the smallest first (`<topology><cells><cell><pages>`); empty: unknown.
    pub pages: Vec<Pages>,
    /// Numbers of its NUMA cells (`<cell id>`), ascending; empty: unknown.
    pub numa_cells: Vec<u32>,
    /// The highest number of a processor (`<cell><cpus><cpu id>`).
    pub highest_cpu: Option<u32>,
    /// The rate of its TSC (`<cpu><counter name='tsc'>`), where libvirt could find it out.
    pub tsc: Option<Tsc>,
    /// Its security drivers (`<secmodel><model>`), such as `apparmor`, `dac`; empty: unknown.
    pub security_models: Vec<String>,
    /// libvirt's secrets, never their values (`virConnectListAllSecrets`); asked in a full reading and where a VM that
    /// shall come refers to one. `None`: not asked, or its libvirt cannot tell.
    pub secrets: Option<Vec<Secret>>,
    /// Names of libvirt's network filters (`virConnectListAllNWFilters`); asked in a full reading and where a VM that
    /// shall come uses one. `None`: not asked, or its libvirt cannot tell.
    pub nwfilters: Option<Vec<String>>,
}

/// The rate of a host's time stamp counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tsc {
    /// In Hz.
    pub frequency: u64,
    /// Whether its processors can show a guest another rate; `None`: libvirt does not know.
    pub scaling: Option<bool>,
}

/// Memory pages of one size.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Pages {
    /// Bytes of one page.
    pub size: Bytes,
    /// How many the host has, in use or not. It can have none of a size that its processors know.
    pub count: u64,
}

/// What identifies one of libvirt's secrets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Secret {
    /// Its UUID (`virSecretGetUUIDString`).
    pub uuid: String,
    /// libvirt's word for what it is for (`virSecretGetUsageType`): `none`, `volume`, `ceph`, `iscsi`, `tls`, `vtpm`.
    pub kind: String,
    /// The name under which it is used (`virSecretGetUsageID`); empty where it is for nothing in particular.
    pub usage: String,
}

impl Secret {
    /// Whether it is the one that a definition refers to.
    #[must_use]
    pub fn is(&self, wanted: &SecretRef) -> bool {
        match wanted {
            SecretRef::Uuid(uuid) => self.uuid.eq_ignore_ascii_case(uuid),
            SecretRef::Usage { kind, name } => self.kind == *kind && self.usage == *name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_uuid_or_by_kind_and_usage() {
        let secret = Secret {
            uuid: "0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f".into(),
            kind: "ceph".into(),
            usage: "client.web".into(),
        };
        let usage = |kind: &str, name: &str| SecretRef::Usage {
            kind: kind.into(),
            name: name.into(),
        };
        assert!(secret.is(&SecretRef::Uuid(
            "0A81F5B2-8403-7B23-C8D6-21CCC2F80D6F".into()
        )));
        assert!(secret.is(&usage("ceph", "client.web")));
        assert!(!secret.is(&usage("volume", "client.web")));
        assert!(!secret.is(&usage("ceph", "client.db")));
    }
}
