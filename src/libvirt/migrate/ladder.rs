//! When a migration does not converge, and what to do then.

use std::time::Duration;

use crate::desired::OnStall;

/// Which part of a migration is under way. What is left of one says nothing about the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The two sides get ready.
    Beginning,
    /// Disks are copied.
    Disks,
    /// Memory is carried, over and over what the guest changes meanwhile.
    Memory,
}

/// The rungs that are left, and since when there was no progress.
///
/// Progress is that less is left than ever before in this phase. A large VM on a slow link makes progress for hours
/// without being stalled; one that changes its memory as fast as it goes over reaches its lowest point early and
/// then never again.
#[derive(Debug)]
pub(super) struct Ladder {
    rungs: Vec<OnStall>,
    patience: Duration,
    timeout: Option<Duration>,
    phase: Phase,
    least: u64,
    since: Duration,
}

impl Ladder {
    /// With these rungs, the first to be climbed first, each after so long without progress.
    pub(super) fn new(rungs: &[OnStall], patience: Duration) -> Self {
        Self {
            rungs: rungs.iter().rev().copied().collect(),
            patience,
            timeout: None,
            phase: Phase::Beginning,
            least: u64::MAX,
            since: Duration::ZERO,
        }
    }

    /// The same, ended after so long in all: by being moved cold where that is among the rungs, else given up.
    pub(super) fn within(self, timeout: Option<Duration>) -> Self {
        Self { timeout, ..self }
    }

    /// Takes note of what is left at a moment, counted from the start; returns the rung that is due.
    pub(super) fn look(&mut self, phase: Phase, left: u64, now: Duration) -> Option<OnStall> {
        if self.timeout.is_some_and(|timeout| now >= timeout) {
            self.timeout = None;
            let cold = self.rungs.contains(&OnStall::Cold);
            return Some(if cold { OnStall::Cold } else { OnStall::Abort });
        }
        if phase == Phase::Beginning || phase != self.phase || left < self.least {
            self.phase = phase;
            self.least = left;
            self.since = now;
            return None;
        }
        if now.saturating_sub(self.since) < self.patience {
            return None;
        }
        self.since = now;
        // What has to do with memory alone is kept for later while disks are copied.
        let helps = |rung: &OnStall| {
            phase == Phase::Memory || !matches!(rung, OnStall::AutoConverge | OnStall::PostCopy)
        };
        let place = self.rungs.iter().rposition(helps)?;
        Some(self.rungs.remove(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn slow_progress_is_no_stall() {
        let mut ladder = Ladder::new(&[OnStall::Abort], seconds(10));
        for second in 0..1000 {
            let left = 1_000_000 - second;
            assert_eq!(ladder.look(Phase::Memory, left, seconds(second)), None);
        }
    }

    #[test]
    fn memory_that_changes_as_fast_as_it_goes_over_climbs_rung_after_rung() {
        let rungs = [OnStall::AutoConverge, OnStall::PostCopy, OnStall::Abort];
        let mut ladder = Ladder::new(&rungs, seconds(10));
        let climbed: Vec<(u64, OnStall)> = (0..60)
            .filter_map(|second| {
                let left = 100 + second % 7;
                let rung = ladder.look(Phase::Memory, left, seconds(second))?;
                Some((second, rung))
            })
            .collect();
        assert_eq!(
            climbed,
            [
                (10, OnStall::AutoConverge),
                (20, OnStall::PostCopy),
                (30, OnStall::Abort)
            ]
        );
    }

    #[test]
    fn getting_ready_is_no_stall_and_disks_leave_alone_what_is_for_memory() {
        let rungs = [OnStall::PostCopy, OnStall::Pause];
        let mut ladder = Ladder::new(&rungs, seconds(10));
        assert_eq!(ladder.look(Phase::Beginning, 0, seconds(0)), None);
        assert_eq!(ladder.look(Phase::Beginning, 0, seconds(50)), None);
        assert_eq!(ladder.look(Phase::Disks, 9, seconds(51)), None);
        assert_eq!(
            ladder.look(Phase::Disks, 9, seconds(62)),
            Some(OnStall::Pause)
        );
        assert_eq!(ladder.look(Phase::Disks, 9, seconds(73)), None);
        assert_eq!(ladder.look(Phase::Memory, 9, seconds(74)), None);
        assert_eq!(
            ladder.look(Phase::Memory, 9, seconds(84)),
            Some(OnStall::PostCopy)
        );
    }

    #[test]
    fn the_time_limit_ends_what_makes_progress_and_cold_is_preferred_to_giving_up() {
        let limit = Some(seconds(30));
        let mut ladder =
            Ladder::new(&[OnStall::PostCopy, OnStall::Cold], seconds(10)).within(limit);
        assert_eq!(ladder.look(Phase::Memory, 30, seconds(0)), None);
        assert_eq!(ladder.look(Phase::Memory, 20, seconds(9)), None);
        assert_eq!(ladder.look(Phase::Memory, 10, seconds(18)), None);
        assert_eq!(
            ladder.look(Phase::Memory, 5, seconds(30)),
            Some(OnStall::Cold)
        );
        let mut ladder = Ladder::new(&[OnStall::PostCopy], seconds(10)).within(limit);
        assert_eq!(
            ladder.look(Phase::Disks, 5, seconds(31)),
            Some(OnStall::Abort)
        );
    }

    #[test]
    fn memory_begins_anew_after_the_disks_came_to_nothing() {
        let mut ladder = Ladder::new(&[OnStall::Abort], seconds(10));
        assert_eq!(ladder.look(Phase::Disks, 0, seconds(0)), None);
        assert_eq!(ladder.look(Phase::Memory, 500, seconds(9)), None);
        assert_eq!(ladder.look(Phase::Memory, 400, seconds(18)), None);
        assert_eq!(
            ladder.look(Phase::Memory, 400, seconds(28)),
            Some(OnStall::Abort)
        );
    }
}
