//! Checks of migration settings: ranges, what can never come about, and what contradicts itself.

use std::collections::BTreeMap;

use super::fault::{Fault, Label};
use super::merge::{Place, Sections};
use super::resolve::Resolver;
use super::tree::{Content, NodeId};
use crate::desired::{self, Method, MigrationOverrides, OnStall};
use crate::model::{ClusterName, HostName, Millis, VmName};

/// The most streams that QEMU's multifd takes.
const CONNECTIONS_MAX: u32 = 255;

/// The longest downtime that QEMU takes: 2000 s.
const DOWNTIME_MAX: Millis = Millis::from_secs(2000);

/// Checks settings of one level. `keys` lead to them from the entry at `place`, and `path` from the manifest.
pub(super) fn check(
    resolver: &mut Resolver<'_, '_>,
    settings: &MigrationOverrides,
    path: &str,
    place: Place,
    keys: &[&str],
) {
    let mut wrong = |field: &str, message: &str| {
        let keys: Vec<&str> = keys.iter().copied().chain([field]).collect();
        resolver.out_of_range(format!("{path}.{field}"), place, &keys, message);
    };
    if settings.bandwidth.is_some_and(|rate| rate.0 == 0) {
        wrong(
            "bandwidth",
            "a migration at this rate would never end; leave `bandwidth` out for no limit",
        );
    }
    if settings.parallel == Some(0) {
        wrong(
            "parallel",
            "with 0 migrations at once nothing could ever be moved",
        );
    }
    if settings
        .max_downtime
        .is_some_and(|time| time == Millis::ZERO || time > DOWNTIME_MAX)
    {
        wrong("max_downtime", "QEMU takes a downtime from 1ms to 2000s");
    }
    if settings
        .connections
        .is_some_and(|count| count == 0 || count > CONNECTIONS_MAX)
    {
        wrong(
            "connections",
            "QEMU takes 1 to 255 streams; leave `connections` out for its single stream",
        );
    }
    for (field, time) in [
        ("stall_after", settings.stall_after),
        ("shutdown_timeout", settings.shutdown_timeout),
    ] {
        if time == Some(Millis::ZERO) {
            wrong(field, "the time must be longer than nothing");
        }
    }
    if let Some(ladder) = &settings.on_stall {
        check_ladder(resolver, ladder, path, place, keys);
    }
    if settings.compression.as_deref() == Some("xbzrle")
        && settings.connections.is_some_and(|count| count > 1)
    {
        let keys: Vec<&str> = keys.iter().copied().chain(["compression"]).collect();
        let label = resolver
            .texts
            .label_in(place, &keys, "on a single stream only");
        let message = "QEMU's xbzrle compresses one stream, and `connections` asks for several";
        resolver.faults.push(
            Fault::new(
                "contradiction",
                format!("{path}.compression"),
                label,
                message,
            )
            .help("take zstd or zlib, or leave `connections` out"),
        );
    }
}

fn check_ladder(
    resolver: &mut Resolver<'_, '_>,
    ladder: &[OnStall],
    path: &str,
    place: Place,
    keys: &[&str],
) {
    let path = format!("{path}.on_stall");
    let keys: Vec<&str> = keys.iter().copied().chain(["on_stall"]).collect();
    if ladder.is_empty() {
        let label = resolver.texts.label_in(place, &keys, "empty");
        let message = "the list says nothing to do when a migration does not converge";
        resolver.faults.push(
            Fault::new("out-of-range", path, label, message)
                .help("write [abort] to leave such a VM where it is"),
        );
        return;
    }
    for (index, rung) in ladder.iter().enumerate() {
        let before = &ladder[..index];
        let end = before
            .iter()
            .find(|rung| matches!(rung, OnStall::Cold | OnStall::Abort));
        let message = if let Some(end) = end {
            format!(
                "`{}` never comes about: `{}` ends the migration before",
                name_of(*rung),
                name_of(*end)
            )
        } else if before.contains(rung) {
            format!("`{}` stands in the list twice", name_of(*rung))
        } else if *rung == OnStall::AutoConverge && before.contains(&OnStall::PostCopy) {
            "`auto-converge` does nothing after `post-copy`, when the guest already runs at the destination".to_owned()
        } else {
            continue;
        };
        let label = resolver.label_of_item(place, &keys, index, "never comes about");
        resolver.faults.push(
            Fault::new("unreachable", format!("{path}[{index}]"), label, message)
                .help("leave it out"),
        );
    }
}

fn name_of(rung: OnStall) -> &'static str {
    match rung {
        OnStall::AutoConverge => "auto-converge",
        OnStall::PostCopy => "post-copy",
        OnStall::Pause => "pause",
        OnStall::Cold => "cold",
        OnStall::Abort => "abort",
    }
}

/// A VM that must not be rebooted cannot ask to be rebooted.
pub(super) fn check_method(
    resolver: &mut Resolver<'_, '_>,
    method: Method,
    settings: &MigrationOverrides,
    vm: &VmName,
    place: Place,
) {
    let ladder = settings.on_stall.as_deref().unwrap_or_default();
    let Some(index) = ladder.iter().position(|rung| *rung == OnStall::Cold) else {
        return;
    };
    if method != Method::Live {
        return;
    }
    let label = resolver.label_of_item(place, &["migration", "on_stall"], index, "reboots the VM");
    let second = resolver
        .texts
        .label_in(place, &["method"], "live or not at all");
    let message = format!(
        "VM `{vm}` shall be moved live or not at all, and cold when that does not converge"
    );
    let fault = Fault::new(
        "contradiction",
        format!("vms.{vm}.migration.on_stall[{index}]"),
        label,
        message,
    );
    resolver.faults.push(
        fault
            .second(second)
            .help("write `method: auto`, or `abort` in place of `cold`"),
    );
}

impl Resolver<'_, '_> {
    fn label_of_item(&self, place: Place, keys: &[&str], index: usize, text: &str) -> Label {
        let tree = &self.texts.trees[place.source];
        let node = tree
            .find(place.value, keys)
            .and_then(|(_, list)| match tree.content(list) {
                Content::List(items) => items.get(index).copied(),
                Content::Map(_) | Content::Scalar(..) => None,
            });
        self.texts
            .label(place.source, node.unwrap_or(place.key), text)
    }

    /// The migration section of all sources together.
    pub(super) fn migration_of(&mut self, sections: &Sections) -> desired::Migration {
        let mut merged = desired::Migration::default();
        let mut clusters: BTreeMap<&ClusterName, Place> = BTreeMap::new();
        let mut pairs: BTreeMap<(&HostName, &HostName), Place> = BTreeMap::new();
        for (place, migration) in &sections.migration {
            let fleet = migration.overrides();
            check(self, &fleet, "migration", *place, &[]);
            fill(&mut merged.fleet, fleet);
            for (name, settings) in &migration.clusters {
                let settings = settings.overrides();
                self.check_cluster(name, *place, clusters.insert(name, *place));
                check(
                    self,
                    &settings,
                    &format!("migration.clusters.{name}"),
                    *place,
                    &["clusters", name.as_str()],
                );
                merged.clusters.insert(name.clone(), settings);
            }
            let mut nodes = self.pair_nodes(*place);
            for pair in &migration.pairs {
                // A pair that is wrong is not among those that were read.
                let tree = &self.texts.trees[place.source];
                let says = |node: NodeId, field: &str, host: &HostName| {
                    let found = tree.find(node, &[field]);
                    found.is_some_and(|(_, value)| tree.key(value) == host.as_str())
                };
                let index = nodes.iter().position(|node| {
                    says(*node, "from", &pair.from) && says(*node, "to", &pair.to)
                });
                let node = index.map_or(place.value, |index| nodes.remove(index));
                let here = Place {
                    key: node,
                    value: node,
                    ..*place
                };
                let path = format!("migration.pairs.{}-{}", pair.from, pair.to);
                self.check_pair(
                    &pair.from,
                    &pair.to,
                    here,
                    pairs.insert((&pair.from, &pair.to), here),
                );
                check(self, &pair.overrides(), &path, here, &[]);
                merged
                    .pairs
                    .push((pair.from.clone(), pair.to.clone(), pair.overrides()));
            }
        }
        merged
    }

    fn pair_nodes(&self, place: Place) -> Vec<NodeId> {
        let tree = &self.texts.trees[place.source];
        match tree
            .find(place.value, &["pairs"])
            .map(|(_, list)| tree.content(list))
        {
            Some(Content::List(items)) => items.to_vec(),
            _ => Vec::new(),
        }
    }

    fn check_cluster(&mut self, name: &ClusterName, place: Place, first: Option<Place>) {
        let path = format!("migration.clusters.{name}");
        let keys = ["clusters", name.as_str()];
        if !self.clusters.has(name.as_str()) {
            let label = self.texts.label_of_key(place, &keys, "not declared");
            let message = format!("settings for cluster `{name}`, which is not declared");
            let help = self.clusters.help(name.as_str());
            self.faults
                .push(Fault::new("unknown-cluster", path.clone(), label, message).help(help));
        }
        if let Some(first) = first {
            let label = self.texts.label_of_key(place, &keys, "and again here");
            let first = self.texts.label_of_key(first, &keys, "first defined here");
            let message = format!("`{name}` is defined twice");
            self.faults
                .push(Fault::new("defined-twice", path, label, message).second(first));
        }
    }

    fn check_pair(&mut self, from: &HostName, to: &HostName, place: Place, first: Option<Place>) {
        let path = format!("migration.pairs.{from}-{to}");
        for (host, field) in [(from, "from"), (to, "to")] {
            self.known_host(host, &path, "settings for", |texts| {
                texts.label_in(place, &[field], "not declared")
            });
        }
        if from == to {
            let label = self.texts.label_in(place, &["to"], "the same host");
            let message =
                format!("settings for moves from `{from}` to itself: a pair is two hosts");
            self.faults
                .push(Fault::new("contradiction", path.clone(), label, message));
        }
        if let Some(first) = first {
            let label = self
                .texts
                .label(place.source, place.value, "and again here");
            let first = self
                .texts
                .label(first.source, first.value, "first given here");
            let message = format!("settings for moves from `{from}` to `{to}` are given twice");
            self.faults.push(
                Fault::new("defined-twice", path, label, message)
                    .second(first)
                    .help("join the two"),
            );
        }
    }
}

/// Takes over what is given. A field that two files give has been reported.
fn fill(into: &mut MigrationOverrides, from: MigrationOverrides) {
    let MigrationOverrides {
        bandwidth,
        parallel,
        max_downtime,
        on_stall,
        stall_after,
        shutdown_timeout,
        on_shutdown_timeout,
        compression,
        connections,
        tls,
        driver,
        cold_copy,
        live_clones,
        remove_unused_bases,
    } = from;
    into.bandwidth = into.bandwidth.or(bandwidth);
    into.parallel = into.parallel.or(parallel);
    into.max_downtime = into.max_downtime.or(max_downtime);
    into.on_stall = into.on_stall.take().or(on_stall);
    into.stall_after = into.stall_after.or(stall_after);
    into.shutdown_timeout = into.shutdown_timeout.or(shutdown_timeout);
    into.on_shutdown_timeout = into.on_shutdown_timeout.or(on_shutdown_timeout);
    into.compression = into.compression.take().or(compression);
    into.connections = into.connections.or(connections);
    into.tls = into.tls.or(tls);
    into.driver = into.driver.or(driver);
    into.cold_copy = into.cold_copy.or(cold_copy);
    into.live_clones = into.live_clones.or(live_clones);
    into.remove_unused_bases = into.remove_unused_bases.or(remove_unused_bases);
}
