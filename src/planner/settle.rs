//! Instances that an earlier apply started paused to carry a VM that is off, and that are still there because it died.
//!
//! Their guests' code was never executed, so they hold nothing that could be lost. They count as off from here on,
//! and are ended before anything else is done with the VM.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::model::{HostName, JobKind, PowerState, RunState, VmName};
use crate::observed::{Host, Observed, Reading, Vm};

/// The reading with such instances off, and where they are.
pub(super) struct Settled<'a> {
    pub(super) observed: Cow<'a, Observed>,
    pub(super) paused: BTreeSet<(HostName, VmName)>,
}

/// Whether the instance never executed anything. One that a migration is still bringing is libvirt's own affair, and
/// so is one that leaves.
fn never_ran(host: &Host, vm: &Vm) -> bool {
    let Some(detail) = &vm.detail else {
        return false;
    };
    let Some(mark) = detail.mark.as_ref().filter(|mark| mark.cold) else {
        return false;
    };
    let arriving = vm.power.reason == "migration" && host.uuid != mark.from_uuid;
    let migrates = matches!(
        detail.job,
        Some(JobKind::MigrationOut | JobKind::MigrationIn)
    );
    vm.power.state == RunState::Paused && !arriving && !migrates
}

/// Finds such instances.
pub(super) fn settle(observed: &Observed) -> Settled<'_> {
    let mut paused = BTreeSet::new();
    for (name, host) in observed.reached() {
        let here = host.vms.iter().filter(|(_, vm)| never_ran(host, vm));
        paused.extend(here.map(|(vm, _)| (name.clone(), vm.clone())));
    }
    let mut settled = Cow::Borrowed(observed);
    for (host, vm) in &paused {
        if let Some(Reading::Reached(host)) = settled.to_mut().hosts.get_mut(host)
            && let Some(vm) = host.vms.get_mut(vm)
        {
            vm.power = PowerState {
                state: RunState::ShutOff,
                reason: "destroyed".into(),
            };
        }
    }
    Settled {
        observed: settled,
        paused,
    }
}
