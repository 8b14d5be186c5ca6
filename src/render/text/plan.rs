//! A whole plan: legend, VMs, steps, findings, totals.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::VmName;
use crate::plan::{Change, Half, Move, Plan};
use crate::render::index::Index;
use crate::render::page::{Page, plain};
use crate::render::style::{LATER, REFUSED, Symbol, symbol};
use crate::render::{Role, Style};

use super::{findings, moves, steps, totals};

/// What differs about a VM is told where its way begins.
fn is_second_half(a_move: &Move) -> bool {
    let detour = a_move.detour.as_ref();
    detour.is_some_and(|detour| detour.half == Half::Second)
}

/// The plan for people: what happens to each VM and why, the steps, the findings, and a closing line with totals.
#[must_use]
pub fn plan(plan: &Plan, style: &Style) -> String {
    let mut page = Page::new(style);
    let index = Index::of(plan);
    let moved: BTreeSet<&VmName> = plan.moves.iter().map(|a_move| &a_move.vm).collect();
    let mut changes: BTreeMap<&VmName, Vec<&Change>> = BTreeMap::new();
    for change in &plan.changes {
        changes.entry(&change.vm).or_default().push(change);
    }
    let unmoved: Vec<Unmoved> = changes
        .iter()
        .filter(|(vm, _)| !moved.contains(*vm))
        .map(|(vm, changes)| Unmoved::of(&index, vm, changes))
        .collect();
    legend(&mut page, &plan.moves, &unmoved);
    for a_move in &plan.moves {
        let mut changes = changes.get(&a_move.vm).map_or(&[][..], Vec::as_slice);
        if is_second_half(a_move) {
            changes = &[];
        }
        page.blank();
        moves::moved(&mut page, &index, a_move, changes);
    }
    for vm in &unmoved {
        page.blank();
        let others = plan
            .alternatives
            .get(vm.name)
            .map_or(&[][..], Vec::as_slice);
        moves::unmoved(
            &mut page,
            vm.name,
            vm.symbol,
            vm.changes,
            &vm.because,
            others,
        );
    }
    steps::steps(&mut page, plan);
    findings::findings(&mut page, &plan.findings);
    page.blank();
    page.line(0, 2, &[(Role::Heading, totals::totals(plan))]);
    page.finish()
}

/// A VM that differs and does not move.
struct Unmoved<'p> {
    name: &'p VmName,
    symbol: Symbol,
    changes: &'p [&'p Change],
    /// Codes of the findings that refuse it.
    because: Vec<&'p str>,
}

impl<'p> Unmoved<'p> {
    fn of(index: &Index<'p>, name: &'p VmName, changes: &'p [&'p Change]) -> Self {
        let because = index.refusals(name);
        let symbol = if because.is_empty() { LATER } else { REFUSED };
        Self {
            name,
            symbol,
            changes,
            because,
        }
    }
}

/// The symbols that this plan uses, and no others.
fn legend(page: &mut Page<'_>, moves: &[Move], unmoved: &[Unmoved<'_>]) {
    let mut used: Vec<Symbol> = Vec::new();
    let of_moves = moves.iter().map(|a_move| symbol(a_move.kind));
    for one in of_moves.chain(unmoved.iter().map(|vm| vm.symbol)) {
        if !used.contains(&one) {
            used.push(one);
        }
    }
    if used.is_empty() {
        return;
    }
    page.line(0, 0, &[plain("Symbols of this plan:")]);
    for one in used {
        page.sign(one.role, one.sign, &[plain(one.meaning)]);
    }
}
