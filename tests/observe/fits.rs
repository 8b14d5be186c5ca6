use std::net::TcpListener;

use domicile::hypervisor::{Depth, Hypervisor};
use domicile::libvirt::LibvirtHosts;
use domicile::model::{HostName, Millis, VmName};
use domicile::observed::{CpuFit, Observed};

use super::{hosts, named, one, reached, refused, request, test_host};

fn observe(uris: &[(&str, &str)], depth: Depth, fits: &[(&str, &str)]) -> Observed {
    let hosts = hosts(uris);
    let mut wanted = request(&hosts, depth);
    wanted.timeout = Millis(1500);
    wanted.fits = fits
        .iter()
        .map(|(vm, to)| (VmName::new(*vm).unwrap(), HostName::new(*to).unwrap()))
        .collect();
    LibvirtHosts::new(&hosts).observe(&wanted)
}

fn asked<'a>(observed: &'a Observed, host: &str) -> Vec<&'a str> {
    let fits = &reached(observed, host).fits;
    fits.keys().map(VmName::as_str).collect()
}

fn empty() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "<node/>").unwrap();
    file
}

#[test]
fn a_destination_is_asked_about_the_vms_that_shall_come_and_no_others() {
    let two = empty();
    let uris = [("one", one()), ("two", test_host(two.path()))];
    let uris = uris.each_ref().map(|(name, uri)| (*name, uri.as_str()));
    let fits = [
        ("web-1", "two"),
        ("saved-1", "two"),
        ("passing-1", "one"),
        ("nobody", "two"),
        ("web-1", "elsewhere"),
    ];
    let observed = observe(&uris, named(&["web-1", "passing-1", "nobody"]), &fits);
    assert_eq!(asked(&observed, "one"), Vec::<&str>::new());
    // `saved-1` was not looked into, so that there is nothing to ask about it.
    assert_eq!(asked(&observed, "two"), ["web-1"]);
    let fit = &reached(&observed, "two").fits["web-1"];
    assert!(fit.running.is_some());
    let observed = observe(&uris, Depth::Full, &fits);
    assert_eq!(asked(&observed, "two"), ["saved-1", "web-1"]);
    let fit = &reached(&observed, "two").fits["saved-1"];
    assert_eq!(fit.running, None);
}

#[test]
fn what_a_driver_cannot_answer_is_unknown_with_its_reason() {
    let (from, to) = (tempfile::NamedTempFile::new().unwrap(), empty());
    let cpu = "<cpu mode='custom' match='exact'><model fallback='forbid'>qemu64</model></cpu>";
    let vm = format!(
        "<node><domain type='test'><name>web</name><memory>1024</memory><os><type arch='i686'>hvm</type></os>{cpu}</domain></node>"
    );
    std::fs::write(from.path(), vm).unwrap();
    let uris = [
        ("from", test_host(from.path())),
        ("to", test_host(to.path())),
    ];
    let uris = uris.each_ref().map(|(name, uri)| (*name, uri.as_str()));
    let observed = observe(&uris, Depth::Full, &[("web", "to")]);
    let fit = &reached(&observed, "to").fits["web"];
    let running = fit.running.as_ref().unwrap();
    let CpuFit::Unknown(reason) = &running.cpu else {
        panic!("{running:?}");
    };
    assert!(
        reason.contains("virConnectCompareHypervisorCPU"),
        "{reason}"
    );
}

#[test]
fn a_host_that_hangs_does_not_keep_others_from_answering() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let (two, hanging) = (empty(), format!("qemu+tcp://127.0.0.1:{port}/system"));
    let uris = [
        ("one", one()),
        ("silent", hanging),
        ("two", test_host(two.path())),
    ];
    let uris = uris.each_ref().map(|(name, uri)| (*name, uri.as_str()));
    let fits = [("web-1", "two"), ("passing-1", "silent")];
    let observed = observe(&uris, Depth::Full, &fits);
    assert_eq!(asked(&observed, "two"), ["web-1"]);
    assert!(refused(&observed, "silent").0.contains("no answer"));
}
