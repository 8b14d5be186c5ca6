//! Every order in which the acts of several who take, keep and wake up can meet, tried out: whatever the order, two
//! never rely on the lock of one host at the same time.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::pace::Pace;
use super::taking::{Answer, Ask, End, Taking, Turn};
use super::tenure::{Standing, Tenure};
use crate::lock::{HeldLock, LockRecord};
use crate::model::{HostName, Millis};

const PACE: Pace = Pace {
    beat_every: Millis(1),
    look_every: Millis(4),
    hopeless_after: Millis(100),
    release_within: Millis(1),
};

/// One host, what is on it, and the time.
#[derive(Clone)]
struct World {
    lock: Option<HeldLock>,
    /// The locks that were claimed.
    claimed: Vec<Uuid>,
    now: Millis,
    names: u128,
    /// Whether the host compares identifiers when it removes, as real ones do.
    compares: bool,
    /// Whether owners look for claims.
    heeds: bool,
    actors: Vec<Actor>,
}

#[derive(Clone)]
enum Actor {
    Taking(Box<Taking>),
    /// It has the lock as far as it knows.
    Owner {
        id: Uuid,
        proven: Millis,
        tenure: Tenure,
    },
    Gone,
}

fn host() -> HostName {
    HostName::new("kvm1").expect("it is a name")
}

fn lock(id: Uuid) -> HeldLock {
    let record = LockRecord {
        version: LockRecord::VERSION,
        owner: "ann@ws".into(),
        pid: 1,
        purpose: "apply".into(),
        since: 0,
        beats_every: PACE.beat_every,
    };
    HeldLock {
        id,
        record: Ok(record),
        beat: None,
    }
}

impl World {
    /// An owner that has just taken the lock, and as many who want it.
    fn new(others: usize, patience: Option<Millis>) -> Self {
        let id = Uuid::from_u128(1);
        let owner = Actor::Owner {
            id,
            proven: Millis(0),
            tenure: Tenure::default(),
        };
        let taking = || {
            let taking = Taking::new(vec![host()], patience, PACE, Millis(0));
            Actor::Taking(Box::new(taking))
        };
        Self {
            lock: Some(lock(id)),
            claimed: Vec::new(),
            now: Millis(0),
            names: 1,
            compares: true,
            heeds: true,
            actors: std::iter::once(owner)
                .chain(std::iter::repeat_with(taking).take(others))
                .collect(),
        }
    }

    /// One actor does its next act.
    fn act(&mut self, index: usize) {
        let next = match self.actors[index].clone() {
            Actor::Taking(taking) => self.take(taking),
            Actor::Owner {
                id,
                mut proven,
                mut tenure,
            } => {
                match self.lock.as_mut().filter(|held| held.id == id) {
                    Some(held) => {
                        held.beat = Some(held.beat.unwrap_or(0) + 1);
                        if self.heeds && self.claimed.contains(&id) {
                            tenure.lose("claimed");
                        } else {
                            proven = self.now;
                        }
                    }
                    None => tenure.lose("gone"),
                }
                Actor::Owner { id, proven, tenure }
            }
            Actor::Gone => Actor::Gone,
        };
        self.actors[index] = next;
    }

    fn take(&mut self, mut taking: Box<Taking>) -> Actor {
        let answer = match taking.next() {
            Turn::Won(taken) => {
                return Actor::Owner {
                    id: taken[0].1,
                    // The act that took it was at this time or before; the one that counts is the earlier.
                    proven: self.now,
                    tenure: Tenure::default(),
                };
            }
            Turn::Over(_) => return Actor::Gone,
            Turn::Ask(Ask::Take(_)) => {
                self.names += 1;
                let id = Uuid::from_u128(self.names);
                let there = self.lock.clone();
                if there.is_none() {
                    self.lock = Some(lock(id));
                }
                Answer::Took(id, there)
            }
            Turn::Ask(Ask::Look(_)) => Answer::Saw(self.lock.clone()),
            Turn::Ask(Ask::Claim(_, id)) => {
                self.claimed.push(id);
                Answer::Claimed
            }
            Turn::Ask(Ask::Remove(_, id)) => {
                self.remove(id);
                Answer::Removed
            }
            Turn::Ask(Ask::Rest) => {
                self.now = self.now.plus(PACE.look_every);
                Answer::Rested
            }
        };
        taking.hear(answer, self.now);
        // Whoever has taken everything knows it at once.
        match taking.next() {
            Turn::Won(_) => self.take(taking),
            _ => Actor::Taking(taking),
        }
    }

    fn remove(&mut self, id: Uuid) {
        if !self.compares || self.lock.as_ref().is_some_and(|held| held.id == id) {
            self.lock = None;
        }
    }

    fn let_go(&mut self, index: usize) {
        if let Actor::Owner { id, .. } = self.actors[index] {
            self.remove(id);
            self.actors[index] = Actor::Gone;
        }
    }

    /// How many would start something now.
    fn relying(&self) -> usize {
        let relies = |actor: &&Actor| match actor {
            Actor::Owner { proven, tenure, .. } => {
                let silence = Millis(self.now.0 - proven.0);
                tenure.standing(silence, &PACE) == Standing::Ours
            }
            _ => false,
        };
        self.actors.iter().filter(relies).count()
    }
}

/// Tries every order of so many acts; the number of orders in which two relied on the lock at once.
fn breaches(world: &World, acts: usize) -> usize {
    if world.relying() > 1 {
        return 1;
    }
    if acts == 0 {
        return 0;
    }
    let there = |index: &usize| !matches!(world.actors[*index], Actor::Gone);
    let each = (0..world.actors.len()).filter(there).map(|index| {
        let mut next = world.clone();
        next.act(index);
        breaches(&next, acts - 1)
    });
    each.sum()
}

/// Two have watched the owner for long enough to take it for dead.
fn at_the_brink() -> World {
    let mut world = World::new(2, Some(Millis(1000)));
    while world.now < PACE.dead_after() {
        world.act(1);
        world.act(2);
    }
    world
}

#[test]
fn two_who_take_over_and_an_owner_that_wakes_up_never_rely_on_it_at_once() {
    assert_eq!(breaches(&World::new(2, Some(Millis(1000))), 9), 0);
    assert_eq!(breaches(&at_the_brink(), 10), 0);
}

#[test]
fn taking_over_without_comparing_identifiers_would_be_found_out() {
    let mut world = at_the_brink();
    world.compares = false;
    world.actors[0] = Actor::Gone;
    assert!(breaches(&world, 15) > 0);
}

#[test]
fn an_owner_that_does_not_look_for_claims_would_be_found_out() {
    let mut world = at_the_brink();
    world.heeds = false;
    assert!(breaches(&world, 10) > 0);
}

#[test]
fn one_of_two_who_take_over_gets_it() {
    for first in [1, 2] {
        let mut world = at_the_brink();
        for _ in 0..10 {
            world.act(first);
            world.act(3 - first);
        }
        assert_eq!(world.relying(), 1);
    }
}

#[test]
fn a_living_owner_is_found_out_soon_and_waited_for_as_long_as_was_said() {
    for (patience, looks) in [(None, 2), (Some(Millis(40)), 10), (Some(Millis(0)), 0)] {
        let mut world = World::new(1, patience);
        let mut rests = 0;
        while !matches!(world.actors[1], Actor::Gone) {
            let before = world.now;
            world.act(1);
            rests += usize::from(world.now > before);
            world.act(0);
            assert!(rests < 100);
        }
        assert!(rests <= looks, "{patience:?}: {rests}");
        assert!(world.lock.is_some());
    }
}

#[test]
fn who_waits_holds_nothing_and_takes_all_when_it_is_free() {
    let two = HostName::new("kvm2").expect("it is a name");
    let mut taking = Taking::new(
        vec![host(), two.clone()],
        Some(Millis(100)),
        PACE,
        Millis(0),
    );
    let (mine, theirs) = (Uuid::from_u128(7), Uuid::from_u128(8));
    assert_eq!(taking.next(), Turn::Ask(Ask::Take(host())));
    taking.hear(Answer::Took(mine, None), Millis(0));
    assert_eq!(taking.next(), Turn::Ask(Ask::Take(two.clone())));
    taking.hear(Answer::Took(mine, Some(lock(theirs))), Millis(0));
    assert_eq!(taking.next(), Turn::Ask(Ask::Remove(host(), mine)));
    taking.hear(Answer::Removed, Millis(0));
    assert_eq!(taking.next(), Turn::Ask(Ask::Rest));
    taking.hear(Answer::Rested, Millis(4));
    for host in [host(), two.clone()] {
        assert_eq!(taking.next(), Turn::Ask(Ask::Look(host)));
        taking.hear(Answer::Saw(None), Millis(4));
    }
    for host in [host(), two] {
        assert_eq!(taking.next(), Turn::Ask(Ask::Take(host)));
        taking.hear(Answer::Took(mine, None), Millis(4));
    }
    assert!(matches!(taking.next(), Turn::Won(all) if all.len() == 2));
}

/// Takes these hosts, on which what `answer` says is found, until it is over; how it ended, and when.
fn taken(
    hosts: &[HostName],
    patience: Option<Millis>,
    mut answer: impl FnMut(Ask, Millis) -> Answer,
) -> (Turn, Millis) {
    let mut taking = Taking::new(hosts.to_vec(), patience, PACE, Millis(0));
    let mut now = Millis(0);
    loop {
        let heard = match taking.next() {
            Turn::Ask(Ask::Rest) => {
                now = now.plus(PACE.look_every);
                Answer::Rested
            }
            Turn::Ask(ask) => answer(ask, now),
            over => return (over, now),
        };
        taking.hear(heard, now);
    }
}

#[test]
fn the_locks_of_a_dead_owner_on_several_hosts_are_known_to_be_dead_after_the_time_of_one() {
    let hosts = ["kvm1", "kvm2", "kvm3"].map(|name| HostName::new(name).expect("it is a name"));
    for patience in [None, Some(Millis(PACE.dead_after().0 + 10))] {
        let dead = || Some(lock(Uuid::from_u128(1)));
        let mut there: BTreeMap<_, _> = hosts.iter().map(|host| (host.clone(), dead())).collect();
        let (end, now) = taken(&hosts, patience, |ask, _| match ask {
            Ask::Take(host) => Answer::Took(Uuid::nil(), there[&host].clone()),
            Ask::Look(host) => Answer::Saw(there[&host].clone()),
            Ask::Claim(..) => Answer::Claimed,
            Ask::Remove(host, _) => {
                there.insert(host, None);
                Answer::Removed
            }
            Ask::Rest => unreachable!("it is answered for us"),
        });
        assert!(matches!(end, Turn::Won(_)), "{patience:?}: {end:?}");
        assert!(
            now.0 <= PACE.dead_after().0 + 2 * PACE.look_every.0,
            "{now:?}"
        );
    }
}

#[test]
fn a_living_owner_on_any_of_the_hosts_is_told_of_although_another_one_is_dead() {
    let hosts = ["kvm1", "kvm2"].map(|name| HostName::new(name).expect("it is a name"));
    let (dead, living) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let (end, now) = taken(&hosts, None, |ask, now| match ask {
        Ask::Take(_) => Answer::Took(Uuid::nil(), Some(lock(dead))),
        Ask::Look(host) if host == hosts[0] => Answer::Saw(Some(lock(dead))),
        Ask::Look(_) => {
            let beat = Some(now.0);
            Answer::Saw(Some(HeldLock {
                beat,
                ..lock(living)
            }))
        }
        other => panic!("{other:?}"),
    });
    assert!(
        matches!(end, Turn::Over(End::Held { host, by }) if host == hosts[1] && by.id == living)
    );
    assert!(now < PACE.dead_after());
}

#[test]
fn whoever_stops_or_meets_a_host_that_fails_gives_everything_back() {
    let two = HostName::new("kvm2").expect("it is a name");
    let mine = Uuid::from_u128(7);
    for cancels in [true, false] {
        let mut taking = Taking::new(vec![host(), two.clone()], None, PACE, Millis(0));
        taking.hear(Answer::Took(mine, None), Millis(0));
        if cancels {
            taking.cancel();
        } else {
            // It may be there all the same.
            taking.hear(Answer::Failed("no answer".into(), Some(mine)), Millis(0));
            assert_eq!(taking.next(), Turn::Ask(Ask::Remove(two.clone(), mine)));
            taking.hear(Answer::Failed("no answer".into(), None), Millis(0));
        }
        assert_eq!(taking.next(), Turn::Ask(Ask::Remove(host(), mine)));
        taking.hear(Answer::Removed, Millis(0));
        assert!(matches!(taking.next(), Turn::Over(_)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Long ways through the same: who acts, who lets go, how time passes, and daemons that start anew.
    #[test]
    fn however_acts_and_time_mix_two_never_rely_on_it_at_once(
        acts in proptest::collection::vec((0..6_u8, 0..4_usize, 0..7_u64), 1..200)
    ) {
        let mut world = World::new(3, Some(Millis(10_000)));
        for (kind, index, time) in acts {
            match kind {
                0 => world.let_go(index),
                1 if time == 0 => world.lock = None,
                1 => world.now = world.now.plus(Millis(time)),
                _ => world.act(index),
            }
            // A daemon that starts anew, or a person who unlocks, ends a lock under an owner that cannot know yet.
            if kind == 1 && time == 0 {
                for index in 0..world.actors.len() {
                    if matches!(world.actors[index], Actor::Owner { .. }) {
                        world.act(index);
                    }
                }
            }
            prop_assert!(world.relying() <= 1);
        }
    }
}
