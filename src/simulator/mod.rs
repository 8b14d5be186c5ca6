//! Hosts in memory, behind the same trait as real ones: a reading turns into hosts that can be worked on. It assumes
//! that the reading is consistent; what it does not hold (a VM's definition, a volume's size) is not made up, and an
//! action that needs it is refused.
//!
//! - **Hosts refuse as real ones do**: a name or volume that is taken, a pool that is not active or full, memory that
//!   would be given twice over, a volume in use, a destination without the disks, the bridge or the machine type.
//! - **They do not refuse what real ones would not**: starting a VM that runs elsewhere, a disk that is out of date, a
//!   clone on the wrong base. Those break an invariant, which is recorded. For that each volume has contents: not
//!   bytes, but a name for what a guest would read.
//! - **Time is a number.** Transfers take bytes divided by bandwidth, every other call a fixed time, and nobody waits
//!   unless a pace is set. Steps on several threads share one clock and go on in an order that does not depend on how
//!   threads are scheduled: the same plan and faults give the same events, at any number of steps at once.
//! - **Faults come from a seed** and may strike before, amid or after an action: it fails, it hangs until nobody waits
//!   for it (and may have its effect after that), the process dies, a host falls silent, its daemon restarts or its
//!   machine loses power, the link between two hosts is cut, storage is filled. A migration that nobody drives any more
//!   goes on in its daemon or leaves one of the states that libvirt leaves.

mod clock;
mod effects;
mod faults;
mod hosts;
mod images;
mod invariants;
mod locks;
mod migrate;
mod reading;
mod state;
mod strikes;
mod trouble;
mod vms;
mod volumes;
mod world;

pub use effects::Timing;
pub use faults::Faults;
pub use hosts::Simulator;
pub use invariants::Breach;
