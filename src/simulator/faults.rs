//! Faults from a seed. Which fault strikes an action depends on the seed, the action's words and how often it was
//! tried, and on nothing else: neither threads nor the order of calls change it. `FAULTS.md` beside this file says what
//! each does, and which tests on real hosts show the same.

use sha2::{Digest, Sha256};

use crate::plan::Action;

/// When in the course of an action something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Before,
    Midway,
    After,
}

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails; midway leaves what it had begun, after has its whole effect.
    Fails(Moment),
    /// This process dies. Midway leaves the hosts in one of several states, which the number chooses.
    Dies(Moment, u64),
    /// One of its hosts does not answer this process from now on: from before it begins, or while it runs. The number
    /// chooses which, and what its daemon goes on with.
    HostGone(Moment, u64),
    /// The daemon of one of its hosts restarts while it runs; the number chooses which and what it leaves.
    DaemonRestarts(u64),
    /// The machine of one of its hosts loses power while it runs; the number chooses which, and whether it is up again
    /// at once or answers only later.
    HostCrashes(u64),
    /// The link between its two hosts is cut while it runs, and stays so.
    LinkCut,
    /// The storage that it writes to is filled by somebody else while it runs.
    StorageFills,
    /// It does not return until nobody waits for it any more; the number chooses whether it has no effect, or had it
    /// before, or has it after that.
    Hangs(u64),
}

/// Which faults strike, and how often. Each seed switches some kinds off altogether, since faults that strike
/// together hide what one of them alone would show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    seed: u64,
    /// Chance of a fault in one call, in thousandths.
    chance: u64,
    kinds: Vec<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    FailsBefore,
    FailsMidway,
    FailsAfter,
    DiesBefore,
    DiesMidway,
    DiesAfter,
    HostGone,
    HostGoneMidway,
    DaemonRestarts,
    HostCrashes,
    LinkCut,
    StorageFills,
    Hangs,
}

const KINDS: [Kind; 13] = [
    Kind::FailsBefore,
    Kind::FailsMidway,
    Kind::FailsAfter,
    Kind::DiesBefore,
    Kind::DiesMidway,
    Kind::DiesAfter,
    Kind::HostGone,
    Kind::HostGoneMidway,
    Kind::DaemonRestarts,
    Kind::HostCrashes,
    Kind::LinkCut,
    Kind::StorageFills,
    Kind::Hangs,
];

impl Faults {
    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self {
            seed: 0,
            chance: 0,
            kinds: Vec::new(),
        }
    }

    /// The faults of this seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let draw = |what: &str| number(seed, what, 0);
        let kept = |kind: &Kind| draw(&format!("{kind:?}")).is_multiple_of(2);
        Self {
            seed,
            chance: [20, 60, 150, 300][index(draw("chance"), 4)],
            kinds: KINDS.into_iter().filter(kept).collect(),
        }
    }

    /// The fault that strikes this action at its n-th try, if any.
    pub(super) fn strike(&self, action: &Action, attempt: u32) -> Option<Fault> {
        self.strike_words(&action.to_string(), attempt)
    }

    /// The same for a call that these words name.
    pub(super) fn strike_words(&self, text: &str, attempt: u32) -> Option<Fault> {
        let draw = |what: &str| number(self.seed, &format!("{what} {text}"), attempt);
        if self.kinds.is_empty() || draw("whether") % 1000 >= self.chance {
            return None;
        }
        let kind = self.kinds[index(draw("kind"), self.kinds.len())];
        let detail = draw("detail");
        Some(match kind {
            Kind::FailsBefore => Fault::Fails(Moment::Before),
            Kind::FailsMidway => Fault::Fails(Moment::Midway),
            Kind::FailsAfter => Fault::Fails(Moment::After),
            Kind::DiesBefore => Fault::Dies(Moment::Before, detail),
            Kind::DiesMidway => Fault::Dies(Moment::Midway, detail),
            Kind::DiesAfter => Fault::Dies(Moment::After, detail),
            Kind::HostGone => Fault::HostGone(Moment::Before, detail),
            Kind::HostGoneMidway => Fault::HostGone(Moment::Midway, detail),
            Kind::DaemonRestarts => Fault::DaemonRestarts(detail),
            Kind::HostCrashes => Fault::HostCrashes(detail),
            Kind::LinkCut => Fault::LinkCut,
            Kind::StorageFills => Fault::StorageFills,
            Kind::Hangs => Fault::Hangs(detail),
        })
    }
}

/// An index below `count`.
pub(super) fn index(number: u64, count: usize) -> usize {
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    usize::try_from(number % count).unwrap_or(0)
}

fn number(seed: u64, text: &str, attempt: u32) -> u64 {
    let digest = Sha256::new()
        .chain_update(seed.to_le_bytes())
        .chain_update(attempt.to_le_bytes())
        .chain_update(text)
        .finalize();
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HostName, VmName};

    fn action(vm: &str) -> Action {
        Action::Unmark {
            host: HostName::new("kvm1").unwrap(),
            vm: VmName::new(vm).unwrap(),
        }
    }

    #[test]
    fn the_same_seed_strikes_the_same_actions_in_the_same_way() {
        let struck = |seed| -> Vec<_> {
            let faults = Faults::from_seed(seed);
            let calls = (0..100).map(|vm| faults.strike(&action(&format!("vm-{vm}")), 1));
            calls.collect()
        };
        assert_eq!(struck(7), struck(7));
        assert!((0..20).any(|seed| struck(seed) != struck(seed + 1)));
    }

    #[test]
    fn every_kind_is_on_in_some_seeds_and_off_in_others() {
        for kind in KINDS {
            let on = (0..100).filter(|seed| Faults::from_seed(*seed).kinds.contains(&kind));
            assert!((20..80).contains(&on.count()), "{kind:?}");
        }
    }

    #[test]
    fn what_each_does_is_written_down() {
        let table = include_str!("FAULTS.md");
        for kind in KINDS {
            assert!(table.contains(&format!("`{kind:?}`")), "{kind:?}");
        }
    }

    #[test]
    fn another_try_may_fare_better() {
        let faults = Faults::from_seed(3);
        assert!(!faults.kinds.is_empty());
        assert!((0..200).any(|attempt| faults.strike(&action("web-1"), attempt).is_none()));
    }
}
