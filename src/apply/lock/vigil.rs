//! Whether the owner of a lock lives, by watching its beat. No clock of another machine is compared with ours: what
//! counts is for how long, measured here, nothing changed. Knows no threads, no hosts and no clock.

use uuid::Uuid;

use super::pace::{BEATS_MISSED, Pace};
use crate::lock::HeldLock;
use crate::model::Millis;

/// The longest time between two beats that a record may promise: a record comes from a host and may say anything.
const BEATS_EVERY_MAX: Millis = Millis(60_000);

/// What is known of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was seen to beat, or to take the lock.
    Alive,
    /// Not watched for long enough.
    Unknown,
    /// It has not beaten for so long that it must know itself that its lock is void.
    Dead,
}

/// What was seen of the lock of one host.
#[derive(Debug, Clone, Default)]
pub(super) struct Vigil {
    first: Option<Uuid>,
    last: Option<(Uuid, Option<u64>)>,
    /// Since when, by the clock here, nothing has changed.
    still_since: Millis,
    moved: bool,
}

impl Vigil {
    /// Takes note of what is on the host now and says what that tells. `now` is a clock that neither jumps nor runs
    /// while this machine sleeps: time in which nobody looked proves nothing.
    pub(super) fn see(&mut self, held: &HeldLock, now: Millis, pace: &Pace) -> Verdict {
        let seen = (held.id, held.beat);
        if self.last != Some(seen) {
            self.moved = self.first.is_some();
            self.first.get_or_insert(held.id);
            self.last = Some(seen);
            self.still_since = now;
        }
        if self.still_for(now) >= dead_after(held, pace) && held.record.is_ok() {
            Verdict::Dead
        } else if self.moved && self.still_for(now) < dead_after(held, pace) {
            Verdict::Alive
        } else {
            Verdict::Unknown
        }
    }

    /// For how long nothing has changed.
    pub(super) fn still_for(&self, now: Millis) -> Millis {
        Millis(now.0.saturating_sub(self.still_since.0))
    }
}

/// After how long without a beat this lock counts as dead.
pub(super) fn dead_after(held: &HeldLock, pace: &Pace) -> Millis {
    let promised = held
        .record
        .as_ref()
        .map_or(pace.beat_every, |record| record.beats_every);
    let promised = promised.min(BEATS_EVERY_MAX).max(pace.beat_every);
    Millis(promised.0.saturating_mul(BEATS_MISSED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{LockRecord, UnreadableRecord};

    fn held(id: u128, beat: u64) -> HeldLock {
        HeldLock {
            id: Uuid::from_u128(id),
            record: Ok(LockRecord {
                version: LockRecord::VERSION,
                owner: "ann@ws".into(),
                pid: 1,
                purpose: "apply".into(),
                since: 0,
                beats_every: Millis(1000),
            }),
            beat: Some(beat),
        }
    }

    fn pace() -> Pace {
        Pace {
            beat_every: Millis(1000),
            ..Pace::default()
        }
    }

    #[test]
    fn an_owner_that_was_seen_once_may_live_or_not() {
        let mut vigil = Vigil::default();
        assert_eq!(vigil.see(&held(1, 5), Millis(0), &pace()), Verdict::Unknown);
        assert_eq!(
            vigil.see(&held(1, 5), Millis(9999), &pace()),
            Verdict::Unknown
        );
    }

    #[test]
    fn a_beat_that_changes_or_another_lock_is_life() {
        for next in [held(1, 6), held(2, 5)] {
            let mut vigil = Vigil::default();
            vigil.see(&held(1, 5), Millis(0), &pace());
            assert_eq!(vigil.see(&next, Millis(500), &pace()), Verdict::Alive);
        }
    }

    #[test]
    fn a_beat_that_stands_still_for_long_enough_is_death_whatever_was_seen_before() {
        let mut vigil = Vigil::default();
        vigil.see(&held(1, 5), Millis(0), &pace());
        vigil.see(&held(1, 6), Millis(500), &pace());
        let seen = vigil.see(&held(1, 6), Millis(10_499), &pace());
        assert_eq!(seen, Verdict::Alive);
        let seen = vigil.see(&held(1, 6), Millis(10_500), &pace());
        assert_eq!(seen, Verdict::Dead);
    }

    #[test]
    fn who_promises_to_beat_seldom_is_given_the_time() {
        let mut slow = held(1, 5);
        if let Ok(record) = &mut slow.record {
            record.beats_every = Millis(5000);
        }
        let mut vigil = Vigil::default();
        vigil.see(&slow, Millis(0), &pace());
        assert_eq!(vigil.see(&slow, Millis(49_999), &pace()), Verdict::Unknown);
        assert_eq!(vigil.see(&slow, Millis(50_000), &pace()), Verdict::Dead);
    }

    #[test]
    fn a_lock_that_cannot_be_read_is_never_dead() {
        let mut strange = held(1, 5);
        strange.record = Err(UnreadableRecord("version 9".into()));
        let mut vigil = Vigil::default();
        vigil.see(&strange, Millis(0), &pace());
        assert_eq!(
            vigil.see(&strange, Millis(1_000_000), &pace()),
            Verdict::Unknown
        );
    }
}
