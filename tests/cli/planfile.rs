//! A saved plan meets hosts that are no longer as they were. The host is one that libvirt's library plays itself
//! (`test:///FILE`): its file can be changed between the plan and the apply, as a host changes.

use super::Place;

const KVM1: &str = include_str!("../data/hosts/two-pools.xml");

/// A VM with one disk; a state of 1 runs, 5 is off.
pub(super) fn vm(name: &str, number: u8, state: u8) -> String {
    format!(
        "  <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
    <name>{name}</name><uuid>00000000-0000-0000-0000-0000000000{number:02}</uuid>
    <memory>1048576</memory><vcpu>1</vcpu><os><type>hvm</type></os>
    <devices><disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='/var/lib/libvirt/images/{name}.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk></devices>
    <test:runstate>{state}</test:runstate>
  </domain>
"
    )
}

/// Makes a host with these VMs of `kvm1.xml`.
pub(super) fn host_has(place: &Place, vms: &[String]) {
    place.write("kvm1.xml", &KVM1.replace("VMS", &vms.concat()));
}

/// The disks of two running VMs shall go to another pool of their host, and `web.plan` says how.
fn planned() -> Place {
    let place = Place::new();
    host_has(&place, &[vm("web-1", 1, 1), vm("db-1", 2, 1)]);
    let host = place.path("kvm1.xml");
    let manifest = format!(
        "version: 1\nhosts:\n  kvm1: test://{}\nvms:\n  web-1: {{ host: kvm1, disks: {{ vda: fast }} }}\n  \
         db-1: {{ host: kvm1, disks: {{ vda: fast }} }}\n",
        host.display()
    );
    place.write("fleet.yaml", &manifest);
    let words = [
        "# web-1 stays on kvm1, disks will be moved",
        "domicile apply web.plan",
    ];
    let _ = place.run("plan --out web.plan").ends(0).says(&words);
    place
}

#[test]
fn a_saved_plan_is_carried_out_without_asking_while_the_host_is_as_it_was() {
    let place = planned();
    // What the manifest says by now does not matter: the file holds the demand that was reviewed.
    place.write("fleet.yaml", "no manifest");
    let _ = place
        .run("apply --simulate web.plan")
        .ends(0)
        .says(&["Apply complete: 2 done"]);
}

#[test]
fn a_saved_plan_for_a_host_that_has_changed_is_refused_with_all_that_changed() {
    let place = planned();
    host_has(&place, &[vm("db-1", 2, 5)]);
    let before = place.read("kvm1.xml");
    for line in [
        "apply web.plan --journal apply.jsonl",
        "apply --simulate web.plan --json --journal apply.jsonl",
    ] {
        let outcome = place.run(line).ends(7).complains(&[
            "the hosts have changed since web.plan was made",
            "so nothing was started",
            "db-1:",
            "web-1: would not be moved any more",
            "plan again with `domicile plan --out FILE`",
        ]);
        assert_eq!(outcome.out, "");
        assert!(!place.path("apply.jsonl").exists());
    }
    assert_eq!(place.read("kvm1.xml"), before);
}

#[test]
fn a_saved_plan_for_a_host_that_does_not_answer_any_more_is_refused() {
    let place = planned();
    std::fs::remove_file(place.path("kvm1.xml")).expect("it was there");
    let _ = place
        .run("apply web.plan --journal apply.jsonl")
        .ends(1)
        .complains(&["no host answered", "kvm1: cannot connect"]);
    assert!(!place.path("apply.jsonl").exists());
}

#[test]
fn a_saved_plan_for_hosts_that_are_other_machines_or_do_not_answer_is_refused() {
    let place = planned();
    let _ = place.run("observe --out then.json").ends(0);
    let mut then: serde_json::Value =
        serde_json::from_str(&place.read("then.json")).expect("a reading is JSON");
    let hosts = &mut then["hosts"];
    hosts["kvm2"] = hosts["kvm1"].clone();
    hosts["kvm2"]["reached"]["vms"] = serde_json::json!({});
    for (host, uuid) in [("kvm1", "11111111"), ("kvm2", "22222222")] {
        hosts[host]["reached"]["uuid"] = uuid.into();
    }
    place.write("then.json", &then.to_string());
    let manifest = place.read("fleet.yaml");
    let two = "hosts:\n  kvm2: qemu+tcp://127.0.0.1:1/system";
    place.write("fleet.yaml", &manifest.replacen("hosts:", two, 1));
    let _ = place
        .run("plan --observed then.json --out web.plan")
        .ends(0);
    let _ = place.run("apply --simulate web.plan").ends(7).complains(&[
        "kvm1 is another machine than before",
        "instead of 11111111",
        "kvm2 does not answer any more",
    ]);
}

#[test]
fn a_step_that_fails_stops_its_move_alone_and_the_end_tells_what_is_left() {
    let place = planned();
    // The host that the library plays can be marked and makes volumes, but it copies no disks.
    let outcome = place.run("apply web.plan").ends(5).says(&[
        "copy disk vda of web-1",
        "FAILED: kvm1: this function is not supported",
        "did not succeed",
        "Apply incomplete: 0 done, 2 failed",
        "`domicile plan` shows what is left",
    ]);
    for step in ["delete volume", "remove the mark"] {
        let done = outcome
            .out
            .lines()
            .any(|line| line.contains(step) && line.contains("done in"));
        assert!(!done, "{}", outcome.out);
    }
}

#[test]
fn hosts_that_tell_no_uuid_may_be_one_machine_and_are_not_planned_with() {
    let place = planned();
    let manifest = place.read("fleet.yaml");
    place.write("kvm2.xml", &KVM1.replace("VMS", ""));
    let two = format!(
        "hosts:\n  kvm2: test://{}",
        place.path("kvm2.xml").display()
    );
    place.write("fleet.yaml", &manifest.replacen("hosts:", &two, 1));
    let _ = place.run("plan").ends(3).says(&[
        "blocks same-host-uuid",
        "kvm1 and kvm2 tell no host UUID, so they may be one machine",
        "set a host_uuid of its own in libvirtd.conf on each",
    ]);
}

#[test]
fn a_plan_file_of_a_newer_domicile_is_refused() {
    let place = planned();
    let ours = "\"format_version\": \"1.0\"";
    let text = place.read("web.plan");
    place.write(
        "web.plan",
        &text.replacen(ours, "\"format_version\": \"2.0\"", 1),
    );
    for line in ["show web.plan", "apply web.plan"] {
        let words = [
            "web.plan has format_version 2.0",
            "written by a newer Domicile",
        ];
        let _ = place.run(line).ends(1).complains(&words);
    }
}

#[test]
fn a_plan_file_that_was_cut_off_is_refused() {
    let place = planned();
    let text = place.read("web.plan");
    place.write("web.plan", &text[..text.len() / 2]);
    for line in ["show web.plan", "apply web.plan"] {
        let _ = place.run(line).ends(1).complains(&["web.plan is not JSON"]);
    }
}
