//! What the QEMU of a running VM says itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What came of asking a VM's QEMU over its monitor (`virDomainQemuMonitorCommand`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QemuAnswer {
    /// It answered.
    Answered {
        /// Its version in the form of [`crate::observed::Host::hypervisor_version`]: that of the program which was
        /// started, whatever is installed now.
        version: u64,
        /// Why it cannot migrate now, each reason in its words (`blocked-reasons` of `query-migrate`, from QEMU 6.0
        /// on). Empty: it sees no reason, or is too old to tell.
        blockers: Vec<String>,
    },
    /// It did not, for this reason.
    Unknown(String),
}
