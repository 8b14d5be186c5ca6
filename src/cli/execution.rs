//! A plan shown, agreed to, carried out and told of.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::args::ApplyArguments;
use super::console::{Console, print, remark};
use super::exit::Exit;
use super::failure::Failure;
use super::plan::Made;
use super::progress::{Shower, now, seconds};
use super::report;
use crate::apply::journal::Journal;
use crate::apply::lock::Locks;
use crate::apply::records::Times;
use crate::apply::undo::started_by;
use crate::apply::{self, CancelHandle, Event, Happening, Options, Summary};
use crate::desired::OnFailure;
use crate::hypervisor::Hypervisor;
use crate::plan::{Plan, StepId};
use crate::render::{stream, text};

/// What carrying out plans needs, one after the other, under the same locks.
pub(super) struct Execution<'a> {
    pub(super) console: Console,
    pub(super) arguments: &'a ApplyArguments,
    pub(super) cancel: &'a CancelHandle,
    pub(super) hosts: Arc<dyn Hypervisor>,
    pub(super) locks: Option<Arc<Locks>>,
}

impl Execution<'_> {
    /// Carries out a plan, tells of it, and gives what came of it with the steps that were started.
    pub(super) fn run(
        &mut self,
        made: &Made,
        journal: Option<&Path>,
    ) -> Result<(Summary, BTreeSet<StepId>), Failure> {
        let (console, as_json) = (self.console, self.arguments.json);
        let grouping = console.grouping();
        let times = if self.arguments.simulate {
            Times::Simulated
        } else {
            Times::Measured
        };
        let mut journal = match journal {
            Some(path) => Some(Journal::create(path, &made.plan, times).map_err(|error| {
                Failure::error(format!("{error}: {}", error.source))
                    .help("nothing was started; choose another file")
            })?),
            None => None,
        };
        if as_json {
            announce(&made.plan)?;
        } else {
            print("\n")?;
            print(&grouping.open("steps", "Steps", seconds()))?;
        }
        let mut shower = Shower::new(console, &made.plan, as_json);
        let mut kept = Vec::new();
        let mut sink = |event: &Event| {
            shower.show(event);
            if let Some(Err(error)) = journal.as_mut().map(|journal| journal.write(event)) {
                remark(&format!("{error}: {}; going on without it", error.source));
                journal = None;
            }
            if !matches!(event.what, Happening::StepProgress { .. }) {
                kept.push(event.clone());
            }
        };
        let mut options = Options::new(made.desired.hosts.clone());
        options.timeout = self.arguments.planning.timeout.timeout;
        options.stops_on_failure = made.desired.on_failure != OnFailure::Continue;
        options.locks.clone_from(&self.locks);
        let hosts = self.hosts.as_ref();
        let summary = apply::run(&made.plan, hosts, &options, self.cancel, &mut sink);
        if !as_json {
            // Nobody who reads any more is no reason to keep silent about the end.
            let _ = print(&grouping.close("steps", seconds()));
            // What was done is done, whether its end can be shown or not; the exit code tells of it.
            if let Err(failure) = conclude(console, &made.plan, &kept, &summary) {
                report::report(console, &failure);
            }
        }
        let started = kept.iter().filter_map(started_by).collect();
        Ok((summary, started))
    }
}

pub(super) fn agree(console: Console, arguments: &ApplyArguments) -> Result<(), Failure> {
    if arguments.auto_approve {
        return Ok(());
    }
    let question = if arguments.simulate {
        "Carry out this plan on hosts in memory?"
    } else {
        "Carry out this plan?"
    };
    console.confirm(question)
}

/// Shows a plan, and says whether there is anything to do. One that is refused, or another than was expected, is an
/// error.
pub(super) fn show(
    console: Console,
    arguments: &ApplyArguments,
    plan: &Plan,
) -> Result<bool, Failure> {
    if !arguments.json {
        let grouping = console.grouping();
        print(&grouping.open("plan", "Plan", seconds()))?;
        print(&text::plan(plan, &console.style))?;
        print(&grouping.close("plan", seconds()))?;
    }
    let fit = is_fit(arguments, plan);
    // A plan that is carried out is told once it is sure which one that is.
    if arguments.json && !matches!(fit, Ok(true)) {
        announce(plan)?;
    }
    fit
}

fn is_fit(arguments: &ApplyArguments, plan: &Plan) -> Result<bool, Failure> {
    if let Some(expected) = &arguments.expect {
        expected.check(plan)?;
    }
    if plan.is_blocked() {
        return Err(Failure::new(Exit::BLOCKED, "a wanted change is refused, so nothing was started")
            .help("do what the findings say; or leave the refused VMs out with --exclude, or choose others with --target"));
    }
    Ok(!plan.steps.is_empty())
}

fn announce(plan: &Plan) -> Result<(), Failure> {
    let lines = stream::announce(plan, env!("CARGO_PKG_VERSION"), &now())
        .map_err(|error| Failure::error(format!("the plan cannot be written as JSON: {error}")))?;
    print(&(lines.join("\n") + "\n"))
}

fn conclude(
    console: Console,
    plan: &Plan,
    events: &[Event],
    summary: &Summary,
) -> Result<(), Failure> {
    // Bars leave the cursor behind the last line and not below it.
    let ended = if console.is_live { "\n" } else { "" };
    let shown = text::summary(plan, events, &console.style);
    print(&format!("{ended}\n{shown}"))?;
    match text::next(plan, summary, &console.style).filter(|_| console.hints) {
        Some(next) => print(&next),
        None => Ok(()),
    }
}
