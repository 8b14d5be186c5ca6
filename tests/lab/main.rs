//! Every kind of move, on real libvirt daemons and real QEMU guests.
//!
//! These need root and a minute of set-up, so plain `cargo test` leaves them out; `tests/run` runs them. What a guest
//! went through is shown by its beat: the same boot means no reboot, and two beats at once would mean two instances.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a lab that does not answer is a failed test, which says what it ran"
)]

mod census;
mod checks;
mod clones;
mod cold;
mod compact;
mod daemons;
mod definitions;
#[path = "../seeds/dice.rs"]
mod dice;
mod disks;
mod faults;
mod fits;
mod kinds;
mod lab;
mod live;
mod locks;
mod mapping;
mod pull_request;
#[path = "../definition/random.rs"]
mod random;
mod refusals;
mod schedule;
#[path = "../schema/mod.rs"]
mod schema;
mod soak;
mod sweep;
