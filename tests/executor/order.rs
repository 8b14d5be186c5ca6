//! What starts when, and what is told of it.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use domicile::apply::{CancelHandle, Happening, Options, run};
use domicile::model::{Bytes, Millis, VolumeFormat, VolumeName, VolumeRef};
use domicile::plan::{Action, Dependency, Forecast, Plan, Slot, Step, StepId, VolumeSpec, Why};
use domicile::simulator::{Simulator, Timing};

use super::{Applied, cold_move};
use crate::planner::fleet::{Fleet, GIB, host_name, pool_name, vm_name};

/// Copies of one VM's volume on its own host, all at once as far as the slots allow.
fn copies(count: usize, places: u64) -> (Fleet, Plan) {
    let mut fleet = Fleet::new(1, 64);
    fleet.vm("kvm1", "web", 1);
    fleet.host("kvm1").vms.clear();
    let at = |name: String| VolumeRef {
        host: host_name("kvm1"),
        pool: pool_name("fast"),
        volume: VolumeName::new(name).unwrap(),
    };
    let copy = |number| Step {
        action: Action::CopyVolume {
            from: VolumeRef {
                pool: pool_name("default"),
                ..at("web.qcow2".into())
            },
            spec: VolumeSpec {
                at: at(format!("{number}.qcow2")),
                path: format!("/srv/fast/{number}.qcow2"),
                format: VolumeFormat::Qcow2,
                capacity: Bytes(10 * GIB),
                backing: None,
            },
            bandwidth: None,
        },
        vms: vec![vm_name("web")],
        after: Vec::new(),
        takes: Vec::new(),
        frees: Vec::new(),
        uses: vec![(Slot::Out(host_name("kvm1")), 1)],
        // The later its number, the earlier it is to start.
        start: Millis(100 - number),
        forecast: Forecast::default(),
        held: None,
    };
    let mut plan = fleet.plan();
    plan.steps = (0..count as u64).map(copy).collect();
    plan.slots = BTreeMap::from([(Slot::Out(host_name("kvm1")), places)]);
    (fleet, plan)
}

fn most_at_once(events: &[domicile::apply::Event]) -> usize {
    let (mut now, mut most) = (0usize, 0);
    for event in events {
        match event.what {
            Happening::StepStarted { .. } => now += 1,
            Happening::StepDone { .. } | Happening::StepFailed { .. } => now -= 1,
            _ => {}
        }
        most = most.max(now);
    }
    most
}

#[test]
fn no_more_steps_run_than_their_slots_have_places() {
    for places in [1, 2, 4] {
        let (fleet, plan) = copies(6, places);
        let hosts = Simulator::new(fleet.observed.clone());
        let applied = Applied::of(&plan, &hosts, &fleet);
        assert_eq!(applied.summary.steps_done, 6);
        assert_eq!(most_at_once(&applied.events) as u64, places);
    }
}

#[test]
fn no_more_steps_run_than_the_options_say() {
    let (fleet, plan) = copies(6, 6);
    let hosts = Simulator::new(fleet.observed.clone());
    let options = Options {
        at_once: NonZeroUsize::new(3).unwrap(),
        ..Options::new(fleet.desired.hosts.clone())
    };
    let mut events = Vec::new();
    run(
        &plan,
        &hosts,
        &options,
        &CancelHandle::new(),
        &mut |event| {
            events.push(event.clone());
        },
    );
    assert_eq!(most_at_once(&events), 3);
}

#[test]
fn among_ready_steps_the_one_that_starts_first_by_the_forecast_is_chosen() {
    let (fleet, plan) = copies(4, 1);
    let hosts = Simulator::new(fleet.observed.clone());
    let applied = Applied::of(&plan, &hosts, &fleet);
    let started = applied.events.iter().filter_map(|event| match event.what {
        Happening::StepStarted { step } => Some(step.0),
        _ => None,
    });
    assert_eq!(started.collect::<Vec<_>>(), [3, 2, 1, 0]);
}

#[test]
fn steps_at_once_take_the_time_of_one() {
    let timing = Timing {
        call: Millis(0),
        ..Timing::default()
    };
    let took = |places| {
        let (fleet, plan) = copies(4, places);
        let hosts = Simulator::new(fleet.observed.clone()).with_timing(timing);
        Applied::of(&plan, &hosts, &fleet).summary.took
    };
    // Each copies 1 GiB at 1 GiB/s.
    assert_eq!(took(4), Millis(1000));
    assert_eq!(took(2), Millis(2000));
    assert_eq!(took(1), Millis(4000));
}

#[test]
fn a_move_tells_its_measured_downtime_beside_the_forecast() {
    let fleet = cold_move();
    let plan = fleet.plan();
    let timing = Timing {
        shut_down: Millis(7000),
        start: Millis(2000),
        call: Millis(10),
        ..Timing::default()
    };
    let hosts = Simulator::new(fleet.observed.clone()).with_timing(timing);
    let applied = Applied::of(&plan, &hosts, &fleet);
    let done = applied.events.iter().find_map(|event| match &event.what {
        Happening::MoveDone {
            vm,
            downtime_forecast,
            downtime,
            ..
        } => Some((vm.clone(), *downtime_forecast, *downtime)),
        _ => None,
    });
    // Shut down, 1 GiB copied, defined, started.
    let measured = Millis(7000 + 1010 + 10 + 2000);
    assert_eq!(
        done,
        Some((vm_name("web"), plan.moves[0].downtime, Some(measured)))
    );
    assert_eq!(applied.summary.moved, [vm_name("web")]);
}

#[test]
fn progress_is_told_at_most_five_times_a_second() {
    let (fleet, plan) = copies(1, 1);
    let timing = Timing {
        bandwidth: domicile::model::BytesPerSecond(10 << 30),
        ..Timing::default()
    };
    let hosts = Simulator::new(fleet.observed.clone()).with_timing(timing);
    let applied = Applied::of(&plan, &hosts, &fleet);
    let told = applied
        .events
        .iter()
        .filter(|event| matches!(event.what, Happening::StepProgress { .. }));
    // It takes 120 ms and looks four times.
    assert_eq!(told.count(), 1);
}

#[test]
fn a_plan_whose_steps_wait_for_each_other_ends_and_says_so() {
    let (fleet, mut plan) = copies(3, 3);
    let wait = |step| Dependency {
        step: StepId(step),
        why: Why::SameVm,
    };
    plan.steps[0].after = vec![wait(1)];
    plan.steps[1].after = vec![wait(0)];
    plan.steps[2].after = vec![wait(77)];
    let hosts = Simulator::new(fleet.observed.clone());
    let applied = Applied::of(&plan, &hosts, &fleet);
    assert_eq!(applied.summary.steps_done, 0);
    assert!(
        applied
            .story()
            .iter()
            .all(|line| line.starts_with("skipped"))
    );
    assert_eq!(applied.story().len(), 3);
}

#[test]
fn an_empty_plan_is_finished_at_once() {
    let fleet = Fleet::new(1, 64);
    let hosts = Simulator::new(fleet.observed.clone());
    let applied = Applied::of(&fleet.plan(), &hosts, &fleet);
    assert!(matches!(
        applied.events[..],
        [domicile::apply::Event {
            what: Happening::Finished(_),
            ..
        }]
    ));
}
