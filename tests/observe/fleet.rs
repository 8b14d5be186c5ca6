use std::fmt::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use domicile::hypervisor::{Depth, Hypervisor};
use domicile::libvirt::LibvirtHosts;
use domicile::model::{Millis, VmName};

use super::{hosts, named, one, reached, read, refused, request, test_host};

#[test]
fn two_hosts_are_read_at_once_and_keep_apart() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let vm = "<domain type='test'><name>db-1</name><memory>1024</memory><os><type>hvm</type></os></domain>";
    std::fs::write(file.path(), format!("<node>{vm}</node>")).unwrap();
    let observed = read(
        &[("one", &one()), ("two", &test_host(file.path()))],
        Depth::Full,
    );
    let names = |host| {
        reached(&observed, host)
            .vms
            .keys()
            .map(VmName::as_str)
            .collect::<Vec<_>>()
    };
    assert_eq!(names("one"), ["passing-1", "saved-1", "web-1"]);
    assert_eq!(names("two"), ["db-1"]);
}

#[test]
fn a_host_that_hangs_is_given_up_in_time_and_the_others_are_read() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!(
        "qemu+tcp://127.0.0.1:{}/system",
        silent.local_addr().unwrap().port()
    );
    let hosts = hosts(&[("one", &one()), ("silent", &uri)]);
    let mut wanted = request(&hosts, Depth::Bulk);
    wanted.timeout = Millis(600);
    let began = Instant::now();
    let observed = LibvirtHosts::new(&hosts).observe(&wanted);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    let (reason, after) = refused(&observed, "silent");
    assert!(
        reason.contains("no answer") && reason.contains("127.0.0.1"),
        "{reason}"
    );
    assert!(after >= Millis(500), "{after}");
    assert_eq!(reached(&observed, "one").vms.len(), 3);
}

#[test]
fn hosts_that_refuse_say_why() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "<node><auth><user password='x'>root</user></auth></node>",
    )
    .unwrap();
    let observed = read(
        &[
            ("absent", &format!("qemu+tcp://127.0.0.1:{closed}/system")),
            ("locked", &test_host(file.path())),
            ("senseless", "nosuch://kvm1/system"),
        ],
        Depth::Bulk,
    );
    assert!(
        refused(&observed, "absent")
            .0
            .contains("Connection refused")
    );
    assert!(refused(&observed, "locked").0.contains("authentication"));
    assert!(
        refused(&observed, "senseless")
            .0
            .contains("nosuch://kvm1/system")
    );
}

/// The test driver leaves memory and vCPUs out of the bulk, so that each VM costs one call more there.
#[test]
fn more_vms_cost_no_more_calls() {
    let calls_for = |count: u64| {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut text = String::from("<node>");
        for index in 0..count {
            write!(text, "<domain type='test'><name>vm-{index}</name><memory>1024</memory><os><type>hvm</type></os></domain>").unwrap();
        }
        std::fs::write(file.path(), text + "</node>").unwrap();
        let hosts = hosts(&[("one", &test_host(file.path()))]);
        let fleet = LibvirtHosts::new(&hosts);
        let observed = fleet.observe(&request(&hosts, Depth::Bulk));
        assert_eq!(reached(&observed, "one").vms.len() as u64, count);
        let bulk = fleet.calls()["one"];
        drop(fleet.observe(&request(&hosts, named(&["vm-0"]))));
        (bulk - count, fleet.calls()["one"] - bulk - count)
    };
    let few = calls_for(1);
    assert_eq!(few, calls_for(200));
    assert!(few.0 <= 13, "{few:?}");
}
