//! `domicile plan`, and what `apply` shares with it.

use std::collections::BTreeSet;

use super::args::{PlanArguments, Planning};
use super::console::{Console, print};
use super::exit::Exit;
use super::failure::Failure;
use super::saved::Saved;
use super::sound::expect_sound;
use super::{explain, hosts, manifest};
use crate::desired::{Desired, Gates};
use crate::libvirt::LibvirtHosts;
use crate::model::VmName;
use crate::observed::Observed;
use crate::plan::Plan;
use crate::plan::check;
use crate::planner;
use crate::render::{json, text};

/// A plan and what it was made from.
pub(super) struct Made {
    pub(super) desired: Desired,
    pub(super) observed: Observed,
    pub(super) plan: Plan,
}

pub(super) fn run(console: Console, arguments: &PlanArguments) -> Result<Exit, Failure> {
    let made = make(console, &arguments.planning)?;
    if arguments.json {
        print(&as_json(&made.plan)?)?;
    } else {
        print(&text::plan(&made.plan, &console.style))?;
    }
    if let Some(path) = &arguments.out {
        Saved::new(&made.desired, &made.observed, &made.plan).write(path)?;
        let fit = !made.plan.is_blocked() && !made.plan.steps.is_empty();
        if console.hints && fit && !arguments.json {
            let name = path.display();
            print(&format!(
                "\nSaved to {name}. To carry out exactly this: domicile apply {name}\n"
            ))?;
        }
    }
    Ok(if made.plan.is_blocked() {
        Exit::BLOCKED
    } else if arguments.detailed_exitcode && !made.plan.is_empty() {
        Exit::CHANGES
    } else {
        Exit::DONE
    })
}

/// Manifest, reading, plan, check.
pub(super) fn make(console: Console, planning: &Planning) -> Result<Made, Failure> {
    let mut desired = manifest::load(&planning.manifest.files)?;
    choose(&mut desired, &planning.targets, &planning.excludes)?;
    desired.gates = Gates {
        max_downtime: planning.max_downtime,
        no_reboot: planning.no_reboot,
        accept: planning.accept.iter().cloned().collect(),
    };
    explain::expect_codes(planning.accept.iter().map(String::as_str))?;
    if let Some(most) = planning.parallelism {
        for host in desired.hosts.values_mut() {
            host.limits.parallel = Some(most);
            (host.limits.parallel_in, host.limits.parallel_out) = (None, None);
        }
    }
    let libvirt = LibvirtHosts::new(&desired.hosts);
    let recorded = planning.observed.as_deref();
    let observed = hosts::read(
        console,
        &libvirt,
        &desired,
        recorded,
        planning.timeout.timeout,
    )?;
    let plan = checked(&desired, &observed)?;
    Ok(Made {
        desired,
        observed,
        plan,
    })
}

/// A plan that passed the independent check.
pub(super) fn checked(desired: &Desired, observed: &Observed) -> Result<Plan, Failure> {
    let plan = planner::plan(desired, observed);
    expect_sound(&check::check(desired, observed, &plan))?;
    Ok(plan)
}

/// Leaves only the VMs that the command line wants.
fn choose(desired: &mut Desired, targets: &[VmName], excludes: &[VmName]) -> Result<(), Failure> {
    for name in targets.iter().chain(excludes) {
        if !desired.vms.contains_key(name) {
            let failure = Failure::error(format!("the manifest has no VM {name}"));
            return Err(match similar(name, desired) {
                Some(other) => failure.help(format!("did you mean {other}?")),
                None => failure
                    .help("--target and --exclude take names of VMs under `vms` in the manifest"),
            });
        }
    }
    let targets: BTreeSet<&VmName> = targets.iter().collect();
    let excludes: BTreeSet<&VmName> = excludes.iter().collect();
    desired.vms.retain(|name, _| {
        (targets.is_empty() || targets.contains(name)) && !excludes.contains(name)
    });
    Ok(())
}

/// The likeliest name where one is likely at all.
fn similar<'d>(name: &VmName, desired: &'d Desired) -> Option<&'d VmName> {
    /// Below this likeness (0 to 1) a suggestion confuses more than it helps.
    const LIKENESS_MIN: f64 = 0.8;
    let likeness = |other: &VmName| strsim::jaro_winkler(name.as_str(), other.as_str());
    let best = desired
        .vms
        .keys()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= LIKENESS_MIN).then_some(best)
}

pub(super) fn as_json(plan: &Plan) -> Result<String, Failure> {
    json::plan(plan)
        .map_err(|error| Failure::error(format!("the plan cannot be written as JSON: {error}")))
}
