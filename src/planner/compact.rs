//! Disks whose images are written anew by their host's daemon before they are carried, and where that copy lies.

use super::intent::Transfer;
use crate::model::{DiskTarget, VolumeName, VolumeRef};
use crate::plan::{Carry, DiskPlacement};
use crate::rules::{self, Case};

/// The disks of a move by these means. Only a stream carries a file that our plan chooses: a migration and a block copy
/// read what the guest reads, base included, and leave no image to be made beforehand.
pub(super) fn shaped(case: &Case<'_>, transfer: Transfer) -> Vec<DiskPlacement> {
    let mut disks = case.disks.to_vec();
    for disk in disks.iter_mut().filter(|_| transfer == Transfer::Stream) {
        let asked = disk.is_flattened() || rules::is_shrunk(case, disk);
        if let Some(from) = disk.from.as_ref().filter(|_| asked) {
            let via = case
                .changes_host()
                .then(|| passing(case, &disk.target, from));
            disk.carry = Carry::Compact { via };
        }
    }
    disks
}

/// Where the compacted copy lies on its way: beside the image, under its name where that is free, else under a name
/// that only this VM's disk has. What an earlier apply left there goes first.
fn passing(case: &Case<'_>, target: &DiskTarget, from: &VolumeRef) -> VolumeRef {
    let own = format!("{}-{target}.compact", case.vm.uuid);
    let named = [format!("{}.compact", from.volume), own].map(VolumeName::new);
    let mut places = named.into_iter().flatten().map(|volume| VolumeRef {
        volume,
        ..from.clone()
    });
    let is_free =
        |at: &VolumeRef| case.observed.volume(at).is_none() || case.discarded.contains(at);
    let last = places.clone().next_back();
    let free = places.find(is_free);
    free.or(last).unwrap_or_else(|| from.clone())
}
