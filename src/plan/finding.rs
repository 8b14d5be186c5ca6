//! A rule's verdict on one move or object.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{HostName, VmName};

/// How grave a finding is, the gravest first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The change is refused.
    Blocks,
    /// It may fail or hurt.
    Risk,
    /// The reviewer should know.
    Note,
}

/// A rule's verdict: what was seen, what is needed, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// How grave.
    pub severity: Severity,
    /// The rule's code, such as `pool-missing`.
    pub code: String,
    /// The VM, where it is about one.
    pub vm: Option<VmName>,
    /// The host, where it is about one.
    pub host: Option<HostName>,
    /// What was seen and what is needed, in a sentence.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// The code of what is told of a VM that an earlier apply's move is finished for, and that is wanted elsewhere by now.
pub const FINISHED_FIRST: &str = "finished-first";

/// The VMs of which these findings refuse a wanted change.
pub(crate) fn refused(findings: &[Finding]) -> BTreeSet<&VmName> {
    let blocking = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Blocks);
    blocking.filter_map(|finding| finding.vm.as_ref()).collect()
}
