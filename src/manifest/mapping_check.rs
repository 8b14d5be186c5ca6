//! Networks and pools with their names on each host. One thing of a host must not have two names for the fleet:
//! what is read from the host is turned back into that name, so the plan would never come to rest.

use std::collections::BTreeMap;

use super::checker::Checker;
use super::document::Pool;
use super::fault::{Fault, Label};
use super::merge::{Place, Section, Sections, Texts};
use crate::desired;
use crate::model::{HostName, NetworkName, PoolName};

type NetworkOn = BTreeMap<HostName, String>;

impl Checker<'_, '_, '_> {
    pub(super) fn networks(
        &mut self,
        networks: &Section<NetworkName, NetworkOn>,
    ) -> BTreeMap<NetworkName, NetworkOn> {
        let mut resolved = BTreeMap::new();
        let mut users: BTreeMap<(&HostName, &str), (&NetworkName, Place)> = BTreeMap::new();
        for (name, (place, on)) in networks {
            let Some(on) = on else { continue };
            for (host, local) in on {
                let keys = [host.as_str()];
                let path = format!("networks.{name}.{host}");
                let subject = format!("network `{name}` names");
                self.host(host, &path, &subject, |texts, text| {
                    texts.key(*place, &keys, text)
                });
                if local.trim().is_empty() {
                    let label = self.texts.value(*place, &keys, "empty");
                    let message = format!("network `{name}` has no name on host `{host}`");
                    let fault = Fault::new("invalid-name", path, label, message);
                    self.note(fault.help("write the bridge or libvirt network that it is there"));
                    continue;
                }
                if let Some((other, first)) = users.get(&(host, local.as_str())) {
                    let labels = [
                        self.texts
                            .value(*place, &keys, "the same bridge or network"),
                        self.texts.value(*first, &keys, "used here, too"),
                    ];
                    let message = format!(
                        "on host `{host}` both networks `{other}` and `{name}` are `{local}`, so an interface there \
                         could be in either"
                    );
                    self.ambiguous(path, labels, message);
                } else {
                    users.insert((host, local), (name, *place));
                }
            }
            resolved.insert(name.clone(), on.clone());
        }
        resolved
    }

    pub(super) fn pools(
        &mut self,
        pools: &Section<PoolName, Pool>,
    ) -> BTreeMap<PoolName, desired::Pool> {
        let mut resolved = BTreeMap::new();
        let mut users: BTreeMap<(&HostName, &PoolName), (&PoolName, Place)> = BTreeMap::new();
        for (name, (place, pool)) in pools {
            let Some(pool) = pool else { continue };
            for (host, local) in &pool.on {
                let path = format!("pools.{name}.{host}");
                let subject = format!("pool `{name}` names");
                self.host(host, &path, &subject, |texts, text| {
                    texts.key(*place, &keys_of_pool(texts, *place, host), text)
                });
                if let Some((other, first)) = users.get(&(host, local)) {
                    let label = |place: Place, text: &str| {
                        let keys = keys_of_pool(self.texts, place, host);
                        self.texts.value(place, &keys, text)
                    };
                    let labels = [
                        label(*place, "the same pool"),
                        label(*first, "used here, too"),
                    ];
                    let message = format!(
                        "on host `{host}` both pools `{other}` and `{name}` are `{local}`, so a disk there could be \
                         in either"
                    );
                    self.ambiguous(path, labels, message);
                } else {
                    users.insert((host, local), (name, *place));
                }
            }
            let pool = desired::Pool {
                shared: pool.shared,
                on: pool.on.clone(),
            };
            resolved.insert(name.clone(), pool);
        }
        resolved
    }

    fn ambiguous(&mut self, path: String, [label, first]: [Label; 2], message: String) {
        let fault = Fault::new("ambiguous", path, label, message);
        self.note(fault.second(first).help("declare one name for it"));
    }

    /// A disk's pool goes by its name for the fleet, also where its host calls it otherwise.
    pub(super) fn pools_by_their_names(&mut self, sections: &Sections) {
        let mut fleet_names: BTreeMap<(&HostName, &PoolName), &PoolName> = BTreeMap::new();
        for (name, (_, pool)) in &sections.pools {
            let on = pool.iter().flat_map(|pool| &pool.on);
            fleet_names.extend(on.map(|(host, local)| ((host, local), name)));
        }
        for (vm_name, (place, vm)) in &sections.vms {
            let Some(vm) = vm else { continue };
            for (disk, pool) in &vm.disks {
                let Some(fleet_name) = fleet_names.get(&(&vm.host, pool)) else {
                    continue;
                };
                if sections.pools.contains_key(pool) {
                    continue;
                }
                let keys = ["disks", disk.as_str()];
                let label = self.texts.value(*place, &keys, "its name on this host");
                let message = format!(
                    "`{pool}` is what host `{}` calls pool `{fleet_name}`",
                    vm.host
                );
                let path = format!("vms.{vm_name}.disks.{disk}");
                let fault = Fault::new("local-pool-name", path, label, message);
                self.note(fault.help(format!(
                    "write `{fleet_name}`, its name for the whole fleet"
                )));
            }
        }
    }
}

/// The keys that lead to a pool's name on a host, in either form.
fn keys_of_pool<'h>(texts: Texts<'_>, place: Place, host: &'h HostName) -> Vec<&'h str> {
    let under_on = vec!["on", host.as_str()];
    if texts.found(place, &under_on).is_some() {
        under_on
    } else {
        vec![host.as_str()]
    }
}
