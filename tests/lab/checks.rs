//! What libvirt would refuse when a migration begins is refused by the plan: QEMU's own reasons and version, where it
//! may be asked, and checks of libvirt's Begin and Prepare phases. libvirt's refusal of the same is shown beside it.

use crate::lab::Lab;
use crate::refusals::says;

/// Changes a guest's definition before it is started.
fn edit(lab: &Lab, host: &str, guest: &str, edits: &[&str]) {
    let edits: Vec<String> = edits.iter().map(|edit| format!(" -e '{edit}'")).collect();
    let script = format!(
        "virsh dumpxml --inactive {guest} | sed{} > /tmp/{guest}.xml && virsh define /tmp/{guest}.xml",
        edits.concat()
    );
    lab.on(host, &["sh", "-ec", &script]);
}

/// What libvirt says to a migration of the guest with these options; its volume is made first.
fn refusal(lab: &Lab, guest: &str, from: &str, to: &str, options: &str) -> String {
    let volume = format!("virsh vol-create-as default {guest}-vda.qcow2 16M --format qcow2");
    lab.on(to, &["sh", "-c", &volume]);
    let script = format!(
        "virsh migrate --live --p2p --persistent --undefinesource --copy-storage-all {options} \
         {guest} qemu+tcp://{to}/system 2>&1 || true"
    );
    let said = lab.on(from, &["sh", "-c", &script]);
    let away = format!("virsh vol-delete {guest}-vda.qcow2 default");
    lab.on(to, &["sh", "-c", &away]);
    said
}

fn is_tainted(lab: &Lab, host: &str, guest: &str) -> bool {
    let info = lab.on(host, &["virsh", "dominfo", guest]);
    info.contains("custom monitor control")
}

/// Makes a host's libvirt believe that an older QEMU is installed than the one that its guests were started with, as
/// after a downgrade: what it remembers of QEMU is rewritten, and it is started again.
fn downgrade(lab: &Lab, host: &str) {
    let script = "sed -i 's:<version>1000[0-9]*</version>:<version>9002000</version>:' /var/cache/libvirt/qemu/capabilities/*.xml";
    lab.on(host, &["sh", "-ec", script]);
    lab.lab("kill", &[host]);
    lab.lab("restart", &[host]);
    let version = lab.on(host, &["virsh", "version"]);
    assert!(version.contains("hypervisor: QEMU 9.2.0"), "{version}");
}

/// A device of QEMU that does not migrate, and that libvirt knows nothing of.
const NVME: &[&str] = &[
    "s|<domain type=.qemu.>|<domain type=\"qemu\" xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\">|",
    "s|</domain>|<qemu:commandline><qemu:arg value=\"-device\"/><qemu:arg value=\"nvme,serial=n1,addr=0x10\"/></qemu:commandline></domain>|",
];

const SMALL: [&str; 2] = ["--disk", "vda=default:qcow2:16M"];

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn qemus_own_reasons_and_version_are_known_where_the_manifest_lets_it_be_asked() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "nvme", &[&SMALL[..], &["--off"]].concat());
    edit(&lab, "kvm1", "nvme", NVME);
    lab.on("kvm1", &["virsh", "start", "nvme"]);
    lab.guest("kvm1", "plain", &SMALL);
    let vms = "vms:\n  nvme: { host: kvm2, method: live }\n  plain: { host: kvm2, method: live }\n";

    // Nobody is asked without being allowed to, and nothing is known.
    let silent = lab.plan(&lab.manifest(vms));
    assert!(!silent.contains("qemu-blocker"), "{silent}");
    assert!(!is_tainted(&lab, "kvm1", "plain"));

    let asking = format!("migration: {{ ask_qemu: true }}\n{vms}");
    let plan = lab.plan(&lab.manifest(&asking));
    assert!(says(&plan, "blocks", "qemu-blocker", "nvme"), "{plan}");
    assert!(!says(&plan, "blocks", "qemu-blocker", "plain"), "{plan}");
    assert!(!plan.contains("qemu-last-run"), "{plan}");
    assert!(is_tainted(&lab, "kvm1", "plain"));
    // In the same words as libvirt's.
    let refused = refusal(&lab, "nvme", "kvm1", "kvm2", "");
    let reason = "non-migratable device";
    assert!(
        plan.contains(reason) && refused.contains(reason),
        "{plan}\n{refused}"
    );

    downgrade(&lab, "kvm1");
    downgrade(&lab, "kvm2");
    let manifest = lab.manifest(&asking);
    let plan = lab.plan(&manifest);
    assert!(says(&plan, "blocks", "qemu-last-run", "plain"), "{plan}");
    assert!(plan.contains("it runs with QEMU 10."), "{plan}");
    assert!(!plan.contains("qemu-older"), "{plan}");
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_port_that_is_taken_and_a_setting_that_is_too_new_are_refused_before_libvirt_does_it() {
    let lab = Lab::up(&["kvm1", "kvm2", "old1:bookworm"]);
    let console =
        ["s|</devices>|<graphics type=\"vnc\" port=\"5901\" autoport=\"no\"/></devices>|"];
    for (host, guest) in [("kvm1", "web"), ("kvm2", "twin")] {
        lab.guest(host, guest, &[&SMALL[..], &["--off"]].concat());
        edit(&lab, host, guest, &console);
        lab.on(host, &["virsh", "start", guest]);
    }
    let machine = ["--machine", "pc-i440fx-7.2"];
    lab.guest("old1", "older", &[&SMALL[..], &machine].concat());
    let wanted = "vms:
  web: { host: kvm2, method: live }
  older: { host: kvm2, method: live, migration: { compression: zstd } }
";
    let plan = lab.plan(&lab.manifest(wanted));
    assert!(says(&plan, "blocks", "host-taken", "web"), "{plan}");
    assert!(
        says(&plan, "blocks", "migration-settings", "older"),
        "{plan}"
    );

    let taken = refusal(&lab, "web", "kvm1", "kvm2", "");
    assert!(taken.contains("Failed to reserve port 5901"), "{taken}");
    let options = "--compressed --comp-methods zstd --parallel";
    let unknown = refusal(&lab, "older", "old1", "kvm2", options);
    assert!(unknown.contains("compression method"), "{unknown}");

    // Where it leaves first, both move.
    lab.on("kvm2", &["virsh", "destroy", "twin"]);
    let manifest = lab.manifest("vms:\n  web: { host: kvm2, method: live }\n");
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_shared_pool_is_looked_into_before_a_volume_counts_as_missing() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--disk", "vda=shared:qcow2:16M"]);
    lab.guest("kvm1", "lone", &SMALL);
    let listed = lab.on("kvm2", &["virsh", "vol-list", "shared"]);
    assert!(!listed.contains("web-vda"), "{listed}");
    let claimed = "pools: { default: { shared: true }, shared: { shared: true } }
vms:
  web: { host: kvm2, method: live }
  lone: { host: kvm2, method: live }
";
    let plan = lab.plan(&lab.manifest(claimed));
    assert!(says(&plan, "blocks", "shared-differs", "lone"), "{plan}");
    for word in ["blocks", "note"] {
        assert!(!says(&plan, word, "shared-differs", "web"), "{plan}");
    }
    let listed = lab.on("kvm2", &["virsh", "vol-list", "shared"]);
    assert!(listed.contains("web-vda"), "{listed}");
    let manifest = lab.manifest(
        "pools: { shared: { shared: true } }\nvms:\n  web: { host: kvm2, method: live }\n",
    );
    lab.apply(&manifest);
    lab.assert_moved_live("web");
}
