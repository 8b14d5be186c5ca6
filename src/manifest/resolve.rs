//! Sections to [`Desired`], with the faults that only show when several values are seen together.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Host, Spice};
use super::fault::{Fault, Label};
use super::merge::{Place, Section, Sections, Texts};
use super::settings::Settings;
use super::settings_check;
use super::suggest;
use super::tree::Content;
use super::uri::{self, Complaint, User};
use crate::desired::{self, Desired};
use crate::model::{ClusterName, HostName, MacAddress, NetworkName, PoolName, VmName};

/// Resolves every name. The result is what is demanded if there are no faults.
pub(super) fn resolve(sections: &Sections, texts: Texts<'_>, faults: &mut Vec<Fault>) -> Desired {
    let hosts = Known::new("host", "hosts", sections.hosts.keys().map(HostName::as_str));
    let clusters = Known::new(
        "cluster",
        "clusters",
        sections.clusters.keys().map(ClusterName::as_str),
    );
    let mut resolver = Resolver {
        texts,
        faults,
        hosts,
        clusters,
    };
    let desired = Desired {
        clusters: clusters_of(sections),
        hosts: resolver.hosts_of(&sections.hosts),
        pools: resolver.pools_of(sections),
        networks: resolver.networks_of(&sections.networks),
        migration: resolver.migration_of(sections),
        vms: resolver.vms_of(sections),
    };
    resolver.uris_once(&sections.hosts);
    resolver.pools_by_their_names(sections);
    desired
}

/// The names of one kind that are declared.
pub(super) struct Known<'s> {
    kind: &'static str,
    section: &'static str,
    names: BTreeSet<&'s str>,
    /// The help for a name that is not declared, found once however often it is used.
    helps: BTreeMap<String, String>,
}

impl<'s> Known<'s> {
    fn new(
        kind: &'static str,
        section: &'static str,
        names: impl Iterator<Item = &'s str>,
    ) -> Self {
        Self {
            kind,
            section,
            names: names.collect(),
            helps: BTreeMap::new(),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub(super) fn help(&mut self, name: &str) -> String {
        if let Some(help) = self.helps.get(name) {
            return help.clone();
        }
        let help = match suggest::nearest(name, self.names.iter().copied()) {
            Some(near) => format!(
                "did you mean `{near}`? Otherwise declare `{name}` in `{}`",
                self.section
            ),
            None if self.names.is_empty() => format!(
                "no {} is declared: declare `{name}` in `{}`",
                self.kind, self.section
            ),
            None => format!("declare `{name}` in `{}`", self.section),
        };
        self.helps.insert(name.to_owned(), help.clone());
        help
    }
}

pub(super) struct Resolver<'a, 's> {
    pub(super) texts: Texts<'a>,
    pub(super) faults: &'a mut Vec<Fault>,
    pub(super) hosts: Known<'s>,
    pub(super) clusters: Known<'s>,
}

fn clusters_of(sections: &Sections) -> BTreeMap<ClusterName, desired::Cluster> {
    let read = sections
        .clusters
        .iter()
        .filter_map(|(name, (_, cluster))| Some((name, cluster.as_ref()?)));
    read.map(|(name, cluster)| {
        let cluster = desired::Cluster {
            network: cluster.network,
            spice_denied: cluster.spice == Spice::Denied,
            os: cluster.os.clone(),
        };
        (name.clone(), cluster)
    })
    .collect()
}

impl Resolver<'_, '_> {
    fn hosts_of(&mut self, hosts: &Section<HostName, Host>) -> BTreeMap<HostName, desired::Host> {
        let mut resolved = BTreeMap::new();
        for (name, (place, host)) in hosts {
            let Some(host) = host else { continue };
            self.check_host(name, *place, host);
            let reserve = host.reserve.as_ref();
            let limits = host.limits.as_ref();
            let host = desired::Host {
                uri: host.uri.clone(),
                cluster: host.cluster.clone(),
                peer_uri: host.peer_uri.clone(),
                address: host.address.clone(),
                reserve: desired::Reserve {
                    memory: reserve
                        .and_then(|reserve| reserve.memory)
                        .map(|written| written.0)
                        .unwrap_or_default(),
                    vcpus: reserve
                        .and_then(|reserve| reserve.vcpus)
                        .unwrap_or_default(),
                },
                limits: desired::HostLimits {
                    vms: limits.and_then(|limits| limits.vms),
                    vcpu_ratio: limits.and_then(|limits| limits.vcpu_ratio),
                    parallel: limits.and_then(|limits| limits.parallel),
                },
                maintenance: host.maintenance,
            };
            resolved.insert(name.clone(), host);
        }
        resolved
    }

    fn check_host(&mut self, name: &HostName, place: Place, host: &Host) {
        let path = |field: &str| format!("hosts.{name}.{field}");
        if let Err(complaint) = uri::check(&host.uri, User::Us) {
            // In the short form the URI is the host's whole value.
            let short = self.texts.trees[place.source]
                .find(place.value, &["uri"])
                .is_none();
            if short {
                self.complain(format!("hosts.{name}"), place, None, complaint);
            } else {
                self.complain(path("uri"), place, Some("uri"), complaint);
            }
        }
        if let Some(Err(complaint)) = host
            .peer_uri
            .as_deref()
            .map(|uri| uri::check(uri, User::Peers))
        {
            self.complain(path("peer_uri"), place, Some("peer_uri"), complaint);
        }
        if let Some(Err(complaint)) = host.address.as_deref().map(uri::check_address) {
            self.complain(path("address"), place, Some("address"), complaint);
        }
        if let Some(cluster) = &host.cluster
            && !self.clusters.has(cluster.as_str())
        {
            let label = self.texts.label_in(place, &["cluster"], "not declared");
            let message =
                format!("host `{name}` belongs to cluster `{cluster}`, which is not declared");
            let help = self.clusters.help(cluster.as_str());
            self.faults
                .push(Fault::new("unknown-cluster", path("cluster"), label, message).help(help));
        }
        let Some(limits) = &host.limits else { return };
        if limits
            .vcpu_ratio
            .is_some_and(|ratio| !ratio.is_finite() || ratio <= 0.0)
        {
            self.out_of_range(
                path("limits.vcpu_ratio"),
                place,
                &["limits", "vcpu_ratio"],
                "the ratio of vCPUs to processors must be a number above 0",
            );
        }
        if limits.parallel == Some(0) {
            self.out_of_range(
                path("limits.parallel"),
                place,
                &["limits", "parallel"],
                "with 0 migrations at once no VM could ever leave or reach the host",
            );
        }
    }

    fn complain(&mut self, path: String, place: Place, field: Option<&str>, complaint: Complaint) {
        let (code, message, help) = complaint;
        let label = match field {
            Some(field) => self.texts.label_in(place, &[field], "here"),
            None => self.texts.label(place.source, place.value, "here"),
        };
        self.faults
            .push(Fault::new(code, path, label, message).help(help));
    }

    pub(super) fn out_of_range(
        &mut self,
        path: String,
        place: Place,
        keys: &[&str],
        message: &str,
    ) {
        let label = self.texts.label_in(place, keys, "out of range");
        self.faults
            .push(Fault::new("out-of-range", path, label, message));
    }

    /// Reports a host that is not declared; `at` is the label's node.
    pub(super) fn known_host(
        &mut self,
        host: &HostName,
        path: &str,
        subject: &str,
        label: impl FnOnce(&Texts<'_>) -> Label,
    ) {
        if self.hosts.has(host.as_str()) {
            return;
        }
        let message = format!("{subject} host `{host}`, which is not declared");
        let help = self.hosts.help(host.as_str());
        let label = label(&self.texts);
        self.faults
            .push(Fault::new("unknown-host", path, label, message).help(help));
    }

    /// Two names for one host would make Domicile move a VM onto itself, or count its room twice.
    fn uris_once(&mut self, hosts: &Section<HostName, Host>) {
        let mut users: BTreeMap<&str, (&HostName, Place, &str)> = BTreeMap::new();
        for (name, (place, host)) in hosts {
            let Some(host) = host else { continue };
            let uris = [
                ("uri", Some(&host.uri)),
                ("peer_uri", host.peer_uri.as_ref()),
            ];
            for (field, uri) in uris {
                let Some(uri) = uri.map(|uri| uri.trim_end_matches('/')) else {
                    continue;
                };
                match users.get(uri) {
                    Some((other, first, first_field)) if *other != name => {
                        let keys = |place: Place, field: &str, text: &str| {
                            let long = self.texts.trees[place.source].find(place.value, &[field]);
                            let node = long.map_or(place.value, |(_, value)| value);
                            self.texts.label(place.source, node, text)
                        };
                        let label = keys(*place, field, "the same URI");
                        let first = keys(*first, first_field, "already used here");
                        let message = format!(
                            "hosts `{other}` and `{name}` have the same URI, so they would be one host with two names"
                        );
                        let fault =
                            Fault::new("uri-taken", format!("hosts.{name}"), label, message)
                                .second(first);
                        self.faults.push(
                            fault.help(
                                "give each host the URI of its own libvirt, or declare it once",
                            ),
                        );
                    }
                    Some(_) => {}
                    None => {
                        users.insert(uri, (name, *place, field));
                    }
                }
            }
        }
    }

    fn networks_of(
        &mut self,
        networks: &Section<NetworkName, BTreeMap<HostName, String>>,
    ) -> BTreeMap<NetworkName, BTreeMap<HostName, String>> {
        let mut resolved = BTreeMap::new();
        let mut users: BTreeMap<(&HostName, &str), (&NetworkName, Place)> = BTreeMap::new();
        for (name, (place, on)) in networks {
            let Some(on) = on else { continue };
            for (host, local) in on {
                let path = format!("networks.{name}.{host}");
                self.known_host(host, &path, &format!("network `{name}` names"), |texts| {
                    texts.label_of_key(*place, &[host.as_str()], "not declared")
                });
                if local.is_empty() {
                    let label = self.texts.label_in(*place, &[host.as_str()], "empty");
                    let message = format!(
                        "network `{name}` needs the name of a bridge or libvirt network on host `{host}`"
                    );
                    self.faults
                        .push(Fault::new("invalid-name", path, label, message));
                    continue;
                }
                match users.get(&(host, local.as_str())) {
                    Some((other, first)) => {
                        let label = self.texts.label_in(
                            *place,
                            &[host.as_str()],
                            "the same bridge or network",
                        );
                        let first =
                            self.texts
                                .label_in(*first, &[host.as_str()], "already used here");
                        let message = format!(
                            "on host `{host}` both networks `{other}` and `{name}` are `{local}`, so an interface there could be in either"
                        );
                        self.faults.push(
                            Fault::new("ambiguous", path, label, message)
                                .second(first)
                                .help("declare one name for it"),
                        );
                    }
                    None => {
                        users.insert((host, local), (name, *place));
                    }
                }
            }
            resolved.insert(name.clone(), on.clone());
        }
        resolved
    }

    fn vms_of(&mut self, sections: &Sections) -> BTreeMap<VmName, desired::Vm> {
        let mut resolved = BTreeMap::new();
        let mut macs: BTreeMap<&MacAddress, (&VmName, Place)> = BTreeMap::new();
        for (name, (place, vm)) in &sections.vms {
            let Some(vm) = vm else { continue };
            if !self.hosts.has(vm.host.as_str()) {
                let short = self.texts.trees[place.source]
                    .find(place.value, &["host"])
                    .is_none();
                let path = if short {
                    format!("vms.{name}")
                } else {
                    format!("vms.{name}.host")
                };
                self.known_host(
                    &vm.host,
                    &path,
                    &format!("VM `{name}` shall live on"),
                    |texts| {
                        if short {
                            texts.label(place.source, place.value, "not declared")
                        } else {
                            texts.label_in(*place, &["host"], "not declared")
                        }
                    },
                );
            }
            for mac in vm.interfaces.keys() {
                if let Some((other, first)) = macs.insert(mac, (name, *place)) {
                    let label = self.label_of_mac(*place, mac, "and again here");
                    let first = self.label_of_mac(first, mac, "first here");
                    let message = format!(
                        "VMs `{other}` and `{name}` both have an interface with the MAC address {mac}"
                    );
                    self.faults.push(
                        Fault::new(
                            "mac-twice",
                            format!("vms.{name}.interfaces.{mac}"),
                            label,
                            message,
                        )
                        .second(first),
                    );
                }
            }
            let migration = vm
                .migration
                .as_ref()
                .map(Settings::overrides)
                .unwrap_or_default();
            if vm.migration.is_some() {
                settings_check::check(
                    self,
                    &migration,
                    &format!("vms.{name}.migration"),
                    *place,
                    &["migration"],
                );
                settings_check::check_method(self, vm.method, &migration, name, *place);
            }
            let vm = desired::Vm {
                host: vm.host.clone(),
                disks: vm.disks.clone(),
                interfaces: vm.interfaces.clone(),
                method: vm.method,
                migration,
            };
            resolved.insert(name.clone(), vm);
        }
        resolved
    }

    fn label_of_mac(&self, place: Place, mac: &MacAddress, text: &str) -> Label {
        // The manifest may have it in capitals or with hyphens.
        let tree = &self.texts.trees[place.source];
        let written = tree
            .find(place.value, &["interfaces"])
            .and_then(|(_, interfaces)| {
                let Content::Map(entries) = tree.content(interfaces) else {
                    return None;
                };
                entries
                    .iter()
                    .find(|(key, _)| MacAddress::new(tree.key(*key)).as_ref() == Ok(mac))
            });
        self.texts.label(
            place.source,
            written.map_or(place.key, |(key, _)| *key),
            text,
        )
    }

    fn pools_of(&mut self, sections: &Sections) -> BTreeMap<PoolName, desired::Pool> {
        let mut resolved = BTreeMap::new();
        let mut users: BTreeMap<(&HostName, &PoolName), (&PoolName, Place)> = BTreeMap::new();
        for (name, (place, pool)) in &sections.pools {
            let Some(pool) = pool else { continue };
            for (host, local) in &pool.on {
                let path = format!("pools.{name}.{host}");
                self.known_host(host, &path, &format!("pool `{name}` names"), |texts| {
                    label_of_pool(texts, *place, host, true, "not declared")
                });
                if let Some((other, first)) = users.insert((host, local), (name, *place)) {
                    let label = label_of_pool(&self.texts, *place, host, false, "the same pool");
                    let first = label_of_pool(&self.texts, first, host, false, "already used here");
                    let message = format!(
                        "on host `{host}` both pools `{other}` and `{name}` are `{local}`, so a disk there could be in either"
                    );
                    self.faults.push(
                        Fault::new("ambiguous", path, label, message)
                            .second(first)
                            .help("declare one name for it"),
                    );
                }
            }
            resolved.insert(
                name.clone(),
                desired::Pool {
                    shared: pool.shared,
                    on: pool.on.clone(),
                },
            );
        }
        resolved
    }

    /// A disk's pool goes by its name for the fleet. Under the name that only its host uses, the disk would be found
    /// in another pool than demanded after every apply.
    fn pools_by_their_names(&mut self, sections: &Sections) {
        let mut local_names: BTreeMap<(&HostName, &PoolName), &PoolName> = BTreeMap::new();
        for (name, (_, pool)) in &sections.pools {
            let on = pool.iter().flat_map(|pool| &pool.on);
            local_names.extend(on.map(|(host, local)| ((host, local), name)));
        }
        for (vm_name, (place, vm)) in &sections.vms {
            for (disk, pool) in vm.iter().flat_map(|vm| &vm.disks) {
                let host = vm.as_ref().map(|vm| &vm.host);
                let Some(fleet) = host.and_then(|host| local_names.get(&(host, pool))) else {
                    continue;
                };
                if sections.pools.contains_key(pool) {
                    continue;
                }
                let label =
                    self.texts
                        .label_in(*place, &["disks", disk.as_str()], "this host's own name");
                let message = format!("`{pool}` is what one host calls pool `{fleet}`");
                let path = format!("vms.{vm_name}.disks.{disk}");
                self.faults.push(
                    Fault::new("local-pool-name", path, label, message)
                        .help(format!("write `{fleet}`, its name for the fleet")),
                );
            }
        }
    }
}

/// The place of a pool's name on a host, in either form.
fn label_of_pool(texts: &Texts<'_>, place: Place, host: &HostName, key: bool, text: &str) -> Label {
    let tree = &texts.trees[place.source];
    let under_on = ["on", host.as_str()];
    let path: &[&str] = if tree.find(place.value, &under_on).is_some() {
        &under_on
    } else {
        &under_on[1..]
    };
    if key {
        texts.label_of_key(place, path, text)
    } else {
        texts.label_in(place, path, text)
    }
}
