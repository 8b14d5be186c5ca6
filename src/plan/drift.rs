//! What somebody else changed on the hosts: a reading as the last apply left them, and one of now, to a list of drift.
//! It is told apart from what the manifest wants, which is a plan's matter.
//!
//! Only VMs that the manifest names count, and the hosts that it names. A VM that the older reading does not know is no
//! drift, and neither is what one of the two readings could not look into. What changes by itself (room, load, how many
//! bytes a disk occupies, a tray) is left out.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Change, Difference, Plan};
use crate::desired::Desired;
use crate::model::{DiskDevice, DiskTarget, HostName, VmName};
use crate::observed::{Observed, Places, Vm};

/// The layout of a drift report in JSON. A minor step adds fields, a major one changes their meaning.
const FORMAT_VERSION: &str = "1.0";

/// What differs from what the last apply left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drift {
    /// The layout: a minor step adds fields, a major one changes their meaning.
    pub format_version: String,
    /// When the hosts were read that are compared with, in milliseconds since 1970.
    pub since: u64,
    /// When they were read now, in milliseconds since 1970.
    pub now: u64,
    /// Everything that differs: hosts first, then VMs, each in order of name.
    pub drifted: Vec<Drifted>,
    /// What the manifest wants besides, that is, without what would put drift right.
    pub wanted: Vec<Change>,
}

/// One thing that somebody changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drifted {
    /// What kind of change.
    pub kind: DriftKind,
    /// The VM, where it is one that differs.
    pub vm: Option<VmName>,
    /// The host that it was seen on.
    pub host: HostName,
    /// The disk, where it is one that differs.
    pub disk: Option<DiskTarget>,
    /// How the last apply left it.
    pub was: String,
    /// How it is now.
    pub is: String,
    /// What the manifest says to it.
    pub verdict: Verdict,
}

/// Kinds of drift.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum DriftKind {
    /// A host does not answer.
    HostSilent,
    /// A host is another machine.
    HostReplaced,
    /// A VM is on another host.
    Moved,
    /// A VM is gone.
    Missing,
    /// A VM of that name is on a further host.
    Second,
    /// A VM was replaced by another of its name.
    Replaced,
    /// A VM runs or does not.
    Power,
    /// A disk was added, removed, or lies elsewhere.
    Disk,
    /// Something else in the persistent definition.
    Definition,
}

/// What the manifest says to a drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It wants something else: the next apply undoes the drift.
    Undone,
    /// It wants it so.
    Wanted,
    /// Nothing: it stays as it is.
    Left,
}

impl DriftKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::HostSilent,
        Self::HostReplaced,
        Self::Moved,
        Self::Missing,
        Self::Second,
        Self::Replaced,
        Self::Power,
        Self::Disk,
        Self::Definition,
    ];

    /// The kind as documents call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::HostSilent => "host-silent",
            Self::HostReplaced => "host-replaced",
            Self::Moved => "moved",
            Self::Missing => "missing",
            Self::Second => "second",
            Self::Replaced => "replaced",
            Self::Power => "power",
            Self::Disk => "disk",
            Self::Definition => "definition",
        }
    }
}

impl Drift {
    /// What differs between two readings, and what the plan made from the newer one would do to it.
    #[must_use]
    pub fn between(desired: &Desired, then: &Observed, now: &Observed, plan: &Plan) -> Self {
        let mut drifted: Vec<Drifted> = desired
            .hosts
            .keys()
            .filter_map(|host| of_host(host, then, now))
            .collect();
        let (places_then, places_now) = (then.places(), now.places());
        for (vm, shall) in &desired.vms {
            let seen = Seen {
                name: vm,
                then: on_hosts_of(&places_then, vm, now),
                now: on_hosts_of(&places_now, vm, then),
            };
            let own = seen.drifted();
            drifted.extend(own.into_iter().map(|mut one| {
                one.verdict = verdict(&one, vm, &shall.host, plan);
                one
            }));
        }
        let undone = |change: &&Change| !drifted.iter().any(|one| undoes(change, one));
        let wanted = plan.changes.iter().filter(undone).cloned().collect();
        Self {
            format_version: FORMAT_VERSION.to_owned(),
            since: then.taken_at,
            now: now.taken_at,
            drifted,
            wanted,
        }
    }

    /// How many of each kind; kinds that there are none of, too.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<DriftKind, usize> {
        let mut counts: BTreeMap<_, _> = DriftKind::ALL.map(|kind| (kind, 0)).into();
        for one in &self.drifted {
            *counts.entry(one.kind).or_default() += 1;
        }
        counts
    }
}

fn of_host(name: &HostName, then: &Observed, now: &Observed) -> Option<Drifted> {
    let was = then.host(name)?;
    let (kind, was, is) = match now.host(name) {
        None => (
            DriftKind::HostSilent,
            "answered".to_owned(),
            "does not answer".to_owned(),
        ),
        Some(is) if is.uuid != was.uuid => {
            (DriftKind::HostReplaced, was.uuid.clone(), is.uuid.clone())
        }
        Some(_) => return None,
    };
    Some(Drifted {
        kind,
        vm: None,
        host: name.clone(),
        disk: None,
        was,
        is,
        verdict: Verdict::Left,
    })
}

/// Whether the change is the way back from this drift.
fn undoes(change: &Change, one: &Drifted) -> bool {
    if one.vm.as_ref() != Some(&change.vm) {
        return false;
    }
    match (&change.what, one.kind) {
        (Difference::Host { is, .. }, DriftKind::Moved) => *is == one.host,
        (Difference::Pool { disk, .. }, DriftKind::Disk) => one.disk.as_ref() == Some(disk),
        _ => false,
    }
}

fn verdict(one: &Drifted, vm: &VmName, shall: &HostName, plan: &Plan) -> Verdict {
    let mut own = plan.changes.iter().filter(|change| change.vm == *vm);
    if own.any(|change| undoes(change, one)) {
        Verdict::Undone
    } else if one.kind == DriftKind::Moved && one.host == *shall {
        Verdict::Wanted
    } else {
        Verdict::Left
    }
}

/// Where a VM was seen in one reading, of the hosts that the other one reached, too.
fn on_hosts_of<'o>(
    places: &Places<'o>,
    name: &VmName,
    other: &Observed,
) -> BTreeMap<&'o HostName, &'o Vm> {
    let all = places.get(name).into_iter().flatten().copied();
    all.filter(|(host, _)| other.host(host).is_some()).collect()
}

/// A VM in both readings, on the hosts that both of them reached.
struct Seen<'o> {
    name: &'o VmName,
    then: BTreeMap<&'o HostName, &'o Vm>,
    now: BTreeMap<&'o HostName, &'o Vm>,
}

impl<'o> Seen<'o> {
    fn drifted(&self) -> Vec<Drifted> {
        if self.then.is_empty() {
            return Vec::new();
        }
        let mut all = Vec::new();
        let only = |here: &BTreeMap<&'o HostName, _>, there: &BTreeMap<&'o HostName, _>| {
            let hosts = here.keys().filter(|host| !there.contains_key(*host));
            hosts.copied().collect::<Vec<_>>()
        };
        let (gone, come) = (only(&self.then, &self.now), only(&self.now, &self.then));
        match (gone.as_slice(), come.as_slice()) {
            ([from], [to]) => {
                all.push(self.drift(DriftKind::Moved, to, from.to_string(), to.to_string()));
                if let (Some(was), Some(is)) = (self.then.get(from), self.now.get(to)) {
                    self.same_vm(to, was, is, &mut all);
                }
            }
            (gone, come) => {
                all.extend(gone.iter().map(|host| {
                    let (was, is) = ("there".to_owned(), "gone".to_owned());
                    self.drift(DriftKind::Missing, host, was, is)
                }));
                all.extend(come.iter().map(|host| {
                    let (was, is) = ("not there".to_owned(), "there".to_owned());
                    self.drift(DriftKind::Second, host, was, is)
                }));
            }
        }
        for (host, was) in &self.then {
            if let Some(is) = self.now.get(host)
                && self.same_vm(host, was, is, &mut all)
            {
                self.details(host, was, is, &mut all);
            }
        }
        all
    }

    fn drift(&self, kind: DriftKind, host: &HostName, was: String, is: String) -> Drifted {
        Drifted {
            kind,
            vm: Some(self.name.clone()),
            host: host.clone(),
            disk: None,
            was,
            is,
            verdict: Verdict::Left,
        }
    }

    /// What can be compared across hosts; whether it is the same VM.
    fn same_vm(&self, host: &HostName, was: &Vm, is: &Vm, all: &mut Vec<Drifted>) -> bool {
        if was.uuid != is.uuid {
            let (was, is) = (was.uuid.clone(), is.uuid.clone());
            all.push(self.drift(DriftKind::Replaced, host, was, is));
            return false;
        }
        if was.power.is_active() != is.power.is_active() {
            let (was, is) = (was.power.in_words(), is.power.in_words());
            all.push(self.drift(DriftKind::Power, host, was, is));
        }
        true
    }

    /// What is compared only on one host: paths and definitions differ between hosts rightly.
    fn details(&self, host: &HostName, was: &Vm, is: &Vm, all: &mut Vec<Drifted>) {
        let (Some(was), Some(is)) = (&was.detail, &is.detail) else {
            return;
        };
        let (then, now) = (disks(&was.disks), disks(&is.disks));
        let targets: std::collections::BTreeSet<_> = then.keys().chain(now.keys()).collect();
        let before = all.len();
        for target in targets {
            let place = |all: &BTreeMap<DiskTarget, String>| {
                let place = all.get(target).cloned();
                place.unwrap_or_else(|| "no disk".to_owned())
            };
            if then.get(target) != now.get(target) {
                let mut one = self.drift(DriftKind::Disk, host, place(&then), place(&now));
                one.disk = Some((*target).clone());
                all.push(one);
            }
        }
        // A disk that lies elsewhere is in the definition, too, and would be told twice.
        if all.len() == before && was.inactive_xml != is.inactive_xml {
            let (was, is) = ("as applied".to_owned(), "changed".to_owned());
            all.push(self.drift(DriftKind::Definition, host, was, is));
        }
    }
}

/// Where each disk lies.
fn disks(all: &[crate::observed::Disk]) -> BTreeMap<DiskTarget, String> {
    let disks = all.iter().filter(|disk| disk.device == DiskDevice::Disk);
    disks
        .map(|disk| {
            let place = match (&disk.volume, &disk.path) {
                (Some((pool, volume)), _) => format!("{pool}/{volume}"),
                (None, Some(path)) => path.clone(),
                (None, None) => "nowhere".to_owned(),
            };
            (disk.target.clone(), place)
        })
        .collect()
}
