//! What must hold for any fleet: a plan passes the check, every step of it succeeds, no invariant is broken on the
//! way, and planning again finds nothing.

use std::collections::BTreeSet;

use domicile::apply::{CancelHandle, Happening, Options, Summary, run};
use domicile::model::VmName;
use domicile::plan::{Plan, Severity, check::check};
use domicile::planner::plan;
use domicile::simulator::Simulator;
use proptest::prelude::*;

use crate::support::{Fleet, build, sketches};

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
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_passes_the_check_succeeds_and_leaves_nothing_to_plan(sketch in sketches()) {
        let fleet = build(&sketch);
        let first = plan(&fleet.desired, &fleet.observed);
        prop_assert_eq!(check(&first), Vec::new());

        let hosts = Simulator::new(fleet.observed.clone()).managing(fleet.managed());
        let (summary, failures) = carry_out(&fleet, &hosts, &first);
        prop_assert_eq!(failures, Vec::<String>::new());
        prop_assert_eq!(hosts.breaches(), Vec::new());
        prop_assert_eq!(hosts.stopped(), Vec::new());
        prop_assert_eq!(summary.steps_done, first.steps.len());

        let again = plan(&fleet.desired, &hosts.observed());
        prop_assert_eq!(again.steps.len(), 0, "{:#?}", again.steps);
        prop_assert!(changed(&again).is_subset(&blocked(&first)), "{:#?}", again.changes);
    }
}
