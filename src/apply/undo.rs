//! Undoing an apply: from what it has begun to what must be demanded so that a plan brings every VM back.
//!
//! Nothing is undone by playing steps backwards. Where each VM was before becomes the demand, and the plan for it is made,
//! checked, shown and carried out like any other: by all rules, with room at every moment, in the order that room allows.
//! So a live move is moved back live where nothing speaks against it, and refused where something does. What an apply has
//! left unfinished is finished or taken back first, as in any plan.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::event::{Event, Happening};
use super::lines::{self, NotAJournal};
use crate::definition;
use crate::desired::Desired;
use crate::model::{DiskTarget, HostName, MacAddress, PoolName, VmName};
use crate::observed::Observed;
use crate::plan::{Move, MoveKind, Plan, StepId};

/// Where a VM was before its move, in the names of that host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The VM.
    pub vm: VmName,
    /// Where it was.
    pub from: HostName,
    /// Where it went.
    pub to: HostName,
    /// The pool that each disk was in.
    pub disks: BTreeMap<DiskTarget, PoolName>,
    /// What each interface was connected to, where the move changed it.
    pub interfaces: BTreeMap<MacAddress, String>,
    /// The steps of its move; a move of which none was started has nothing to undo.
    pub steps: Vec<StepId>,
}

/// Where each VM is before a plan is carried out. What an earlier apply has left is finished and not undone.
#[must_use]
pub fn origins(plan: &Plan) -> Vec<Origin> {
    let moves = plan.moves.iter();
    let moves = moves.filter(|a_move| a_move.kind != MoveKind::Finish);
    moves.map(origin).collect()
}

fn origin(a_move: &Move) -> Origin {
    let pool = |disk: &crate::plan::DiskPlacement| {
        let from = disk.from.as_ref()?;
        Some((disk.target.clone(), from.pool.clone()))
    };
    Origin {
        vm: a_move.vm.clone(),
        from: a_move.from.clone(),
        to: a_move.to.clone(),
        disks: a_move.disks.iter().filter_map(pool).collect(),
        interfaces: interfaces(a_move),
        steps: a_move.steps.clone(),
    }
}

fn interfaces(a_move: &Move) -> BTreeMap<MacAddress, String> {
    let Some(change) = &a_move.definition else {
        return BTreeMap::new();
    };
    let (Ok(before), Ok(after)) = (
        definition::read(&change.before),
        definition::read(&change.after),
    ) else {
        return BTreeMap::new();
    };
    let same = |one: &crate::model::Interface| after.interfaces.contains(one);
    let changed = before.interfaces.iter().filter(|it| !same(it));
    changed
        .filter_map(|it| Some((it.mac.clone(), it.source.name()?.to_owned())))
        .collect()
}

/// Why an apply cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UndoError {
    /// The text is no journal that tells where VMs were.
    #[error(transparent)]
    NotAJournal(#[from] NotAJournal),
    /// The manifest does not have the VM any more, so it may not be touched.
    #[error("the manifest does not name {vm} any more, and what it does not name is not touched")]
    NotNamed {
        /// The VM.
        vm: VmName,
    },
    /// The manifest does not have the host any more.
    #[error("{vm} was on {host}, which is not among the hosts of the manifest")]
    NoHost {
        /// The VM.
        vm: VmName,
        /// The host.
        host: HostName,
    },
    /// An interface was on something that has no name for the whole fleet, so no move can connect it to that.
    #[error(
        "interface {mac} of {vm} was on {source_name} of {host}, which is no network of the manifest"
    )]
    NoNetwork {
        /// The VM.
        vm: VmName,
        /// The interface.
        mac: MacAddress,
        /// What it was on.
        source_name: String,
        /// Of which host.
        host: HostName,
    },
    /// Somebody has moved the VM since.
    #[error("{vm} is on {host} now, where that apply did not bring it")]
    Elsewhere {
        /// The VM.
        vm: VmName,
        /// Where it is.
        host: HostName,
    },
}

/// The moves of an apply that were begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undo {
    origins: Vec<Origin>,
}

#[derive(Deserialize)]
struct Header {
    origins: Vec<Origin>,
}

impl Undo {
    /// What is to be undone of a plan of which these steps were started.
    #[must_use]
    pub fn of(plan: &Plan, started: &BTreeSet<StepId>) -> Self {
        Self::begun(origins(plan), started)
    }

    fn begun(mut origins: Vec<Origin>, started: &BTreeSet<StepId>) -> Self {
        origins.retain(|origin| origin.steps.iter().any(|step| started.contains(step)));
        Self { origins }
    }

    /// Reads a journal. Its last line may be cut off: the apply may have died in the midst of it.
    ///
    /// # Errors
    /// When the text is no journal.
    pub fn read(journal: &str) -> Result<Self, UndoError> {
        let (header, events): (Header, _) = lines::read(journal)?;
        let mut started = BTreeSet::new();
        for event in events {
            started.extend(started_by(&event?));
        }
        Ok(Self::begun(header.origins, &started))
    }

    /// Whether there is nothing to undo.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// What must be demanded: of the manifest's VMs those that were moved, where they were, with all settings and
    /// rules as the manifest has them now.
    ///
    /// # Errors
    /// When the manifest does not have what the apply has moved.
    pub fn desired(&self, manifest: &Desired) -> Result<Desired, UndoError> {
        let mut desired = manifest.clone();
        desired.vms.clear();
        for origin in &self.origins {
            let (vm, host) = (&origin.vm, &origin.from);
            let Some(mut wanted) = manifest.vms.get(vm).cloned() else {
                return Err(UndoError::NotNamed { vm: vm.clone() });
            };
            if !manifest.hosts.contains_key(host) {
                let (vm, host) = (vm.clone(), host.clone());
                return Err(UndoError::NoHost { vm, host });
            }
            wanted.host = host.clone();
            let pools = origin.disks.iter();
            wanted.disks = pools
                .map(|(disk, pool)| (disk.clone(), manifest.pool_named(pool, host)))
                .collect();
            wanted.interfaces.clear();
            for (mac, source) in &origin.interfaces {
                let network = manifest.network_named(source, host);
                let network = network.ok_or_else(|| UndoError::NoNetwork {
                    vm: vm.clone(),
                    mac: mac.clone(),
                    source_name: source.clone(),
                    host: host.clone(),
                })?;
                wanted.interfaces.insert(mac.clone(), network.clone());
            }
            desired.vms.insert(vm.clone(), wanted);
        }
        Ok(desired)
    }

    /// Refuses where a VM is on a host that the apply did not name: somebody has moved it since.
    ///
    /// # Errors
    /// With the first such VM.
    pub fn expect_places(&self, observed: &Observed) -> Result<(), UndoError> {
        for origin in &self.origins {
            let strange = |host: &&HostName| **host != origin.from && **host != origin.to;
            if let Some(host) = observed
                .hosts_of(&origin.vm)
                .map(|(host, _)| host)
                .find(strange)
            {
                let (vm, host) = (origin.vm.clone(), host.clone());
                return Err(UndoError::Elsewhere { vm, host });
            }
        }
        Ok(())
    }
}

/// The step that an event says was started.
#[must_use]
pub fn started_by(event: &Event) -> Option<StepId> {
    match event.what {
        Happening::StepStarted { step } => Some(step),
        _ => None,
    }
}
