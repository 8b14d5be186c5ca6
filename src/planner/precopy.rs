//! A guest's memory, how fast the guest changes it and how fast it can be carried, to what a live migration carries.
//!
//! QEMU carries all of the memory that the guest has ever touched, then again what has changed meanwhile, and so on; when
//! what is left can be carried within the downtime that is allowed, the guest pauses for it. A guest that changes its
//! memory faster than it is carried never gets there.

use crate::model::{Bytes, BytesPerSecond, Millis};

/// More passes than this are no forecast any more: QEMU has by then carried everything many times.
const PASSES_MAX: usize = 50;

/// A running guest, as far as its memory is concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guest {
    /// What has to be carried once: memory that it never touched is not.
    pub(super) memory: Bytes,
    /// How fast it changes its memory; `None`: nobody has measured it, and it is taken for idle.
    pub(super) dirtied: Option<BytesPerSecond>,
}

/// All that is carried of a guest's memory, or `None` where the passes get no shorter.
pub(super) fn carried(guest: Guest, rate: BytesPerSecond, downtime: Millis) -> Option<Bytes> {
    let Some(dirtied) = guest.dirtied.filter(|dirtied| dirtied.0 > 0) else {
        return Some(guest.memory);
    };
    if dirtied >= rate {
        return None;
    }
    let last = rate.in_time(downtime);
    let (mut pass, mut all) = (guest.memory, guest.memory);
    for _ in 0..PASSES_MAX {
        let changed = dirtied.in_time(rate.time_for(pass)).min(guest.memory);
        all = all.plus(changed);
        if changed <= last {
            return Some(all);
        }
        pass = changed;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn sent(memory: u64, dirtied: Option<u64>, rate: u64) -> Option<u64> {
        let guest = Guest {
            memory: Bytes(memory * MIB),
            dirtied: dirtied.map(|it| BytesPerSecond(it * MIB)),
        };
        carried(guest, BytesPerSecond(rate * MIB), Millis(300)).map(|bytes| bytes.0 / MIB)
    }

    #[test]
    fn the_memory_of_an_idle_guest_is_carried_once() {
        assert_eq!(sent(4096, None, 100), Some(4096));
        assert_eq!(sent(4096, Some(0), 100), Some(4096));
    }

    #[test]
    fn what_changes_meanwhile_is_carried_again_until_the_rest_fits_into_the_downtime() {
        // 1,000, 500, 250, 125, 62, 31 MiB; then 16 are left, and 30 would do.
        assert_eq!(sent(1000, Some(50), 100), Some(1984));
        assert_eq!(sent(1000, Some(1), 100), Some(1010));
    }

    #[test]
    fn a_guest_that_is_faster_than_the_link_never_gets_there() {
        assert_eq!(sent(1000, Some(100), 100), None);
        assert_eq!(
            sent(1000, Some(99), 100),
            None,
            "not within any sensible number of passes"
        );
    }
}
