//! A reading to a manifest that demands what is there, for whoever begins with hosts that have VMs already.
//!
//! Everything that the reading tells and a person wants to know stands in comments: the manifest itself stays as short
//! as it can be, and planning with it finds nothing to do.

use std::collections::{BTreeMap, BTreeSet};

use super::scalar::{in_comment, written};
use super::write_notes;
use crate::model::{HostName, PoolName, VmName};
use crate::observed::{Host, Observed, Reading, Vm};

/// The manifest of what was read. `uris` has the libvirt URI of each host; a host without one is left out, since
/// nothing could reach it.
#[must_use]
pub fn manifest_of(observed: &Observed, uris: &BTreeMap<HostName, String>) -> String {
    let sections = [
        HEAD.to_owned(),
        hosts(observed, uris),
        pools(observed, uris),
        networks(observed),
        vms(observed, uris),
    ];
    let written = sections.into_iter().filter(|section| !section.is_empty());
    written.collect::<Vec<_>>().join("\n")
}

const HEAD: &str = "\
# What is there now: planning with this manifest finds nothing to do. To move a VM, change the host behind its name and
# run `domicile plan`. A VM that is taken out of this file is left alone.
version: 1
";

/// The widest that the part before the comments may be for the comments to stand in one column with the others.
const COLUMN_MAX: usize = 48;

/// A line of a section and what there is to say about it.
struct Line {
    text: String,
    comment: String,
}

impl Line {
    fn new(text: String, comment: impl Into<String>) -> Self {
        Self {
            text,
            comment: in_comment(&comment.into()),
        }
    }

    /// A line that is a comment as a whole.
    fn comment(text: &str) -> Self {
        Self::new(format!("  # {}", in_comment(text)), "")
    }
}

/// The section of this name with its comments in one column.
fn section(name: &str, lines: &[Line]) -> String {
    let width = |line: &Line| unicode_width::UnicodeWidthStr::width(line.text.as_str());
    let commented = lines.iter().filter(|line| !line.comment.is_empty());
    let widths = commented.map(width).filter(|width| *width <= COLUMN_MAX);
    let column = widths.max().unwrap_or_default();
    let mut out = format!("{name}:\n");
    for line in lines {
        out.push_str(&line.text);
        if !line.comment.is_empty() {
            let gap = column.saturating_sub(width(line)) + 2;
            out.extend(std::iter::repeat_n(' ', gap));
            out.push_str("# ");
            out.push_str(&line.comment);
        }
        out.push('\n');
    }
    out
}

fn entry(name: &str, value: &str) -> String {
    format!("  {}: {value}", written(name))
}

fn hosts(observed: &Observed, uris: &BTreeMap<HostName, String>) -> String {
    let mut lines = Vec::new();
    for (name, reading) in &observed.hosts {
        let comment = match reading {
            Reading::Reached(host) => write_notes::host(host),
            Reading::Unreachable { reason, .. } => {
                format!("could not be read, its VMs are missing below: {reason}")
            }
        };
        match uris.get(name) {
            Some(uri) => lines.push(Line::new(entry(name.as_str(), &written(uri)), comment)),
            None => lines.push(Line::comment(&format!("{name} has no URI: {comment}"))),
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    section("hosts", &lines)
}

/// A storage that several hosts have, with the name of its pool on each.
type Shared<'o> = BTreeMap<&'o str, BTreeMap<&'o HostName, &'o PoolName>>;

fn pools(observed: &Observed, uris: &BTreeMap<HostName, String>) -> String {
    let reached = || {
        observed
            .reached()
            .filter(|(host, _)| uris.contains_key(*host))
    };
    let mut shared: Shared<'_> = BTreeMap::new();
    for (host_name, host) in reached() {
        for (pool_name, pool) in &host.pools {
            if let Some(storage) = &pool.storage {
                let on = shared.entry(storage).or_default();
                on.entry(host_name).or_insert(pool_name);
            }
        }
    }
    shared.retain(|_, on| on.len() > 1);
    let local_names = reached().flat_map(|(_, host)| host.pools.keys().cloned());
    let mut taken: BTreeSet<PoolName> = local_names.collect();
    let mut lines = Vec::new();
    for (storage, on) in &shared {
        let Some(name) = name_for(on, observed, &mut taken) else {
            continue;
        };
        let differing = on.iter().filter(|(_, local)| ***local != name);
        let names: Vec<String> = differing
            .map(|(host, local)| format!("{}: {}", written(host.as_str()), written(local.as_str())))
            .collect();
        let value = if names.is_empty() {
            "{ shared: true }".to_owned()
        } else {
            format!("{{ shared: true, on: {{ {} }} }}", names.join(", "))
        };
        lines.push(Line::new(entry(name.as_str(), &value), *storage));
    }
    if lines.is_empty() {
        return String::new();
    }
    let head = "# Storage that several hosts have: a VM leaves its disks there when it moves.\n";
    format!("{head}{}", section("pools", &lines))
}

/// A name for a shared storage under which no pool of another storage goes: a pool that is called so anywhere would
/// be taken for the same storage.
fn name_for(
    on: &BTreeMap<&HostName, &PoolName>,
    observed: &Observed,
    taken: &mut BTreeSet<PoolName>,
) -> Option<PoolName> {
    let only_this = |name: &PoolName| {
        let having = observed
            .reached()
            .filter(|(_, host)| host.pools.contains_key(name));
        let mut having = having.map(|(host, _)| host);
        having.all(|host| on.get(host).is_some_and(|local| *local == name))
    };
    let first = on.values().next()?;
    let own = on.values().find(|name| only_this(name));
    let name = match own {
        Some(own) => (*own).clone(),
        None => (1..).find_map(|number| {
            // A name of 255 bytes has no room for an addition.
            let stem: String = first.as_str().chars().take(40).collect();
            let name = PoolName::new(format!("{stem}-shared-{number}")).ok()?;
            (!taken.contains(&name)).then_some(name)
        })?,
    };
    taken.insert(name.clone());
    Some(name)
}

/// Which networks belong together cannot be seen from the hosts, so they are only listed.
fn networks(observed: &Observed) -> String {
    let mut hosts_of: BTreeMap<&str, BTreeSet<&HostName>> = BTreeMap::new();
    for (name, host) in observed.reached() {
        let networks = host.networks.keys().chain(&host.bridges);
        for network in networks {
            hosts_of.entry(network).or_default().insert(name);
        }
    }
    let reached = observed.reached().count();
    if hosts_of.values().all(|hosts| hosts.len() == reached) {
        return String::new();
    }
    let mut out = String::from(
        "# An interface stays on the network or bridge of the same name. Where one network is called differently on\n\
         # its hosts, say so here:\n\
         # networks:\n\
         #   NAME: { HOST: BRIDGE, OTHER_HOST: OTHER_BRIDGE }\n\
         # There are:\n",
    );
    for (network, hosts) in hosts_of {
        let hosts: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
        let line = in_comment(&format!("{network} on {}", hosts.join(", ")));
        out = format!("{out}#   {line}\n");
    }
    out
}

fn vms(observed: &Observed, uris: &BTreeMap<HostName, String>) -> String {
    let mut places: BTreeMap<&VmName, Vec<(&HostName, &Host, &Vm)>> = BTreeMap::new();
    for (host_name, host) in observed.reached() {
        for (name, vm) in &host.vms {
            places.entry(name).or_default().push((host_name, host, vm));
        }
    }
    let mut lines = Vec::new();
    for (name, places) in places {
        match places.as_slice() {
            [(host_name, host, vm)] if uris.contains_key(*host_name) => {
                let text = entry(name.as_str(), &written(host_name.as_str()));
                lines.push(Line::new(text, write_notes::vm(vm, host)));
            }
            [(host_name, ..)] => {
                lines.push(Line::comment(&format!(
                    "{name} is on {host_name}, which has no URI"
                )));
            }
            several => {
                let places: Vec<String> = several
                    .iter()
                    .map(|(host, _, vm)| format!("{host} ({})", write_notes::power(vm)))
                    .collect();
                lines.push(Line::comment(&format!(
                    "{name} is left out: VMs of this name are on {}, and a manifest can name only one",
                    places.join(" and ")
                )));
            }
        }
    }
    if lines.is_empty() {
        return "# There are no VMs.\n".to_owned();
    }
    section("vms", &lines)
}
