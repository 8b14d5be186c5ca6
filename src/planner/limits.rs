//! How many transfers there may be at once, and what each uses of that while it runs.
//!
//! Where a host has a bandwidth budget, a transfer that has no rate of its own gets all of it, so that one comes after
//! the other: a live migration at the full rate dirties less memory than two at half of it.

use std::collections::BTreeMap;

use super::intent::Intent;
use crate::desired::{Desired, MigrationSettings};
use crate::model::{BytesPerSecond, HostName};
use crate::observed::Observed;
use crate::plan::{Action, Slot};

/// The limits that are there: of every host that was read, and whatever else the manifest limits.
pub(super) fn slots(desired: &Desired, observed: &Observed) -> BTreeMap<Slot, u64> {
    let mut slots = BTreeMap::new();
    for (name, _) in observed.reached() {
        let declared = desired.hosts.get(name);
        let limits = declared.map(|host| host.limits).unwrap_or_default();
        let parallel = limits
            .parallel
            .unwrap_or_else(|| usual_parallel(desired, name));
        let (out, into) = (limits.parallel_out, limits.parallel_in);
        let mut count = |slot, own: Option<u32>| {
            slots.insert(slot, u64::from(own.unwrap_or(parallel).max(1)));
        };
        count(Slot::Out(name.clone()), out);
        count(Slot::In(name.clone()), into);
        let mut budget = |slot, rate: Option<BytesPerSecond>| {
            slots.extend(rate.map(|rate| (slot, rate.0.max(1))));
        };
        budget(Slot::Upload(name.clone()), limits.upload);
        budget(Slot::Download(name.clone()), limits.download);
    }
    let mut count = |slot, most: Option<u32>| {
        slots.extend(most.map(|most| (slot, u64::from(most.max(1)))));
    };
    for (from, to, settings) in &desired.migration.pairs {
        count(Slot::Link(from.clone(), to.clone()), settings.parallel);
    }
    for (name, cluster) in &desired.clusters {
        count(Slot::Cluster(name.clone()), cluster.limits.parallel);
    }
    count(Slot::Fleet, desired.limits.parallel);
    slots
}

/// What holds for a host that has no `parallel` of its own.
fn usual_parallel(desired: &Desired, host: &HostName) -> u32 {
    let cluster = desired
        .hosts
        .get(host)
        .and_then(|host| host.cluster.as_ref());
    let of_cluster = cluster.and_then(|cluster| desired.migration.clusters.get(cluster)?.parallel);
    of_cluster
        .or(desired.migration.fleet.parallel)
        .unwrap_or_else(|| MigrationSettings::default().parallel)
}

/// The hosts that an act sends bytes from and to over the network, by their budgets. What is copied through this
/// process leaves the one host and reaches the other, which may be the same.
fn budgets(action: &Action) -> Vec<Slot> {
    match action {
        Action::MigrateLive { from, to, .. } | Action::MigratePaused { from, to, .. } => {
            vec![Slot::Upload(from.clone()), Slot::Download(to.clone())]
        }
        Action::CopyVolume { from, spec, .. } => vec![
            Slot::Upload(from.host.clone()),
            Slot::Download(spec.at.host.clone()),
        ],
        // Both are read by this process.
        Action::VerifyVolume { from, to, .. } => {
            vec![
                Slot::Upload(from.host.clone()),
                Slot::Upload(to.host.clone()),
            ]
        }
        _ => Vec::new(),
    }
}

fn budget_of(desired: &Desired, slot: &Slot) -> Option<BytesPerSecond> {
    let limits = |host: &HostName| desired.hosts.get(host).map(|host| host.limits);
    match slot {
        Slot::Upload(host) => limits(host)?.upload,
        Slot::Download(host) => limits(host)?.download,
        _ => None,
    }
}

/// The rate limit of an act: that of the move, and no more than the budgets of its hosts.
pub(super) fn rate(intent: &Intent<'_>, action: &Action) -> Option<BytesPerSecond> {
    let budgets = budgets(action);
    // One host's budget that is used twice is used by halves.
    let share = |slot: &Slot| {
        let times = budgets.iter().filter(|other| *other == slot).count() as u64;
        let budget = budget_of(intent.way.desired, slot)?;
        Some(BytesPerSecond((budget.0 / times.max(1)).max(1)))
    };
    budgets
        .iter()
        .filter_map(share)
        .chain(intent.settings.bandwidth)
        .min()
}

/// Puts the rate limit into an act that knows one.
pub(super) fn with_rate(intent: &Intent<'_>, mut action: Action) -> Action {
    let limit = rate(intent, &action);
    match &mut action {
        Action::MigrateLive { options, .. } | Action::MigratePaused { options, .. } => {
            options.bandwidth = limit;
        }
        Action::CopyVolume { bandwidth, .. }
        | Action::VerifyVolume { bandwidth, .. }
        | Action::BlockCopy { bandwidth, .. } => *bandwidth = limit,
        _ => {}
    }
    action
}

/// From which host to which an act transfers.
fn ends(action: &Action) -> Option<(&HostName, &HostName)> {
    match action {
        Action::MigrateLive { from, to, .. }
        | Action::MigratePaused { from, to, .. }
        | Action::AwaitMigration { from, to, .. } => Some((from, to)),
        Action::CopyVolume { from, spec, .. } | Action::CompactVolume { from, spec } => {
            Some((&from.host, &spec.at.host))
        }
        Action::VerifyVolume { from, to, .. } => Some((&from.host, &to.host)),
        Action::BlockCopy { host, .. } => Some((host, host)),
        _ => None,
    }
}

/// What an act uses while it runs. What nothing limits is left out.
pub(super) fn uses(intent: &Intent<'_>, action: &Action) -> Vec<(Slot, u64)> {
    let desired = intent.way.desired;
    let Some((from, to)) = ends(action) else {
        return Vec::new();
    };
    let mut uses = vec![(Slot::Out(from.clone()), 1)];
    if from != to {
        uses.push((Slot::In(to.clone()), 1));
    }
    let of_pair =
        |(source, destination, _): &&(HostName, HostName, _)| source == from && destination == to;
    let pair = desired.migration.pairs.iter().find(of_pair);
    if pair.is_some_and(|(_, _, settings)| settings.parallel.is_some()) {
        uses.push((Slot::Link(from.clone(), to.clone()), 1));
    }
    let cluster = |host: &HostName| desired.hosts.get(host)?.cluster.as_ref();
    let (first, second) = (cluster(from), cluster(to));
    for cluster in first.into_iter().chain(second.filter(|_| first != second)) {
        let limits = desired.clusters.get(cluster).map(|cluster| cluster.limits);
        if limits.is_some_and(|limits| limits.parallel.is_some()) {
            uses.push((Slot::Cluster(cluster.clone()), 1));
        }
    }
    if desired.limits.parallel.is_some() {
        uses.push((Slot::Fleet, 1));
    }
    let mut rates: BTreeMap<Slot, u64> = BTreeMap::new();
    if let Some(rate) = rate(intent, action) {
        for slot in budgets(action) {
            if budget_of(desired, &slot).is_some() {
                *rates.entry(slot).or_default() += rate.0;
            }
        }
    }
    uses.extend(rates);
    uses
}
