//! What libvirt answers about a VM before it moves is what libvirt does when it moves.

use std::collections::BTreeMap;

use domicile::model::VmName;
use domicile::observed::{CpuFit, DomainFit, Fit, Host, Observed, Reading};

use crate::lab::Lab;

fn host(observed: &Observed, name: &str) -> Host {
    match &observed.hosts[name] {
        Reading::Reached(host) => (**host).clone(),
        Reading::Unreachable { reason, .. } => panic!("{name}: {reason}"),
    }
}

fn observe(lab: &Lab, vms: &str) -> Observed {
    let manifest = lab.manifest(vms);
    let output = lab.domicile(&["observe", "--json", "-f", manifest.to_str().unwrap()]);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn reasons(domain: &DomainFit) -> String {
    match domain {
        DomainFit::Refused(reasons) => reasons.join("; "),
        DomainFit::Supported => "supported".into(),
        DomainFit::Unknown(reason) => panic!("{reason}"),
    }
}

fn cpu(fits: &BTreeMap<VmName, Fit>, vm: &str) -> CpuFit {
    fits[vm].running.clone().unwrap().cpu
}

/// A VM that is off, made from another one's persistent definition.
fn variant(lab: &Lab, host: &str, of: &str, name: &str, edits: &[&str]) {
    let edits: Vec<String> = edits.iter().map(|edit| format!(" -e '{edit}'")).collect();
    let edits = edits.concat();
    let script = format!(
        "virsh dumpxml --inactive {of} | sed -e '/<uuid>/d' -e 's:<name>.*<:<name>{name}<:'{edits} > /tmp/{name}.xml
         virsh define /tmp/{name}.xml"
    );
    lab.on(host, &["sh", "-c", &script]);
}

/// libvirt's words when it refuses to migrate the guest, whose volume is made first.
fn refusal(lab: &Lab, name: &str, from: &str, to: &str) -> String {
    let volume = format!("virsh vol-create-as default {name}-vda.qcow2 16M --format qcow2");
    lab.on(to, &["sh", "-c", &volume]);
    let flags = "--live --p2p --persistent --undefinesource --copy-storage-all";
    let script = format!("virsh migrate {flags} {name} qemu+tcp://{to}/system 2>&1 || true");
    lab.on(from, &["sh", "-c", &script])
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_cpu_that_the_destination_cannot_give_is_known_before_libvirt_refuses_it() {
    let lab = Lab::up(&["kvm1", "kvm2", "old1:bookworm"]);
    let disk = [
        "--disk",
        "vda=default:qcow2:16M",
        "--machine",
        "pc-i440fx-7.2",
    ];
    let guest = |host, name, cpu: &[&str]| lab.guest(host, name, &[&disk, cpu].concat());
    guest("kvm1", "plain", &[]);
    guest("kvm1", "newer", &["--cpu", "host-model"]);
    guest("kvm1", "same", &["--cpu", "host-model"]);
    guest("kvm1", "maximum", &["--cpu", "maximum"]);
    guest("old1", "older", &["--cpu", "host-model"]);
    let vms = "vms:\n  plain: old1\n  newer: old1\n  same: kvm2\n  maximum: old1\n  older: kvm2\n";
    let observed = observe(&lab, vms);
    let (old1, kvm2) = (host(&observed, "old1").fits, host(&observed, "kvm2").fits);
    assert_eq!(cpu(&old1, "plain"), CpuFit::Compatible { identical: false });
    assert_eq!(cpu(&kvm2, "same"), CpuFit::Compatible { identical: true });
    assert!(matches!(cpu(&old1, "maximum"), CpuFit::Unknown(_)));
    for (fits, vm, from, to) in [
        (&old1, "newer", "kvm1", "old1"),
        (&kvm2, "older", "old1", "kvm2"),
    ] {
        let CpuFit::Incompatible(reason) = cpu(fits, vm) else {
            panic!("{vm}: {:?}", fits[vm]);
        };
        // Both name the same feature, this one before anything moves.
        let missing = reason.split_whitespace().last().unwrap();
        let refusal = refusal(&lab, vm, from, to);
        assert!(refusal.contains(missing), "{reason}: {refusal}");
        // A start there makes a CPU of that host's.
        let starting = &fits[vm].starting;
        assert_eq!(starting.cpu, CpuFit::Compatible { identical: false });
        assert_eq!(reasons(&starting.domain), "supported");
    }
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn what_the_destination_cannot_make_is_known_by_name() {
    let lab = Lab::up(&["kvm1", "old1:bookworm"]);
    lab.guest("kvm1", "new", &["--off", "--machine", "pc-q35-10.0"]);
    lab.guest("kvm1", "plain", &["--off", "--machine", "pc-i440fx-7.2"]);
    lab.guest("old1", "old", &["--off", "--machine", "pc-i440fx-7.2"]);
    let own = "/usr/local/bin/qemu-own";
    lab.on("kvm1", &["ln", "-s", "/usr/bin/qemu-system-x86_64", own]);
    let emulator = format!("s:<emulator>.*<:<emulator>{own}<:");
    variant(&lab, "kvm1", "plain", "built", &[&emulator]);
    let spice = "s:</devices>:<graphics type=\"spice\" autoport=\"yes\"/></devices>:";
    variant(&lab, "old1", "old", "spicy", &[spice]);
    let filter = "s:</devices>:<interface type=\"bridge\"><source bridge=\"br0\"/><filterref filter=\"clean-traffic\"/></interface></devices>:";
    variant(&lab, "kvm1", "plain", "filtered", &[filter]);
    let observed = observe(
        &lab,
        "vms:\n  new: old1\n  built: old1\n  filtered: old1\n  spicy: kvm1\n",
    );
    let (old1, kvm1) = (host(&observed, "old1"), host(&observed, "kvm1"));
    let told = |host: &Host, vm: &str| reasons(&host.fits[vm].starting.domain);
    assert!(told(&old1, "new").contains("pc-q35-10.0"));
    assert!(told(&old1, "built").contains(own));
    assert_eq!(told(&old1, "filtered"), "supported");
    assert!(told(&kvm1, "spicy").contains("it offers no graphics of type spice"));
    assert!(old1.fits.values().all(|fit| fit.running.is_none()));
    let filters = old1.offers.nwfilters.clone().unwrap();
    assert!(filters.contains(&"clean-traffic".to_owned()));
    assert_eq!(old1.offers.secrets, Some(Vec::new()));
    // Only one of the two has libvirt's interface driver.
    assert_eq!(old1.has_bridge("br9"), Some(false));
    assert_eq!(kvm1.has_bridge("br9"), None);
    assert_eq!((old1.gaps, kvm1.gaps), (Vec::new(), Vec::new()));
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_bridge_that_a_running_vm_uses_is_known_without_an_interface_driver() {
    let lab = Lab::up(&["kvm1"]);
    lab.guest("kvm1", "web", &["--nic", "52:54:00:12:34:56=br-pub"]);
    let observed = observe(&lab, "vms:\n  web: kvm1\n");
    let kvm1 = host(&observed, "kvm1");
    assert_eq!(kvm1.bridges, ["br-pub"]);
    assert_eq!(kvm1.has_bridge("br-pub"), Some(true));
    assert_eq!(kvm1.has_bridge("br0"), None);
}
