//! The executor: turns a plan into events by carrying it out on anything that implements
//! [`crate::hypervisor::Hypervisor`]. It assumes a plan that [`crate::plan::check`] has passed, and neither hangs nor
//! panics on any other.
//!
//! One thread coordinates; each step runs on a thread of its own. A step starts when all that it waits for is done
//! and its slots are free; among several, the one that starts first by the forecast, then the lower number. A transfer
//! lets an earlier one go first that is being prepared (`turn`).
//!
//! # When a step fails
//!
//! What depends on it, directly or not, does not run; all else does. Hosts promise that a failed step leaves the VM
//! where it ran or where it was going, except for one thing that a single step cannot promise: a VM that was shut
//! down for its move stays off until a later step starts it. So a VM whose shutdown has begun is brought back as soon
//! as the start that was to follow cannot come any more and nothing of its move runs: its hosts are read again, and
//! it is started where it was if that host still has it, else where it was going, and only where the other host
//! answers that it does not run it. Before it runs again at the source, its definition at the destination goes: a
//! later plan that found it off on both sides would else take copies for the truth that have become history. The rest of its move is left for the next plan, which finds its mark.
//!
//! Where the manifest wants it ([`crate::desired::OnFailure`]), a failure is also a wish to stop, as a person's first one
//! is. What [`undo`] makes of the journal can then bring every VM back.
//!
//! # When a person asks to stop
//!
//! Once ([`crate::hypervisor::Cancel::Drain`]): what runs is finished and nothing new starts, with one exception. A
//! VM whose shutdown has begun is carried on until it runs again and its old definition is gone: its steps up to
//! there, and all that they wait for, still start. A definition left behind would be started with its host if it has
//! autostart. Deleting old volumes and removing the mark wait for the next plan.
//!
//! Twice ([`crate::hypervisor::Cancel::Now`]): running steps are told to cancel themselves, nothing starts, and a VM
//! that is off because of us is brought back as after a failure.
//!
//! # When a host's lock is in doubt
//!
//! A step whose host has not taken a beat for a while is held back until it does; all else goes on. A step whose
//! host's lock is lost fails before it does anything ([`lock`]).

mod board;
mod cancel;
mod event;
mod gate;
pub mod journal;
pub mod lines;
pub mod lock;
mod options;
mod reboot;
pub mod records;
mod restore;
mod run;
mod tally;
mod turn;
pub mod undo;
mod worker;

pub use cancel::CancelHandle;
pub use event::{Event, Happening, Summary};
pub use options::Options;
pub use run::run;
