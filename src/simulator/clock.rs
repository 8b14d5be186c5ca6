//! Simulated time for steps on several threads: who waits for which moment becomes the order in which they go on.
//!
//! Time stands still while a step does something, and goes on to the earliest awaited moment once every step that is
//! said to be under way waits. So one step goes on at a time, and in an order that depends on the awaited moments and
//! the steps' names alone, never on how the system schedules threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::model::Millis;

/// A moment that a step waits for; ties go by name, then by arrival.
type Awaited = (u64, String, u64);

#[derive(Debug, Default)]
struct Turns {
    /// How many steps were said to be under way.
    expected: usize,
    /// How many steps are here.
    present: usize,
    waiting: BTreeMap<Awaited, Thread>,
    arrivals: u64,
}

impl Turns {
    /// Whose turn it is, once all that are said to be under way wait.
    fn next(&self) -> Option<(&Awaited, &Thread)> {
        let all_wait = self.waiting.len() >= self.present && self.present >= self.expected;
        self.waiting.first_key_value().filter(|_| all_wait)
    }

    fn is_next(&self, awaited: &Awaited) -> bool {
        self.next().is_some_and(|(next, _)| next == awaited)
    }

    /// Wakes whose turn it is, and nobody else: each that looks in vain costs more than most steps do.
    fn call(&self) {
        if let Some((_, thread)) = self.next() {
            thread.unpark();
        }
    }
}

/// Simulated time.
#[derive(Debug, Default)]
pub(super) struct Clock {
    turns: Mutex<Turns>,
    now: AtomicU64,
    /// Real time per simulated time; `None`: no waiting at all.
    pub(super) pace: Option<f64>,
}

impl Clock {
    /// A clock that shows that time.
    pub(super) fn at(now: Millis, pace: Option<f64>) -> Self {
        Self {
            now: AtomicU64::new(now.0),
            pace,
            ..Self::default()
        }
    }

    pub(super) fn now(&self) -> Millis {
        Millis(self.now.load(Ordering::SeqCst))
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how many steps are under way: time stands still until so many are here.
    pub(super) fn expect(&self, steps: usize) {
        let mut turns = self.turns();
        turns.expected = steps;
        turns.call();
    }

    /// Lets a step in and waits for its turn. It leaves when what is returned is dropped.
    pub(super) fn enter(&self, name: String) -> Presence<'_> {
        let arrival = {
            let mut turns = self.turns();
            turns.present += 1;
            turns.arrivals += 1;
            turns.arrivals
        };
        let presence = Presence {
            clock: self,
            name,
            arrival,
        };
        presence.wait(Millis::ZERO);
        presence
    }

    /// How long to wait at most between two looks at what a person wants.
    pub(super) fn slice(&self, whole: Millis) -> Millis {
        const SLICES: u64 = 4;
        const LOOK_EVERY_MS: f64 = 200.0;
        let by_pace = self.pace.map(|pace| LOOK_EVERY_MS / pace.max(1e-6));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number of milliseconds, and the cast saturates"
        )]
        let slice = by_pace.map_or(whole.0 / SLICES, |slice| slice as u64);
        Millis(slice.max(1))
    }
}

/// A step that is there to spend time.
#[derive(Debug)]
pub(super) struct Presence<'a> {
    clock: &'a Clock,
    name: String,
    arrival: u64,
}

impl Presence<'_> {
    /// Lets simulated time pass, and returns when it is this step's turn again.
    pub(super) fn wait(&self, span: Millis) {
        let clock = self.clock;
        let mut turns = clock.turns();
        let moment = clock.now().plus(span).0;
        let awaited = (moment, self.name.clone(), self.arrival);
        turns.waiting.insert(awaited.clone(), thread::current());
        if !turns.is_next(&awaited) {
            turns.call();
        }
        while !turns.is_next(&awaited) {
            drop(turns);
            thread::park();
            turns = clock.turns();
        }
        if let Some(pace) = clock.pace {
            let ahead = moment.saturating_sub(clock.now().0);
            drop(turns);
            thread::sleep(Duration::from_millis(ahead).mul_f64(pace));
            turns = clock.turns();
        }
        clock.now.fetch_max(moment, Ordering::SeqCst);
        turns.waiting.remove(&awaited);
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        let mut turns = self.clock.turns();
        turns.present -= 1;
        turns.call();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_at_once_share_time_and_end_in_the_order_of_their_moments() {
        for _ in 0..50 {
            let clock = Clock::default();
            let ended = Mutex::new(Vec::new());
            clock.expect(3);
            thread::scope(|scope| {
                for (name, span) in [("c", 30), ("a", 20), ("b", 20)] {
                    let (clock, ended) = (&clock, &ended);
                    scope.spawn(move || {
                        let presence = clock.enter(name.to_owned());
                        presence.wait(Millis(span));
                        ended.lock().unwrap().push((name, clock.now().0));
                        clock.expect(0);
                    });
                }
            });
            assert_eq!(
                ended.into_inner().unwrap(),
                [("a", 20), ("b", 20), ("c", 30)]
            );
        }
    }

    #[test]
    fn steps_one_after_the_other_add_up() {
        let clock = Clock::default();
        for _ in 0..3 {
            clock.enter("step".to_owned()).wait(Millis(10));
        }
        assert_eq!(clock.now(), Millis(30));
    }
}
