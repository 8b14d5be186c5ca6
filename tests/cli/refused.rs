//! Hosts that refuse, break off, talk nonsense or say nothing: named with the reason, in time, and nothing is changed.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::Place;
use super::planfile::{host_has, vm};

/// The time limit given to the program, as typed.
const TIMEOUT: &str = "1s";
/// What a command may take with it on a busy machine; a wait that has no limit takes longer.
const IN_TIME: Duration = Duration::from_secs(15);

/// A daemon that treats whoever connects so; what it returns is kept until the end. Its URI.
fn daemon<T: Send + 'static>(treat: fn(TcpStream) -> T) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let treated: Vec<T> = listener.incoming().flatten().map(treat).collect();
        drop(treated);
    });
    format!("qemu+tcp://{address}/system")
}

fn refuses_to_talk(_: TcpStream) {}

fn says_nothing(client: TcpStream) -> TcpStream {
    client
}

fn is_another_service(mut client: TcpStream) -> TcpStream {
    // That the client has gone already is seen by the client.
    let _ = client.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n");
    client
}

fn announces_more_than_it_sends(mut client: TcpStream) -> TcpStream {
    let _ = client.write_all(&[0, 0, 4, 0, 0x20, 0]);
    client
}

/// A host of libvirt's test driver that wants a password.
fn wants_a_password(place: &Place) -> String {
    let xml = include_str!("../data/hosts/locked.xml");
    place.write("locked.xml", xml);
    format!("test://{}", place.path("locked.xml").display())
}

/// A manifest that wants `web-1` on `kvm2`, and has no other host.
fn place_with(kvm2: impl FnOnce(&Place) -> String) -> Place {
    let place = Place::new();
    let uri = kvm2(&place);
    place.write(
        "fleet.yaml",
        &format!("version: 1\nhosts:\n  kvm2: {uri}\nvms:\n  web-1: kvm2\n"),
    );
    place
}

/// The same beside a host that answers, which has the VM, and another one to do something with.
fn place_beside(kvm2: &str) -> Place {
    let place = place_with(|_| kvm2.to_owned());
    host_has(&place, &[vm("web-1", 1, 1), vm("db-1", 2, 1)]);
    let kvm1 = place.path("kvm1.xml");
    let one = format!("hosts:\n  kvm1: test://{}", kvm1.display());
    let manifest = place.read("fleet.yaml").replacen("hosts:", &one, 1);
    let db = "  db-1: { host: kvm1, disks: { vda: fast } }\n";
    place.write("fleet.yaml", &(manifest + db));
    place
}

/// Runs the commands that ask hosts: each must end in time with an error that has these words, and write nothing. What
/// they said of the host.
#[track_caller]
fn is_refused(place: &Place, words: &[&str]) -> String {
    let mut said = String::new();
    for line in [
        "plan --out new.file",
        "observe",
        "apply --auto-approve --journal new.file",
    ] {
        let began = Instant::now();
        let outcome = place.run(&format!("{line} --timeout {TIMEOUT}")).ends(1);
        let took = began.elapsed();
        assert!(took < IN_TIME, "{line}: {took:?}");
        let outcome = outcome
            .complains(&["no host answered", "kvm2:", "virsh -c"])
            .complains(words);
        assert!(!place.path("new.file").exists(), "{line}");
        said.push_str(&outcome.err);
    }
    said
}

#[test]
fn a_host_that_accepts_and_says_nothing_is_given_up_when_its_time_is_over() {
    let place = place_with(|_| daemon(says_nothing));
    let _ = is_refused(&place, &["no answer from qemu+tcp://127.0.0.1:"]);
}

#[test]
fn a_host_that_stops_in_the_middle_of_an_answer_is_given_up_when_its_time_is_over() {
    let place = place_with(|_| daemon(announces_more_than_it_sends));
    let _ = is_refused(&place, &["no answer from qemu+tcp://127.0.0.1:"]);
}

#[test]
fn a_host_that_breaks_off_is_told_without_waiting() {
    let place = place_with(|_| daemon(refuses_to_talk));
    let said = is_refused(&place, &["cannot connect to qemu+tcp://127.0.0.1:"]);
    assert!(!said.contains("no answer"), "{said}");
}

#[test]
fn another_service_behind_the_port_is_told_without_waiting() {
    let place = place_with(|_| daemon(is_another_service));
    let said = is_refused(&place, &["cannot connect to qemu+tcp://127.0.0.1:"]);
    assert!(!said.contains("no answer"), "{said}");
}

#[test]
fn a_host_that_wants_a_password_is_an_error_and_no_prompt() {
    let place = place_with(wants_a_password);
    let _ = is_refused(&place, &["cannot connect to test:///", "authentication"]);
}

#[test]
fn one_host_that_says_nothing_does_not_hinder_the_others() {
    let place = place_beside(&daemon(says_nothing));
    let plan = format!("plan --timeout {TIMEOUT}");
    let words = [
        "# db-1 stays on kvm1, disks will be moved",
        "# web-1 stays as it is",
        "risk host-unreachable (host kvm2)",
        "no answer from qemu+tcp://127.0.0.1:",
    ];
    let _ = place.run(&plan).ends(3).says(&words);
    let _ = place.run(&format!("{plan} --exclude web-1")).ends(0);
}

#[test]
fn a_host_that_says_nothing_is_waited_for_once() {
    // A connection that nobody accepts is made all the same, and can be counted afterwards.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("it is bound");
    let place = place_beside(&format!("qemu+tcp://{address}/system"));
    let _ = place.run(&format!("plan --timeout {TIMEOUT}")).ends(3);
    silent.set_nonblocking(true).expect("a socket can be that");
    assert_eq!(silent.incoming().map_while(Result::ok).count(), 1);
}
