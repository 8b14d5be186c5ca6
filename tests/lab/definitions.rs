//! Random definitions by the schema of each libvirt of the lab: libvirt finds them valid, and Domicile reads what
//! libvirt then has.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use domicile::observed::{Observed, Reading};

use crate::lab::Lab;
use crate::random::hold;
use crate::schema::{Documents, Grammar};

/// How many definitions are made by each schema.
const SEEDS: u64 = 1000;

/// How many of them libvirt is given.
const GIVEN: u64 = 200;

/// The definitions of a host's schema hold, and libvirt finds those valid that it reads as the schema means them.
fn hold_all(lab: &Lab, host: &str) {
    let script = format!(
        "mkdir -p /srv/shared/{host} && cp /usr/share/libvirt/schemas/*.rng /srv/shared/{host}"
    );
    lab.on(host, &["sh", "-ec", &script]);
    let folder = lab.shared().join(host);
    let grammar = Grammar::read(&folder, "domain.rng");
    let mut documents = Documents::of(&grammar);
    let mut devices = BTreeSet::new();
    let (mut given, mut commands) = (0, String::new());
    for seed in 0..SEEDS {
        let text = documents.of_seed(seed);
        let found = std::panic::catch_unwind(|| hold(&text)).unwrap_or(Err("it panics".into()));
        let found = found.unwrap_or_else(|why| panic!("{host}, seed {seed}: {why}\n\n{text}"));
        devices.extend(found.devices);
        if seed.is_multiple_of(2) && given < GIVEN {
            given += 1;
            std::fs::write(folder.join(format!("{seed}.xml")), &text).unwrap();
            writeln!(commands, "define /srv/shared/{host}/{seed}.xml --validate").unwrap();
        }
    }
    assert_eq!(devices, grammar.children_of("devices"), "{host}");
    std::fs::write(folder.join("commands"), commands).unwrap();
    let script = format!(
        "virsh < /srv/shared/{host}/commands 2>&1 | grep -c '^error:\\|defined from' ; virsh < /srv/shared/{host}/commands 2>&1 | grep -c 'failed to validate' || true"
    );
    let told = lab.on(host, &["sh", "-c", &script]);
    let told: Vec<u64> = told
        .split_whitespace()
        .map(|it| it.parse().unwrap())
        .collect();
    assert!(
        told[0] >= GIVEN,
        "{host} was given {GIVEN}, and answers to {}",
        told[0]
    );
    assert_eq!(
        told[1], 0,
        "{host} finds {} of its own schema not valid",
        told[1]
    );
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn definitions_of_every_libvirt_hold_and_are_valid_to_it() {
    let lab = Lab::up(&["kvm1", "old1:bookworm"]);
    for host in ["kvm1", "old1"] {
        hold_all(&lab, host);
    }
    let manifest = lab.manifest("vms: {}\n");
    let output = lab.domicile(&["observe", "--json", "-f", manifest.to_str().unwrap()]);
    let observed: Observed = serde_json::from_slice(&output.stdout).unwrap();
    for (host, reading) in &observed.hosts {
        let Reading::Reached(read) = reading else {
            panic!("{host}: {reading:?}");
        };
        let listed = lab.vms(host.as_str()).len();
        assert_eq!(read.vms.len(), listed, "{host}: {:?}", read.gaps);
    }
}
