//! What libvirt checks before a migration moves anything, and which rule knows of it beforehand.
//!
//! Read in the sources of libvirt 9.0.0 and 11.3.0: the call itself (`src/libvirt-domain.c`), Begin at the source, Prepare
//! at the destination, and what Perform checks before QEMU begins to send (`src/qemu/qemu_migration*.c`,
//! `qemu_process.c`). A check that no rule covers says why: because Domicile never migrates in that way, or because no
//! call of libvirt tells. The document `CHECKS.md` beside the catalogue is made from this list.

mod begin;
mod call;
mod check;
mod perform;
mod prepare;

pub use check::{Check, Phase};

/// Every check, in the order in which libvirt makes them.
#[must_use]
pub fn checks() -> Vec<Check> {
    [
        call::CHECKS,
        begin::CHECKS,
        prepare::CHECKS,
        perform::CHECKS,
    ]
    .concat()
}
