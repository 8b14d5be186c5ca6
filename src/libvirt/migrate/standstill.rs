//! When a migration that stands still is looked after, and when it is given up though it has not ended.
//!
//! A destination that falls silent shows in different ways. While the two sides get ready, and while memory is carried,
//! the source's daemon notices within half a minute (its keepalive) and ends the migration. But while a disk is copied,
//! writes to QEMU's NBD server at the destination are under way, and QEMU waits for each of them until TCP gives up,
//! which takes about a quarter of an hour (`net.ipv4.tcp_retries2`), though libvirt has long told it to cancel the copy:
//! `qemuMigrationSrcNBDCopyCancel` waits as long as QEMU does. Each further request to end the job is taken, and
//! nothing happens. The guest runs on meanwhile, and its job holds it.

use std::time::Duration;

use super::ladder::Phase;

/// How long nothing may move before the destination is asked whether it is still there. By then keepalive has closed the
/// connections to a host that is gone (half a minute).
const STILL: Duration = Duration::from_secs(40);

/// How long a migration may take to end that was told to, or has failed.
pub(super) const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// What is due about a migration that stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Ask whether its destination is still there.
    AskDestination,
    /// It does not end: wait no longer.
    GiveUp,
}

/// What was last seen of a migration, and since when.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    seen: Option<(Phase, u64, u64)>,
    since: Duration,
    asked: Duration,
    ending_since: Option<Duration>,
}

impl Standstill {
    /// Takes note of what is carried and what is left at a moment, counted from the start, and of whether the
    /// migration was told to end or has failed; returns what is due.
    pub(super) fn look(
        &mut self,
        seen: (Phase, u64, u64),
        is_ending: bool,
        now: Duration,
    ) -> Option<Due> {
        if self.seen != Some(seen) {
            self.seen = Some(seen);
            self.since = now;
        }
        if is_ending {
            let told = *self.ending_since.get_or_insert(now);
            let waited = now.saturating_sub(told.max(self.since));
            return (waited >= ENDS_WITHIN).then_some(Due::GiveUp);
        }
        let waited = now.saturating_sub(self.since.max(self.asked));
        (waited >= STILL).then(|| {
            self.asked = now;
            Due::AskDestination
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is due in each second, for a migration that has carried so much by then and is ending from then on.
    fn due(carried: impl Fn(u64) -> u64, ending_from: u64) -> Vec<(u64, Due)> {
        let mut standstill = Standstill::default();
        let look = |second| {
            let seen = (Phase::Disks, carried(second), 1000 - carried(second));
            let now = Duration::from_secs(second);
            let due = standstill.look(seen, second >= ending_from, now)?;
            Some((second, due))
        };
        (0..200).filter_map(look).collect()
    }

    #[test]
    fn what_moves_is_left_alone_and_what_stands_still_has_its_destination_asked_now_and_then() {
        assert_eq!(due(|second| second / 40, 1000), []);
        let ask = Due::AskDestination;
        let asked = due(|second| second.min(10), 1000);
        assert_eq!(asked, [(50, ask), (90, ask), (130, ask), (170, ask)]);
    }

    #[test]
    fn what_is_told_to_end_and_does_not_is_given_up() {
        let first = |due: Vec<(u64, Due)>| due.first().copied();
        assert_eq!(first(due(|_| 0, 10)), Some((40, Due::GiveUp)));
        // One that still carries something has not heard it yet.
        let heard_late = due(|second| second.min(30), 10);
        assert_eq!(first(heard_late), Some((60, Due::GiveUp)));
    }
}
