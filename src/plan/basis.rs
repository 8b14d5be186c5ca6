//! What a plan rests on: the hosts, VMs, pools and volumes that its steps touch, as they were read. A saved plan holds
//! it, so that what has changed since can be named, and what matters to a step be told from what does not.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Action, Carry, Plan};
use crate::model::{Bytes, HostName, PoolName, VmName, VolumeFormat, VolumeRef};
use crate::observed::{self, Observed, Places};

/// Fingerprints of everything that a plan rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Basis {
    /// Every host that answered: also one without a part in any move could run a VM a second time.
    pub hosts: BTreeMap<HostName, HostPrint>,
    /// The VMs that move, each with every host that had one of that name.
    pub vms: BTreeMap<VmName, BTreeMap<HostName, VmPrint>>,
    /// The pools that steps touch.
    pub pools: BTreeMap<HostName, BTreeMap<PoolName, PoolPrint>>,
    /// The volumes that steps touch; those that did not exist, too.
    pub volumes: Vec<VolumePrint>,
}

/// A host as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostPrint {
    /// libvirt's host UUID.
    pub uuid: String,
    /// libvirt's version as `major * 1_000_000 + minor * 1000 + release`.
    pub libvirt_version: u64,
    /// The hypervisor's version, in the same form.
    pub hypervisor_version: u64,
}

/// A VM as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VmPrint {
    /// Its UUID.
    pub uuid: String,
    /// Whether it held memory.
    pub active: bool,
    /// SHA-256 of its persistent definition, where it was looked into.
    pub definition: Option<String>,
}

/// A pool as it was read. Its room is not among it: room changes by itself, and steps look for it when they run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolPrint {
    /// libvirt's kind of pool.
    pub kind: String,
    /// The folder or device directory of its volumes.
    pub path: String,
    /// What identifies the storage across hosts.
    pub storage: Option<String>,
    /// Whether it was started.
    pub active: bool,
}

/// A volume as it was read. How many bytes it occupies is not among it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumePrint {
    /// Where.
    pub at: VolumeRef,
    /// Its path; `None`: it did not exist.
    pub path: Option<String>,
    /// Format, where known.
    pub format: Option<VolumeFormat>,
    /// Virtual size, where known.
    pub capacity: Option<Bytes>,
    /// Path of the image below it, where known and there is one.
    pub backing: Option<String>,
}

/// What has changed since a plan was made, a line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Since {
    /// Something that a step rests on.
    pub matters: Vec<String>,
    /// Something that no step rests on.
    pub harmless: Vec<String>,
}

impl Basis {
    /// What this plan rests on, from the reading that it was made of.
    #[must_use]
    pub fn of(plan: &Plan, observed: &Observed) -> Self {
        let volumes = volumes_of(plan);
        let mut pools: BTreeMap<HostName, BTreeMap<PoolName, PoolPrint>> = BTreeMap::new();
        for at in &volumes {
            let host = observed.host(&at.host);
            if let Some(pool) = host.and_then(|host| host.pools.get(&at.pool)) {
                let of_host = pools.entry(at.host.clone()).or_default();
                of_host.insert(at.pool.clone(), PoolPrint::of(pool));
            }
        }
        let (vms, places) = (
            plan.moves.iter().map(|a_move| &a_move.vm),
            observed.places(),
        );
        Self {
            hosts: observed
                .reached()
                .map(|(name, host)| (name.clone(), HostPrint::of(host)))
                .collect(),
            vms: vms.map(|vm| (vm.clone(), vm_prints(&places, vm))).collect(),
            pools,
            volumes: volumes
                .into_iter()
                .map(|at| VolumePrint::of(at, observed))
                .collect(),
        }
    }

    /// libvirt's host UUID of each host that answered.
    #[must_use]
    pub fn uuids(&self) -> BTreeMap<HostName, String> {
        let hosts = self.hosts.iter();
        hosts
            .map(|(name, host)| (name.clone(), host.uuid.clone()))
            .collect()
    }

    /// What is different in a newer reading.
    #[must_use]
    pub fn since(&self, now: &Observed) -> Since {
        let mut since = Since::default();
        for (name, then) in &self.hosts {
            then.compare(name, now, &mut since);
        }
        let places = now.places();
        for (vm, then) in &self.vms {
            compare_vm(vm, then, &vm_prints(&places, vm), &mut since);
        }
        for (host, pools) in &self.pools {
            // That a host does not answer was told.
            let Some(reading) = now.host(host) else {
                continue;
            };
            for (name, then) in pools {
                then.compare(host, name, reading, &mut since);
            }
        }
        for then in &self.volumes {
            if now.host(&then.at.host).is_some() {
                then.compare(&VolumePrint::of(then.at.clone(), now), &mut since);
            }
        }
        since
    }
}

/// Every volume that a step or a disk names.
fn volumes_of(plan: &Plan) -> BTreeSet<VolumeRef> {
    let mut all = BTreeSet::new();
    for disk in plan.moves.iter().flat_map(|a_move| &a_move.disks) {
        let places = disk.from.iter().chain(&disk.to);
        all.extend(places.chain(disk.carry.via()).cloned());
        if let Carry::Thin { base_from, base_to } = &disk.carry {
            all.extend([base_from.clone(), base_to.clone()]);
        }
    }
    for step in &plan.steps {
        match &step.action {
            Action::CreateVolume { spec } => {
                all.insert(spec.at.clone());
            }
            Action::CopyVolume { from, spec, .. } => {
                all.extend([from.clone(), spec.at.clone()]);
            }
            Action::VerifyVolume { from, to, .. } => all.extend([from.clone(), to.clone()]),
            Action::DeleteVolume {
                at, replaced_by, ..
            } => all.extend([at].into_iter().chain(replaced_by).cloned()),
            _ => {}
        }
    }
    all
}

fn vm_prints(places: &Places<'_>, vm: &VmName) -> BTreeMap<HostName, VmPrint> {
    let found = places.get(vm).into_iter().flatten();
    found
        .map(|(host, vm)| ((*host).clone(), VmPrint::of(vm)))
        .collect()
}

fn compare_vm(
    name: &VmName,
    then: &BTreeMap<HostName, VmPrint>,
    now: &BTreeMap<HostName, VmPrint>,
    since: &mut Since,
) {
    for host in now.keys().filter(|host| !then.contains_key(*host)) {
        since.matters.push(format!("VM {name} is on {host} now"));
    }
    for (host, was) in then {
        let Some(is) = now.get(host) else {
            let line = format!("VM {name} is not on {host} any more");
            since.matters.push(line);
            continue;
        };
        if was.uuid != is.uuid {
            let (then, now) = (&was.uuid, &is.uuid);
            since.matters.push(format!(
                "VM {name} on {host} is another one than before (UUID {now} instead of {then})"
            ));
        }
        if was.active != is.active {
            let word = if is.active { "runs" } else { "is off" };
            since
                .matters
                .push(format!("VM {name} on {host} {word} now"));
        }
        if differ(was.definition.as_ref(), is.definition.as_ref()) {
            let line = format!("the definition of VM {name} on {host} was changed");
            since.harmless.push(line);
        }
    }
}

/// Whether both are known and unlike: what one of two readings did not look into is no difference.
fn differ<T: PartialEq>(then: Option<&T>, now: Option<&T>) -> bool {
    matches!((then, now), (Some(then), Some(now)) if then != now)
}

impl HostPrint {
    fn of(host: &observed::Host) -> Self {
        Self {
            uuid: host.uuid.clone(),
            libvirt_version: host.libvirt_version,
            hypervisor_version: host.hypervisor_version,
        }
    }

    fn compare(&self, name: &HostName, now: &Observed, since: &mut Since) {
        let Some(host) = now.host(name) else {
            let line = format!("{name} does not answer any more");
            since.matters.push(line);
            return;
        };
        let is = Self::of(host);
        if is.uuid != self.uuid {
            let (then, now) = (&self.uuid, &is.uuid);
            since.matters.push(format!(
                "{name} is another machine than before (host UUID {now} instead of {then})"
            ));
        } else if is != *self {
            let line = format!("libvirt or the hypervisor of {name} has another version");
            since.harmless.push(line);
        }
    }
}

impl VmPrint {
    fn of(vm: &observed::Vm) -> Self {
        let definition = vm.detail.as_ref().map(|detail| &detail.inactive_xml);
        Self {
            uuid: vm.uuid.clone(),
            active: vm.power.is_active(),
            definition: definition.map(|xml| hex::encode(Sha256::digest(xml.as_bytes()))),
        }
    }
}

impl PoolPrint {
    fn of(pool: &observed::Pool) -> Self {
        Self {
            kind: pool.kind.clone(),
            path: pool.path.clone(),
            storage: pool.storage.clone(),
            active: pool.active,
        }
    }

    fn compare(&self, host: &HostName, name: &PoolName, now: &observed::Host, since: &mut Since) {
        let told = match now.pools.get(name).map(Self::of) {
            None => format!("pool {name} of {host} is gone"),
            Some(is) if is.active != self.active => {
                let word = if is.active { "started" } else { "stopped" };
                format!("pool {name} of {host} was {word}")
            }
            Some(is) if is != *self => format!(
                "pool {name} of {host} is other storage than before ({} {} instead of {} {})",
                is.kind, is.path, self.kind, self.path
            ),
            Some(_) => return,
        };
        since.matters.push(told);
    }
}

impl VolumePrint {
    fn of(at: VolumeRef, observed: &Observed) -> Self {
        let volume = observed.volume(&at);
        let detail = volume.and_then(|volume| volume.detail.as_ref());
        Self {
            path: volume.map(|volume| volume.path.clone()),
            format: detail.map(|detail| detail.format.clone()),
            capacity: detail.map(|detail| detail.capacity),
            backing: detail.and_then(|detail| Some(detail.backing.as_ref()?.0.clone())),
            at,
        }
    }

    fn compare(&self, now: &Self, since: &mut Since) {
        let at = &self.at;
        let told = match (&self.path, &now.path) {
            (None, Some(_)) => format!("volume {at} exists now"),
            (Some(_), None) => format!("volume {at} is gone"),
            (then, now) if then != now => format!("volume {at} has another path"),
            _ if differ(self.format.as_ref(), now.format.as_ref()) => {
                format!("volume {at} has another format")
            }
            _ if differ(self.capacity.as_ref(), now.capacity.as_ref()) => {
                format!("volume {at} has another size")
            }
            _ if differ(self.backing.as_ref(), now.backing.as_ref()) => {
                format!("volume {at} stands on another image")
            }
            _ => return,
        };
        since.matters.push(told);
    }
}
