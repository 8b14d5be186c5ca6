//! What an apply does when all goes well, when a step fails, and when a person asks to stop. The hosts are simulated.

#![expect(
    clippy::unwrap_used,
    reason = "a plan made by hand for a test is right or the test is wrong"
)]

mod failures;
mod locks;
mod order;
mod records;
mod stopping;
mod trades;
mod turns;
mod undo;

use domicile::apply::{CancelHandle, Event, Happening, Options, Summary, run};
use domicile::desired::{ColdCopy, Method};
use domicile::hypervisor::Hypervisor;
use domicile::plan::{Action, Plan, StepId};
use domicile::simulator::Simulator;

use crate::planner::fleet::{Fleet, GIB};

/// What happened, and the plan that made it happen.
struct Applied {
    plan: Plan,
    events: Vec<Event>,
    summary: Summary,
}

impl Applied {
    fn of(plan: &Plan, hosts: &dyn Hypervisor, fleet: &Fleet) -> Self {
        Self::watched(plan, hosts, fleet, |_, _| {})
    }

    /// The same, where somebody sees each event and may ask to stop.
    fn watched(
        plan: &Plan,
        hosts: &dyn Hypervisor,
        fleet: &Fleet,
        mut seen: impl FnMut(&Happening, &CancelHandle),
    ) -> Self {
        let cancel = CancelHandle::new();
        let options = Options::new(fleet.desired.hosts.clone());
        let mut events: Vec<Event> = Vec::new();
        let summary = run(plan, hosts, &options, &cancel, &mut |event| {
            seen(&event.what, &cancel);
            events.push(event.clone());
        });
        Self {
            plan: plan.clone(),
            events,
            summary,
        }
    }

    fn text(&self, step: StepId) -> String {
        self.plan.steps[step.0].action.to_string()
    }

    /// What became of each step and VM, in words and in order; starts and progress left out.
    fn story(&self) -> Vec<String> {
        let line = |event: &Event| match &event.what {
            Happening::StepDone { step, .. } => Some(format!("done: {}", self.text(*step))),
            Happening::StepFailed {
                step, cancelled, ..
            } => {
                let how = if *cancelled { "cancelled" } else { "failed" };
                Some(format!("{how}: {}", self.text(*step)))
            }
            Happening::StepSkipped { step, .. } => Some(format!("skipped: {}", self.text(*step))),
            Happening::StepNotStarted { step } => {
                Some(format!("not started: {}", self.text(*step)))
            }
            Happening::Restored { vm, host, .. } => Some(format!("{vm} runs again on {host}")),
            Happening::NotRestored { vm, .. } => Some(format!("{vm} is off")),
            _ => None,
        };
        self.events.iter().filter_map(line).collect()
    }
}

/// `web` runs on kvm1 and is to be moved cold to kvm2, through this process.
fn cold_move() -> Fleet {
    cold_move_by(ColdCopy::Stream)
}

fn cold_move_by(how: ColdCopy) -> Fleet {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web", 4);
    let wanted = fleet.wants("web", "kvm2");
    wanted.method = Method::Cold;
    wanted.migration.cold_copy = Some(how);
    fleet
}

/// The power state of a VM on a host, in a word; `-`: not there.
fn state_on(hosts: &Simulator, host: &str, vm: &str) -> String {
    let observed = hosts.observed();
    let host = observed
        .host(&crate::planner::fleet::host_name(host))
        .unwrap();
    let state = host.vms.get(vm).map(|vm| format!("{:?}", vm.power.state));
    state.unwrap_or_else(|| "-".to_owned())
}

fn step_of(plan: &Plan, text: &str) -> StepId {
    let found = plan
        .steps
        .iter()
        .position(|step| step.action.to_string().contains(text));
    StepId(
        found.unwrap_or_else(|| panic!("no step {text}: {:#?}", crate::planner::fleet::acts(plan))),
    )
}

/// Makes a plan's start of a VM need more memory than its host has.
fn fill_memory(fleet: &mut Fleet, host: &str) {
    fleet.host(host).memory = domicile::model::Bytes(GIB);
}

fn is_start(action: &Action) -> bool {
    matches!(action, Action::Start { .. })
}
