//! A manifest as it is written, section by section. These types are also its schema: their comments are what an
//! editor shows.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::settings::{Migration, Settings};
use super::value::{EitherForm, ShortForm};
use super::written::Written;
use crate::desired::{Method, NetworkKind, Profile};
use crate::model::{
    Bytes, BytesPerSecond, ClusterName, DiskTarget, HostName, MacAddress, NetworkName, PoolName,
    VmName,
};

/// The version of the manifest's format that this Domicile reads.
pub(super) const VERSION: u64 = 1;

/// Where VMs and their disks live. Only what is named here is managed. A manifest may be spread over several files;
/// fields whose names start with `x-` are left to you, for example as a place for YAML anchors.
#[derive(JsonSchema)]
#[schemars(title = "Domicile manifest", deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
#[expect(
    dead_code,
    reason = "the sections are read one by one; this type is what a whole file looks like"
)]
pub(super) struct Document {
    /// Version of the format; one file of a manifest must say it.
    #[schemars(extend("const" = VERSION))]
    version: Option<u64>,
    /// Properties that hosts have by belonging together, by the cluster's name.
    clusters: Option<BTreeMap<String, Cluster>>,
    /// The libvirt hosts, each by a name of your choice.
    hosts: Option<BTreeMap<String, EitherForm<Host>>>,
    /// The bridge or libvirt network that a network is on each host, by a name for the whole fleet.
    networks: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// Pools whose name differs between hosts or that are shared, by a name for the whole fleet.
    pools: Option<BTreeMap<String, Pool>>,
    /// Ceilings of the whole fleet.
    limits: Option<Limits>,
    /// How VMs are moved.
    migration: Option<Migration>,
    /// Which verdicts the rules give: Domicile's own, or the stricter ones of VMmanager 6.
    profile: Option<Profile>,
    /// Which VMs must not, and which must, be on one host.
    placement: Option<Placement>,
    /// The VMs with the host where each shall live, by libvirt's name of the VM.
    vms: Option<BTreeMap<String, EitherForm<Vm>>>,
}

/// The fields of [`Document`].
pub(super) const SECTIONS: &[&str] = &[
    "version",
    "clusters",
    "hosts",
    "networks",
    "pools",
    "limits",
    "migration",
    "profile",
    "placement",
    "vms",
];

/// Which VMs must not, and which must, be on one host. VMs that the manifest does not manage may be named, too.
#[derive(Debug, Clone, Default, serde::Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "lists of VMs, such as { apart: [[db-1, db-2]] }"
)]
pub(super) struct Placement {
    /// Groups of VMs of which no two may be on one host.
    #[serde(default)]
    #[schemars(with = "Vec<Vec<String>>")]
    pub(super) apart: Vec<BTreeSet<VmName>>,
    /// Groups of VMs that must all be on one host.
    #[serde(default)]
    #[schemars(with = "Vec<Vec<String>>")]
    pub(super) together: Vec<BTreeSet<VmName>>,
}

/// Whether VMs with SPICE graphics can be used in a cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Spice {
    /// They can.
    #[default]
    Allowed,
    /// They cannot: a VM that has SPICE keeps it, but nobody can use it there.
    Denied,
}

/// Properties that hosts have by belonging together.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "the cluster's properties, such as { network: switching }"
)]
pub(super) struct Cluster {
    /// How its networks are made.
    #[serde(default)]
    pub(super) network: NetworkKind,
    /// Whether VMs with SPICE graphics can be used there.
    #[serde(default)]
    pub(super) spice: Spice,
    /// Family of the hosts' operating system, such as debian or redhat; found out from the hosts unless given.
    pub(super) os: Option<String>,
    /// Version of the hosts' operating system, such as 12 or 9.4; VMs that move to a newer or older one get a word.
    pub(super) os_version: Option<String>,
    /// Networks of `networks` that are full-mesh VXLANs, which no VM may leave.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) full_mesh: BTreeSet<NetworkName>,
    /// Its ceilings: of transfers that leave it, reach it or stay within it.
    pub(super) limits: Option<Limits>,
}

/// Ceilings of a cluster or of the whole fleet.
#[derive(Debug, Clone, Copy, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "ceilings, such as { parallel: 8 }")]
pub(super) struct Limits {
    /// Migrations and copies at once; not limited unless given.
    #[schemars(range(min = 1))]
    pub(super) parallel: Option<u32>,
}

/// A host, in full.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    /// The libvirt URI by which this machine reaches it, such as `qemu+ssh://root@kvm1/system`.
    pub(super) uri: String,
    /// The cluster that it belongs to.
    #[schemars(with = "Option<String>")]
    pub(super) cluster: Option<ClusterName>,
    /// The libvirt URI by which other hosts reach it, where that differs from `uri`.
    pub(super) peer_uri: Option<String>,
    /// The address to which other hosts send memory and disks, where that differs from the host of `peer_uri`.
    pub(super) address: Option<String>,
    /// What VMs must leave free.
    pub(super) reserve: Option<Reserve>,
    /// Ceilings that are not the hardware's.
    pub(super) limits: Option<HostLimits>,
    /// Whether VMs may not be moved to it.
    #[serde(default)]
    pub(super) maintenance: bool,
}

/// What VMs must leave free on a host.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "what to leave free, such as { memory: 4GiB, vcpus: 2 }"
)]
pub(super) struct Reserve {
    /// Memory for the host itself, such as 4GiB.
    pub(super) memory: Option<Written<Bytes>>,
    /// Processors for the host itself.
    pub(super) vcpus: Option<u32>,
}

/// Ceilings of a host that are not its hardware's.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "ceilings, such as { vms: 40, vcpu_ratio: 4 }"
)]
pub(super) struct HostLimits {
    /// The most active VMs.
    pub(super) vms: Option<u32>,
    /// The most vCPUs per processor; not limited unless given.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(super) vcpu_ratio: Option<f64>,
    /// Migrations into and out of the host at once, each, where it differs from `migration.parallel`.
    #[schemars(range(min = 1))]
    pub(super) parallel: Option<u32>,
    /// Migrations into the host at once, where that differs from `parallel`.
    #[schemars(range(min = 1))]
    pub(super) parallel_in: Option<u32>,
    /// Migrations out of the host at once, where that differs from `parallel`.
    #[schemars(range(min = 1))]
    pub(super) parallel_out: Option<u32>,
    /// The most that all migrations and copies together may send from the host, such as 1GiB/s. One without a
    /// `bandwidth` gets all of it, so that one comes after the other. Not limited unless given.
    pub(super) upload: Option<Written<BytesPerSecond>>,
    /// The most that all migrations and copies together may send to the host, likewise.
    pub(super) download: Option<Written<BytesPerSecond>>,
}

impl ShortForm for Host {
    const WANTED: &'static str =
        "a libvirt URI such as qemu+ssh://root@kvm1/system, or { uri: ..., cluster: ... }";

    fn short(text: &str) -> Result<Self, String> {
        Ok(Self {
            uri: text.to_owned(),
            cluster: None,
            peer_uri: None,
            address: None,
            reserve: None,
            limits: None,
            maintenance: false,
        })
    }
}

/// A VM, in full.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Vm {
    /// The host where it shall live.
    #[schemars(with = "String")]
    pub(super) host: HostName,
    /// The pool of each disk, by the disk's target such as vda; another disk stays in the pool of the same name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(super) disks: BTreeMap<DiskTarget, PoolName>,
    /// The network of each interface, by its MAC address in quotes; another stays on the network of the same name.
    #[serde(default, deserialize_with = "interfaces")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(super) interfaces: BTreeMap<MacAddress, NetworkName>,
    /// By which method it may be moved.
    #[serde(default)]
    pub(super) method: Method,
    /// Its own migration settings.
    pub(super) migration: Option<Settings>,
}

impl ShortForm for Vm {
    const WANTED: &'static str = "the host where it shall live, or { host: ..., disks: ... }";

    fn short(text: &str) -> Result<Self, String> {
        Ok(Self {
            host: HostName::new(text).map_err(|error| error.to_string())?,
            disks: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            method: Method::default(),
            migration: None,
        })
    }
}

/// Reads interfaces; two keys may be one address, written in two ways.
fn interfaces<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<MacAddress, NetworkName>, D::Error> {
    struct Interfaces;

    impl<'de> Visitor<'de> for Interfaces {
        type Value = BTreeMap<MacAddress, NetworkName>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str(
                "the network of each MAC address, such as { \"52:54:00:12:34:56\": public }",
            )
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut read = BTreeMap::new();
            while let Some((mac, network)) = map.next_entry::<MacAddress, NetworkName>()? {
                if read.contains_key(&mac) {
                    let message =
                        format!("the interface {mac} is given twice, written in two ways");
                    return Err(de::Error::custom(message));
                }
                read.insert(mac, network);
            }
            Ok(read)
        }
    }

    deserializer.deserialize_map(Interfaces)
}

/// A pool whose name differs between hosts, or that is one storage for all of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    pub(super) shared: bool,
    pub(super) on: BTreeMap<HostName, PoolName>,
}

/// A host named `shared` or `on` can only stand under `on`; the short form has all others.
impl<'de> Deserialize<'de> for Pool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Pool;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("the pool's name on each host, such as { kvm1: ssd0 }, or { shared: true, on: { ... } }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pool, A::Error> {
                let mut pool = Pool::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "shared" => pool.shared = map.next_value()?,
                        "on" => {
                            let on: BTreeMap<HostName, PoolName> = map.next_value()?;
                            pool.on.extend(on);
                        }
                        _ => {
                            let host = HostName::new(key).map_err(de::Error::custom)?;
                            let name = map.next_value()?;
                            pool.on.insert(host, name);
                        }
                    }
                }
                Ok(pool)
            }
        }

        deserializer.deserialize_map(Either)
    }
}

impl JsonSchema for Pool {
    fn schema_name() -> Cow<'static, str> {
        "Pool".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A pool whose name differs between hosts, or that is one storage for all of them: \
                            { kvm1: ssd0, kvm2: ssd } or { shared: true, on: { kvm1: nfs0 } }.",
            "type": "object",
            "properties": {
                "shared": {
                    "description": "Whether it is the same storage on every host that has it.",
                    "type": "boolean",
                    "default": false,
                },
                "on": {
                    "description": "The name that it has on each host, where that differs from the name here.",
                    "type": "object",
                    "additionalProperties": { "type": "string" },
                },
            },
            "additionalProperties": { "type": "string" },
        })
    }
}

impl<T: ShortForm + JsonSchema> JsonSchema for EitherForm<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}InEitherForm", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let full = generator.subschema_for::<T>();
        json_schema!({
            "description": format!("Write {}.", T::WANTED),
            "anyOf": [{ "type": "string" }, full],
        })
    }
}
