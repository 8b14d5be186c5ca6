//! What must hold for any fleet: a plan passes the check, every step of it succeeds, no invariant is broken on the
//! way, and planning again finds nothing.

use std::collections::BTreeSet;

use domicile::apply::{CancelHandle, Happening, Options, Summary, run};
use domicile::model::{Bytes, BytesPerSecond, Calibration, VmName, VolumeName, VolumeRef};
use domicile::observed::Reading;
use domicile::plan::{Plan, Severity, check::check};
use domicile::planner::plan;
use domicile::simulator::Simulator;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::support::sketch::{of_seed, sketches};
use crate::support::{Fleet, build};

/// VMs whose change is refused.
fn blocked(plan: &Plan) -> BTreeSet<VmName> {
    let blocking = plan
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Blocks);
    blocking.filter_map(|finding| finding.vm.clone()).collect()
}

fn changed(plan: &Plan) -> BTreeSet<VmName> {
    plan.changes
        .iter()
        .map(|change| change.vm.clone())
        .collect()
}

/// Carries out the plan on these hosts and returns the failures, each in a line.
fn carry_out(fleet: &Fleet, hosts: &Simulator, plan: &Plan) -> (Summary, Vec<String>) {
    let options = Options::new(fleet.desired.hosts.clone());
    let mut failures = Vec::new();
    let summary = run(plan, hosts, &options, &CancelHandle::new(), &mut |event| {
        if let Happening::StepFailed { what, why, .. } = &event.what {
            failures.push(format!("{what}: {why}"));
        }
    });
    (summary, failures)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 600,
        failure_persistence: None,
        // The same fleets in every run; another number looks at others.
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_plan_passes_the_check_succeeds_and_leaves_nothing_to_plan(sketch in sketches()) {
        let fleet = build(&sketch);
        let first = plan(&fleet.desired, &fleet.observed);
        prop_assert_eq!(check(&fleet.desired, &fleet.observed, &first), Vec::new());

        let hosts = Simulator::new(fleet.observed.clone()).managing(fleet.managed());
        let (summary, failures) = carry_out(&fleet, &hosts, &first);
        prop_assert_eq!(failures, Vec::<String>::new());
        prop_assert_eq!(hosts.breaches(), Vec::new());
        prop_assert_eq!(hosts.stopped(), Vec::new());
        prop_assert_eq!(summary.steps_done, first.steps.len());

        let again = plan(&fleet.desired, &hosts.observed());
        // A change that found no room may find some now: that of a base that turned out to be unused.
        let refused = blocked(&first);
        let anew: Vec<String> = again
            .steps
            .iter()
            .filter(|step| step.vms.iter().any(|vm| !refused.contains(vm)))
            .map(|step| step.action.to_string())
            .collect();
        prop_assert_eq!(anew, Vec::<String>::new());
        prop_assert!(changed(&again).is_subset(&refused), "{:#?}", again.changes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(8),
        ..ProptestConfig::default()
    })]

    /// Whatever is known of guests' memory, and whatever earlier applies taught: only times follow from it.
    #[test]
    fn forecasts_make_no_plan_unsound(
        sketch in sketches(),
        occupied in 0_u64..20,
        dirtied in prop::option::of(0_u64..300 << 20),
        [live, copy, downtime] in prop::array::uniform3(50_u32..=10_000),
    ) {
        let mut fleet = build(&sketch);
        fleet.desired.calibration = Calibration { live, copy, downtime };
        for host in fleet.observed.hosts.values_mut() {
            let Reading::Reached(host) = host else { continue };
            for vm in host.vms.values_mut() {
                if let Some(detail) = &mut vm.detail {
                    detail.resident = Some(Bytes(vm.memory.0 / 16 * occupied));
                    detail.dirty_rate = dirtied.map(BytesPerSecond);
                }
            }
        }
        let made = plan(&fleet.desired, &fleet.observed);
        prop_assert_eq!(check(&fleet.desired, &fleet.observed, &made), Vec::new());
        prop_assert_eq!(&made, &plan(&fleet.desired, &fleet.observed));
        prop_assert_eq!(made.calibration, fleet.desired.calibration);

        let hosts = Simulator::new(fleet.observed.clone()).managing(fleet.managed());
        let (summary, failures) = carry_out(&fleet, &hosts, &made);
        prop_assert_eq!(failures, Vec::<String>::new());
        prop_assert_eq!(hosts.breaches(), Vec::new());
        prop_assert_eq!(summary.steps_done, made.steps.len());
    }
}

#[test]
fn clones_of_unlike_bases_of_one_name_never_come_to_share_a_base() {
    let mut fleet = crate::planner::fleet::Fleet::new(3, 64);
    for (vm, host) in [("web", "kvm1"), ("db", "kvm2")] {
        fleet.clone_of_golden(host, vm);
        fleet.wants(vm, "kvm3");
        let pool = crate::planner::fleet::pool_name("default");
        let host = fleet.host(host);
        // The clone's own volume stands on the base, as the image itself says.
        let base = host.vms[vm].detail.as_ref().unwrap().disks[0].backing[0].clone();
        let volumes = &mut host.pools.get_mut(&pool).unwrap().volumes;
        let own = volumes.get_mut(format!("{vm}.qcow2").as_str()).unwrap();
        own.detail.as_mut().unwrap().backing = Some((base.path, base.format));
    }
    let plan = fleet.plan();
    let other = VolumeRef {
        host: crate::planner::fleet::host_name("kvm2"),
        pool: crate::planner::fleet::pool_name("default"),
        volume: VolumeName::new("golden.qcow2").unwrap(),
    };
    let hosts = Simulator::new(fleet.observed.clone()).with_other_contents(&other);
    let options = Options::new(fleet.desired.hosts.clone());
    let summary = run(&plan, &hosts, &options, &CancelHandle::new(), &mut |_| {});
    assert_eq!(hosts.breaches(), []);
    assert_eq!(summary.moved.len(), 1, "{summary:?}");
    assert_eq!(summary.failed.len(), 1, "{summary:?}");
}

/// What the properties and the fault tests say is worth as much as the plans that they see.
#[test]
fn the_random_fleets_call_for_every_kind_of_act() {
    let mut kinds = BTreeSet::new();
    let mut with_steps = 0;
    for seed in 0..400 {
        let fleet = build(&of_seed(seed));
        let plan = plan(&fleet.desired, &fleet.observed);
        with_steps += usize::from(!plan.steps.is_empty());
        for step in &plan.steps {
            let action = serde_json::to_value(&step.action).unwrap();
            kinds.insert(action["action"].as_str().unwrap().to_owned());
        }
    }
    let wanted = [
        "block-copy",
        "copy-volume",
        "compact-volume",
        "create-volume",
        "define",
        "delete-volume",
        "mark",
        "migrate-live",
        "migrate-paused",
        "redefine",
        "shut-down",
        "start",
        "undefine",
        "unmark",
        "verify-volume",
    ];
    assert!(wanted.iter().all(|kind| kinds.contains(*kind)), "{kinds:?}");
    assert!(
        with_steps > 250,
        "only {with_steps} of 400 fleets have anything to do"
    );
}
