//! What changes in a definition, and what does not.

use crate::lab::Lab;

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn bridges_are_mapped_and_everything_else_stays_to_the_letter() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--nic", "52:54:00:12:34:56=br0"]);
    let note = "<note xmlns='https://example.org/inventory'>rack 7 &amp; 8</note>";
    let uri = "https://example.org/inventory";
    lab.on(
        "kvm1",
        &[
            "virsh", "metadata", "web", "--uri", uri, "--key", "inv", "--set", note, "--live",
            "--config",
        ],
    );
    lab.on("kvm1", &["virsh", "autostart", "web"]);
    let before = lab.on("kvm1", &["virsh", "dumpxml", "web", "--inactive"]);
    let manifest =
        lab.manifest("networks:\n  public: { kvm1: br0, kvm2: br-pub }\nvms:\n  web: kvm2\n");
    lab.apply(&manifest);
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_live("web");
    let after = lab.on("kvm2", &["virsh", "dumpxml", "web", "--inactive"]);
    assert_eq!(after, before.replace("bridge='br0'", "bridge='br-pub'"));
    let info = lab.on("kvm2", &["virsh", "dominfo", "web"]);
    assert!(
        info.lines()
            .any(|line| line.starts_with("Autostart") && line.ends_with("enable")),
        "{info}"
    );
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn uefi_variables_come_along_live_and_cold() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--uefi"]);
    let nvram =
        "sha256sum < $(virsh dumpxml web | sed -n 's:.*<nvram[^>]*>\\(.*\\)</nvram>.*:\\1:p')";
    let before = lab.on("kvm1", &["sh", "-c", nvram]);
    lab.apply(&lab.manifest("vms:\n  web: kvm2\n"));
    lab.assert_lives("web", "kvm2", "kvm1");
    lab.assert_moved_live("web");
    assert_eq!(lab.on("kvm2", &["sh", "-c", nvram]), before);
    lab.apply(&lab.manifest("vms:\n  web: { host: kvm1, method: cold }\n"));
    lab.assert_lives("web", "kvm1", "kvm2");
    lab.assert_moved_cold("web");
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn the_manifest_that_import_writes_finds_nothing_to_do() {
    let lab = Lab::up(&["kvm1", "old1:bookworm"]);
    lab.guest("kvm1", "web", &["--disk", "vda=shared:qcow2:64M"]);
    lab.guest("old1", "archive", &["--off", "--machine", "pc-i440fx-7.2"]);
    let out = lab.manifest("").with_file_name("imported.yaml");
    let path = out.to_str().unwrap();
    let uris = [
        "--uri",
        "qemu+tcp://10.77.0.11/system",
        "--uri",
        "qemu+tcp://10.77.0.12/system",
    ];
    let args: Vec<&str> = [&["import", "--out", path], &uris[..]].concat();
    assert!(lab.domicile(&args).status.success());
    let again = lab.domicile(&["plan", "-f", path, "--detailed-exitcode"]);
    assert_eq!(again.status.code(), Some(0));
    let text = std::fs::read_to_string(&out).unwrap();
    assert!(text.contains("web:") && text.contains("archive:"), "{text}");
}
