//! A plan with what its sections look up in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::VmName;
use crate::observed::Roster;
use crate::plan::{Change, Finding, Move, Plan, StepId};

/// Above this many moves a page shows each move without its steps and its definition, which are most of its bytes.
pub const DETAILED_MOVES_MAX: usize = 2_000;

/// What is said about the plan that is not in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    /// The version of Domicile.
    pub domicile: &'a str,
    /// When a saved plan was made.
    pub made_at: Option<&'a str>,
    /// Who is on the hosts. Without it only VMs of the plan are shown there.
    pub roster: Option<&'a Roster>,
}

/// A plan with what is looked up in it.
pub(super) struct View<'p> {
    pub(super) plan: &'p Plan,
    pub(super) roster: Option<&'p Roster>,
    /// Each VM that is moved, and the places of its moves: two where it goes by way of another host.
    pub(super) moved: BTreeMap<&'p VmName, Vec<usize>>,
    /// What differs of each VM.
    pub(super) changes: BTreeMap<&'p VmName, Vec<&'p Change>>,
    /// Findings about each VM, in the plan's order.
    pub(super) findings: BTreeMap<&'p VmName, Vec<&'p Finding>>,
    /// The move at which each step is told: the first that has it.
    pub(super) homes: BTreeMap<StepId, usize>,
    /// The steps that determine the end; none where only one VM moves, since it would be all of them.
    pub(super) critical: BTreeSet<StepId>,
    /// Whether steps and definitions are told.
    pub(super) is_detailed: bool,
}

impl<'p> View<'p> {
    pub(super) fn of(plan: &'p Plan, roster: Option<&'p Roster>) -> Self {
        let mut findings: BTreeMap<&VmName, Vec<&Finding>> = BTreeMap::new();
        for finding in &plan.findings {
            if let Some(vm) = &finding.vm {
                findings.entry(vm).or_default().push(finding);
            }
        }
        let mut changes: BTreeMap<&VmName, Vec<&Change>> = BTreeMap::new();
        for change in &plan.changes {
            changes.entry(&change.vm).or_default().push(change);
        }
        let all = plan.moves.iter().enumerate();
        let mut homes = BTreeMap::new();
        let mut moved: BTreeMap<&VmName, Vec<usize>> = BTreeMap::new();
        for (index, a_move) in all {
            moved.entry(&a_move.vm).or_default().push(index);
            for step in &a_move.steps {
                homes.entry(*step).or_insert(index);
            }
        }
        Self {
            plan,
            roster,
            critical: if moved.len() > 1 {
                plan.critical.iter().copied().collect()
            } else {
                BTreeSet::new()
            },
            moved,
            changes,
            findings,
            homes,
            is_detailed: plan.moves.len() <= DETAILED_MOVES_MAX,
        }
    }

    /// VMs that differ and are not moved, in order of name.
    pub(super) fn unmoved(&self) -> BTreeSet<&'p VmName> {
        let changed = self.changes.keys().copied();
        changed.filter(|vm| !self.moved.contains_key(vm)).collect()
    }

    pub(super) fn changes_of(&self, vm: &VmName) -> &[&'p Change] {
        self.changes.get(vm).map_or(&[], Vec::as_slice)
    }

    pub(super) fn findings_of(&self, vm: &VmName) -> &[&'p Finding] {
        self.findings.get(vm).map_or(&[], Vec::as_slice)
    }

    pub(super) fn moves_of(&self, vm: &VmName) -> impl Iterator<Item = &'p Move> {
        let places = self.moved.get(vm).into_iter().flatten();
        places.map(|place| &self.plan.moves[*place])
    }

    /// The place of the VM's first move.
    pub(super) fn place_of(&self, vm: &VmName) -> Option<usize> {
        self.moved.get(vm)?.first().copied()
    }
}
