//! The restrictions: what stops a move, what refuses a method, what a reviewer should know.
//!
//! A rule is a pure function of one [`Case`]: a VM, where it is, where it shall be, and where its disks go. It says
//! what was seen on which host, what is needed, and what to do about it. Rules know nothing of steps or of order;
//! room over time is the schedule's matter.
//!
//! [`checks`] lists what libvirt itself checks before a migration, with the rules that know of it beforehand or the
//! reason why none can.

mod arrival;
mod case;
mod checks;
mod cluster;
mod cold;
mod compact;
mod copy;
mod cpu;
mod demands;
mod disk;
mod host;
mod live;
mod network;
mod planned;
mod pool;
mod qemu;
mod settings;
mod shared;
mod vm;

use crate::desired::Profile;

pub use case::{Case, Effect, Rule, Verdict, When};
pub use checks::{Check, Phase, checks};
pub use compact::is_shrunk;
pub use host::same_host_twice;
pub use network::{NetworkFault, connection};
pub use settings::leads_to_itself;

/// Every rule, in the order in which their verdicts are shown.
#[must_use]
pub fn catalogue() -> Vec<Rule> {
    let families = [
        planned::RULES,
        host::RULES,
        cluster::RULES,
        vm::RULES,
        pool::RULES,
        disk::RULES,
        network::RULES,
        live::RULES,
        settings::RULES,
        qemu::RULES,
        cpu::RULES,
        demands::RULES,
        arrival::RULES,
        shared::RULES,
        copy::RULES,
        compact::RULES,
        cold::RULES,
    ];
    families.concat()
}

/// The rule of that code.
#[must_use]
pub fn rule(code: &str) -> Option<Rule> {
    catalogue().into_iter().find(|rule| rule.code == code)
}

/// What VMmanager 6 makes of a verdict that is milder here; `None` where it is no stricter.
#[must_use]
pub fn in_vmmanager(code: &str) -> Option<Effect> {
    let stricter = STRICTER_IN_VMMANAGER;
    let found = stricter.iter().find(|(theirs, _)| *theirs == code);
    found.map(|(_, effect)| *effect)
}

/// VMmanager 6, "Migration of virtual machines", both versions of the page that are known.
const STRICTER_IN_VMMANAGER: &[(&str, Effect)] = &[
    ("nested", Effect::RefusesLive),
    ("os-version", Effect::RefusesLive),
];

/// What all rules say of one case.
#[must_use]
pub fn judge(case: &Case<'_>) -> Vec<Verdict> {
    let strict = case.desired.profile == Profile::Vmmanager;
    let mut verdicts: Vec<Verdict> = catalogue()
        .iter()
        .flat_map(|rule| (rule.judge)(case))
        .collect();
    for verdict in verdicts.iter_mut().filter(|_| strict) {
        if let Some(stricter) = in_vmmanager(verdict.code) {
            verdict.effect = verdict.effect.min(stricter);
            verdict.when = When::Always;
        }
    }
    verdicts
}
