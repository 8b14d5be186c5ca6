//! Uses of one port that are to come, some of them not at once: who may use it when, and until when it is busy.

use super::problem::Time;
use super::tables::Leg;

/// A use of a port that has been promised.
#[derive(Debug, Clone, Copy)]
struct Promise {
    leg: Leg,
    from: Time,
    to: Time,
    amount: u64,
}

/// All that is promised of one port.
#[derive(Debug, Clone, Default)]
pub(super) struct Promises {
    all: Vec<Promise>,
    /// A time at which much of it is used, and how much. It stays so: what is promised is not taken back, and what has
    /// ended ended before now.
    busy: Option<(Time, u64)>,
}

impl Promises {
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.busy = None;
    }

    /// Forgets what has ended.
    pub(super) fn expire(&mut self, now: Time) {
        self.all.retain(|promise| promise.to > now);
    }

    pub(super) fn add(&mut self, leg: Leg, amount: u64, from: Time, to: Time) {
        self.all.push(Promise {
            leg,
            from,
            to,
            amount,
        });
    }

    /// How much there is to look at: a measure of work.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// If so much more is too much somewhere in the span, the end of the first promise that stands in the way, and whose.
    pub(super) fn until(
        &mut self,
        limit: u64,
        amount: u64,
        from: Time,
        to: Time,
    ) -> Option<(Time, Leg)> {
        let is_known = self
            .busy
            .is_some_and(|(at, used)| from <= at && at < to && used.saturating_add(amount) > limit);
        if !is_known {
            self.busy = Some(self.too_much(limit, amount, from, to)?);
        }
        let ends = self.all.iter().map(|one| (one.to, one.leg));
        ends.filter(|(end, _)| *end > from).min()
    }

    /// The first time in the span at which so much more is too much, and what is used then.
    fn too_much(&self, limit: u64, amount: u64, from: Time, to: Time) -> Option<(Time, u64)> {
        let mut used = 0_u64;
        // At one time what ends comes before what begins.
        let mut changes: Vec<(Time, bool, u64)> = Vec::new();
        for one in self.all.iter().filter(|one| one.to > from && one.from < to) {
            if one.from <= from {
                used = used.saturating_add(one.amount);
            } else {
                changes.push((one.from, true, one.amount));
            }
            changes.push((one.to, false, one.amount));
        }
        if used.saturating_add(amount) > limit {
            return Some((from, used));
        }
        changes.sort_unstable();
        for (at, begins, amount_then) in changes {
            if at >= to {
                break;
            }
            if begins {
                used = used.saturating_add(amount_then);
            } else {
                used = used.saturating_sub(amount_then);
            }
            if begins && used.saturating_add(amount) > limit {
                return Some((at, used));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_busy_where_promises_overlap_and_free_at_the_end_of_one() {
        let mut port = Promises::default();
        port.add(0, 1, 10, 20);
        port.add(2, 1, 15, 30);
        assert_eq!(port.until(2, 1, 0, 15), None);
        assert_eq!(port.until(2, 1, 0, 16), Some((20, 0)));
        // The same again, by what is known of it.
        assert_eq!(port.until(2, 1, 14, 18), Some((20, 0)));
        assert_eq!(port.until(2, 1, 20, 25), None);
        assert_eq!(port.until(2, 2, 22, 25), Some((30, 2)));
        port.expire(20);
        assert_eq!(port.len(), 1);
        assert_eq!(port.until(1, 1, 30, 40), None);
    }
}
