//! What is certain to have been done before each step, and where its VM is by then.

use std::collections::{BTreeMap, BTreeSet};

use super::given::{Given, is_stalled, ran, runs};
use crate::model::{HostName, VmName};
use crate::observed::Vm;
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
    /// Whether it has to run at the end.
    ran: bool,
    /// The hosts whose definition of it carries a mark.
    marked: BTreeSet<&'a HostName>,
    /// Where it was before the last act that carried it.
    left: Option<&'a HostName>,
    /// The host where a migration that went wrong has left it paused.
    stalled: Option<&'a HostName>,
    /// The hosts with an instance that was only started to carry it, and has to end.
    passing: BTreeSet<&'a HostName>,
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
        let mut at = Whereabouts::of(given, vm);
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
        let last = steps.last().copied().unwrap_or_default();
        faults.extend(at.left_over().into_iter().map(|what| (StepId(last), what)));
    }
    faults
}

/// Steps that are said to be another VM's than that to which they are done.
pub(super) fn strangers(plan: &Plan) -> Vec<(StepId, String)> {
    let steps = plan.steps.iter().enumerate();
    let strange = steps.filter_map(|(index, step)| {
        let vm = vm_of(&step.action).filter(|vm| !step.vms.contains(vm))?;
        Some((
            StepId(index),
            format!("is done to {vm}, whose step it is not"),
        ))
    });
    strange.collect()
}

/// The VM to which an act is done, or for which it makes a volume.
fn vm_of(action: &Action) -> Option<&VmName> {
    action.vm().or(match action {
        Action::CreateVolume { spec }
        | Action::CopyVolume { spec, .. }
        | Action::CompactVolume { spec, .. } => Some(&spec.owner.vm),
        _ => None,
    })
}

/// Whether an act is about a volume that several VMs stand on: one of a single clone looks like its own.
fn is_of_base(action: &Action) -> bool {
    matches!(
        action,
        Action::CopyVolume { .. } | Action::VerifyVolume { .. } | Action::DeleteVolume { .. }
    )
}

/// The host where an act finds its VM, and what it is called there.
fn is_done_on(action: &Action) -> Option<(&HostName, &'static str)> {
    Some(match action {
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
    })
}

impl<'a> Whereabouts<'a> {
    /// As it was read.
    fn of(given: &Given<'a>, vm: &'a VmName) -> Self {
        let places = given.places(vm).iter().copied();
        let read = places
            .clone()
            .filter_map(|(host, vm)| Some((host, given.observed.host(host)?, vm)));
        let running = read.clone().filter(|(_, host, vm)| runs(host, vm));
        let passing = read.clone().filter(|(_, host, vm)| {
            let is_carried_cold = vm.mark().is_some_and(|mark| mark.cold);
            is_carried_cold && vm.power.is_active() && !ran(host, vm)
        });
        // No move within a host shuts a VM down.
        let had_run = |vm: &'a Vm| {
            vm.mark()
                .is_some_and(|mark| mark.was_active && mark.from_uuid != mark.to_uuid)
        };
        Self {
            vm,
            defined: places.clone().map(|(host, _)| host).collect(),
            running: running.map(|(host, ..)| host).collect(),
            passing: passing.map(|(host, ..)| host).collect(),
            ran: { read.clone() }.any(|(_, host, vm)| ran(host, vm) || had_run(vm)),
            stalled: { read }
                .find(|(_, host, vm)| is_stalled(host, vm))
                .map(|(host, ..)| host),
            marked: places
                .filter(|(_, vm)| vm.mark().is_some())
                .map(|(host, _)| host)
                .collect(),
            left: None,
        }
    }

    /// What is not as it has to be at the end.
    fn left_over(&self) -> Vec<String> {
        let vm = self.vm;
        let names = |hosts: &BTreeSet<&HostName>| {
            let names: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
            names.join(" and ")
        };
        let mut left = Vec::new();
        if self.ran && self.running.is_empty() {
            left.push(format!("leaves {vm} off, which ran"));
        }
        if self.stalled.is_some_and(|host| self.running.contains(host)) {
            left.push(format!("leaves {vm} paused, which a migration has stopped"));
        }
        if !self.passing.is_empty() {
            left.push(format!(
                "leaves {vm} paused on {}, where it was only carried",
                names(&self.passing)
            ));
        }
        if self.defined.len() > 1 {
            left.push(format!("leaves {vm} defined on {}", names(&self.defined)));
        }
        if !self.marked.is_empty() {
            left.push(format!(
                "leaves the mark of {vm} on {}",
                names(&self.marked)
            ));
        }
        left
    }

    /// The VM is on another host from now on.
    fn carried(&mut self, from: &'a HostName, to: &'a HostName) {
        self.defined.remove(from);
        self.defined.insert(to);
        if self.marked.remove(from) {
            self.marked.insert(to);
        }
        if self.stalled == Some(from) {
            self.stalled = Some(to);
        }
        if self.passing.remove(from) {
            self.passing.insert(to);
        }
        self.left = Some(from);
    }

    /// Why the VM may not be started on a host.
    fn not_startable(&self, host: &HostName, asked: &[HostName]) -> Option<String> {
        let vm = self.vm;
        if let Some(other) = self.running.first() {
            return Some(format!(
                "{vm} is started on {host} while it runs on {other}"
            ));
        }
        let mut places = self.defined.iter().chain(&self.left);
        let unasked = places.find(|place| **place != host && !asked.contains(place))?;
        Some(format!(
            "{vm} is started on {host}, and {unasked} is not asked whether it runs there"
        ))
    }

    fn follow(&mut self, action: &'a Action) -> Option<String> {
        let vm = self.vm;
        if let Some((host, what)) = is_done_on(action)
            && !self.defined.contains(host)
        {
            return Some(format!("{vm} is {what} on {host}, where it is not"));
        }
        match action {
            Action::ShutDown { host, .. } | Action::Destroy { host, .. } => {
                self.running.remove(host);
                self.passing.remove(host);
            }
            Action::Start {
                host,
                not_active_on,
                ..
            } => {
                let why = self.not_startable(host, not_active_on);
                self.running.insert(host);
                self.stalled = None;
                return why;
            }
            Action::Resume { .. } => self.stalled = None,
            Action::Mark { host, .. } => {
                self.marked.insert(host);
            }
            Action::Unmark { host, .. } => {
                self.marked.remove(host);
            }
            Action::Define { from, to, .. } => {
                self.defined.insert(to);
                if self.marked.contains(from) {
                    self.marked.insert(to);
                }
                self.left = Some(from);
            }
            Action::Undefine { host, kept_by, .. } => {
                if !self.defined.contains(kept_by) {
                    return Some(format!(
                        "{vm} is undefined on {host}, and {kept_by} does not have it"
                    ));
                }
                self.defined.remove(host);
                self.marked.remove(host);
            }
            Action::MigrateLive { from, to, .. } | Action::AwaitMigration { from, to, .. } => {
                if !self.running.contains(from) && matches!(action, Action::MigrateLive { .. }) {
                    return Some(format!(
                        "{vm} is migrated live from {from}, where it does not run"
                    ));
                }
                self.carried(from, to);
                self.running = BTreeSet::from([to]);
                if matches!(action, Action::AwaitMigration { .. }) {
                    self.stalled = None;
                }
            }
            Action::MigratePaused { from, to, .. } => self.carried(from, to),
            _ => {}
        }
        None
    }
}
