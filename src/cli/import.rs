//! `domicile import`: the way in, from hosts to a manifest.

use std::collections::BTreeMap;

use super::args::ImportArguments;
use super::console::{Console, print};
use super::exit::Exit;
use super::failure::Failure;
use super::{files, hosts};
use crate::desired::{Desired, Host, HostLimits, Reserve};
use crate::libvirt::LibvirtHosts;
use crate::manifest;
use crate::model::HostName;
use crate::observed::Reading;

/// The name of the host behind a URI that names none, such as `qemu:///system`.
const THIS_MACHINE: &str = "localhost";

pub(super) fn run(console: Console, arguments: &ImportArguments) -> Result<Exit, Failure> {
    let uris = by_name(&arguments.uris)?;
    let hosts = hosts_of(&uris);
    let desired = Desired {
        hosts: hosts.clone(),
        ..Desired::default()
    };
    let observed = hosts::read_full(
        console,
        &LibvirtHosts::new(&hosts),
        &desired,
        arguments.timeout.timeout,
    );
    let all_there = observed
        .hosts
        .values()
        .all(|reading| matches!(reading, Reading::Reached(_)));
    if !all_there {
        return Err(Failure::error(format!("not every host answered\n{}", hosts::silent(&observed)))
            .help("a manifest that lacks a host would be misleading, so none was written; leave the host out or make it answer"));
    }
    let text = manifest::write::manifest_of(&observed, &uris);
    match &arguments.out {
        None => print(&text)?,
        Some(path) => {
            files::create_new(path, &text)?;
            if console.hints {
                let name = path.display();
                print(&format!(
                    "Wrote {name}. See what it says: domicile plan -f {name}\n"
                ))?;
            }
        }
    }
    Ok(Exit::DONE)
}

/// The URIs of a command line by the names of their hosts.
pub(super) fn by_name(texts: &[String]) -> Result<BTreeMap<HostName, String>, Failure> {
    let mut uris = BTreeMap::new();
    for text in texts {
        let (name, uri) = named(text)?;
        if let Some(other) = uris.insert(name.clone(), uri.clone()) {
            return Err(
                Failure::error(format!("{other} and {uri} would both be called {name}"))
                    .help("choose names: --uri one=URI --uri two=URI"),
            );
        }
    }
    Ok(uris)
}

/// Hosts of which nothing is known but their URIs.
pub(super) fn hosts_of(uris: &BTreeMap<HostName, String>) -> BTreeMap<HostName, Host> {
    let hosts = uris.iter();
    hosts.map(|(name, uri)| (name.clone(), host(uri))).collect()
}

fn host(uri: &str) -> Host {
    Host {
        uri: uri.to_owned(),
        cluster: None,
        peer_uri: None,
        address: None,
        reserve: Reserve::default(),
        limits: HostLimits::default(),
        maintenance: false,
    }
}

/// `kvm1=qemu+ssh://…` names its host; else it is called as in the URI.
fn named(text: &str) -> Result<(HostName, String), Failure> {
    let chosen = text
        .split_once('=')
        .filter(|(name, _)| !name.contains([':', '/']));
    let (name, uri) = match chosen {
        Some((name, uri)) => (name, uri),
        None => (host_in(text), text),
    };
    if !uri.contains("://") {
        return Err(Failure::error(format!("{uri:?} is not a libvirt URI"))
            .help("URIs look like qemu+ssh://root@kvm1/system"));
    }
    let name = HostName::new(name)
        .map_err(|error| Failure::error(error.to_string()).help("choose a name: --uri NAME=URI"))?;
    Ok((name, uri.to_owned()))
}

/// The host of a URI, without user and port.
fn host_in(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    if host.is_empty() { THIS_MACHINE } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_called_as_in_its_uri_unless_a_name_is_given() {
        for (text, name, uri) in [
            (
                "qemu+ssh://root@kvm1/system",
                "kvm1",
                "qemu+ssh://root@kvm1/system",
            ),
            (
                "qemu+tcp://10.0.0.1:16509/system",
                "10.0.0.1",
                "qemu+tcp://10.0.0.1:16509/system",
            ),
            (
                "qemu+tls://[fd00::1]:16514/system",
                "fd00::1",
                "qemu+tls://[fd00::1]:16514/system",
            ),
            ("qemu:///system", "localhost", "qemu:///system"),
            (
                "qemu+ssh://kvm2/system?keyfile=/k",
                "kvm2",
                "qemu+ssh://kvm2/system?keyfile=/k",
            ),
            ("one=qemu:///system", "one", "qemu:///system"),
        ] {
            let (found, of) = named(text).unwrap();
            assert_eq!((found.as_str(), of.as_str()), (name, uri), "{text}");
        }
        assert!(named("kvm1").is_err());
        assert!(named("=qemu:///system").is_err());
    }
}
