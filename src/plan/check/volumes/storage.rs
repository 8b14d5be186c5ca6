//! A volume of a host's pool, or a path on a host, to the one place in the fleet that it is: storage that several hosts
//! see is one.

use std::collections::BTreeMap;

use super::super::given::Given;
use crate::model::{HostName, PoolName, VolumeName, VolumeRef};
use crate::observed::{Pool, Reading, Volume};

/// Where bytes are. Two volumes of one place are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place<'a> {
    /// The first host, by its name, that sees the storage.
    pub(super) host: &'a HostName,
    /// The pool's path there.
    folder: &'a str,
    name: &'a str,
}

/// The storage of all hosts.
pub(super) struct Storage<'a> {
    given: &'a Given<'a>,
    /// The hosts that see each pool that may be seen by several, by the first of them.
    seen_by: BTreeMap<(&'a HostName, &'a PoolName), Vec<&'a HostName>>,
}

fn folder(pool: &Pool) -> &str {
    pool.path.trim_end_matches('/')
}

impl<'a> Storage<'a> {
    pub(super) fn of(given: &'a Given<'a>) -> Self {
        let mut seen_by: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for ((host, _), first) in given.shared() {
            seen_by.entry(first).or_default().push(host);
        }
        Self { given, seen_by }
    }

    fn pool(&self, host: &HostName, pool: &PoolName) -> Option<&'a Pool> {
        self.given.observed.host(host)?.pools.get(pool)
    }

    /// The place of a volume.
    pub(super) fn of_volume(
        &self,
        host: &'a HostName,
        pool: &'a PoolName,
        name: &'a VolumeName,
    ) -> Place<'a> {
        let (host, pool) = self.given.storage(host, pool);
        Place {
            host,
            folder: self.pool(host, pool).map_or(pool.as_str(), folder),
            name: name.as_str(),
        }
    }

    pub(super) fn at(&self, at: &'a VolumeRef) -> Place<'a> {
        self.of_volume(&at.host, &at.pool, &at.volume)
    }

    /// The place of a path on a host; `None` where it is in no pool.
    pub(super) fn of_path(&self, host: &HostName, path: &'a str) -> Option<Place<'a>> {
        let (within, name) = path.rsplit_once('/')?;
        let (host, reading) = self.given.observed.hosts.get_key_value(host)?;
        let Reading::Reached(reading) = reading else {
            return None;
        };
        let mut pools = reading.pools.iter();
        let (pool, _) = pools.find(|(_, pool)| folder(pool) == within)?;
        let (host, pool) = self.given.storage(host, pool);
        Some(Place {
            host,
            folder: folder(self.pool(host, pool)?),
            name,
        })
    }

    /// The path that a new volume gets.
    pub(super) fn new_path(&self, at: &VolumeRef) -> Option<String> {
        let pool = self.pool(&at.host, &at.pool)?;
        Some(format!("{}/{}", folder(pool), at.volume))
    }

    /// What was read of a place, by the first host that sees it or by that one.
    pub(super) fn read(
        &self,
        place: Place<'a>,
        by: &'a HostName,
    ) -> Option<(&'a HostName, &'a Volume)> {
        [place.host, by].into_iter().find_map(|host| {
            let mut pools = self.given.observed.host(host)?.pools.iter();
            let (_, pool) = pools.find(|(pool, _)| self.is_of(place, host, pool))?;
            Some((host, pool.volumes.get(place.name)?))
        })
    }

    /// Whether a pool that was read is the storage that a place is on.
    fn is_of(&self, place: Place<'_>, host: &HostName, pool: &PoolName) -> bool {
        let (first, pool) = self.given.storage(host, pool);
        let path = self.pool(first, pool).map(folder);
        first == place.host && path == Some(place.folder)
    }

    /// Whether a place is in that pool.
    pub(super) fn is_in(&self, place: Place<'a>, host: &HostName, pool: &PoolName) -> bool {
        let reading = self.given.observed.host(host);
        // A pool that nobody read says nothing.
        reading.is_none_or(|reading| !reading.pools.contains_key(pool))
            || self.is_of(place, host, pool)
    }

    /// A host that sees the volume's storage too and is not among those.
    pub(super) fn unasked(&self, at: &'a VolumeRef, asked: &[HostName]) -> Option<&'a HostName> {
        let all = self.seen_by.get(&self.given.storage(&at.host, &at.pool))?;
        let mut others = all.iter().filter(|host| **host != &at.host);
        others.find(|host| !asked.contains(host)).copied()
    }
}
