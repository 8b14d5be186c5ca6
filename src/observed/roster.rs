//! What a reading says of each host in few words: who is there, and how large it is. It is kept with a saved plan, so
//! that what a plan does not touch can still be shown around it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Host, Observed, Reading};
use crate::model::{Bytes, HostName, VmName};

/// Hosts and their VMs by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Roster {
    /// When the reading began, in milliseconds since 1970.
    pub taken_at: u64,
    /// Every host that was asked; `None`: it did not answer.
    pub hosts: BTreeMap<HostName, Option<RosterHost>>,
}

/// A host in few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RosterHost {
    /// Memory of the machine.
    pub memory: Bytes,
    /// Processors.
    pub cpus: u32,
    /// Every VM, defined or running.
    pub vms: BTreeMap<VmName, RosterVm>,
}

/// A VM in few words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RosterVm {
    /// Whether it holds memory.
    pub active: bool,
    /// The most memory it may have.
    pub memory: Bytes,
}

impl Roster {
    /// The few words about a reading.
    #[must_use]
    pub fn of(observed: &Observed) -> Self {
        let host = |reading: &Reading| match reading {
            Reading::Reached(host) => Some(in_few_words(host)),
            Reading::Unreachable { .. } => None,
        };
        let hosts = observed.hosts.iter();
        Self {
            taken_at: observed.taken_at,
            hosts: hosts
                .map(|(name, reading)| (name.clone(), host(reading)))
                .collect(),
        }
    }
}

fn in_few_words(host: &Host) -> RosterHost {
    let vms = host.vms.iter().map(|(name, vm)| {
        let entry = RosterVm {
            active: vm.power.is_active(),
            memory: vm.memory,
        };
        (name.clone(), entry)
    });
    RosterHost {
        memory: host.memory,
        cpus: host.cpus,
        vms: vms.collect(),
    }
}
