//! `domicile apply`: a plan, a yes, and its execution.

use std::path::Path;

use super::args::ApplyArguments;
use super::console::{Console, print, remark};
use super::exit::Exit;
use super::failure::Failure;
use super::plan::{Made, checked, make};
use super::progress::{Shower, now, seconds};
use super::saved::Saved;
use super::signals::Listener;
use super::{hosts, report};
use crate::apply::journal::Journal;
use crate::apply::{self, CancelHandle, Event, Happening, Options, Summary};
use crate::hypervisor::Hypervisor;
use crate::libvirt::LibvirtHosts;
use crate::plan::Plan;
use crate::render::{clean, stream, text};
use crate::simulator::Simulator;

pub(super) fn run(console: Console, arguments: &ApplyArguments) -> Result<Exit, Failure> {
    if let Some(wrong) = wrong_together(arguments) {
        return Err(Failure::new(Exit::USAGE, wrong.0).help(wrong.1));
    }
    let made = match &arguments.plan_file {
        Some(path) => from_file(console, arguments, path)?,
        None => make(console, &arguments.planning)?,
    };
    let grouping = console.grouping();
    if arguments.json {
        announce(&made.plan)?;
    } else {
        print(&grouping.open("plan", "Plan", seconds()))?;
        print(&text::plan(&made.plan, &console.style))?;
        print(&grouping.close("plan", seconds()))?;
    }
    if let Some(expected) = &arguments.expect {
        expected.check(&made.plan)?;
    }
    if made.plan.is_blocked() {
        return Err(Failure::new(Exit::BLOCKED, "a wanted change is refused, so nothing was started")
            .help("do what the findings say; or leave the refused VMs out with --exclude, or choose others with --target"));
    }
    if made.plan.steps.is_empty() {
        return Ok(Exit::DONE);
    }
    if !arguments.auto_approve && arguments.plan_file.is_none() {
        let question = if arguments.simulate {
            "Carry out this plan on hosts in memory?"
        } else {
            "Carry out this plan?"
        };
        console.confirm(question)?;
    }
    carry_out(console, arguments, &made)
}

/// Flags that contradict each other in a way that clap cannot say: what is wrong, and what to do.
fn wrong_together(arguments: &ApplyArguments) -> Option<(&'static str, &'static str)> {
    if arguments.json && !arguments.auto_approve && arguments.plan_file.is_none() {
        return Some((
            "--json cannot ask",
            "add --auto-approve, or save a plan and apply the file",
        ));
    }
    if arguments.planning.observed.is_some() && !arguments.simulate {
        return Some((
            "a recorded reading may be out of date, so real hosts are not changed by it",
            "add --simulate, or leave --observed out",
        ));
    }
    None
}

/// The plan of a file, where the hosts still ask for the same.
fn from_file(console: Console, arguments: &ApplyArguments, path: &Path) -> Result<Made, Failure> {
    let saved = Saved::read(path)?;
    let desired = saved.desired.clone();
    let libvirt = LibvirtHosts::new(&desired.hosts);
    let timeout = arguments.planning.timeout.timeout;
    let observed = hosts::read(console, &libvirt, &desired, None, timeout)?;
    let plan = checked(&desired, &observed)?;
    let since = saved.differences(&observed, &plan);
    if !since.matters.is_empty() {
        return Err(Failure::new(
            Exit::STALE,
            format!(
                "the hosts have changed since {} was made ({}), so nothing was started\n{}",
                path.display(),
                saved.made_at,
                list(&since.matters),
            ),
        )
        .help("plan again with `domicile plan --out FILE` and review what is different"));
    }
    if !since.harmless.is_empty() {
        remark(&format!(
            "Changed since {} was made, and no step rests on it:\n{}",
            path.display(),
            list(&since.harmless),
        ));
    }
    Ok(Made {
        desired,
        observed,
        plan,
    })
}

fn list(lines: &[String]) -> String {
    let lines: Vec<String> = lines
        .iter()
        .map(|line| format!("  {}", clean(line)))
        .collect();
    lines.join("\n")
}

fn announce(plan: &Plan) -> Result<(), Failure> {
    let lines = stream::announce(plan, env!("CARGO_PKG_VERSION"), &now())
        .map_err(|error| Failure::error(format!("the plan cannot be written as JSON: {error}")))?;
    print(&(lines.join("\n") + "\n"))
}

fn carry_out(console: Console, arguments: &ApplyArguments, made: &Made) -> Result<Exit, Failure> {
    let mut journal = match &arguments.journal {
        Some(path) => Some(Journal::create(path, &made.plan).map_err(|error| {
            Failure::error(format!("{error}: {}", error.source))
                .help("nothing was started; choose another file")
        })?),
        None => None,
    };
    let grouping = console.grouping();
    if !arguments.json {
        print("\n")?;
        print(&grouping.open("steps", "Steps", seconds()))?;
    }
    let cancel = CancelHandle::new();
    let _listener = Listener::new(&cancel).map_err(|error| {
        Failure::error(format!("signals cannot be listened to: {error}"))
            .help("nothing was started")
    })?;
    let mut shower = Shower::new(console, &made.plan, arguments.json);
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
    let hosts: Box<dyn Hypervisor> = if arguments.simulate {
        Box::new(in_memory(made))
    } else {
        Box::new(LibvirtHosts::new(&made.desired.hosts))
    };
    let mut options = Options::new(made.desired.hosts.clone());
    options.timeout = arguments.planning.timeout.timeout;
    let summary = apply::run(&made.plan, hosts.as_ref(), &options, &cancel, &mut sink);
    if !arguments.json {
        // Nobody who reads any more is no reason to keep silent about the end.
        let _ = print(&grouping.close("steps", seconds()));
        // What was done is done, whether its end can be shown or not; the exit code tells of it.
        if let Err(failure) = conclude(console, &made.plan, &kept, &summary) {
            report::report(console, &failure);
        }
    }
    Ok(exit_of(&summary))
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
    match text::next(summary, &console.style).filter(|_| console.hints) {
        Some(next) => print(&next),
        None => Ok(()),
    }
}

/// Hosts in memory as they were read, with the storage that the manifest declares to be shared.
fn in_memory(made: &Made) -> Simulator {
    let Made {
        desired, observed, ..
    } = made;
    let shared = desired.pools.iter().filter(|(_, pool)| pool.shared);
    let groups: Vec<Vec<_>> = shared
        .map(|(pool, _)| {
            let on = observed.hosts.keys();
            on.map(|host| (host.clone(), desired.pool_on(pool, host)))
                .collect()
        })
        .collect();
    Simulator::with_shared_pools(observed.clone(), &groups)
}

fn exit_of(summary: &Summary) -> Exit {
    if !summary.failed.is_empty() || !summary.stranded.is_empty() {
        Exit::INCOMPLETE
    } else if summary.cancelled {
        Exit::CANCELLED
    } else if summary.left.is_empty() {
        Exit::DONE
    } else {
        Exit::INCOMPLETE
    }
}
