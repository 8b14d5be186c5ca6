//! Pools and volumes of a host: one call for all pools and two for each, and one for each volume that is looked into.
//!
//! libvirt knows the volumes that it found when it last looked into a pool. It is made to look again
//! (`virStoragePoolRefresh`) where an image of a VM is in the folder of a pool that does not list it, and in pools that
//! the request names: shared ones that do not list a disk which the manifest says they have. This changes nothing on the
//! storage and nothing that a person has set; libvirt's list becomes what is there. It is not quite without effect,
//! which is why no pool is refreshed without such a reason: a pool whose folder cannot be read counts as stopped
//! afterwards, and libvirt tries to unmount one that it has mounted itself, which the kernel refuses while a VM uses it.
//! No VM could be started on such a pool, and the plan then says so. libvirt refuses a refresh while a volume of the
//! pool is being filled. A refresh counts towards the time limit of its host like every call.

use std::collections::{BTreeMap, BTreeSet};

use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt_sys as sys;

use super::parallel;
use super::pool_xml::{self, PoolFacts};
use super::questions::Questions;

use crate::libvirt::error::one_line;
use crate::libvirt::volume_xml;
use crate::model::{PoolName, VolumeFormat, VolumeName};
use crate::observed::{Pool, Volume, VolumeDetail};

/// The pools of a host with the handles by which more can be asked.
#[derive(Default)]
pub(super) struct Storage {
    pools: BTreeMap<PoolName, OpenPool>,
    by_path: BTreeMap<String, (PoolName, VolumeName)>,
}

struct OpenPool {
    handle: StoragePool,
    facts: PoolFacts,
    volumes: Option<BTreeMap<VolumeName, OpenVolume>>,
    /// Whether libvirt looked for its volumes anew.
    refreshed: bool,
    /// Whether it was asked to.
    tried: bool,
}

struct OpenVolume {
    handle: StorageVol,
    path: String,
    detail: Option<VolumeDetail>,
}

/// Every pool with its volumes' names and paths.
pub(super) fn list(questions: &Questions, refresh: &BTreeSet<PoolName>) -> Storage {
    let all = questions.call(|connect| connect.list_all_storage_pools(0));
    let Some(all) = questions.or_gap("its storage pools could not be listed", all) else {
        return Storage::default();
    };
    let read = parallel::each(&all, |handle| open(questions, handle, refresh));
    let mut storage = Storage {
        pools: read.into_iter().flatten().collect(),
        by_path: BTreeMap::new(),
    };
    storage.index();
    storage
}

fn open(
    questions: &Questions,
    handle: &StoragePool,
    refresh: &BTreeSet<PoolName>,
) -> Option<(PoolName, OpenPool)> {
    let name = handle.name().ok()?;
    let name = PoolName::new(name)
        .map_err(|error| questions.gap(error.to_string()))
        .ok()?;
    let refreshed = refresh.contains(&name) && refreshed(questions, &name, handle);
    let text = questions.call(|_| handle.xml_desc(0));
    let text = questions.or_gap(&format!("pool {name}"), text)?;
    let facts = pool_xml::read(&text)
        .map_err(|error| questions.gap(format!("pool {name}: {error}")))
        .ok()?;
    let pool = OpenPool {
        handle: handle.clone(),
        volumes: volumes(questions, &name, handle, &facts),
        facts,
        refreshed,
        tried: refreshed,
    };
    Some((name, pool))
}

/// Makes libvirt look for the pool's volumes anew, and says whether it did.
fn refreshed(questions: &Questions, name: &PoolName, handle: &StoragePool) -> bool {
    match questions.call(|_| handle.refresh(0)) {
        Ok(()) => true,
        // It is not started, which its list of volumes tells as well.
        Err(error) if error.is(sys::VIR_ERR_OPERATION_INVALID) => false,
        // It is busy with a volume that is being filled, or cannot be read; what is not listed stays unknown.
        Err(error) => {
            questions.gap(format!("pool {name}: {}", error.message));
            false
        }
    }
}

/// Names and paths of a pool's volumes; `None` for a pool that is not active, which libvirt only tells by refusing.
fn volumes(
    questions: &Questions,
    name: &PoolName,
    handle: &StoragePool,
    facts: &PoolFacts,
) -> Option<BTreeMap<VolumeName, OpenVolume>> {
    let all = match questions.call(|_| handle.list_all_volumes(0)) {
        Ok(all) => all,
        Err(error) if error.is(sys::VIR_ERR_OPERATION_INVALID) => return None,
        Err(error) => {
            questions.gap(format!("volumes of pool {name}: {}", error.message));
            return Some(BTreeMap::new());
        }
    };
    let read = parallel::each(&all, |volume| {
        let text = volume.name().ok()?;
        let Ok(volume_name) = VolumeName::new(text.as_str()) else {
            questions.gap(format!(
                "pool {name} has a volume called {:?}",
                one_line(&text)
            ));
            return None;
        };
        let path = known_path(facts, &text, &volume.key().ok()?)
            .or_else(|| questions.call(|_| volume.path()).ok())?;
        let open = OpenVolume {
            handle: volume.clone(),
            path,
            detail: None,
        };
        Some((volume_name, open))
    });
    Some(read.into_iter().flatten().collect())
}

/// A volume's path where its key, which the list brings along, tells it. libvirt's storage backends take the path
/// itself as key for all kinds of files, for partitions and for RBD images; for logical and ZFS volumes they put the
/// path together from the pool's and the name.
fn known_path(pool: &PoolFacts, name: &str, key: &str) -> Option<String> {
    match pool.kind.as_str() {
        _ if key.starts_with('/') => Some(key.to_owned()),
        "logical" | "zfs" => Some(format!("{}/{name}", pool.path)),
        "rbd" => Some(key.to_owned()),
        _ => None,
    }
}

/// Path and contents of a volume; `called` is its name for people.
fn contents(
    questions: &Questions,
    called: &str,
    handle: &StorageVol,
) -> Option<(String, VolumeDetail)> {
    let text = match questions.call(|_| handle.xml_desc(0)) {
        Ok(text) => text,
        // It went meanwhile.
        Err(error) if error.is_no_volume() => return None,
        Err(error) => {
            questions.gap(format!("{called}: {}", error.message));
            return None;
        }
    };
    let found = volume_xml::read(&text)
        .map_err(|error| questions.gap(format!("{called}: {error}")))
        .ok()?;
    // What LVM calls the origin of a snapshot is no image that this one needs.
    let is_image = found.format != VolumeFormat::Raw;
    let detail = VolumeDetail {
        format: found.format,
        capacity: found.capacity,
        allocation: found.allocation,
        backing: found.backing.filter(|_| is_image),
    };
    Some((found.path, detail))
}

impl Storage {
    /// The pool and volume of that path.
    pub(super) fn at(&self, path: &str) -> Option<(PoolName, VolumeName)> {
        self.by_path.get(path).cloned()
    }

    /// The volume of that name in that pool: its path, and what it holds where somebody asked.
    pub(super) fn get(
        &self,
        (pool, volume): &(PoolName, VolumeName),
    ) -> Option<(&str, Option<&VolumeDetail>)> {
        let found = self.pools.get(pool)?.volumes.as_ref()?.get(volume)?;
        Some((&found.path, found.detail.as_ref()))
    }

    /// Asks for the contents of every volume.
    pub(super) fn look_into_all(&mut self, questions: &Questions) {
        let all = self.pools.iter().flat_map(|(pool, open)| {
            let volumes = open.volumes.iter().flat_map(BTreeMap::keys);
            volumes.map(move |volume| (pool.clone(), volume.clone()))
        });
        self.look_into(questions, &all.collect());
    }

    /// Asks for the contents of the volumes at these paths or names and of all images below them. A file in the
    /// folder of a pool that does not list it makes the pool be refreshed, once: many tools put images there
    /// without a word to libvirt.
    pub(super) fn look_below(
        &mut self,
        questions: &Questions,
        paths: BTreeSet<String>,
        names: BTreeSet<(PoolName, VolumeName)>,
    ) {
        let mut paths = paths;
        let mut wanted = names;
        // Each round goes one image down; a chain that turns back on itself brings nothing new.
        loop {
            self.refresh_for(questions, &paths);
            wanted.extend(paths.iter().filter_map(|path| self.at(path)));
            wanted.retain(|volume| self.get(volume).is_some_and(|(_, detail)| detail.is_none()));
            if wanted.is_empty() {
                return;
            }
            self.look_into(questions, &wanted);
            paths = std::mem::take(&mut wanted)
                .iter()
                .filter_map(|volume| self.get(volume)?.1?.backing.clone())
                .map(|(path, _)| path)
                .collect();
        }
    }

    /// Asks for the contents of these volumes as far as they are not known.
    pub(super) fn look_into(
        &mut self,
        questions: &Questions,
        wanted: &BTreeSet<(PoolName, VolumeName)>,
    ) {
        let unknown: Vec<_> = wanted
            .iter()
            .filter_map(|at| {
                let found = self.pools.get(&at.0)?.volumes.as_ref()?.get(&at.1)?;
                found.detail.is_none().then_some((at, &found.handle))
            })
            .collect();
        let read = parallel::each(&unknown, |(at, handle)| {
            let found = contents(questions, &format!("volume {}/{}", at.0, at.1), handle)?;
            Some(((*at).clone(), found))
        });
        for (at, (path, detail)) in read.into_iter().flatten() {
            let open = self
                .pools
                .get_mut(&at.0)
                .and_then(|pool| pool.volumes.as_mut()?.get_mut(&at.1));
            if let Some(open) = open {
                open.path.clone_from(&path);
                open.detail = Some(detail);
                self.by_path.entry(path).or_insert(at);
            }
        }
    }

    fn refresh_for(&mut self, questions: &Questions, paths: &BTreeSet<String>) {
        let folders: BTreeSet<&str> = paths
            .iter()
            .filter(|path| !self.by_path.contains_key(*path))
            .filter_map(|path| path.rsplit_once('/').map(|(folder, _)| folder))
            .collect();
        let mut anew = false;
        for (name, pool) in &mut self.pools {
            let due =
                pool.volumes.is_some() && !pool.tried && folders.contains(pool.facts.path.as_str());
            if !due {
                continue;
            }
            pool.tried = true;
            pool.refreshed = self::refreshed(questions, name, &pool.handle);
            if pool.refreshed {
                pool.volumes = volumes(questions, name, &pool.handle, &pool.facts);
                anew = true;
            }
        }
        if anew {
            self.index();
        }
    }

    /// Where several pools show one path, the first by name counts.
    fn index(&mut self) {
        self.by_path.clear();
        for (pool, open) in &self.pools {
            for (volume, known) in open.volumes.iter().flatten() {
                self.by_path
                    .entry(known.path.clone())
                    .or_insert_with(|| (pool.clone(), volume.clone()));
            }
        }
    }

    /// What is known, without the handles.
    pub(super) fn into_pools(self) -> BTreeMap<PoolName, Pool> {
        let closed = |(name, pool): (PoolName, OpenPool)| {
            let active = pool.volumes.is_some();
            let refreshed = active && pool.refreshed;
            let volumes = pool.volumes.into_iter().flatten();
            let volumes = volumes.map(|(name, open)| {
                let volume = Volume {
                    path: open.path,
                    detail: open.detail,
                };
                (name, volume)
            });
            let pool = Pool {
                kind: pool.facts.kind,
                active,
                path: pool.facts.path,
                storage: pool.facts.storage,
                capacity: pool.facts.capacity,
                available: pool.facts.available,
                volumes: volumes.collect(),
                refreshed,
            };
            (name, pool)
        };
        self.pools.into_iter().map(closed).collect()
    }
}
