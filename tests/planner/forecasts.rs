//! What a plan says of how long steps take: by what guests occupy and change, and by what earlier applies teach.

use domicile::desired::{Method, MigrationOverrides};
use domicile::model::{Bytes, BytesPerSecond, Calibration, Millis};
use domicile::observed::VmDetail;
use domicile::plan::{Action, Forecast, Plan, Severity};

use super::fleet::{Fleet, GIB, acts};

const MIB: u64 = 1 << 20;

/// What is forecast of the live migration of a VM of 8 GiB at 100 MiB/s, of which this is known beside.
fn live(known: impl FnOnce(&mut VmDetail)) -> (Forecast, Plan) {
    let mut fleet = Fleet::new(2, 64);
    let detail = fleet.vm("kvm1", "web", 8).detail.as_mut().unwrap();
    known(detail);
    fleet.desired.migration.fleet = MigrationOverrides {
        bandwidth: Some(BytesPerSecond(100 * MIB)),
        ..MigrationOverrides::default()
    };
    fleet.wants("web", "kvm2");
    let plan = fleet.plan();
    let step = plan
        .steps
        .iter()
        .find(|step| matches!(step.action, Action::MigrateLive { .. }));
    (step.unwrap().forecast, plan)
}

#[test]
fn a_guest_that_occupies_a_part_of_its_memory_is_sooner_over() {
    let (whole, _) = live(|_| {});
    let (part, _) = live(|detail| detail.resident = Some(Bytes(2 * GIB)));
    assert_eq!(whole.bytes.minus(part.bytes), Bytes(6 * GIB));
    let sooner = whole.duration.0 - part.duration.0;
    assert_eq!(Millis(sooner), Millis(6 * 1024 * 1000 / 100));
    // QEMU itself takes some as well, and huge pages are not among what it is seen to occupy.
    let (more, _) = live(|detail| detail.resident = Some(Bytes(9 * GIB)));
    assert_eq!(more, whole);
    let (huge, _) = live(|detail| {
        detail.resident = Some(Bytes(GIB));
        detail.needs.hugepages = Some(domicile::observed::MemoryPages::Default);
    });
    assert_eq!(huge, whole);
}

#[test]
fn the_next_look_at_the_same_guest_gives_the_same_plan() {
    let at = |mib| {
        let (_, plan) = live(|detail| detail.resident = Some(Bytes(mib * MIB)));
        serde_json::to_string(&plan).unwrap()
    };
    assert_eq!(at(1500), at(1740));
    assert_ne!(at(1500), at(2900));
}

#[test]
fn a_guest_at_rest_is_carried_once_and_a_busy_one_longer() {
    let dirties =
        |mib| move |detail: &mut VmDetail| detail.dirty_rate = Some(BytesPerSecond(mib * MIB));
    let (rest, plan) = live(dirties(0));
    assert_eq!(rest, live(|_| {}).0);
    assert!(plan.findings.iter().all(|it| it.code != "convergence"));
    let (busy, plan) = live(dirties(50));
    // Half of it again, and half of that, and so on.
    assert!(busy.bytes > Bytes(15 * GIB) && busy.bytes <= rest.bytes.plus(Bytes(8 * GIB)));
    assert!(plan.findings.iter().all(|it| it.code != "convergence"));
}

#[test]
fn a_guest_that_is_faster_than_the_link_is_said_not_to_converge_and_takes_until_its_stall_is_dealt_with()
 {
    let (never, plan) = live(|detail| detail.dirty_rate = Some(BytesPerSecond(120 * MIB)));
    let (rest, _) = live(|_| {});
    let note = plan.findings.iter().find(|it| it.code == "convergence");
    let note = note.unwrap();
    assert_eq!(note.severity, Severity::Note);
    assert!(
        note.message.contains("may not converge"),
        "{}",
        note.message
    );
    assert!(never.duration.0 >= rest.duration.0 + 8 * 1024 * 1000 / 100);
}

/// One goes live, one cold with its disk.
fn two_ways() -> Fleet {
    let mut fleet = Fleet::new(3, 64);
    fleet.vm("kvm1", "web", 4);
    fleet.vm("kvm2", "db", 4);
    fleet.wants("web", "kvm2");
    fleet.wants("db", "kvm3").method = Method::Cold;
    fleet
}

#[test]
fn earlier_applies_correct_what_is_carried_and_nothing_else() {
    let mut fleet = two_ways();
    let reckoned = fleet.plan();
    fleet.desired.calibration = Calibration {
        live: 2000,
        copy: 500,
        downtime: 250,
    };
    let corrected = fleet.plan();
    assert_eq!(acts(&corrected), acts(&reckoned));
    assert_eq!(corrected.hash(), reckoned.hash());
    assert_eq!(corrected.calibration, fleet.desired.calibration);
    let mut seen = (0, 0);
    for (before, after) in reckoned.steps.iter().zip(&corrected.steps) {
        let (before, after) = (&before.forecast, &after.forecast);
        let wanted = match before.bytes {
            _ if before.downtime > Millis::ZERO => {
                seen.0 += 1;
                assert_eq!(after.downtime.0, before.downtime.0 / 4);
                before.duration.0 * 2
            }
            Bytes(0) => before.duration.0,
            _ => {
                seen.1 += 1;
                before.duration.0 / 2
            }
        };
        assert_eq!(
            (after.duration, after.bytes),
            (Millis(wanted), before.bytes)
        );
    }
    assert_eq!(seen, (1, 1), "{:#?}", acts(&reckoned));
}

#[test]
fn the_same_corrections_give_the_same_bytes() {
    let mut fleet = two_ways();
    fleet.desired.calibration.live = 1234;
    let bytes = || serde_json::to_string(&fleet.plan()).unwrap();
    assert_eq!(bytes(), bytes());
    let without = two_ways().plan();
    assert!(
        !serde_json::to_string(&without)
            .unwrap()
            .contains("calibration")
    );
}

#[test]
fn no_correction_makes_a_plan_unsound() {
    for thousandths in [0, 1, 50, 10_000, u32::MAX] {
        let mut fleet = two_ways();
        fleet.desired.calibration = Calibration {
            live: thousandths,
            copy: thousandths,
            downtime: thousandths,
        };
        let plan = fleet.plan();
        assert_eq!(plan.moves.len(), 2, "{thousandths}");
    }
}
