//! What an earlier apply began and what goes on without it: migrations are joined, copies of disks are ended and made anew.

use domicile::model::{Bytes, JobKind, MoveMark, PowerState, RunState, VolumeName};
use domicile::plan::check::check;
use domicile::plan::{Action, Plan};

use super::fleet::{Fleet, GIB, acts, blocks, host_name, pool_name};
use super::recovery::{cold, interrupted, mark, power};

/// A VM whose migration goes on.
fn under_way() -> Fleet {
    let mut fleet = interrupted(&[
        ("kvm1", power(RunState::Running, "booted")),
        ("kvm2", power(RunState::Paused, "migration")),
    ]);
    let here = fleet.host("kvm1").vms.get_mut("web").unwrap();
    here.detail.as_mut().unwrap().job = Some(JobKind::MigrationOut);
    fleet
}

#[test]
fn a_migration_under_way_is_awaited() {
    assert_eq!(
        acts(&under_way().plan()),
        [
            "await the migration of web from kvm1 to kvm2, which is in flight",
            "delete volume kvm1:default/web.qcow2",
            "remove the mark of web on kvm2"
        ]
    );
}

#[test]
fn what_waits_for_its_room_is_in_the_same_plan() {
    let mut fleet = under_way();
    fleet.vm("kvm2", "big", 60);
    fleet.vm("kvm2", "small", 1);
    fleet.wants("big", "kvm1");
    fleet.host("kvm1").memory = Bytes(62 * GIB);
    let plan = fleet.plan();
    assert_eq!(blocks(&plan), [""; 0], "{:#?}", plan.findings);
    assert!(acts(&plan).contains(&"migrate big live from kvm2 to kvm1".to_owned()));
}

/// Its original is still there, and goes before the copy that is to take its place is made.
#[test]
fn a_vm_that_has_arrived_and_is_wanted_back_finds_the_place_of_its_original_free() {
    let mut fleet = interrupted(&[("kvm2", power(RunState::Running, "migrated"))]);
    fleet.wants("web", "kvm1");
    let plan = fleet.plan();
    assert_eq!(blocks(&plan), [""; 0], "{:#?}", plan.findings);
    let acts = acts(&plan);
    let place = |act: &str| acts.iter().position(|one| one == act);
    let goes = place("delete volume kvm1:default/web.qcow2");
    let comes = place("create volume kvm1:default/web.qcow2");
    assert!(goes.is_some() && goes < comes, "{acts:?}");
    assert!(acts.contains(&"migrate web live from kvm2 to kvm1".into()));
}

/// By now the manifest leaves no room for it anywhere it may go.
#[test]
fn a_vm_that_was_stopped_and_finds_no_room_is_told_to_be_off() {
    let mut fleet = interrupted(&[("kvm2", power(RunState::ShutOff, "shut down"))]);
    fleet.vm("kvm2", "big", 62);
    let plan = fleet.plan();
    let told = &plan.findings[0];
    assert_eq!(blocks(&plan), ["capacity"], "{:#?}", plan.findings);
    let off = "its start on kvm2, where an earlier apply has left it off, needs 4.0 GiB (memory of kvm2), and 2.0 GiB";
    assert!(told.message.starts_with(off), "{}", told.message);
}

/// Somebody wants it back while it is on its way: only where it has arrived can be seen how.
#[test]
fn a_vm_that_is_wanted_elsewhere_meanwhile_is_awaited_first_and_the_plan_says_so() {
    let mut fleet = under_way();
    fleet.wants("web", "kvm1");
    let mut plan = fleet.plan();
    assert!(acts(&plan)[0].starts_with("await the migration of web"));
    assert_eq!(plan.finished_first().len(), 1, "{:#?}", plan.findings);
    assert_eq!(blocks(&plan), [""; 0]);

    plan.findings.clear();
    let faults = check(&fleet.desired, &fleet.observed, &plan);
    assert!(!faults.is_empty(), "that it ends elsewhere must be told");
}

/// What is wanted of its disk in the end, by the pool in which it was and the one in which it arrives.
#[test]
fn a_vm_on_its_way_is_compared_with_the_manifest_by_where_its_disks_arrive() {
    let finished_first = |arrives: &str, wanted: Option<&str>| {
        let mut fleet = under_way();
        let to = (pool_name(arrives), VolumeName::new("web-1.qcow2").unwrap());
        for host in ["kvm1", "kvm2"] {
            let vm = fleet.host(host).vms.get_mut("web").unwrap();
            let mark = vm.detail.as_mut().unwrap().mark.as_mut().unwrap();
            mark.created_volumes = vec![to.clone()];
            mark.made = vec![to.clone()];
        }
        let copy = fleet.host("kvm2").pools["default"].volumes["web.qcow2"].clone();
        let pool = fleet.host("kvm2").pools.get_mut(arrives).unwrap();
        pool.volumes.insert(to.1, copy);
        let disks = &mut fleet.wants("web", "kvm2").disks;
        disks.extend(wanted.map(|pool| ("vda".parse().unwrap(), pool_name(pool))));
        let plan = fleet.plan();
        assert_eq!(blocks(&plan), [""; 0], "{:#?}", plan.findings);
        !plan.finished_first().is_empty()
    };
    assert!(!finished_first("default", None));
    assert!(!finished_first("default", Some("default")));
    assert!(finished_first("default", Some("fast")));
    assert!(!finished_first("fast", Some("fast")));
    assert!(finished_first("fast", Some("default")));
    assert!(!finished_first("fast", None));
}

#[test]
fn a_vm_that_has_to_be_started_first_is_judged_for_its_way_on_when_it_runs() {
    let mut fleet = interrupted(&[("kvm2", power(RunState::ShutOff, "shut down"))]);
    cold(&mut fleet, "kvm2");
    fleet.wants("web", "kvm1");
    let plan = fleet.plan();
    assert_eq!(plan.finished_first().len(), 1, "{:#?}", plan.findings);
    assert!(acts(&plan).contains(&"start web on kvm2".to_owned()));
}

/// One that starts with its host and was to go to another, and shall stay by now, with its disk in another pool.
fn turned_back(power: PowerState) -> Fleet {
    let mut fleet = interrupted(&[("kvm1", power)]);
    let vm = fleet.host("kvm1").vms.get_mut("web").unwrap();
    let mark = vm.detail.as_mut().unwrap().mark.as_mut().unwrap();
    mark.autostart = true;
    let wanted = fleet.wants("web", "kvm1");
    let fast = pool_name("fast");
    wanted.disks.insert("vda".parse().unwrap(), fast);
    fleet
}

/// The autostart that its mark withholds, of each mark that a plan writes.
fn marks(plan: &Plan) -> Vec<bool> {
    let marks = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Mark { mark, .. } => Some(mark.autostart),
        _ => None,
    });
    marks.collect()
}

/// Its disks are looked at when it runs again, and it runs again at once.
#[test]
fn a_vm_that_we_shut_down_runs_again_first_where_the_manifest_turned_back_and_wants_another_pool() {
    let mut fleet = turned_back(power(RunState::ShutOff, "shut down"));
    cold(&mut fleet, "kvm1");
    let plan = fleet.plan();
    assert_eq!(plan.finished_first().len(), 1, "{:#?}", plan.findings);
    assert!(acts(&plan).contains(&"start web on kvm1".to_owned()));
    assert_eq!(marks(&plan), [false; 0]);
}

/// The mark of an earlier apply knows that it starts with its host, and the new mark takes the place of that one.
#[test]
fn a_vm_of_which_only_disks_move_by_now_starts_with_its_host_again_in_the_end() {
    let plan = turned_back(power(RunState::Running, "booted")).plan();
    assert_eq!(marks(&plan), [true]);
}

#[test]
fn a_migration_whose_destination_is_only_just_starting_is_joined_too() {
    let mut fleet = interrupted(&[
        ("kvm1", power(RunState::Running, "booted")),
        ("kvm2", power(RunState::Paused, "starting up")),
    ]);
    let there = fleet.host("kvm2").vms.get_mut("web").unwrap();
    there.detail.as_mut().unwrap().job = Some(JobKind::Other);
    assert!(acts(&fleet.plan())[0].starts_with("await the migration of web"));
}

/// The move of a VM that is off, found while QEMU carries it from a source that was started paused for that.
fn carried(was_active: bool) -> Vec<String> {
    let mut fleet = interrupted(&[
        ("kvm1", power(RunState::Paused, "starting up")),
        ("kvm2", power(RunState::Paused, "migration")),
    ]);
    for (host, job) in [
        ("kvm1", JobKind::MigrationOut),
        ("kvm2", JobKind::MigrationIn),
    ] {
        cold(&mut fleet, host);
        let vm = fleet.host(host).vms.get_mut("web").unwrap();
        let detail = vm.detail.as_mut().unwrap();
        detail.job = Some(job);
        detail.mark.as_mut().unwrap().was_active = was_active;
    }
    acts(&fleet.plan())
}

#[test]
fn a_vm_that_is_carried_while_it_is_off_is_ended_where_it_arrives_and_stays_off() {
    assert_eq!(
        carried(false),
        [
            "await the migration of web from kvm1 to kvm2, which is in flight",
            "end the paused web on kvm2",
            "delete volume kvm1:default/web.qcow2",
            "remove the mark of web on kvm2"
        ]
    );
}

#[test]
fn a_vm_that_was_shut_down_to_be_carried_is_started_where_it_arrives() {
    let acts = carried(true);
    assert_eq!(
        acts[1..3],
        ["end the paused web on kvm2", "start web on kvm2"]
    );
}

/// A VM of whose disk QEMU makes a copy at this path, since an apply was to move it to the pool `fast`.
fn copied_to(path: &str) -> Fleet {
    let mut fleet = Fleet::new(2, 64);
    let volume = VolumeName::new("web.qcow2").unwrap();
    let copy = vec![(pool_name("fast"), volume.clone())];
    let detail = fleet.vm("kvm1", "web", 4).detail.as_mut().unwrap();
    detail.job = Some(JobKind::Block);
    detail.disks[0].copied_to = Some(path.to_owned());
    detail.mark = Some(MoveMark {
        to: host_name("kvm1"),
        to_uuid: "00000000-0000-0000-0000-000000000001".into(),
        created_volumes: copy.clone(),
        made: copy,
        ..mark()
    });
    let pools = &mut fleet.host("kvm1").pools;
    let mut half = pools["default"].volumes[&volume].clone();
    half.path = "/srv/fast/web.qcow2".into();
    pools.get_mut("fast").unwrap().volumes.insert(volume, half);
    fleet
}

/// It would go on for ever: QEMU writes to both until somebody ends it.
#[test]
fn a_copy_of_a_disk_that_nobody_waits_for_is_ended_and_made_again() {
    let mut fleet = copied_to("/srv/fast/web.qcow2");
    let wanted = fleet.wants("web", "kvm1");
    wanted
        .disks
        .insert("vda".parse().unwrap(), pool_name("fast"));
    assert_eq!(
        acts(&fleet.plan()),
        [
            "delete volume kvm1:fast/web.qcow2",
            "mark web on kvm1",
            "create volume kvm1:fast/web.qcow2",
            "copy disk vda of web on kvm1 to /srv/fast/web.qcow2 and switch to it",
            "delete volume kvm1:default/web.qcow2",
            "remove the mark of web on kvm1",
        ]
    );
    fleet.wants("web", "kvm1");
    assert_eq!(
        acts(&fleet.plan()),
        [
            "delete volume kvm1:fast/web.qcow2",
            "remove the mark of web on kvm1",
        ]
    );
}

#[test]
fn a_copy_of_a_disk_that_is_not_ours_is_waited_for() {
    let mut fleet = copied_to("/srv/fast/backup.qcow2");
    let wanted = fleet.wants("web", "kvm1");
    wanted
        .disks
        .insert("vda".parse().unwrap(), pool_name("fast"));
    let plan = fleet.plan();
    assert_eq!(blocks(&plan), ["job-active"]);
    assert_eq!(acts(&plan), [""; 0]);
}

/// The copy of a base on storage that several hosts see, made for a move that did not arrive, and used by now by a clone
/// that another move has brought to its own host.
#[test]
fn a_base_that_was_made_for_the_move_stays_where_another_host_uses_it() {
    let mut fleet = interrupted(&[("kvm1", power(RunState::Running, "booted"))]);
    fleet.clone_of_golden("kvm1", "other");
    let here = fleet.host("kvm1");
    let mut nas = here.pools["default"].clone();
    nas.volumes.retain(|name, _| name.as_str() != "web.qcow2");
    nas.storage = Some("nfs://nas/export".into());
    nas.path = "/mnt/nas".into();
    let moved = |path: &str| path.replace("/var/lib/libvirt/images", "/mnt/nas");
    for volume in nas.volumes.values_mut() {
        volume.path = moved(&volume.path);
        let detail = volume.detail.as_mut().unwrap();
        if let Some((path, _)) = &mut detail.backing {
            *path = moved(path);
        }
    }
    let other = here.vms.get_mut("other").unwrap();
    let disk = &mut other.detail.as_mut().unwrap().disks[0];
    disk.path = disk.path.as_deref().map(moved);
    disk.volume.as_mut().unwrap().0 = pool_name("nas");
    disk.backing[0].path = moved(&disk.backing[0].path);
    disk.backing[0].volume.as_mut().unwrap().0 = pool_name("nas");
    let web = here.vms.get_mut("web").unwrap();
    let mark = web.detail.as_mut().unwrap().mark.as_mut().unwrap();
    let base = (pool_name("nas"), VolumeName::new("golden.qcow2").unwrap());
    mark.created_bases.push(base.clone());
    mark.made.push(base);
    for host in ["kvm1", "kvm2"] {
        fleet.host(host).pools.insert(pool_name("nas"), nas.clone());
    }
    let acts = acts(&fleet.plan());
    assert!(
        acts.contains(&"delete volume kvm2:default/web.qcow2".into()),
        "{acts:?}"
    );
    assert!(!acts.iter().any(|act| act.contains("golden")), "{acts:?}");
}
