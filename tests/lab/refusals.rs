//! What would fail half way is refused by `plan`, with the rule's code, and the hosts are as before.

use crate::lab::Lab;

/// Whether the plan has a finding of that gravity and code about that VM.
pub(crate) fn says(plan: &str, word: &str, code: &str, vm: &str) -> bool {
    let mut in_finding = false;
    plan.lines().any(|line| {
        if line.trim_start().starts_with(&format!("{word} {code}")) {
            in_finding = true;
        } else if in_finding && !line.starts_with("    ") {
            in_finding = false;
        }
        in_finding && line.contains(&format!("VM {vm}"))
    })
}

/// What makes kvm1 and its VMs special; `NAME` in a command is the VM's.
const SETUP: &[(&str, &str)] = &[
    ("machine", "true"),
    ("snapshot", "virsh snapshot-create-as NAME before-upgrade"),
    (
        "network",
        "echo \"<network><name>lan7</name><forward mode='bridge'/><bridge name='br0'/></network>\" > /tmp/net.xml
         virsh net-define /tmp/net.xml && virsh net-start lan7
         virsh attach-interface NAME network lan7 --config",
    ),
    (
        "full",
        "qemu-io -c 'write -P 0x5a 0 40M' /var/lib/libvirt/images/NAME-vda.qcow2",
    ),
    ("name", "true"),
    ("volume", "true"),
    (
        "media",
        "head -c 1M /dev/zero > /srv/setup.iso
         virsh attach-disk NAME /srv/setup.iso sda --type cdrom --config",
    ),
    (
        "outside",
        "head -c 1M /dev/zero > /srv/outside.raw
         virsh attach-disk NAME /srv/outside.raw vdb --config --subdriver raw",
    ),
    (
        "bridge",
        "ip link add br-own type bridge
         virsh attach-interface NAME bridge br-own --config",
    ),
    (
        "unshared",
        "virsh vol-create-as bulk NAME-vdb.qcow2 8M --format qcow2
         virsh attach-disk NAME /srv/bulk/NAME-vdb.qcow2 vdb --config --subdriver qcow2",
    ),
    (
        "device",
        "echo \"<hostdev mode='subsystem' type='pci'><source><address bus='3' slot='0' function='0'/></source></hostdev>\" > /tmp/pci.xml
         virsh attach-device NAME /tmp/pci.xml --config",
    ),
];

const WANTED: &str = "pools: { bulk: { shared: true } }
vms:
  machine: old1
  snapshot: { host: kvm2, migration: { cold_copy: direct } }
  network: kvm2
  full: { host: kvm2, disks: { vda: tiny } }
  name: kvm2
  volume: kvm2
  media: kvm2
  outside: kvm2
  bridge: { host: old1, method: cold }
  unshared: kvm2
  device: kvm2
  clone: kvm2
  stays: kvm1
  saved: kvm2
  older: { host: old1, method: live }
  busy: kvm2
";

const REFUSED: &[(&str, &str)] = &[
    ("machine-type", "machine"),
    ("snapshots", "snapshot"),
    ("network-missing", "network"),
    ("pool-space", "full"),
    ("name-taken", "name"),
    ("volume-taken", "volume"),
    ("local-media", "media"),
    ("foreign-path", "outside"),
    ("network-missing", "bridge"),
    ("shared-differs", "unshared"),
    ("device", "device"),
    ("managed-save", "saved"),
    ("qemu-older", "older"),
    ("job-active", "busy"),
];

/// The one that goes to an older host in all but its bridge fits there.
fn machine_of(vm: &str) -> &'static str {
    match vm {
        "bridge" => "pc-i440fx-7.2",
        _ => "pc",
    }
}

fn special_vms(lab: &Lab) {
    for (vm, commands) in SETUP {
        lab.guest("kvm1", vm, &["--off", "--machine", machine_of(vm)]);
        lab.on("kvm1", &["sh", "-ec", &commands.replace("NAME", vm)]);
    }
    lab.guest("kvm2", "name", &["--off", "--disk", "vda=bulk:qcow2:8M"]);
    let taken = [
        "virsh",
        "vol-create-as",
        "default",
        "volume-vda.qcow2",
        "8M",
    ];
    lab.on("kvm2", &taken);
    let other = "virsh vol-create-as bulk unshared-vdb.qcow2 9M --format qcow2";
    lab.on("kvm2", &["sh", "-c", other]);
    lab.lab("base", &["kvm1", "default", "golden.qcow2", "8"]);
    for clone in ["clone", "stays"] {
        let disk = "vda=default:qcow2:8M:golden.qcow2";
        lab.guest("kvm1", clone, &["--disk", disk, "--off"]);
    }
    lab.guest("kvm1", "saved", &[]);
    lab.on("kvm1", &["virsh", "managedsave", "saved"]);
    lab.guest("kvm1", "older", &["--machine", "pc-i440fx-7.2"]);
    lab.guest("kvm1", "busy", &[]);
    let copy = "virsh blockcopy busy vda --dest /srv/fast/busy-copy.qcow2 --transient-job --wait";
    lab.on("kvm1", &["sh", "-ec", copy]);
}

fn everything(lab: &Lab) -> String {
    let on = |host: &str| {
        let vms = lab.on(host, &["virsh", "list", "--all"]);
        let volumes = ["default", "fast", "tiny"].map(|pool| lab.volumes(host, pool).join(" "));
        format!("{vms}\n{}", volumes.join("\n"))
    };
    ["kvm1", "kvm2", "old1"].map(on).join("\n")
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn what_libvirt_would_refuse_on_the_way_is_refused_by_the_plan() {
    let lab = Lab::up(&["kvm1", "kvm2", "old1:bookworm"]);
    special_vms(&lab);
    let manifest = lab.manifest(WANTED);
    let path = manifest.to_str().unwrap();
    let before = everything(&lab);
    let plan = lab.plan(&manifest);
    for (code, vm) in REFUSED {
        assert!(
            says(&plan, "blocks", code, vm),
            "no {code} about {vm}:\n{plan}"
        );
    }
    assert!(says(&plan, "note", "base-in-use", "clone"), "{plan}");
    let apply = lab.domicile(&["apply", "-f", path, "--auto-approve"]);
    assert_eq!(apply.status.code(), Some(3), "apply refuses, too");
    assert_eq!(everything(&lab), before, "something was changed");
    // What does not depend on a refusal can be done on its own.
    let one = lab.domicile(&["apply", "-f", path, "--target", "clone", "--auto-approve"]);
    assert!(one.status.success());
    assert!(lab.vms("kvm2").contains(&"clone".to_owned()));
    lab.on("kvm1", &["virsh", "blockjob", "busy", "vda", "--abort"]);
}

/// A guest that changes its memory faster than a link of 40 Mbit/s carries it.
fn busy_guest(lab: &Lab) {
    lab.guest(
        "kvm1",
        "web",
        &["--disk", "vda=shared:qcow2:32M", "--dirty", "40"],
    );
    for host in ["kvm1", "kvm2"] {
        lab.lab("link", &[host, "40mbit"]);
    }
}

fn ladder(lab: &Lab, rungs: &str) -> std::path::PathBuf {
    lab.manifest(&format!(
        "pools: {{ shared: {{ shared: true }} }}\nmigration: {{ on_stall: {rungs}, stall_after: 5s, bandwidth: 40Mbit/s }}\nvms:\n  web: kvm2\n"
    ))
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_guest_that_outruns_the_link_runs_on_where_it_was_and_then_moves_cold_where_that_is_allowed() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    busy_guest(&lab);
    lab.on(
        "kvm1",
        &["virsh", "domdirtyrate-calc", "web", "--seconds", "2"],
    );
    let manifest = ladder(&lab, "[abort]");
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(500));
        if says(&lab.plan(&manifest), "note", "convergence", "web") {
            break;
        }
    }
    let plan = lab.plan(&manifest);
    assert!(says(&plan, "note", "convergence", "web"), "{plan}");
    assert!(plan.contains("its guest changed"), "{plan}");
    assert_eq!(lab.vms("kvm2"), [""; 0], "planning changed something");
    let output = lab.domicile(&["apply", "-f", manifest.to_str().unwrap(), "--auto-approve"]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(lab.vms("kvm1"), ["web"]);
    lab.assert_beats_on("web");
    assert_eq!(lab.beats("web").boots, 1);

    let manifest = ladder(&lab, "[cold]");
    let plan = lab.plan(&manifest);
    assert!(says(&plan, "note", "convergence", "web"), "{plan}");
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_cold("web");
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_guest_that_outruns_the_link_arrives_by_post_copy_without_a_reboot() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    busy_guest(&lab);
    let manifest = ladder(&lab, "[post-copy]");
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_beats_on("web");
    let beats = lab.beats("web");
    assert_eq!((beats.boots, beats.twice), (1, false), "{beats:?}");
}
