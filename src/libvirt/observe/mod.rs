//! Real hosts to one reading of them.
//!
//! A host costs the calls that [`host`] lists, two for each pool, one for each network and one for each interface
//! that could be a bridge, however many VMs it has; each VM that is looked into costs the calls that [`vm`] lists, and
//! those that [`monitor`] lists where its QEMU is asked; and each volume that such a VM uses costs one. A host to which
//! VMs shall come costs what [`answers`] says. Where the way is long, calls of one kind go out four at a time.
//!
//! On hosts that take part in a move every other VM must be known by its disks, what these stand on, and its addresses.
//! libvirt has no bulk call for these: its figures of all VMs (`virConnectGetAllDomainStats`) name the images below a
//! disk of a running VM, but neither formats nor MAC addresses, and of a VM that is off only what its definition names.
//! So each costs one call for its definition, and where it is off one for each volume with something below.

mod answers;
mod capabilities;
mod disks;
mod domain_capabilities;
mod fleet;
mod gathering;
mod host;
mod monitor;
mod network;
mod origin;
mod parallel;
mod pool_xml;
mod power;
mod questions;
#[cfg(test)]
mod random;
mod storage;
mod stores;
mod visitor;
mod vm;

pub(super) use fleet::observe;
