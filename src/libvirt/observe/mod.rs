//! Real hosts to one reading of them.
//!
//! A host costs the calls that [`host`] lists, two for each pool, one for each network and one for each interface
//! that could be a bridge, however many VMs it has; each VM that is looked into costs the calls that [`vm`] lists,
//! and each volume that such a VM uses costs one. Where the way is long, calls of one kind go out four at a time.

mod capabilities;
mod disks;
mod fleet;
mod host;
mod network;
mod origin;
mod parallel;
mod pool_xml;
mod power;
mod questions;
mod storage;
mod stores;
mod vm;

pub(super) use fleet::observe;
