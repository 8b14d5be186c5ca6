//! A reading to what it says twice and differently. One that observing has made says nothing so; one that somebody has
//! changed by hand may, and nothing can be planned on it.

use super::{Disk, Host, Observed};
use crate::model::{Bytes, PoolName, VolumeName};

/// What one disk says of a volume.
struct Said<'a> {
    volume: &'a (PoolName, VolumeName),
    /// The size of an image below a disk, which nobody changes. A disk may have grown since its pool was looked into.
    size: Option<Bytes>,
}

fn said(disk: &Disk) -> impl Iterator<Item = Said<'_>> {
    // A definition may name a volume that is not there.
    let is_found = disk.source_kind != "volume";
    let own = disk.volume.as_ref().filter(|_| is_found);
    let own = own.map(|volume| Said { volume, size: None });
    let below = disk.backing.iter().filter_map(|layer| {
        Some(Said {
            volume: layer.volume.as_ref()?,
            size: layer.capacity,
        })
    });
    own.into_iter().chain(below)
}

/// What is wrong with that, if anything.
fn contradiction(host: &Host, said: &Said<'_>) -> Option<String> {
    let (pool, name) = said.volume;
    let volume = host.pools.get(pool).and_then(|pool| pool.volumes.get(name));
    let Some(volume) = volume else {
        return Some(format!("on volume {pool}/{name}, which is not there"));
    };
    let (size, is) = (said.size?, volume.detail.as_ref()?.capacity);
    (size != is).then(|| format!("on {pool}/{name} of {size}, which is of {is}"))
}

impl Observed {
    /// Each contradiction in words.
    #[must_use]
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, host) in self.reached() {
            for (vm, reading) in &host.vms {
                let disks = reading.detail.iter().flat_map(|detail| &detail.disks);
                for disk in disks {
                    let wrong = said(disk).filter_map(|said| contradiction(host, &said));
                    let told =
                        wrong.map(|what| format!("{vm} on {name}: {} is {what}", disk.target));
                    found.extend(told);
                }
            }
        }
        found
    }
}
