//! Readings of hosts of libvirt's test driver, and of hosts that do not answer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod fits;
mod fleet;
mod host;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use domicile::desired;
use domicile::hypervisor::{Depth, Hypervisor, ObserveRequest};
use domicile::libvirt::LibvirtHosts;
use domicile::model::{HostName, Millis, VmName};
use domicile::observed::{Host, Observed, Reading};

/// The test driver keeps the state of a file for as long as a connection to it is open.
fn test_host(file: &Path) -> String {
    format!("test://{}", file.display())
}

/// The host that most tests read.
fn one() -> String {
    test_host(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hosts/one.xml"))
}

fn hosts(uris: &[(&str, &str)]) -> BTreeMap<HostName, desired::Host> {
    let host = |uri: &str| desired::Host {
        uri: uri.into(),
        cluster: None,
        peer_uri: None,
        address: None,
        reserve: desired::Reserve::default(),
        limits: desired::HostLimits::default(),
        maintenance: false,
    };
    uris.iter()
        .map(|(name, uri)| (HostName::new(*name).unwrap(), host(uri)))
        .collect()
}

fn request(hosts: &BTreeMap<HostName, desired::Host>, depth: Depth) -> ObserveRequest {
    ObserveRequest {
        hosts: hosts.clone(),
        depth,
        fits: Vec::new(),
        ask_qemu: BTreeSet::new(),
        refresh: BTreeMap::new(),
        volumes: BTreeMap::new(),
        timeout: Millis::from_secs(20),
    }
}

fn read(uris: &[(&str, &str)], depth: Depth) -> Observed {
    let hosts = hosts(uris);
    LibvirtHosts::new(&hosts).observe(&request(&hosts, depth))
}

fn named(vms: &[&str]) -> Depth {
    let names = vms.iter().map(|vm| VmName::new(*vm).unwrap());
    Depth::Named {
        closely: names.collect(),
        beside: BTreeSet::new(),
    }
}

#[track_caller]
fn reached<'a>(observed: &'a Observed, host: &str) -> &'a Host {
    match &observed.hosts[host] {
        Reading::Reached(host) => host,
        Reading::Unreachable { reason, .. } => panic!("{host}: {reason}"),
    }
}

#[track_caller]
fn refused(observed: &Observed, host: &str) -> (String, Millis) {
    match &observed.hosts[host] {
        Reading::Reached(_) => panic!("{host} answered"),
        Reading::Unreachable { reason, after } => (reason.clone(), *after),
    }
}
