//! The restrictions: what stops a move, what refuses a method, what a reviewer should know.
//!
//! A rule is a pure function of one [`Case`]: a VM, where it is, where it shall be, and where its disks go. It says
//! what was seen on which host, what is needed, and what to do about it. Rules know nothing of steps or of order;
//! room over time is the schedule's matter.

mod case;
mod host;
mod live;
mod network;
mod storage;
mod vm;

pub use case::{Case, Effect, Rule, Verdict};
pub use host::same_host_twice;
pub use network::{NetworkFault, connection};

/// Every rule, in the order in which their verdicts are shown.
#[must_use]
pub fn catalogue() -> Vec<Rule> {
    let families = [
        host::RULES,
        vm::RULES,
        storage::RULES,
        network::RULES,
        live::RULES,
    ];
    families.concat()
}

/// What all rules say of one case.
#[must_use]
pub fn judge(case: &Case<'_>) -> Vec<Verdict> {
    catalogue()
        .iter()
        .flat_map(|rule| (rule.judge)(case))
        .collect()
}
