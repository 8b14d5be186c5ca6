//! How many transfers run at once, and at what rate, where the manifest limits them.

use std::num::NonZeroUsize;

use domicile::apply::{self, CancelHandle, Happening, Options};
use domicile::desired::{Cluster, ColdCopy, Limits, Method, MigrationOverrides};
use domicile::model::{BytesPerSecond, ClusterName, HostName};
use domicile::plan::{Action, Plan, Slot, Step};
use domicile::simulator::Simulator;

use super::fleet::{Fleet, host_name};

const MIB: u64 = 1 << 20;

/// Whether a step carries bytes from some host to some host.
fn way(action: &Action) -> Option<(&HostName, &HostName)> {
    match action {
        Action::MigrateLive { from, to, .. } | Action::MigratePaused { from, to, .. } => {
            Some((from, to))
        }
        Action::CopyVolume { from, spec, .. } => Some((&from.host, &spec.at.host)),
        _ => None,
    }
}

/// The rate that a step is held to.
fn rate(action: &Action) -> u64 {
    let limit = match action {
        Action::MigrateLive { options, .. } | Action::MigratePaused { options, .. } => {
            options.bandwidth
        }
        Action::CopyVolume { bandwidth, .. } => *bandwidth,
        _ => None,
    };
    limit.map_or(0, |rate| rate.0)
}

/// The most at any instant, by the forecast, of what transfers weigh.
fn most(plan: &Plan, weight: impl Fn(&Step) -> u64) -> u64 {
    let runs = |step: &Step, at| step.start <= at && at < step.start.plus(step.forecast.duration);
    let at = |at| -> u64 {
        let running = plan.steps.iter().filter(|step| runs(step, at));
        running.map(&weight).sum()
    };
    plan.steps.iter().map(|step| at(step.start)).max().unwrap()
}

fn most_between(plan: &Plan, from: &str, to: &str) -> u64 {
    let (from, to) = (host_name(from), host_name(to));
    most(plan, |step| {
        u64::from(way(&step.action) == Some((&from, &to)))
    })
}

/// The same limits hold when the plan is carried out, whatever the steps really take.
fn most_when_applied(fleet: &Fleet, plan: &Plan, counts: impl Fn(&Action) -> bool) -> usize {
    let hosts = Simulator::new(fleet.observed.clone());
    let options = Options {
        at_once: NonZeroUsize::new(64).unwrap(),
        ..Options::new(fleet.desired.hosts.clone())
    };
    let (mut now, mut most) = (0_usize, 0);
    let mut sink = |event: &apply::Event| match event.what {
        Happening::StepStarted { step } if counts(&plan.step(step).action) => {
            now += 1;
            most = most.max(now);
        }
        Happening::StepDone { step, .. } if counts(&plan.step(step).action) => now -= 1,
        _ => {}
    };
    let summary = apply::run(plan, &hosts, &options, &CancelHandle::new(), &mut sink);
    assert_eq!(summary.steps_done, plan.steps.len());
    most
}

/// Four VMs go from kvm1 to kvm2 and four to kvm3; a host may have eight transfers each way.
fn eight_leave() -> Fleet {
    let mut fleet = Fleet::new(3, 640);
    for number in 0..8 {
        fleet.vm("kvm1", &format!("vm-{number}"), 4);
        let to = if number < 4 { "kvm2" } else { "kvm3" };
        fleet.wants(&format!("vm-{number}"), to);
    }
    fleet.desired.migration.fleet.parallel = Some(8);
    fleet
}

/// Gives kvm1 a budget of 100 MiB/s for what it sends.
fn with_budget(mut fleet: Fleet) -> Fleet {
    let limits = &mut fleet.desired.hosts.get_mut("kvm1").unwrap().limits;
    limits.upload = Some(BytesPerSecond(100 * MIB));
    fleet
}

#[test]
fn a_link_has_a_limit_of_its_own() {
    let mut fleet = eight_leave();
    let settings = MigrationOverrides {
        parallel: Some(1),
        ..MigrationOverrides::default()
    };
    let pair = (host_name("kvm1"), host_name("kvm2"), settings);
    fleet.desired.migration.pairs.push(pair);
    let plan = fleet.plan();
    assert_eq!(most_between(&plan, "kvm1", "kvm2"), 1);
    assert_eq!(most_between(&plan, "kvm1", "kvm3"), 4);
    let (from, to) = (host_name("kvm1"), host_name("kvm2"));
    let on_link = |action: &Action| way(action) == Some((&from, &to));
    assert_eq!(most_when_applied(&fleet, &plan, on_link), 1);
}

#[test]
fn a_host_may_send_more_than_it_takes() {
    let mut fleet = eight_leave();
    let hosts = &mut fleet.desired.hosts;
    hosts.get_mut("kvm2").unwrap().limits.parallel_in = Some(1);
    hosts.get_mut("kvm1").unwrap().limits.parallel_out = Some(3);
    let plan = fleet.plan();
    assert_eq!(most_between(&plan, "kvm1", "kvm2"), 1);
    assert_eq!(
        most(&plan, |step| u64::from(way(&step.action).is_some())),
        3
    );
}

#[test]
fn a_clusters_limit_counts_what_leaves_reaches_or_stays_within() {
    let mut fleet = eight_leave();
    fleet.vm("kvm2", "within", 4);
    fleet.wants("within", "kvm3");
    let cluster = ClusterName::new("rack-a").unwrap();
    let declared = Cluster {
        limits: Limits { parallel: Some(2) },
        ..Cluster::default()
    };
    fleet.desired.clusters.insert(cluster.clone(), declared);
    for host in ["kvm2", "kvm3"] {
        fleet.desired.hosts.get_mut(host).unwrap().cluster = Some(cluster.clone());
    }
    let plan = fleet.plan();
    assert_eq!(
        most(&plan, |step| u64::from(way(&step.action).is_some())),
        2
    );
    let within = plan
        .steps
        .iter()
        .find(|step| way(&step.action).is_some_and(|(from, _)| *from == host_name("kvm2")));
    let counted =
        |(slot, amount): &&(Slot, u64)| (slot, *amount) == (&Slot::Cluster(cluster.clone()), 1);
    assert_eq!(within.unwrap().uses.iter().filter(counted).count(), 1);
}

#[test]
fn the_fleets_limit_counts_every_kind_of_transfer() {
    let mut fleet = eight_leave();
    fleet.vm("kvm2", "streamed", 4);
    let streamed = fleet.wants("streamed", "kvm3");
    streamed.method = Method::Cold;
    streamed.migration.cold_copy = Some(ColdCopy::Stream);
    fleet.desired.limits.parallel = Some(3);
    let plan = fleet.plan();
    assert_eq!(
        most(&plan, |step| u64::from(way(&step.action).is_some())),
        3
    );
    let copy = plan
        .steps
        .iter()
        .find(|step| matches!(step.action, Action::CopyVolume { .. }));
    assert!(copy.unwrap().uses.contains(&(Slot::Fleet, 1)));
    assert_eq!(
        most_when_applied(&fleet, &plan, |action| way(action).is_some()),
        3
    );
}

#[test]
fn a_budget_is_given_to_one_after_the_other() {
    let fleet = with_budget(eight_leave());
    let plan = fleet.plan();
    let migrations = || plan.steps.iter().filter(|step| way(&step.action).is_some());
    assert!(migrations().all(|step| rate(&step.action) == 100 * MIB));
    assert_eq!(most(&plan, |step| rate(&step.action)), 100 * MIB);
    assert_eq!(
        most_when_applied(&fleet, &plan, |action| way(action).is_some()),
        1
    );
}

#[test]
fn transfers_with_a_rate_of_their_own_share_a_budget() {
    let mut fleet = with_budget(eight_leave());
    fleet.desired.migration.fleet.bandwidth = Some(BytesPerSecond(30 * MIB));
    // Copies through this process keep to the rate as well.
    for name in ["vm-0", "vm-5"] {
        let wanted = fleet.desired.vms.get_mut(name).unwrap();
        wanted.method = Method::Cold;
        wanted.migration.cold_copy = Some(ColdCopy::Stream);
    }
    let plan = fleet.plan();
    assert_eq!(most(&plan, |step| rate(&step.action)), 90 * MIB);
    assert_eq!(
        most_when_applied(&fleet, &plan, |action| way(action).is_some()),
        3
    );
}

#[test]
fn a_rate_above_the_smaller_budget_of_both_ends_is_lowered_to_it() {
    let mut fleet = with_budget(eight_leave());
    fleet.desired.hosts.get_mut("kvm3").unwrap().limits.download = Some(BytesPerSecond(40 * MIB));
    fleet.desired.migration.fleet.bandwidth = Some(BytesPerSecond(1000 * MIB));
    let plan = fleet.plan();
    for step in &plan.steps {
        if let Some((_, to)) = way(&step.action) {
            let wanted = if to.as_str() == "kvm3" { 40 } else { 100 };
            assert_eq!(rate(&step.action), wanted * MIB, "{}", step.action);
        }
    }
    assert_eq!(most(&plan, |step| rate(&step.action)), 100 * MIB);
}

#[test]
fn limits_of_a_slot_read_back_from_json() {
    let mut fleet = with_budget(eight_leave());
    fleet.desired.limits.parallel = Some(3);
    let plan = fleet.plan();
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    assert!(
        text.contains("\"fleet\":3") && text.contains("\"upload:kvm1\""),
        "{text}"
    );
}
