//! What an apply measured corrects the forecasts of the next plan.

use domicile::apply::journal::Journal;
use domicile::apply::records::{Records, Times};
use domicile::apply::{CancelHandle, Options, run};
use domicile::desired::MigrationSettings;
use domicile::model::{BytesPerSecond, Millis};
use domicile::plan::Plan;
use domicile::simulator::{Simulator, Timing};

use crate::planner::fleet::Fleet;

/// Four VMs that go live from kvm1 to kvm2, over a link of which the manifest says nothing.
fn four_leave() -> Fleet {
    let mut fleet = Fleet::new(2, 64);
    for number in 1..=4 {
        let name = format!("vm-{number}");
        fleet.vm("kvm1", &name, 4);
        fleet.wants(&name, "kvm2");
    }
    fleet
}

/// Applies on hosts whose links carry a quarter of what is reckoned with, and gives the journal and the time.
fn applied(fleet: &Fleet, plan: &Plan, times: Times) -> (String, Millis) {
    let slow = MigrationSettings::default().rate().0 / 4;
    let timing = Timing {
        bandwidth: BytesPerSecond(slow),
        ..Timing::default()
    };
    let hosts = Simulator::new(fleet.observed.clone()).with_timing(timing);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("apply.jsonl");
    let mut journal = Journal::create(&path, plan, times).unwrap();
    let options = Options::new(fleet.desired.hosts.clone());
    let summary = run(plan, &hosts, &options, &CancelHandle::new(), &mut |event| {
        journal.write(event).unwrap();
    });
    assert_eq!(summary.steps_done, plan.steps.len());
    (std::fs::read_to_string(&path).unwrap(), summary.took)
}

/// By how many percent the forecast misses what it took.
fn missed_by(plan: &Plan, took: Millis) -> u64 {
    plan.makespan.0.abs_diff(took.0) * 100 / took.0
}

#[test]
fn a_forecast_learns_from_the_last_apply_and_does_not_swing_afterwards() {
    let mut fleet = four_leave();
    let first = fleet.plan();
    let (journal, took) = applied(&fleet, &first, Times::Measured);
    assert!(missed_by(&first, took) > 60, "{} {took}", first.makespan);

    let mut records = Records::default();
    records.add(&journal).unwrap();
    fleet.desired.calibration = records.calibration();
    let second = fleet.plan();
    let (journal, took) = applied(&fleet, &second, Times::Measured);
    assert!(missed_by(&second, took) < 5, "{} {took}", second.makespan);
    let live = |plan: &Plan| plan.steps.iter().map(|step| step.forecast.downtime).max();
    // What the simulator's guests stand still, where 300 ms are allowed.
    assert_eq!(live(&second), Some(Millis(49)));

    // The second apply was reckoned with corrections, and teaches the same as the first.
    let mut again = Records::default();
    again.add(&journal).unwrap();
    let (one, other) = (fleet.desired.calibration, again.calibration());
    assert!(one.live.abs_diff(other.live) <= 5, "{one:?} {other:?}");
    assert!(
        one.downtime.abs_diff(other.downtime) <= 5,
        "{one:?} {other:?}"
    );
}

#[test]
fn an_apply_that_only_was_simulated_corrects_nothing() {
    let fleet = four_leave();
    let (journal, _) = applied(&fleet, &fleet.plan(), Times::Simulated);
    let mut records = Records::default();
    assert_eq!(records.add(&journal), Ok(Times::Simulated));
    assert!(records.calibration().is_none());
}
