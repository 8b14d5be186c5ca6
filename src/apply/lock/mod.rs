//! The locks of all hosts that an apply touches: taken before it looks again at what its plan rests on, kept while it
//! runs, removed on every way out.
//!
//! # What makes it safe
//!
//! - A lock is taken by one atomic act of the host, in one order of hosts (by host UUID, so that two operators who
//!   name them differently agree). Who meets a lock of another gives back all that it has before it waits.
//! - The owner beats, and relies on its lock only for half of the time after which others take it for dead, counted
//!   from the beginning of its latest beat that succeeded. Until the next one succeeds nothing starts on that host.
//! - A lock is dead when its beat was seen to stand still for [`Pace::dead_after`], measured by the clock of who
//!   looks: clocks of two machines are never compared. A dead lock is taken over without asking. Every apply plans
//!   anew under its locks, so what a dead one has left is found and finished as after any crash. A lock that cannot
//!   be read is never dead; `domicile unlock` removes it.
//! - Taking over first claims the dead lock for good, looks once more whether its beat still stands, and only then
//!   removes it by its identifier and takes like everybody else. Of two who do so at once one takes the lock, and the
//!   other finds it there.
//! - An owner that wakes up finds its latest beat too old, so it starts nothing before the next; and that one finds
//!   the lock claimed or gone. Should it come before the claim, who claims sees it and does not remove the lock. No
//!   assumption on how long anybody takes between two acts is needed for this. What the owner has told a host to
//!   do by then cannot be called back; nothing new starts.
//!
//! # When a lock is lost
//!
//! By a restart of the host's daemon, a person's `unlock` or a take-over: the owner cannot tell which, and somebody may
//! have worked there since or be about to, so no further step starts on that host. Where the host is free the lock is taken anew, only
//! so that a VM that was shut down for its move can be brought back with nobody else at work. All else is left to the
//! next plan.

mod keeper;
mod locks;
mod pace;
mod taking;
mod tenure;
mod vigil;

#[cfg(test)]
mod explored;

pub use locks::{LockError, Locks, Wanted};
pub use pace::Pace;
