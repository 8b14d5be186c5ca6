//! Which hosts see the same storage: pools that the manifest declares to be shared, and pools whose source libvirt
//! describes in the same words.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::Desired;
use crate::model::{HostName, PoolName, VolumeRef};
use crate::observed::Observed;
use crate::plan::Resource;

/// A pool as one host has it.
type Place<'a> = (&'a HostName, PoolName);

/// Every storage that may be seen by several hosts, with the pools that it is, in order of host name.
#[derive(Debug)]
pub(super) struct Storages<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    /// By the fleet-wide name.
    declared: BTreeMap<&'a PoolName, Vec<Place<'a>>>,
    /// By libvirt's description of the source.
    known: BTreeMap<&'a str, Vec<Place<'a>>>,
}

impl<'a> Storages<'a> {
    pub(super) fn of(desired: &'a Desired, observed: &'a Observed) -> Self {
        let mut declared: BTreeMap<&PoolName, Vec<Place<'_>>> = BTreeMap::new();
        let mut known: BTreeMap<&str, Vec<Place<'_>>> = BTreeMap::new();
        let shared: Vec<&PoolName> = desired
            .pools
            .iter()
            .filter(|(_, pool)| pool.shared)
            .map(|(name, _)| name)
            .collect();
        for (host, reading) in observed.reached() {
            for named in &shared {
                let local = desired.pool_on(named, host);
                if reading.pools.contains_key(&local) {
                    declared.entry(named).or_default().push((host, local));
                }
            }
            for (local, pool) in &reading.pools {
                if let Some(storage) = &pool.storage {
                    let places = known.entry(storage).or_default();
                    places.push((host, local.clone()));
                }
            }
        }
        Self {
            desired,
            observed,
            declared,
            known,
        }
    }

    /// The pools that are declared to be one with this one, and those that libvirt says are.
    fn same(&self, host: &HostName, pool: &PoolName) -> [&[Place<'a>]; 2] {
        let named = self.desired.pool_named(pool, host);
        let declared = self.declared.get(&named).map_or(&[][..], Vec::as_slice);
        let storage = self
            .observed
            .host(host)
            .and_then(|reading| reading.pools.get(pool)?.storage.as_deref());
        let known = storage.and_then(|storage| self.known.get(storage));
        [declared, known.map_or(&[], Vec::as_slice)]
    }

    /// The resource that a pool's bytes come from. Storage that several hosts see is counted once, on the first of
    /// them by name.
    pub(super) fn room(&self, host: &HostName, pool: &PoolName) -> Resource {
        let [declared, known] = self.same(host, pool);
        let first = match (declared.first(), known.first()) {
            // Of one host the declared pool.
            (Some(declared), Some(known)) if known.0 < declared.0 => Some(known),
            (declared, known) => declared.or(known),
        };
        match first {
            Some((host, pool)) => Resource::Pool((*host).clone(), pool.clone()),
            None => Resource::Pool(host.clone(), pool.clone()),
        }
    }

    /// A volume as each host that sees its storage names it.
    pub(super) fn everywhere(&self, at: &VolumeRef) -> BTreeSet<VolumeRef> {
        let others = self.same(&at.host, &at.pool).into_iter().flatten();
        let others = others.map(|(host, pool)| VolumeRef {
            host: (*host).clone(),
            pool: pool.clone(),
            volume: at.volume.clone(),
        });
        others.chain([at.clone()]).collect()
    }

    /// Every host whose daemon can see the storage of a volume, in order of name.
    pub(super) fn seen_by(&self, at: &VolumeRef) -> Vec<HostName> {
        let others = self.same(&at.host, &at.pool).into_iter().flatten();
        let mut hosts: BTreeSet<&HostName> = others.map(|(host, _)| *host).collect();
        if self.observed.host(&at.host).is_some() {
            hosts.insert(&at.host);
        }
        hosts.into_iter().cloned().collect()
    }
}
