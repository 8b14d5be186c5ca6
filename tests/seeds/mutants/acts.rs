//! Changes of what is done, and in which order.

use std::collections::BTreeSet;

use domicile::model::{Bytes, HostName, VmName, VolumeFormat, VolumeRef};
use domicile::plan::{Action, CopyMode, Half, Plan, Resource, Step, StepId, VolumeSpec, Why};

use super::Change;
use super::cases::Case;
use super::claims::{old_path, other_path, unnamed};
use super::edit::{self, Heirs, any, exchange, own_steps, remove, renamed, repeat};
use crate::dice::Dice;

pub(super) const CHANGES: [(&str, Change); 36] = [
    (
        "a step is gone, and nobody waits in its place",
        |_, plan, dice| gone(plan, dice, Heirs::None),
    ),
    (
        "a step is gone, and its waits are inherited",
        |_, plan, dice| gone(plan, dice, Heirs::Next),
    ),
    ("a wait for the act before is gone", |_, plan, dice| {
        no_wait(plan, dice, Why::SameVm)
    }),
    ("a wait for a base is gone", |_, plan, dice| {
        no_wait(plan, dice, Why::BaseFirst)
    }),
    ("a wait for room is gone", |_, plan, dice| {
        no_wait(plan, dice, Why::FreesRoom)
    }),
    (
        "a wait for who must not be there too is gone",
        |_, plan, dice| no_wait(plan, dice, Why::KeepsApart),
    ),
    ("a deletion's wait for the copy is gone", |_, plan, dice| {
        no_wait(plan, dice, Why::CopyBeforeDelete)
    }),
    ("a deletion waits for nothing", free_deletion),
    ("two acts on a VM change places", exchanged_acts),
    ("two steps change places", exchanged_steps),
    ("a step is done twice", |_, plan, dice| {
        let at = any(plan, dice, |_| true)?;
        repeat(plan, at);
        Some(format!("twice: {}", plan.steps[at].action))
    }),
    ("an act carries the VM to another host", other_destination),
    ("a whole move goes to another host", other_goal),
    ("a step is done on another host", other_host),
    ("a step is done to another VM", other_vm),
    ("a guest is neither stopped nor started", no_stop),
    ("a guest is not started again", |_, plan, dice| {
        gone_if(plan, dice, |step| {
            matches!(step.action, Action::Start { .. })
        })
    }),
    ("a guest is not stopped before", |_, plan, dice| {
        gone_if(plan, dice, |step| {
            matches!(step.action, Action::ShutDown { .. })
        })
    }),
    (
        "a running guest is carried as if it were off, or the reverse",
        other_way,
    ),
    ("a move is gone", |_, plan, dice| {
        no_move(plan, dice, |_| true)
    }),
    ("the first half of a detour is gone", |_, plan, dice| {
        no_move(plan, dice, |half| half == Some(Half::First))
    }),
    ("the second half of a detour is gone", |_, plan, dice| {
        no_move(plan, dice, |half| half == Some(Half::Second))
    }),
    ("a new volume is of another size", |_, plan, dice| {
        spec(plan, dice, |spec, _| {
            spec.capacity = Bytes(spec.capacity.0 / 2);
        })
    }),
    ("a new volume is of another format", |_, plan, dice| {
        spec(plan, dice, |spec, _| {
            spec.format = match spec.format {
                VolumeFormat::Raw => VolumeFormat::Qcow2,
                _ => VolumeFormat::Raw,
            }
        })
    }),
    ("a new volume stands on nothing", |_, plan, dice| {
        spec(plan, dice, |spec, _| spec.backing = None)
    }),
    ("a new volume has another path", |_, plan, dice| {
        spec(plan, dice, |spec, _| spec.path.push('x'))
    }),
    ("a new volume is in another pool", other_pool),
    ("a copy is made of another volume", other_source),
    ("a deletion names another volume", other_victim),
    ("a deletion asks for no replacement", unreplaced),
    ("a deletion asks nobody", |_, plan, dice| {
        let at = any(
            plan,
            dice,
            |step| matches!(&step.action, Action::DeleteVolume { seen_by, .. } if !seen_by.is_empty()),
        )?;
        let Action::DeleteVolume { seen_by, .. } = &mut plan.steps[at].action else {
            return None;
        };
        seen_by.clear();
        Some(format!("asks nobody: {}", plan.steps[at].action))
    }),
    ("a start asks nobody", unasked_start),
    ("a migration leaves a disk out", left_out),
    ("a definition names another path", other_path),
    ("a definition keeps an old path", old_path),
    ("a mark names a volume less", unnamed),
];

fn told(plan: &Plan, at: usize) -> String {
    format!("{} ({})", plan.steps[at].action, StepId(at))
}

fn gone(plan: &mut Plan, dice: &mut Dice, heirs: Heirs) -> Option<String> {
    let at = any(plan, dice, |_| true)?;
    let what = told(plan, at);
    remove(plan, &BTreeSet::from([at]), heirs);
    Some(what)
}

fn gone_if(plan: &mut Plan, dice: &mut Dice, holds: impl Fn(&Step) -> bool) -> Option<String> {
    let at = any(plan, dice, holds)?;
    let what = told(plan, at);
    remove(plan, &BTreeSet::from([at]), Heirs::Next);
    Some(what)
}

fn no_wait(plan: &mut Plan, dice: &mut Dice, why: Why) -> Option<String> {
    let at = any(plan, dice, |step| {
        step.after.iter().any(|wait| wait.why == why)
    })?;
    let waits = plan.steps[at].after.iter().filter(|wait| wait.why == why);
    let waits: Vec<_> = waits.copied().collect();
    let wait = *dice.one_of(&waits);
    plan.steps[at].after.retain(|one| *one != wait);
    Some(format!(
        "{} no more waits for {}",
        told(plan, at),
        told(plan, wait.step.0)
    ))
}

fn is_deletion(step: &Step) -> bool {
    matches!(step.action, Action::DeleteVolume { .. })
}

fn free_deletion(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = any(plan, dice, |step| {
        is_deletion(step) && !step.after.is_empty()
    })?;
    plan.steps[at].after.clear();
    Some(told(plan, at))
}

fn exchanged_acts(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = any(plan, dice, |step| step.vms.len() == 1)?;
    let vm = plan.steps[at].vms[0].clone();
    let own = own_steps(plan, &vm);
    let place = own.iter().position(|index| *index == at)?;
    let next = *own.get(place + 1)?;
    let what = format!("{} and {}", told(plan, at), told(plan, next));
    exchange(plan, at, next);
    Some(what)
}

fn exchanged_steps(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let one = any(plan, dice, |_| true)?;
    let other = any(plan, dice, |_| true).filter(|other| *other != one)?;
    let what = format!("{} and {}", told(plan, one), told(plan, other));
    exchange(plan, one.min(other), one.max(other));
    Some(what)
}

fn another(case: &Case, dice: &mut Dice, than: &[&HostName]) -> Option<HostName> {
    let mut hosts = case.hosts();
    hosts.retain(|host| !than.contains(&host));
    (!hosts.is_empty()).then(|| dice.one_of(&hosts).clone())
}

fn other_destination(case: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = any(plan, dice, |step| {
        matches!(
            step.action,
            Action::MigrateLive { .. } | Action::MigratePaused { .. } | Action::Define { .. }
        )
    })?;
    let what = told(plan, at);
    let (Action::MigrateLive { from, to, .. }
    | Action::MigratePaused { from, to, .. }
    | Action::Define { from, to, .. }) = &mut plan.steps[at].action
    else {
        return None;
    };
    *to = another(case, dice, &[from, to])?;
    Some(format!("{what} goes to {to}"))
}

/// Everything of the move is changed alike: what is made, taken, given back and told.
fn other_goal(case: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let moves: Vec<usize> = (0..plan.moves.len())
        .filter(|index| plan.moves[*index].from != plan.moves[*index].to)
        .collect();
    if moves.is_empty() {
        return None;
    }
    let index = *dice.one_of(&moves);
    let (vm, from, to) = {
        let one = &plan.moves[index];
        (one.vm.clone(), one.from.clone(), one.to.clone())
    };
    let other = another(case, dice, &[&from, &to])?;
    let steps = plan.moves[index].steps.clone();
    for id in steps {
        if plan.steps[id.0].vms == [vm.clone()] {
            let after = plan.steps[id.0].after.clone();
            let step: Step = renamed(&plan.steps[id.0], to.as_str(), other.as_str())?;
            plan.steps[id.0] = Step { after, ..step };
        }
    }
    plan.moves[index] = renamed(&plan.moves[index], to.as_str(), other.as_str())?;
    plan.capacities.clear();
    plan.slots.clear();
    Some(format!("{vm} goes to {other} and not to {to}"))
}

fn other_host(case: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = any(plan, dice, |_| true)?;
    let what = told(plan, at);
    let hosts: Vec<HostName> = plan.steps[at].action.hosts().into_iter().cloned().collect();
    let host = dice.one_of(&hosts).clone();
    let other = another(case, dice, &[&host])?;
    let action = renamed(&plan.steps[at].action, host.as_str(), other.as_str())?;
    plan.steps[at].action = action;
    Some(format!("{what}: {other} in place of {host}"))
}

fn other_vm(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = any(plan, dice, |step| step.vms.len() == 1)?;
    let what = told(plan, at);
    let vm = plan.steps[at].vms[0].clone();
    let other = any(plan, dice, |step| step.vms.len() == 1 && step.vms[0] != vm)?;
    let other: VmName = plan.steps[other].vms[0].clone();
    let action = renamed(&plan.steps[at].action, vm.as_str(), other.as_str())?;
    plan.steps[at].action = action;
    Some(format!("{what}: {other} in place of {vm}"))
}

fn no_stop(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = any(plan, dice, |step| {
        matches!(step.action, Action::ShutDown { .. })
    })?;
    let vm = plan.steps[at].vms.first()?.clone();
    let own = own_steps(plan, &vm);
    let start = own
        .into_iter()
        .find(|index| matches!(plan.steps[*index].action, Action::Start { .. }) && *index > at)?;
    let what = told(plan, at);
    remove(plan, &BTreeSet::from([at, start]), Heirs::Next);
    Some(what)
}

fn other_way(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = any(plan, dice, |step| {
        matches!(
            step.action,
            Action::MigrateLive { .. } | Action::MigratePaused { .. }
        )
    })?;
    let what = told(plan, at);
    let action = match plan.steps[at].action.clone() {
        Action::MigrateLive {
            vm,
            from,
            to,
            options,
        } => Action::MigratePaused {
            vm,
            from,
            to,
            options,
        },
        Action::MigratePaused {
            vm,
            from,
            to,
            options,
        } => Action::MigrateLive {
            vm,
            from,
            to,
            options,
        },
        _ => return None,
    };
    plan.steps[at].action = action;
    Some(what)
}

fn no_move(
    plan: &mut Plan,
    dice: &mut Dice,
    which: impl Fn(Option<Half>) -> bool,
) -> Option<String> {
    let moves: Vec<usize> = (0..plan.moves.len())
        .filter(|index| which(plan.moves[*index].detour.as_ref().map(|detour| detour.half)))
        .collect();
    if moves.is_empty() {
        return None;
    }
    let one = plan.moves.remove(*dice.one_of(&moves));
    let own = one.steps.iter().map(|id| id.0);
    let own = own.filter(|index| plan.steps[*index].vms.len() == 1);
    remove(plan, &own.collect(), Heirs::Next);
    Some(format!("{} from {} to {}", one.vm, one.from, one.to))
}

fn spec_of(action: &mut Action) -> Option<&mut VolumeSpec> {
    match action {
        Action::CreateVolume { spec }
        | Action::CopyVolume { spec, .. }
        | Action::CompactVolume { spec, .. } => Some(spec),
        _ => None,
    }
}

fn makes(step: &Step) -> bool {
    spec_of(&mut step.action.clone()).is_some()
}

fn spec(
    plan: &mut Plan,
    dice: &mut Dice,
    change: impl Fn(&mut VolumeSpec, &mut Dice),
) -> Option<String> {
    let at = any(plan, dice, makes)?;
    let what = told(plan, at);
    change(spec_of(&mut plan.steps[at].action)?, dice);
    Some(what)
}

fn other_pool(case: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = any(plan, dice, makes)?;
    let what = told(plan, at);
    let spec = spec_of(&mut plan.steps[at].action)?;
    let host = case.observed.host(&spec.at.host)?;
    let pools: Vec<_> = host
        .pools
        .iter()
        .filter(|(name, _)| **name != spec.at.pool)
        .collect();
    if pools.is_empty() {
        return None;
    }
    let (pool, state) = *dice.one_of(&pools);
    let whole = dice.below(2) == 0;
    let (old, new) = (spec.at.pool.clone(), pool.clone());
    spec.at.pool.clone_from(pool);
    if whole {
        let path = spec.path.clone();
        spec.path = format!("{}/{}", state.path, spec.at.volume);
        let moved = spec.path.clone();
        let vms = plan.steps[at].vms.clone();
        // The mark, the definition and what is taken follow.
        for step in plan.steps.iter_mut().filter(|step| step.vms == vms) {
            step.action = renamed(&step.action, &path, &moved)?;
            if matches!(step.action, Action::Mark { .. }) {
                step.action = renamed(&step.action, old.as_str(), new.as_str())?;
            }
            for (resource, _) in &mut step.takes {
                if let Resource::Pool(_, pool) = resource {
                    pool.clone_from(&new);
                }
            }
        }
        plan.capacities.clear();
    }
    Some(format!("{what} in {new}"))
}

fn other_source(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = any(plan, dice, |step| {
        matches!(step.action, Action::CopyVolume { .. })
    })?;
    let what = told(plan, at);
    let from = some_volume(plan, dice)?;
    let Action::CopyVolume { from: source, .. } = &mut plan.steps[at].action else {
        return None;
    };
    *source = from;
    Some(format!("{what} of {source}"))
}

/// Some volume that the plan speaks of.
fn some_volume(plan: &Plan, dice: &mut Dice) -> Option<VolumeRef> {
    let disks = plan.moves.iter().flat_map(|one| &one.disks);
    let all: Vec<&VolumeRef> = disks
        .flat_map(|disk| disk.from.iter().chain(&disk.to))
        .collect();
    (!all.is_empty()).then(|| (*dice.one_of(&all)).clone())
}

fn other_victim(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = any(plan, dice, is_deletion)?;
    let what = told(plan, at);
    let other = some_volume(plan, dice)?;
    let Action::DeleteVolume { at: victim, .. } = &mut plan.steps[at].action else {
        return None;
    };
    *victim = other;
    Some(format!("{what}: {victim} in its place"))
}

/// Nothing must be there in the place of what goes: no copy is waited for and none is asked for.
fn unreplaced(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = any(plan, dice, |step| {
        matches!(
            step.action,
            Action::DeleteVolume {
                replaced_by: Some(_),
                ..
            }
        )
    })?;
    let what = told(plan, at);
    let Action::DeleteVolume { replaced_by, .. } = &mut plan.steps[at].action else {
        return None;
    };
    *replaced_by = None;
    if dice.below(2) == 0 {
        let first = plan.steps[at].after.first().copied();
        let own = plan.steps[at].vms.clone();
        let mark = plan.steps.iter().position(|step| step.vms == own)?;
        plan.steps[at].after = first
            .map(|wait| domicile::plan::Dependency {
                step: StepId(mark),
                ..wait
            })
            .into_iter()
            .collect();
        edit::tidy_all(plan);
    }
    Some(what)
}

fn unasked_start(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = any(
        plan,
        dice,
        |step| matches!(&step.action, Action::Start { not_active_on, .. } if !not_active_on.is_empty()),
    )?;
    let what = told(plan, at);
    let Action::Start { not_active_on, .. } = &mut plan.steps[at].action else {
        return None;
    };
    not_active_on.clear();
    Some(what)
}

fn left_out(_: &Case, plan: &mut Plan, dice: &mut Dice) -> Option<String> {
    let at = any(plan, dice, |step| match &step.action {
        Action::MigrateLive { options, .. } | Action::MigratePaused { options, .. } => {
            !options.disks.is_empty()
        }
        _ => false,
    })?;
    let what = told(plan, at);
    let (Action::MigrateLive { options, .. } | Action::MigratePaused { options, .. }) =
        &mut plan.steps[at].action
    else {
        return None;
    };
    if dice.below(2) == 0 {
        options.disks.pop();
    } else {
        options.copy = match options.copy {
            CopyMode::Incremental => CopyMode::Full,
            CopyMode::Full | CopyMode::None => CopyMode::None,
        };
    }
    Some(what)
}
