//! What a plan is: plain data that leaves no choice to its execution. How a plan is made is [`crate::planner`]'s
//! matter; [`check`] replays a plan without knowing how it was made.

mod basis;
mod carrying;
pub mod check;
mod drift;
mod finding;
mod meaning;
mod placement;
mod resource;
mod seen;
mod step;
mod wait;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use basis::{Basis, Since};
pub use carrying::Carrying;
pub use drift::{Drift, DriftKind, Drifted, Verdict};
pub(crate) use finding::refused;
pub use finding::{FINISHED_FIRST, Finding, Severity};
pub use meaning::{Meaning, PlanHash};
pub use placement::{Carry, DiskPlacement};
pub use resource::{Capacity, Resource, Slot};
pub use seen::Seen;
pub use step::{Action, ColdRung, CopyMode, Forecast, MigrationOptions, Owner, Step, VolumeSpec};
pub use wait::{Cause, Dependency, Held, StepId, Why};

use crate::model::{Bytes, Calibration, DiskTarget, HostName, Millis, PoolName, VmName};

/// The layout of a plan in JSON. A minor step adds fields, a major one changes their meaning.
pub const FORMAT_VERSION: &str = "1.0";

/// Everything that an apply will do, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The layout, see [`FORMAT_VERSION`].
    pub format_version: String,
    /// What differs between the manifest and the hosts.
    pub changes: Vec<Change>,
    /// What happens to each VM, in order of its first step.
    pub moves: Vec<Move>,
    /// What speaks against moves, or deserves a word; the gravest first.
    pub findings: Vec<Finding>,
    /// Every executable act. A step's [`StepId`] is its index here.
    pub steps: Vec<Step>,
    /// Room at the start of everything that steps take from or give back to.
    pub capacities: Vec<Capacity>,
    /// How much of each slot all running steps may use together.
    pub slots: BTreeMap<Slot, u64>,
    /// How long the whole takes by the forecast.
    pub makespan: Millis,
    /// The least that any order of these steps would take.
    #[serde(default)]
    pub bound: Bound,
    /// The steps that determine how long the whole takes, in order: each starts when the one before it ends.
    #[serde(default)]
    pub critical: Vec<StepId>,
    /// For VMs whose move is refused: every other host, and whether it would do.
    #[serde(default)]
    pub alternatives: BTreeMap<VmName, Vec<Alternative>>,
    /// What its forecasts are corrected by, from earlier applies.
    #[serde(default, skip_serializing_if = "Calibration::is_none")]
    pub calibration: Calibration,
}

/// The least time that any order of a plan's steps would take by the forecast.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bound {
    /// The time.
    pub time: Millis,
    /// What needs it; `None` where there is nothing to do.
    pub by: Option<Tight>,
}

/// What needs the time of a bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tight {
    /// The steps that must follow each other, of which this is one.
    Chain(StepId),
    /// Everything that uses this slot.
    Slot(Slot),
}

/// Another host for a VM whose move is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alternative {
    /// Which host.
    pub host: HostName,
    /// How the VM could be moved there; `None`: it could not.
    pub fits: Option<MoveKind>,
    /// Why so, or why not.
    pub why: String,
}

/// One difference between the manifest and the hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The VM it is about.
    pub vm: VmName,
    /// What differs.
    pub what: Difference,
}

/// What differs between what is and what shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Difference {
    /// The VM is on another host.
    Host {
        /// Where it is.
        is: HostName,
        /// Where it shall be.
        wanted: HostName,
    },
    /// A disk is in another pool; pool names are the fleet's.
    Pool {
        /// Which disk.
        disk: DiskTarget,
        /// Where it is.
        is: PoolName,
        /// Where it shall be.
        wanted: PoolName,
    },
    /// An interface is on another network than the manifest says; it is rewritten with the VM's next move.
    Network {
        /// The interface's MAC address.
        mac: crate::model::MacAddress,
        /// Bridge or network it is on.
        is: String,
        /// Bridge or network it shall be on.
        wanted: String,
    },
    /// An earlier apply left this VM's move unfinished.
    Unfinished {
        /// What was found, in a sentence.
        found: String,
    },
    /// A migration that an earlier apply began is still under way.
    InFlight {
        /// What was found, in a sentence.
        found: String,
    },
}

/// How a VM gets to where it shall be.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum MoveKind {
    /// It runs on while it moves.
    Live,
    /// It is shut down, moved, and started: the guest reboots.
    Cold,
    /// It is off and stays off.
    Offline,
    /// It stays on its host; only disks move.
    DiskOnly,
    /// An earlier apply's move is brought to its end.
    Finish,
}

/// What happens to one VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Move {
    /// The VM.
    pub vm: VmName,
    /// How.
    pub kind: MoveKind,
    /// Why in this way: a rule's code or the manifest, and a word for people.
    pub reason: String,
    /// From where.
    pub from: HostName,
    /// To where.
    pub to: HostName,
    /// Whether the guest is shut down and started again.
    pub reboots: bool,
    /// Memory of the VM.
    pub memory: Bytes,
    /// Its disks and where each goes.
    pub disks: Vec<DiskPlacement>,
    /// Bytes that cross the network or are copied between pools, by the forecast.
    pub bytes: Bytes,
    /// From its first step to its last, by the forecast.
    pub duration: Millis,
    /// How long the guest does not answer, by the forecast.
    pub downtime: Millis,
    /// The definition before and after, where it changes.
    pub definition: Option<DefinitionChange>,
    /// Its steps, in order of start.
    pub steps: Vec<StepId>,
    /// Set where this is one half of a way by a third host.
    #[serde(default)]
    pub detour: Option<Detour>,
}

/// A way by a third host, taken where nobody could move otherwise or where the whole takes less time so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Detour {
    /// Which half of the way this is.
    pub half: Half,
    /// Where the VM comes from in the end.
    pub from: HostName,
    /// Where it goes in the end.
    pub to: HostName,
}

/// A half of a way by a third host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Half {
    /// To the third host.
    First,
    /// From there.
    Second,
}

/// A VM's persistent definition before and after its move, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DefinitionChange {
    /// As it is at the source.
    pub before: String,
    /// As it will be at the destination.
    pub after: String,
}

/// Counts for a plan's closing line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// VMs that migrate live.
    pub live: usize,
    /// VMs that are shut down and started again.
    pub cold: usize,
    /// VMs that are off and move.
    pub offline: usize,
    /// VMs of which only disks move.
    pub disk_only: usize,
    /// Moves of an earlier apply to bring to their end.
    pub finish: usize,
    /// VMs that go by way of a third host, each counted once above.
    pub detours: usize,
    /// Guests that reboot.
    pub reboots: usize,
    /// Disks that are copied.
    pub disks: usize,
    /// Bytes to carry.
    pub bytes: Bytes,
    /// VMs whose change is refused.
    pub blocked: usize,
}

impl Plan {
    /// The step of that number, which the plan must have.
    #[must_use]
    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[id.0]
    }

    /// A step that is named and does not exist. A plan that comes from a file is asked this before anything else.
    #[must_use]
    pub fn missing_step(&self) -> Option<StepId> {
        let of_moves = self.moves.iter().flat_map(|a_move| &a_move.steps);
        let waited_for = self.steps.iter().flat_map(|step| &step.after);
        let held_by = self.steps.iter().filter_map(|step| step.held.as_ref());
        let of_bound = match self.bound.by {
            Some(Tight::Chain(step)) => Some(step),
            Some(Tight::Slot(_)) | None => None,
        };
        let mut named = of_moves
            .chain(&self.critical)
            .copied()
            .chain(waited_for.map(|dependency| dependency.step))
            .chain(held_by.map(|held| held.by))
            .chain(of_bound);
        named.find(|id| id.0 >= self.steps.len())
    }

    /// How many times the least possible time the plan takes; 1 where no order of these steps is faster.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        if self.bound.time == Millis::ZERO {
            return 1.0;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds of any plan are far below what a float counts exactly"
        )]
        let ratio = self.makespan.0 as f64 / self.bound.time.0 as f64;
        ratio
    }

    /// Whether nothing differs and nothing is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.steps.is_empty()
    }

    /// Whether any wanted change is refused.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Blocks)
    }

    /// The VMs of which a wanted change is refused.
    #[must_use]
    pub fn refused(&self) -> BTreeSet<&VmName> {
        refused(&self.findings)
    }

    /// The VMs that this plan brings only to where an earlier apply was moving them, although more is wanted: the next
    /// plan goes on from there.
    #[must_use]
    pub fn finished_first(&self) -> BTreeSet<&VmName> {
        let told = self.findings.iter();
        let told = told.filter(|finding| finding.code == FINISHED_FIRST);
        let told = told.filter_map(|finding| finding.vm.as_ref());
        let finished = self.moves.iter();
        let finished = finished.filter(|it| it.kind == MoveKind::Finish);
        let finished: BTreeSet<&VmName> = finished.map(|it| &it.vm).collect();
        told.filter(|vm| finished.contains(vm)).collect()
    }

    /// Whether something is in the way of all of it, whichever VM.
    #[must_use]
    pub fn is_refused_whole(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.severity == Severity::Blocks && finding.vm.is_none())
    }

    /// What is told of each VM's moves, in the order of the plan.
    #[must_use]
    pub fn moves_by_vm(&self) -> BTreeMap<&VmName, Vec<&Move>> {
        let mut moves: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for told in &self.moves {
            moves.entry(&told.vm).or_default().push(told);
        }
        moves
    }

    /// Counts for the closing line.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for a_move in &self.moves {
            totals.bytes = totals.bytes.plus(a_move.bytes);
            let half = a_move.detour.as_ref().map(|detour| detour.half);
            if half == Some(Half::First) {
                totals.detours += 1;
                continue;
            }
            match a_move.kind {
                MoveKind::Live => totals.live += 1,
                MoveKind::Cold => totals.cold += 1,
                MoveKind::Offline => totals.offline += 1,
                MoveKind::DiskOnly => totals.disk_only += 1,
                MoveKind::Finish => totals.finish += 1,
            }
            totals.reboots += usize::from(a_move.reboots);
            totals.disks += a_move
                .disks
                .iter()
                .filter(|disk| disk.carry.is_copied())
                .count();
        }
        totals.blocked = self.refused().len();
        totals
    }
}
