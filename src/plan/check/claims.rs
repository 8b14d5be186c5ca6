//! Whether what a plan tells of its moves is what its steps do, and whether every VM ends where it is wanted or is refused.

use std::collections::BTreeMap;

use super::given::Given;
use crate::model::{HostName, Millis, VmName};
use crate::observed::Vm;
use crate::plan::{Action, Move, MoveKind, Plan, Step, StepId};

type Faults = Vec<(StepId, String)>;

/// What is told otherwise than it is done.
pub(super) fn faults(plan: &Plan) -> Faults {
    let mut faults = untold(plan);
    for told in &plan.moves {
        let at = told.steps.first().copied().unwrap_or(StepId(0));
        let own: Vec<&Step> = told
            .steps
            .iter()
            .filter_map(|id| plan.steps.get(id.0))
            .collect();
        let wrong = [
            own.is_empty().then(|| "nothing is done".to_owned()),
            foreign(told, &own),
            reboot(told, &own),
            kind(told, &own),
            ends(told, &own),
            downtime(told, &own),
        ];
        let wrong = wrong.into_iter().flatten();
        faults.extend(wrong.map(|what| (at, format!("the move of {}: {what}", told.vm))));
    }
    faults
}

/// Steps of a VM that no move of it names, or that two name.
fn untold(plan: &Plan) -> Faults {
    let mut named: BTreeMap<(StepId, &VmName), usize> = BTreeMap::new();
    for told in &plan.moves {
        for id in &told.steps {
            *named.entry((*id, &told.vm)).or_default() += 1;
        }
    }
    let steps = plan.steps.iter().enumerate();
    let of_vms = steps.flat_map(|(index, step)| step.vms.iter().map(move |vm| (StepId(index), vm)));
    let wrong = of_vms.filter_map(|(id, vm)| match named.get(&(id, vm)) {
        Some(1) => None,
        Some(_) => Some((id, format!("two moves of {vm} name it"))),
        None => Some((id, format!("no move of {vm} names it"))),
    });
    wrong.collect()
}

fn foreign(told: &Move, own: &[&Step]) -> Option<String> {
    let foreign = own.iter().find(|step| !step.vms.contains(&told.vm))?;
    Some(format!(
        "it names a step of others, to {} at {}",
        foreign.action, foreign.start
    ))
}

fn does(own: &[&Step], wanted: impl Fn(&Action) -> bool) -> bool {
    own.iter().any(|step| wanted(&step.action))
}

fn shuts_down(own: &[&Step]) -> bool {
    does(own, |action| matches!(action, Action::ShutDown { .. }))
}

fn reboot(told: &Move, own: &[&Step]) -> Option<String> {
    (told.reboots != shuts_down(own)).then(|| {
        if told.reboots {
            "a reboot is told and none happens".to_owned()
        } else {
            "its guest is shut down and no reboot is told".to_owned()
        }
    })
}

fn kind(told: &Move, own: &[&Step]) -> Option<String> {
    let migrates = does(own, |action| matches!(action, Action::MigrateLive { .. }));
    let fits = match told.kind {
        MoveKind::Live => migrates && !shuts_down(own),
        MoveKind::Cold => !migrates,
        MoveKind::Offline | MoveKind::Finish => !migrates && !shuts_down(own),
        MoveKind::DiskOnly => !migrates && told.from == told.to,
    };
    (!fits).then(|| format!("it is told as {:?}, which its steps are not", told.kind))
}

/// Between which hosts an act carries the VM.
fn carries(action: &Action) -> Option<(&HostName, &HostName)> {
    match action {
        Action::MigrateLive { from, to, .. }
        | Action::MigratePaused { from, to, .. }
        | Action::Define { from, to, .. } => Some((from, to)),
        _ => None,
    }
}

fn ends(told: &Move, own: &[&Step]) -> Option<String> {
    let ways: Vec<_> = own
        .iter()
        .filter_map(|step| carries(&step.action))
        .collect();
    let (Some((from, _)), Some((_, to))) = (ways.first(), ways.last()) else {
        let carried = does(own, |action| {
            matches!(action, Action::AwaitMigration { .. })
        });
        return (told.from != told.to && !carried)
            .then(|| format!("nothing carries it to {}", told.to));
    };
    ((*from, *to) != (&told.from, &told.to)).then(|| {
        format!(
            "it is told to go from {} to {} and goes from {from} to {to}",
            told.from, told.to
        )
    })
}

/// From the request to shut down to the end of the start, and the pauses of live steps.
fn downtime(told: &Move, own: &[&Step]) -> Option<String> {
    let pauses = own.iter().map(|step| step.forecast.downtime);
    let down = own
        .iter()
        .filter(|step| matches!(step.action, Action::ShutDown { .. }));
    let off = down.filter_map(|down| {
        let up = own
            .iter()
            .find(|step| matches!(step.action, Action::Start { .. }) && step.start >= down.end())?;
        Some(Millis(up.end().0.saturating_sub(down.start.0)))
    });
    let least = pauses.chain(off).fold(Millis::ZERO, Millis::plus);
    (told.downtime < least).then(|| {
        format!(
            "a downtime of {} is told where its steps have {least}",
            told.downtime
        )
    })
}

/// VMs that do not end on the host where they are wanted although nothing is said to be in the way.
pub(super) fn unmet(given: &Given<'_>, plan: &Plan) -> Faults {
    if plan.is_refused_whole() {
        return Vec::new();
    }
    let refused = plan.refused();
    let moves = plan.moves_by_vm();
    let finished_first = plan.finished_first();
    let wanted = given.desired.vms.iter();
    let open = wanted.filter(|(name, _)| !refused.contains(name) && !finished_first.contains(name));
    let unmet = open.filter_map(|(name, vm)| {
        let is_marked = |(_, vm): &(_, &Vm)| {
            let detail = vm.detail.as_ref();
            detail.is_some_and(|detail| detail.mark.is_some() || detail.unreadable_mark.is_some())
        };
        let is_left = given.places(name).iter().any(is_marked);
        if is_left && !moves.contains_key(name) {
            let what = format!("an earlier apply has not finished {name}, and nothing finishes it");
            return Some((StepId(0), what));
        }
        let own = moves.get(name).into_iter().flatten();
        let last = own.max_by_key(|told| told.steps.first().copied());
        let is_there = last.map_or_else(
            || {
                let host = given.observed.host(&vm.host);
                host.is_some_and(|host| host.vms.contains_key(name))
            },
            |told| told.to == vm.host,
        );
        (!is_there).then(|| {
            let step = last.and_then(|told| told.steps.last().copied());
            (
                step.unwrap_or(StepId(0)),
                format!("{name} does not end on {}, and nothing refuses it", vm.host),
            )
        })
    });
    unmet.collect()
}
