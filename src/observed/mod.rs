//! One reading of all hosts, unreachable ones included, and its versioned form on disk.
//!
//! A reading holds no secrets: domain XML is read without libvirt's `SECURE` flag, so passwords are not in it.
//!
//! What a later minor step of the layout added is empty in an older reading. Everywhere in it that means "nothing is
//! known" or "nothing is demanded", never "it is not there".

mod fit;
mod needs;
mod offers;
mod qemu;
mod reading;
mod roster;
mod sound;

pub use fit::{Answers, CpuFit, DomainFit, Fit};
pub use needs::{Agent, CpuFeature, FeaturePolicy, MemoryPages, Needs, SecretRef, Tpm};
pub use offers::{Offers, Pages, Secret, Tsc};
pub use qemu::QemuAnswer;
pub use reading::{
    Disk, FORMAT_VERSION, Host, Observed, Places, Pool, Reading, Vm, VmDetail, Volume, VolumeDetail,
};
pub use roster::{Roster, RosterHost, RosterVm};
