//! Checks of migration settings: ranges, what can never come about, and what contradicts itself.

use std::collections::BTreeMap;

use super::checker::Checker;
use super::fault::Fault;
use super::merge::{Place, Sections};
use super::settings::Pair;
use super::tree::PartId;
use crate::desired::{self, Method, MigrationOverrides, OnStall};
use crate::model::{ClusterName, HostName, Millis, VmName};

/// The most streams that QEMU's multifd takes.
const CONNECTIONS_MAX: u32 = 255;

/// The longest downtime that QEMU takes: 2000 s.
const DOWNTIME_MAX: Millis = Millis::from_secs(2000);

impl Checker<'_, '_, '_> {
    /// The migration section of all sources together.
    pub(super) fn migration(&mut self, sections: &Sections) -> desired::Migration {
        let mut merged = desired::Migration::default();
        let mut clusters: BTreeMap<&ClusterName, Place> = BTreeMap::new();
        let mut pairs: BTreeMap<(&HostName, &HostName), Place> = BTreeMap::new();
        for (place, migration) in &sections.migration {
            let fleet = migration.overrides();
            self.settings(&fleet, "migration", *place, &[]);
            fill(&mut merged.fleet, fleet);
            for (name, settings) in &migration.clusters {
                let settings = settings.overrides();
                let keys = ["clusters", name.as_str()];
                self.cluster_settings(name, *place, clusters.insert(name, *place));
                self.settings(
                    &settings,
                    &format!("migration.clusters.{name}"),
                    *place,
                    &keys,
                );
                merged.clusters.insert(name.clone(), settings);
            }
            let items = self.texts.items(*place, &["pairs"]).iter().copied();
            let mut items: Vec<(usize, PartId)> = items.enumerate().collect();
            for pair in &migration.pairs {
                let (index, here) = self.place_of(pair, *place, &mut items);
                let path = format!("migration.pairs[{index}]");
                self.pair(
                    pair,
                    &path,
                    here,
                    pairs.insert((&pair.from, &pair.to), here),
                );
                let settings = pair.overrides();
                self.settings(&settings, &path, here, &[]);
                merged
                    .pairs
                    .push((pair.from.clone(), pair.to.clone(), settings));
            }
        }
        merged
    }

    /// The index and place of a pair in its list, which also has the pairs that are wrong.
    fn place_of(
        &self,
        pair: &Pair,
        list: Place,
        items: &mut Vec<(usize, PartId)>,
    ) -> (usize, Place) {
        let tree = &self.texts.trees[list.source];
        let says = |item: PartId, field: &str, host: &HostName| {
            let found = tree.find(item, &[field]);
            found.is_some_and(|(_, value)| tree.key(value) == host.as_str())
        };
        let is_it = |item: PartId| says(item, "from", &pair.from) && says(item, "to", &pair.to);
        let at = items.iter().position(|(_, item)| is_it(*item));
        let (index, part) = at.map_or((0, list.value), |at| items.remove(at));
        let place = Place {
            key: part,
            value: part,
            ..list
        };
        (index, place)
    }

    fn cluster_settings(&mut self, name: &ClusterName, place: Place, first: Option<Place>) {
        let path = format!("migration.clusters.{name}");
        let keys = ["clusters", name.as_str()];
        self.cluster(name, &path, "settings for", |texts, text| {
            texts.key(place, &keys, text)
        });
        if let Some(first) = first {
            let label = self.texts.key(place, &keys, "and again here");
            let first = self.texts.key(first, &keys, "first defined here");
            let message = format!("settings for cluster `{name}` are given twice");
            let fault = Fault::new("defined-twice", path, label, message);
            self.note(fault.second(first).help("join the two"));
        }
    }

    fn pair(&mut self, pair: &Pair, path: &str, place: Place, first: Option<Place>) {
        let Pair { from, to, .. } = pair;
        for (host, field) in [(from, "from"), (to, "to")] {
            self.host(host, path, "settings for", |texts, text| {
                texts.value(place, &[field], text)
            });
        }
        if from == to {
            let label = self.texts.value(place, &["to"], "the same host");
            let message =
                format!("settings for moves from `{from}` to itself: a pair is two hosts");
            let fault = Fault::new("contradiction", path, label, message);
            self.note(fault.help("name another host, or leave the pair out"));
        }
        if let Some(first) = first {
            let label = self.texts.key(place, &[], "and again here");
            let first = self.texts.key(first, &[], "first given here");
            let message = format!("settings for moves from `{from}` to `{to}` are given twice");
            let fault = Fault::new("defined-twice", path, label, message);
            self.note(fault.second(first).help("join the two"));
        }
    }

    /// Checks settings of one level. `keys` lead to them from the entry at `place`, and `path` from the manifest.
    pub(super) fn settings(
        &mut self,
        settings: &MigrationOverrides,
        path: &str,
        place: Place,
        keys: &[&str],
    ) {
        let under = |field: &'static str| keys.iter().copied().chain([field]).collect::<Vec<_>>();
        for (field, message) in out_of_range(settings) {
            self.out_of_range(format!("{path}.{field}"), place, &under(field), message);
        }
        if let Some(ladder) = &settings.on_stall {
            self.ladder(
                ladder,
                &format!("{path}.on_stall"),
                place,
                &under("on_stall"),
            );
        }
        let several = settings.connections.is_some_and(|count| count > 1);
        if settings.compression.as_deref() == Some("xbzrle") && several {
            let label = self
                .texts
                .value(place, &under("compression"), "on a single stream only");
            let second = self
                .texts
                .value(place, &under("connections"), "several streams");
            let message =
                "QEMU's xbzrle compresses a single stream, and `connections` asks for several";
            let fault = Fault::new(
                "contradiction",
                format!("{path}.compression"),
                label,
                message,
            );
            self.note(
                fault
                    .second(second)
                    .help("take zstd or zlib, or leave `connections` out"),
            );
        }
    }

    fn ladder(&mut self, ladder: &[OnStall], path: &str, place: Place, keys: &[&str]) {
        if ladder.is_empty() {
            let label = self.texts.value(place, keys, "empty");
            let message = "the list does not say what to do when a migration does not converge";
            let fault = Fault::new("out-of-range", path, label, message);
            self.note(fault.help("write [abort] to leave such a VM where it is"));
        }
        for (index, rung) in ladder.iter().enumerate() {
            if let Some(message) = never_comes(*rung, &ladder[..index]) {
                let label = self.texts.item(place, keys, index, "never comes about");
                let fault = Fault::new("unreachable", format!("{path}[{index}]"), label, message);
                self.note(fault.help("leave it out, or change the order"));
            }
        }
    }

    /// Notes a VM that must not be rebooted and asks to be rebooted.
    pub(super) fn method(
        &mut self,
        method: Method,
        settings: &MigrationOverrides,
        vm: &VmName,
        place: Place,
    ) {
        let ladder = settings.on_stall.as_deref().unwrap_or_default();
        let Some(index) = ladder.iter().position(|rung| *rung == OnStall::Cold) else {
            return;
        };
        if method == Method::Live {
            let label = self
                .texts
                .item(place, &["migration", "on_stall"], index, "reboots the VM");
            let second = self.texts.value(place, &["method"], "live or not at all");
            let message = format!(
                "VM `{vm}` shall be moved live or not at all, and cold when that does not converge"
            );
            let path = format!("vms.{vm}.migration.on_stall[{index}]");
            let fault = Fault::new("contradiction", path, label, message);
            let help = "write `method: auto`, or `abort` in place of `cold`";
            self.note(fault.second(second).help(help));
        }
    }
}

/// The fields whose value cannot be used, with the reason.
fn out_of_range(settings: &MigrationOverrides) -> Vec<(&'static str, &'static str)> {
    let no_time = |time: Option<Millis>| time == Some(Millis::ZERO);
    let downtime = settings.max_downtime.unwrap_or(DOWNTIME_MAX);
    let connections = settings.connections.unwrap_or(1);
    let checks = [
        (
            settings.bandwidth.is_some_and(|rate| rate.0 == 0),
            "bandwidth",
            "a migration at this rate would never end; leave `bandwidth` out for no limit",
        ),
        (
            settings.parallel == Some(0),
            "parallel",
            "with 0 migrations at once nothing could ever be moved",
        ),
        (
            downtime == Millis::ZERO || downtime > DOWNTIME_MAX,
            "max_downtime",
            "QEMU takes a downtime from 1ms to 2000s",
        ),
        (
            connections == 0 || connections > CONNECTIONS_MAX,
            "connections",
            "QEMU takes 1 to 255 streams; leave `connections` out for its single stream",
        ),
        (
            no_time(settings.stall_after),
            "stall_after",
            "no migration converges in no time at all",
        ),
        (
            no_time(settings.shutdown_timeout),
            "shutdown_timeout",
            "no guest shuts down in no time at all",
        ),
        (
            no_time(settings.max_cold_downtime),
            "max_cold_downtime",
            "no guest reboots in no time at all; `allow_reboot: false` forbids it",
        ),
        (
            no_time(settings.live_timeout),
            "live_timeout",
            "no migration is done in no time at all",
        ),
    ];
    let wrong = checks.into_iter().filter(|(wrong, ..)| *wrong);
    wrong.map(|(_, field, message)| (field, message)).collect()
}

/// Why an entry of the ladder cannot come about after those before it.
fn never_comes(rung: OnStall, before: &[OnStall]) -> Option<String> {
    let name = name_of(rung);
    let ends = |rung: &&OnStall| matches!(rung, OnStall::Cold | OnStall::Abort);
    if let Some(end) = before.iter().find(ends) {
        let end = name_of(*end);
        return Some(format!(
            "`{name}` never comes about: `{end}` ends the migration before it"
        ));
    }
    if before.contains(&rung) {
        return Some(format!("`{name}` stands in the list twice"));
    }
    None
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
        shrink,
        flatten,
        allow_reboot,
        allow_detour,
        max_cold_downtime,
        live_timeout,
        accept,
        ask_qemu,
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
    into.shrink = into.shrink.or(shrink);
    into.flatten = into.flatten.or(flatten);
    into.allow_reboot = into.allow_reboot.or(allow_reboot);
    into.allow_detour = into.allow_detour.or(allow_detour);
    into.max_cold_downtime = into.max_cold_downtime.or(max_cold_downtime);
    into.live_timeout = into.live_timeout.or(live_timeout);
    into.accept = into.accept.take().or(accept);
    into.ask_qemu = into.ask_qemu.or(ask_qemu);
}
