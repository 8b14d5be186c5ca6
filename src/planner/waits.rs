//! The waits for room: which releases each take waits for, so that what is taken fits in whatever order the steps are
//! really done.
//!
//! Of each resource there is a row of pieces: what is free at the start, then what each release gives back, in order
//! of their ends. The takes, in order of their starts, are laid along that row, and each waits for the releases that
//! its own stretch covers. No piece is taken twice, so however early or late anything starts or ends, all that has
//! been taken lies within what was free or has come back. And since the schedule itself always had room, no take is
//! laid upon a release that ends after it starts.
//!
//! There are at most as many waits as takes and releases together.

use std::collections::BTreeMap;

use crate::model::Millis;
use crate::plan::{Capacity, Dependency, Resource, Step, StepId, Why};

/// What steps do with one resource: who takes how much in order of start, and who gives back how much.
#[derive(Default)]
struct Traffic {
    takes: Vec<(usize, u64)>,
    releases: Vec<(Millis, usize, u64)>,
}

/// Adds every wait for room.
pub(super) fn wait_for_room(steps: &mut [Step], capacities: &[Capacity]) {
    let mut waits: Vec<(usize, Dependency)> = Vec::new();
    let traffic = traffic(steps);
    for capacity in capacities {
        if let Some(traffic) = traffic.get(&capacity.resource) {
            waits.extend(waits_for(capacity, traffic));
        }
    }
    for (step, dependency) in waits {
        steps[step].after.push(dependency);
    }
}

fn traffic(steps: &[Step]) -> BTreeMap<Resource, Traffic> {
    let mut all: BTreeMap<Resource, Traffic> = BTreeMap::new();
    for (id, step) in steps.iter().enumerate() {
        for (resource, amount) in step.takes.iter().filter(|(_, amount)| *amount > 0) {
            let traffic = all.entry(resource.clone()).or_default();
            traffic.takes.push((id, *amount));
        }
        for (resource, amount) in step.frees.iter().filter(|(_, amount)| *amount > 0) {
            let traffic = all.entry(resource.clone()).or_default();
            traffic.releases.push((step.end(), id, *amount));
        }
    }
    for traffic in all.values_mut() {
        traffic.releases.sort_unstable();
    }
    all
}

fn waits_for(capacity: &Capacity, traffic: &Traffic) -> Vec<(usize, Dependency)> {
    let why = match capacity.resource {
        Resource::Apart(..) => Why::KeepsApart,
        Resource::Memory(_) | Resource::Vcpus(_) | Resource::Vms(_) | Resource::Pool(..) => {
            Why::FreesRoom
        }
    };
    let mut waits = Vec::new();
    let mut releases = traffic.releases.iter();
    // Where more is taken than there may be, nothing is free before so much has come back, for any of the takes.
    let mut debt = capacity.used.saturating_sub(capacity.limit);
    let mut first = Vec::new();
    let mut piece = (None, capacity.limit.saturating_sub(capacity.used));
    while debt > 0
        && let Some((_, id, amount)) = releases.next()
    {
        first.push(*id);
        piece = (Some(*id), amount.saturating_sub(debt));
        debt = debt.saturating_sub(*amount);
    }
    for (take, amount) in &traffic.takes {
        let mut wait = |release: usize| {
            let step = StepId(release);
            waits.push((*take, Dependency { step, why }));
        };
        first.iter().copied().for_each(&mut wait);
        let mut needed = *amount;
        while needed > 0 {
            if piece.1 == 0 {
                let Some((_, id, amount)) = releases.next() else {
                    break;
                };
                piece = (Some(*id), *amount);
            }
            let part = needed.min(piece.1);
            needed -= part;
            piece.1 -= part;
            if let Some(release) = piece.0 {
                wait(release);
            }
        }
    }
    waits
}
