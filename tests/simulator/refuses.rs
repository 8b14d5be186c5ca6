//! What simulated hosts refuse, each with the words of the reason.

use domicile::model::{Bytes, RunState};
use domicile::observed::QemuAnswer;
use domicile::plan::CopyMode;
use domicile::simulator::Simulator;

use super::{
    copy, create, define, delete, migrate, perform, refusal, shut_down, start, two_hosts, undefine,
};
use crate::planner::fleet::{Fleet, GIB, pool_name, vm_name};

fn pool<'f>(fleet: &'f mut Fleet, host: &str) -> &'f mut domicile::observed::Pool {
    fleet
        .host(host)
        .pools
        .get_mut(&pool_name("default"))
        .unwrap()
}

#[test]
fn a_volume_of_a_name_that_is_taken() {
    let hosts = Simulator::new(two_hosts().observed);
    assert!(refusal(&hosts, &create("kvm1", "web.qcow2")).contains("exists already"));
}

#[test]
fn anything_in_a_pool_that_is_not_active() {
    let mut fleet = two_hosts();
    pool(&mut fleet, "kvm2").active = false;
    let hosts = Simulator::new(fleet.observed);
    assert!(refusal(&hosts, &create("kvm2", "web.qcow2")).contains("not active"));
}

#[test]
fn a_copy_for_which_the_pool_has_no_room() {
    let mut fleet = two_hosts();
    fleet.vm("kvm1", "web", 4).power.state = RunState::ShutOff;
    pool(&mut fleet, "kvm2").available = Bytes(GIB - 1);
    let hosts = Simulator::new(fleet.observed);
    assert!(refusal(&hosts, &copy("kvm1", "kvm2")).contains("of room"));
}

#[test]
fn a_copy_of_a_disk_that_a_guest_writes_to() {
    let hosts = Simulator::new(two_hosts().observed);
    assert!(refusal(&hosts, &copy("kvm1", "kvm2")).contains("writes to"));
}

#[test]
fn the_deletion_of_a_volume_in_use() {
    let hosts = Simulator::new(two_hosts().observed);
    assert!(refusal(&hosts, &delete("kvm1", "web.qcow2")).contains("web on kvm1 uses"));
}

#[test]
fn the_deletion_of_a_base_below_a_disk() {
    let mut fleet = two_hosts();
    fleet.clone_of_golden("kvm1", "clone");
    let hosts = Simulator::new(fleet.observed);
    assert!(refusal(&hosts, &delete("kvm1", "golden.qcow2")).contains("clone on kvm1 uses"));
}

#[test]
fn a_deletion_on_shared_storage_without_asking_every_host_that_sees_it() {
    let mut fleet = two_hosts();
    for host in ["kvm1", "kvm2"] {
        pool(&mut fleet, host).storage = Some("nfs://nas/vms".into());
    }
    let hosts = Simulator::new(fleet.observed);
    assert!(refusal(&hosts, &delete("kvm1", "old.qcow2")).contains("kvm2 sees"));
}

#[test]
fn a_migration_whose_volumes_are_missing_or_on_storage_of_its_own() {
    let hosts = Simulator::new(two_hosts().observed);
    assert!(refusal(&hosts, &migrate(CopyMode::Full)).contains("has no volume"));
    assert!(refusal(&hosts, &migrate(CopyMode::None)).contains("has no /var"));
    perform(&hosts, &create("kvm2", "web.qcow2")).unwrap();
    assert!(refusal(&hosts, &migrate(CopyMode::None)).contains("is not the storage of"));
    perform(&hosts, &migrate(CopyMode::Full)).unwrap();
}

#[test]
fn a_migration_to_a_host_without_the_memory_or_the_bridge_or_with_a_vm_of_the_name() {
    let mut fleet = two_hosts();
    fleet.host("kvm2").memory = Bytes(3 * GIB);
    let hosts = Simulator::new(fleet.observed);
    assert!(refusal(&hosts, &migrate(CopyMode::Full)).contains("4.0 GiB of memory"));

    let mut fleet = two_hosts();
    fleet.host("kvm2").bridges.clear();
    let hosts = Simulator::new(fleet.observed);
    perform(&hosts, &create("kvm2", "web.qcow2")).unwrap();
    assert!(refusal(&hosts, &migrate(CopyMode::Full)).contains("no bridge br0"));

    let mut fleet = two_hosts();
    fleet.vm("kvm2", "web", 1);
    let hosts = Simulator::new(fleet.observed);
    assert!(refusal(&hosts, &migrate(CopyMode::Full)).contains("another VM of the name web"));
}

#[test]
fn a_migration_that_qemu_has_reasons_against() {
    let mut fleet = two_hosts();
    let vms = &mut fleet.host("kvm1").vms;
    let detail = vms.get_mut(&vm_name("web")).unwrap().detail.as_mut();
    detail.unwrap().qemu = Some(QemuAnswer::Answered {
        version: 10_000_002,
        blockers: vec!["its device does not migrate".into()],
    });
    let hosts = Simulator::new(fleet.observed);
    assert!(refusal(&hosts, &migrate(CopyMode::Full)).contains("does not migrate"));
}

#[test]
fn a_migration_of_a_vm_with_snapshots() {
    let mut fleet = two_hosts();
    fleet
        .vm("kvm1", "web", 4)
        .detail
        .as_mut()
        .unwrap()
        .snapshots = vec!["before".into()];
    let hosts = Simulator::new(fleet.observed);
    assert!(refusal(&hosts, &migrate(CopyMode::Full)).contains("snapshots"));
}

#[test]
fn to_undefine_what_nobody_else_has_or_what_runs() {
    let hosts = Simulator::new(two_hosts().observed);
    assert!(refusal(&hosts, &undefine("kvm1", "kvm2")).contains("is active on kvm1"));
    perform(&hosts, &shut_down("kvm1")).unwrap();
    assert!(refusal(&hosts, &undefine("kvm1", "kvm2")).contains("not defined on kvm2"));
}

#[test]
fn to_start_what_runs_on_a_host_that_was_to_be_asked() {
    let hosts = Simulator::new(two_hosts().observed);
    perform(&hosts, &shut_down("kvm1")).unwrap();
    perform(&hosts, &copy("kvm1", "kvm2")).unwrap();
    perform(&hosts, &define()).unwrap();
    perform(&hosts, &start("kvm1", &["kvm2"])).unwrap();
    assert_eq!(
        refusal(&hosts, &start("kvm2", &["kvm1"])),
        "web is active on kvm1"
    );
    assert_eq!(hosts.breaches(), []);
}

#[test]
fn any_act_on_a_vm_whose_definition_was_not_read() {
    let mut fleet = two_hosts();
    fleet.vm("kvm1", "web", 4).detail = None;
    let hosts = Simulator::new(fleet.observed);
    assert!(refusal(&hosts, &shut_down("kvm1")).contains("does not hold the definition"));
}
