//! Changes of what a plan says about itself: its room, its limits, and what it tells people.

use domicile::definition::Rewrite;
use domicile::model::Millis;
use domicile::plan::{Action, MoveKind, Plan, Severity, Step};

use super::Change;
use super::cases::Case;
use super::edit::any;
use crate::dice::Dice;

pub(super) const CHANGES: [(&str, Change); 13] = [
    ("a step takes less", |_, plan, dice| {
        let (at, which) = amount(plan, dice, |step| &step.takes)?;
        plan.steps[at].takes[which].1 /= 2;
        Some(told(plan, at))
    }),
    ("a step takes nothing of a resource", |_, plan, dice| {
        let (at, which) = amount(plan, dice, |step| &step.takes)?;
        plan.steps[at].takes.remove(which);
        Some(told(plan, at))
    }),
    ("a step gives back more", |_, plan, dice| {
        let (at, which) = amount(plan, dice, |step| &step.frees)?;
        plan.steps[at].frees[which].1 *= 2;
        Some(told(plan, at))
    }),
    ("a step gives back before it can", |_, plan, dice| {
        let (at, which) = amount(plan, dice, |step| &step.frees)?;
        let freed = plan.steps[at].frees.remove(which);
        let vms = plan.steps[at].vms.clone();
        let first = plan.steps.iter_mut().find(|step| step.vms == vms)?;
        first.frees.push(freed);
        Some(told(plan, at))
    }),
    ("a step uses less", |_, plan, dice| {
        let at = any(plan, dice, |step| !step.uses.is_empty())?;
        let which = dice.below(plan.steps[at].uses.len());
        plan.steps[at].uses.remove(which);
        Some(told(plan, at))
    }),
    ("there is more room than there is", |_, plan, dice| {
        let which = dice.below(plan.capacities.len());
        plan.capacities.get_mut(which)?.limit += 1;
        Some("room".into())
    }),
    ("a limit is higher than it is", |_, plan, dice| {
        let which = dice.below(plan.slots.len());
        *plan.slots.values_mut().nth(which)? += 1;
        Some("slots".into())
    }),
    ("a cold move is told to be live", |_, plan, dice| {
        let one = cold(plan, dice)?;
        one.kind = MoveKind::Live;
        one.reboots = false;
        one.downtime = Millis::ZERO;
        Some(one.vm.to_string())
    }),
    ("a reboot is not told", |_, plan, dice| {
        let one = cold(plan, dice)?;
        one.reboots = false;
        Some(one.vm.to_string())
    }),
    ("a downtime is not told", |_, plan, dice| {
        let one = cold(plan, dice)?;
        one.downtime = Millis::ZERO;
        Some(one.vm.to_string())
    }),
    ("a move is told to go elsewhere", elsewhere),
    ("a refusal is not told", unrefused),
    ("a move is not told", |_, plan, dice| {
        let which = dice.below(plan.moves.len());
        (!plan.moves.is_empty()).then(|| plan.moves.remove(which).vm.to_string())
    }),
];

fn told(plan: &Plan, at: usize) -> String {
    plan.steps[at].action.to_string()
}

fn amount<'p, R: 'p>(
    plan: &'p Plan,
    dice: &mut Dice,
    of: impl Fn(&'p Step) -> &'p Vec<R>,
) -> Option<(usize, usize)> {
    let all: Vec<(usize, usize)> = plan
        .steps
        .iter()
        .enumerate()
        .flat_map(|(index, step)| (0..of(step).len()).map(move |which| (index, which)))
        .collect();
    (!all.is_empty()).then(|| *dice.one_of(&all))
}

fn cold<'p>(plan: &'p mut Plan, dice: &mut Dice) -> Option<&'p mut domicile::plan::Move> {
    let all: Vec<usize> = (0..plan.moves.len())
        .filter(|index| plan.moves[*index].reboots)
        .collect();
    if all.is_empty() {
        return None;
    }
    plan.moves.get_mut(*dice.one_of(&all))
}

fn elsewhere(case: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let which = dice.below(plan.moves.len());
    let one = plan.moves.get_mut(which)?;
    one.to = dice.one_of(&case.hosts()).clone();
    Some(format!("{} to {}", one.vm, one.to))
}

fn unrefused(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let blocking = |index: &usize| plan.findings[*index].severity == Severity::Blocks;
    let all: Vec<usize> = (0..plan.findings.len()).filter(blocking).collect();
    if all.is_empty() {
        return None;
    }
    let gone = plan.findings.remove(*dice.one_of(&all));
    Some(gone.message)
}

/// What a step changes in its VM's definition.
fn rewrite_of(action: &mut Action) -> Option<&mut Rewrite> {
    match action {
        Action::MigrateLive { options, .. } | Action::MigratePaused { options, .. } => {
            Some(&mut options.rewrite)
        }
        Action::Define { rewrite, .. } | Action::Redefine { rewrite, .. } => Some(rewrite),
        _ => None,
    }
}

fn rewriting(plan: &Plan, dice: &mut Dice) -> Option<usize> {
    any(plan, dice, |step| {
        let mut action = step.action.clone();
        rewrite_of(&mut action).is_some_and(|rewrite| !rewrite.disks.is_empty())
    })
}

pub(super) fn other_path(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = rewriting(plan, dice)?;
    let rewrite = rewrite_of(&mut plan.steps[at].action)?;
    rewrite.disks.values_mut().next()?.path.push('x');
    Some(told(plan, at))
}

pub(super) fn old_path(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = rewriting(plan, dice)?;
    rewrite_of(&mut plan.steps[at].action)?.disks.pop_first();
    Some(told(plan, at))
}

/// A volume that is made and that no mark names: nobody would know whose it is.
pub(super) fn unnamed(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = any(
        plan,
        dice,
        |step| matches!(&step.action, Action::Mark { mark, .. } if !mark.created_volumes.is_empty()),
    )?;
    let Action::Mark { mark, .. } = &mut plan.steps[at].action else {
        return None;
    };
    mark.created_volumes.pop();
    Some(told(plan, at))
}
