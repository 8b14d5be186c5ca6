//! Taking the locks of several hosts, as a sequence of single acts: what to do next, and what an answer means. Knows
//! no threads, no hosts and no clock, so that every order of acts of several who take at once can be tried.
//!
//! Hosts are taken in one order. Where one is held by another, all that was taken is given back before waiting, so
//! nobody ever waits while holding. Who waits looks at all its hosts, so that what a dead owner has left on several is
//! known to be dead after the time of one. A lock whose owner is dead is claimed first, so that an owner that wakes up
//! knows; if it has not beaten by then, the lock is removed by its identifier and taken like a free one: of two who do
//! that at once one finds nothing to remove or the other's lock in its place.

use uuid::Uuid;

use super::pace::Pace;
use super::vigil::{Verdict, Vigil, dead_after};
use crate::lock::HeldLock;
use crate::model::{HostName, Millis};

/// The next act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// Take the host with an identifier that was never used.
    Take(HostName),
    /// Look what is on the host.
    Look(HostName),
    /// Claim this lock on the host.
    Claim(HostName, Uuid),
    /// Remove this lock from the host.
    Remove(HostName, Uuid),
    /// Let some time pass.
    Rest,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The lock that was tried, and what was there instead.
    Took(Uuid, Option<HeldLock>),
    /// What is there.
    Saw(Option<HeldLock>),
    /// The lock is claimed, or was, or is gone.
    Claimed,
    /// Removed, or not there any more, or it could not be said.
    Removed,
    /// Time has passed.
    Rested,
    /// The host did not do it; for taking, the lock that was tried and may be there.
    Failed(String, Option<Uuid>),
}

/// How taking goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// Do this and tell what came of it.
    Ask(Ask),
    /// Every host is taken, with these identifiers.
    Won(Vec<(HostName, Uuid)>),
    /// It is over, and nothing is held.
    Over(End),
}

/// Why nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Held { host: HostName, by: Box<HeldLock> },
    Failed(String),
    Cancelled,
}

#[derive(Debug, Clone)]
enum Phase {
    Take(usize),
    /// The owner of the lock on the host of this number seems to be dead.
    Claim(usize, Uuid),
    /// The lock is claimed; has its owner beaten meanwhile?
    Check(usize, Uuid),
    /// It has not, and cannot rely on the lock any more.
    Clear(usize, Uuid),
    GiveBack(After),
    Rest,
    /// At the host of this number; what is in the way on those before it.
    Look(usize, Vec<InTheWay>),
    Done(End),
}

#[derive(Debug, Clone)]
enum After {
    Waiting,
    End(End),
}

/// A lock of another that is not known to be dead.
#[derive(Debug, Clone)]
struct InTheWay {
    host: HostName,
    held: HeldLock,
    /// Its owner was seen to live, or whether it does will never be known: only its end is left to wait for.
    is_settled: bool,
}

/// An attempt to take the locks of some hosts.
#[derive(Debug, Clone)]
pub(super) struct Taking {
    hosts: Vec<HostName>,
    /// How long to wait for a living owner; `None`: until it is known to live.
    patience: Option<Millis>,
    pace: Pace,
    began: Millis,
    taken: Vec<(HostName, Uuid)>,
    vigils: Vec<Vigil>,
    /// What the last look at all hosts has found, or the first lock that was met; in the order of the hosts.
    in_the_way: Vec<InTheWay>,
    phase: Phase,
}

impl Taking {
    /// Of these hosts, in this order.
    pub(super) fn new(
        hosts: Vec<HostName>,
        patience: Option<Millis>,
        pace: Pace,
        now: Millis,
    ) -> Self {
        Self {
            vigils: vec![Vigil::default(); hosts.len()],
            hosts,
            patience,
            pace,
            began: now,
            taken: Vec::new(),
            in_the_way: Vec::new(),
            phase: Phase::Take(0),
        }
    }

    /// What to do next.
    pub(super) fn next(&self) -> Turn {
        let host = |index: &usize| self.hosts[*index].clone();
        match &self.phase {
            Phase::Take(index) if *index >= self.hosts.len() => Turn::Won(self.taken.clone()),
            Phase::Take(index) => Turn::Ask(Ask::Take(host(index))),
            Phase::Claim(index, id) => Turn::Ask(Ask::Claim(host(index), *id)),
            Phase::Clear(index, id) => Turn::Ask(Ask::Remove(host(index), *id)),
            Phase::GiveBack(after) => match (self.taken.last(), after) {
                (Some((host, id)), _) => Turn::Ask(Ask::Remove(host.clone(), *id)),
                (None, After::Waiting) => Turn::Ask(Ask::Rest),
                (None, After::End(end)) => Turn::Over(end.clone()),
            },
            Phase::Rest => Turn::Ask(Ask::Rest),
            Phase::Check(index, _) | Phase::Look(index, _) => Turn::Ask(Ask::Look(host(index))),
            Phase::Done(end) => Turn::Over(end.clone()),
        }
    }

    /// The host that is waited for and the lock that is on it.
    pub(super) fn waits_for(&self) -> Option<(&HostName, &HeldLock)> {
        match &self.phase {
            Phase::GiveBack(After::Waiting) | Phase::Rest | Phase::Look(..) => {
                let first = self.in_the_way.first()?;
                Some((&first.host, &first.held))
            }
            _ => None,
        }
    }

    /// A person wants it to end: what was taken is given back.
    pub(super) fn cancel(&mut self) {
        if !matches!(self.phase, Phase::Done(_) | Phase::GiveBack(After::End(_))) {
            self.phase = Phase::GiveBack(After::End(End::Cancelled));
        }
    }

    /// Takes note of what came of the act that [`Self::next`] asked for, at this time.
    pub(super) fn hear(&mut self, answer: Answer, now: Millis) {
        self.phase = match (self.phase.clone(), answer) {
            (Phase::Take(index), Answer::Took(id, None)) => {
                self.taken.push((self.hosts[index].clone(), id));
                Phase::Take(index + 1)
            }
            (Phase::Take(index), Answer::Took(_, Some(held))) => self.met(index, held, now),
            (Phase::Take(index), Answer::Failed(why, id)) => {
                self.taken
                    .extend(id.map(|id| (self.hosts[index].clone(), id)));
                Phase::GiveBack(After::End(End::Failed(why)))
            }
            (Phase::Claim(index, id), Answer::Claimed) => Phase::Check(index, id),
            (Phase::Check(index, id), Answer::Saw(Some(held))) => {
                match self.vigils[index].see(&held, now, &self.pace) {
                    Verdict::Dead if held.id == id => Phase::Clear(index, id),
                    _ => self.met(index, held, now),
                }
            }
            (Phase::Check(index, _), Answer::Saw(None))
            | (Phase::Clear(index, _), Answer::Removed) => Phase::Take(index),
            (Phase::GiveBack(after), Answer::Removed | Answer::Failed(..))
                if !self.taken.is_empty() =>
            {
                self.taken.pop();
                Phase::GiveBack(after)
            }
            (Phase::GiveBack(After::Waiting) | Phase::Rest, Answer::Rested) => {
                Phase::Look(0, Vec::new())
            }
            (Phase::Look(index, mut found), Answer::Saw(there)) => {
                found.extend(there.and_then(|held| self.judge(index, held, now)));
                self.looked(index + 1, found, now)
            }
            (
                Phase::Claim(..) | Phase::Check(..) | Phase::Clear(..) | Phase::Look(..),
                Answer::Failed(why, _),
            ) => Phase::GiveBack(After::End(End::Failed(why))),
            // An answer to a question that was not asked changes nothing.
            (phase, _) => phase,
        };
    }

    /// Another lock is on the host that was to be taken.
    fn met(&mut self, index: usize, held: HeldLock, now: Millis) -> Phase {
        let id = held.id;
        match self.judge(index, held, now) {
            None => Phase::Claim(index, id),
            Some(met) => {
                self.in_the_way = vec![met];
                Phase::GiveBack(self.end(now).map_or(After::Waiting, After::End))
            }
        }
    }

    /// The look at the hosts before this number is over.
    fn looked(&mut self, index: usize, found: Vec<InTheWay>, now: Millis) -> Phase {
        if index < self.hosts.len() {
            return Phase::Look(index, found);
        }
        if found.is_empty() {
            return Phase::Take(0);
        }
        self.in_the_way = found;
        self.end(now).map_or(Phase::Rest, Phase::Done)
    }

    /// This lock on the host of this number, if it is not dead.
    fn judge(&mut self, index: usize, held: HeldLock, now: Millis) -> Option<InTheWay> {
        let verdict = self.vigils[index].see(&held, now, &self.pace);
        (verdict != Verdict::Dead).then(|| InTheWay {
            is_settled: verdict == Verdict::Alive
                || self.vigils[index].still_for(now) >= dead_after(&held, &self.pace),
            host: self.hosts[index].clone(),
            held,
        })
    }

    /// The end, if what is in the way is not waited for any longer.
    fn end(&self, now: Millis) -> Option<End> {
        let lock = match self.patience {
            Some(limit) if now.0.saturating_sub(self.began.0) < limit.0 => None,
            Some(_) => self.in_the_way.first(),
            None => self.in_the_way.iter().find(|lock| lock.is_settled),
        }?;
        Some(End::Held {
            host: lock.host.clone(),
            by: Box::new(lock.held.clone()),
        })
    }
}
