//! `unlock` on hosts that have no locks, and on none at all. What it does to real ones is shown in the lab.

use super::Place;
use super::planfile::{host_has, vm};

fn place() -> Place {
    let place = Place::new();
    host_has(&place, &[vm("web-1", 1, 1)]);
    let host = place.path("kvm1.xml");
    let manifest = format!(
        "version: 1\nhosts:\n  kvm1: test://{}\nvms: {{}}\n",
        host.display()
    );
    place.write("fleet.yaml", &manifest);
    place
}

#[test]
fn without_an_id_it_lists_and_with_one_that_is_not_there_it_says_so() {
    let place = place();
    let _ = place.run("unlock").ends(0).says(&["No host is locked."]);
    let id = "6f0c58ba-0c5d-4c47-9a53-1c8a3c4a8a11";
    let _ = place.run(&format!("unlock {id}")).ends(1).complains(&[
        "no host has a lock",
        id,
        "lists the locks",
    ]);
    let _ = place.run("unlock everything").ends(64);
}

#[test]
fn a_host_that_does_not_answer_is_named_and_is_no_success() {
    let _ = Place::new()
        .run("unlock --uri one=qemu+tcp://127.0.0.1:1/system")
        .ends(1)
        .complains(&["not asked: one: cannot connect", "not every host answered"]);
}
