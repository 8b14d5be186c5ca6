//! What is certain to have been done before each step, and where its VM is by then.

use std::collections::{BTreeMap, BTreeSet};

use super::given::{Given, ran, runs};
use crate::model::{HostName, VmName};
use crate::plan::{Action, Plan, StepId, Why};

/// The order of a plan's steps, as far as it does not depend on how long anything takes.
pub(super) struct History<'a> {
    plan: &'a Plan,
    /// For each step those that are done before it, waits for room left out: they are no reason to hold another VM's
    /// acts for done, and would make the sets as large as the plan.
    before: Vec<BTreeSet<usize>>,
    own: BTreeMap<&'a VmName, Vec<usize>>,
}

impl<'a> History<'a> {
    pub(super) fn of(plan: &'a Plan) -> Self {
        let mut before: Vec<BTreeSet<usize>> = Vec::with_capacity(plan.steps.len());
        let mut own: BTreeMap<&VmName, Vec<usize>> = BTreeMap::new();
        for (index, step) in plan.steps.iter().enumerate() {
            let mut set = BTreeSet::new();
            let reasons = step
                .after
                .iter()
                .filter(|before| !matches!(before.why, Why::FreesRoom | Why::KeepsApart));
            for dependency in reasons {
                set.insert(dependency.step.0);
                set.extend(before[dependency.step.0].iter().copied());
            }
            before.push(set);
            for vm in &step.vms {
                own.entry(vm).or_default().push(index);
            }
        }
        Self { plan, before, own }
    }

    /// A VM's steps, those that it shares with other VMs included.
    pub(super) fn own(&self, vm: &VmName) -> &[usize] {
        self.own.get(vm).map_or(&[], Vec::as_slice)
    }

    /// Whether a step is certain to be done when another starts.
    pub(super) fn is_before(&self, one: StepId, other: StepId) -> bool {
        self.before[other.0].contains(&one.0)
    }

    /// What is done before a step.
    pub(super) fn actions_before(&self, id: StepId) -> impl Iterator<Item = &'a Action> {
        let plan = self.plan;
        self.before[id.0]
            .iter()
            .map(move |before| &plan.steps[*before].action)
    }

    /// The hosts to which a VM was migrated before a step.
    pub(super) fn brought_to(&self, vm: &VmName, id: StepId) -> impl Iterator<Item = &'a HostName> {
        self.actions_before(id)
            .filter_map(move |action| match action {
                Action::MigrateLive { vm: of, to, .. } if of == vm => Some(to),
                _ => None,
            })
    }

    /// Whether a VM is gone from a host for good when a step starts.
    pub(super) fn has_left(&self, vm: &VmName, host: &HostName, id: StepId) -> bool {
        self.actions_before(id).any(|action| match action {
            Action::MigrateLive { vm: of, from, .. }
            | Action::MigratePaused { vm: of, from, .. }
            | Action::AwaitMigration { vm: of, from, .. } => of == vm && from == host,
            Action::Undefine {
                vm: of, host: on, ..
            } => of == vm && on == host,
            _ => false,
        })
    }
}

/// Where one VM is defined and where it runs, act by act.
struct Whereabouts<'a> {
    vm: &'a VmName,
    defined: BTreeSet<&'a HostName>,
    running: BTreeSet<&'a HostName>,
    ran: bool,
}

/// Follows every VM through its steps: each act finds it where the act says, no start makes it run twice, and a VM that
/// ran runs at the end.
pub(super) fn astray(
    given: &Given<'_>,
    plan: &Plan,
    history: &History<'_>,
) -> Vec<(StepId, String)> {
    let mut faults = Vec::new();
    for (vm, steps) in &history.own {
        let places = given.places(vm).iter();
        let mut at = Whereabouts {
            vm,
            defined: places.clone().map(|(host, _)| *host).collect(),
            running: places
                .clone()
                .filter(|(host, vm)| given.observed.host(host).is_some_and(|host| runs(host, vm)))
                .map(|(host, _)| *host)
                .collect(),
            ran: places
                .filter_map(|(host, vm)| Some((given.observed.host(host)?, vm)))
                .any(|(host, vm)| ran(host, vm)),
        };
        let mut last = None;
        for index in steps {
            let own = plan.steps[*index].vms.len() == 1;
            if let Some(before) = last.filter(|_| own)
                && !history.is_before(StepId(before), StepId(*index))
                && !is_of_base(&plan.steps[*index].action)
            {
                let what = format!(
                    "does not wait for step {}, the act on {vm} before it",
                    StepId(before)
                );
                faults.push((StepId(*index), what));
            }
            if own && !is_of_base(&plan.steps[*index].action) {
                last = Some(*index);
            }
            let fault = at.follow(&plan.steps[*index].action);
            faults.extend(fault.map(|what| (StepId(*index), what)));
        }
        if let Some(last) = steps.last()
            && at.ran
            && at.running.is_empty()
        {
            faults.push((StepId(*last), format!("leaves {vm} off, which ran")));
        }
    }
    faults
}

/// Whether an act is about a volume that several VMs stand on: one of a single clone looks like its own.
fn is_of_base(action: &Action) -> bool {
    matches!(
        action,
        Action::CopyVolume { .. } | Action::VerifyVolume { .. } | Action::DeleteVolume { .. }
    )
}

impl<'a> Whereabouts<'a> {
    fn follow(&mut self, action: &'a Action) -> Option<String> {
        let vm = self.vm;
        let (host, what) = match action {
            Action::Mark { host, .. } | Action::Unmark { host, .. } => (host, "marked"),
            Action::ShutDown { host, .. } => (host, "shut down"),
            Action::Start { host, .. } => (host, "started"),
            Action::Redefine { host, .. } => (host, "redefined"),
            Action::BlockCopy { host, .. } => (host, "copied"),
            Action::Resume { host, .. } => (host, "resumed"),
            Action::Destroy { host, .. } => (host, "ended"),
            Action::Undefine { host, .. } => (host, "undefined"),
            Action::MigrateLive { from, .. }
            | Action::MigratePaused { from, .. }
            | Action::AwaitMigration { from, .. }
            | Action::Define { from, .. } => (from, "moved"),
            Action::CreateVolume { .. }
            | Action::CopyVolume { .. }
            | Action::CompactVolume { .. }
            | Action::VerifyVolume { .. }
            | Action::DeleteVolume { .. } => return None,
        };
        if !self.defined.contains(host) {
            return Some(format!("{vm} is {what} on {host}, where it is not"));
        }
        match action {
            Action::ShutDown { host, .. } | Action::Destroy { host, .. } => {
                self.running.remove(host);
            }
            Action::Start { host, .. } => {
                if let Some(other) = self.running.iter().find(|other| **other != host) {
                    return Some(format!(
                        "{vm} is started on {host} while it runs on {other}"
                    ));
                }
                self.running.insert(host);
            }
            Action::Define { to, .. } => {
                self.defined.insert(to);
            }
            Action::Undefine { host, .. } => {
                self.defined.remove(host);
            }
            Action::MigrateLive { from, to, .. } | Action::AwaitMigration { from, to, .. } => {
                if !self.running.contains(from) && matches!(action, Action::MigrateLive { .. }) {
                    return Some(format!(
                        "{vm} is migrated live from {from}, where it does not run"
                    ));
                }
                self.defined.remove(from);
                self.defined.insert(to);
                self.running = BTreeSet::from([to]);
            }
            Action::MigratePaused { from, to, .. } => {
                self.defined.remove(from);
                self.defined.insert(to);
            }
            _ => {}
        }
        None
    }
}
