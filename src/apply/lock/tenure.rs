//! Whether a lock that was taken is still ours, by what came of its beats. Knows no threads and no hosts.
//!
//! A beat succeeds only while the lock is on its host and unclaimed, and identifiers are never used again. So one beat that
//! succeeds proves that the lock was ours at every moment since it was taken, however long the beats before had failed.

use std::time::{Instant, SystemTime};

use super::pace::Pace;
use crate::model::Millis;

/// A moment by two clocks: one never jumps but may stand still while the machine sleeps, the other goes on then but
/// may be set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self {
            steady: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// The time since then, by whichever clock says more: who relies on a lock must not believe it to be younger.
    pub(super) fn age(self) -> Millis {
        let wall = self.wall.elapsed().map_or(Millis::ZERO, Millis::from);
        Millis::from(self.steady.elapsed()).max(wall)
    }
}

/// Whether something may be done on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// The lock is ours.
    Ours,
    /// It was, and nothing has been heard since for too long to rely on it.
    Unsure,
    /// It was lost, for this reason. What was planned under it rests on nothing any more. Where it was taken anew,
    /// nobody else works on the host, so a VM that is off because of us may be brought back.
    Lost { why: String, anew: bool },
}

/// What is known of a lock that was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tenure {
    lost: Option<(String, bool)>,
}

impl Tenure {
    /// The lock is not on its host any more.
    pub(super) fn lose(&mut self, why: impl Into<String>) {
        self.lost = Some((why.into(), false));
    }

    /// Another one of ours is on the host now.
    pub(super) fn take_anew(&mut self) {
        if let Some((_, anew)) = &mut self.lost {
            *anew = true;
        }
    }

    /// What may be done that long after the beginning of the latest beat that succeeded.
    pub(super) fn standing(&self, silence: Millis, pace: &Pace) -> Standing {
        match &self.lost {
            Some((why, anew)) => Standing::Lost {
                why: why.clone(),
                anew: *anew && silence < pace.sure_for(),
            },
            None if silence < pace.sure_for() => Standing::Ours,
            None if silence < pace.hopeless_after => Standing::Unsure,
            None => Standing::Lost {
                why: format!("it has not taken a beat for {silence}"),
                anew: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_relied_on_for_half_as_long_as_others_wait_before_they_take_it() {
        let pace = Pace::default();
        let tenure = Tenure::default();
        let last = Millis(pace.dead_after().0 / 2);
        assert_eq!(tenure.standing(Millis(last.0 - 1), &pace), Standing::Ours);
        assert_eq!(tenure.standing(last, &pace), Standing::Unsure);
        let hopeless = tenure.standing(pace.hopeless_after, &pace);
        assert!(matches!(hopeless, Standing::Lost { anew: false, .. }));
    }

    #[test]
    fn what_was_lost_stays_lost_though_it_was_taken_anew() {
        let pace = Pace::default();
        let mut tenure = Tenure::default();
        tenure.lose("gone");
        let standing = |tenure: &Tenure| tenure.standing(Millis(0), &pace);
        let why = "gone".to_owned();
        assert_eq!(
            standing(&tenure),
            Standing::Lost {
                why: why.clone(),
                anew: false
            }
        );
        tenure.take_anew();
        assert_eq!(standing(&tenure), Standing::Lost { why, anew: true });
    }
}
