//! What a plan says of how long steps take: by what guests occupy and change.

use domicile::desired::MigrationOverrides;
use domicile::model::{Bytes, BytesPerSecond, Millis};
use domicile::observed::VmDetail;
use domicile::plan::{Action, Forecast, Plan, Severity};

use super::fleet::{Fleet, GIB};

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
