//! What shall happen to one VM, decided and not yet broken up into steps.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::place::Way;
use crate::definition::{Facts, Rewrite};
use crate::desired::MigrationSettings;
use crate::model::{VmName, VolumeRef};
use crate::observed::{Host, Vm, VmDetail};
use crate::plan::{Action, Detour, DiskPlacement, MoveKind};
use crate::rules::Effect;

/// By which means a move carries the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfer {
    /// A live migration.
    Live,
    /// Started paused, migrated, ended: host to host.
    Direct,
    /// Volume streams through this process.
    Stream,
    /// Block copy and pivot on one host.
    BlockCopy,
    /// Only what an earlier apply left to be done.
    Nothing,
}

/// How a VM is to be moved.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) kind: MoveKind,
    pub(super) transfer: Transfer,
    pub(super) reason: String,
    /// Set when the manifest's method or setting is refused by a rule.
    pub(super) refused: Option<Effect>,
}

/// What shall happen to one VM; nothing about it is left open but the time.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a property of the move, and none excludes another"
)]
#[derive(Debug, Clone)]
pub(super) struct Intent<'a> {
    pub(super) name: &'a VmName,
    pub(super) way: Way<'a>,
    pub(super) vm: &'a Vm,
    pub(super) detail: &'a VmDetail,
    /// What its persistent definition says, where that can be read.
    pub(super) facts: Option<Rc<Facts>>,
    pub(super) source: &'a Host,
    pub(super) destination: &'a Host,
    pub(super) kind: MoveKind,
    pub(super) transfer: Transfer,
    pub(super) reason: String,
    /// What an earlier apply left, in a sentence.
    pub(super) found: String,
    /// Whether it must be shut down for the move.
    pub(super) shuts_down: bool,
    /// Whether no rule refuses to carry it stopped, host to host.
    pub(super) may_go_direct: bool,
    /// Whether no rule refuses to carry it stopped, by streams.
    pub(super) may_stream: bool,
    /// Whether it gives its room back at its source before it takes any at its destination: once it stands defined
    /// at both, either can start it.
    pub(super) hands_over: bool,
    /// The half of a detour that this is.
    pub(super) detour: Option<Detour>,
    /// Whether it must be started at the end.
    pub(super) starts: bool,
    pub(super) settings: MigrationSettings,
    pub(super) disks: Vec<DiskPlacement>,
    pub(super) rewrite: Rewrite,
    /// What an earlier apply left to be done, before all else.
    pub(super) prelude: Vec<Action>,
    /// Whether it ran before the earlier apply, and is off once the prelude is done.
    pub(super) restart: bool,
    /// Bases at the destination that an earlier apply may have left half-written.
    pub(super) stale_bases: BTreeSet<VolumeRef>,
    /// Bases that an earlier apply's move left at its source and that may have lost their last clone, each with its
    /// copy.
    pub(super) unused_bases: Vec<(VolumeRef, VolumeRef)>,
}

impl Intent<'_> {
    /// Only what an earlier apply left to be done, where it left anything: its traces go, and a VM that it shut down
    /// runs again where it is. That is also what remains of a move which is refused.
    pub(super) fn finish(mut self) -> Option<Self> {
        if self.transfer == Transfer::Nothing || self.prelude.is_empty() {
            return None;
        }
        if self.restart {
            // Before the mark goes, so that a later run still knows that the VM has to run.
            let start = Action::Start {
                host: self.way.from.clone(),
                vm: self.name.clone(),
                not_active_on: Vec::new(),
            };
            self.prelude.insert(self.prelude.len() - 1, start);
        }
        self.kind = MoveKind::Finish;
        self.transfer = Transfer::Nothing;
        self.reason.clone_from(&self.found);
        self.shuts_down = false;
        self.starts = false;
        self.disks.clear();
        self.rewrite = Rewrite::default();
        Some(self)
    }
}
