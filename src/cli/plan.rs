//! `domicile plan`, and what `apply` shares with it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::annotate::annotated;
use super::args::{Format, PlanArguments, Planning};
use super::console::{Console, print};
use super::exit::Exit;
use super::failure::Failure;
use super::output::Shown;
use super::saved::Saved;
use super::sound::expect_sound;
use super::{explain, hosts, locking, manifest, records};
use crate::desired::{Desired, Gates};
use crate::libvirt::LibvirtHosts;
use crate::model::VmName;
use crate::observed::{Observed, Roster};
use crate::plan::{Plan, check};
use crate::planner;
use crate::render::json;

/// A plan and what it was made from.
pub(super) struct Made {
    pub(super) desired: Desired,
    pub(super) observed: Observed,
    pub(super) plan: Plan,
    /// The way to the hosts that it was read by.
    pub(super) libvirt: Arc<LibvirtHosts>,
}

pub(super) fn run(console: Console, arguments: &PlanArguments) -> Result<Exit, Failure> {
    let planning = &arguments.planning;
    let manifest = annotated(&arguments.annotations, &planning.manifest.files)?;
    let made = from_demand(console, planning, manifest.loaded.desired.clone())?;
    manifest.annotate(&arguments.annotations, &made.plan.findings)?;
    let name = name_of(&planning.manifest.files);
    let roster = Roster::of(&made.observed);
    let file = arguments.out.as_ref();
    let file = file.map(|path| path.display().to_string());
    let shown = Shown {
        plan: &made.plan,
        name: &name,
        made_at: None,
        file: file.as_deref(),
        roster: Some(&roster),
    };
    print(&shown.render(console, &arguments.output)?)?;
    if planning.observed.is_none() {
        locking::note(&made.libvirt, &made.plan);
    }
    if let Some(path) = &arguments.out {
        Saved::new(&name, &made.desired, &made.observed, &made.plan).write(path)?;
        let as_text = arguments.output.format() == Format::Text;
        if console.hints && json::is_applyable(&made.plan) && as_text {
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
    from_demand(console, planning, manifest::load(&planning.manifest.files)?)
}

/// What a plan is called unless somebody chooses a name: the manifest's files and folders without their endings.
fn name_of(files: &[PathBuf]) -> String {
    let stem = |path: &PathBuf| Some(path.file_stem()?.to_string_lossy().into_owned());
    let stems: Vec<String> = files.iter().filter_map(stem).collect();
    if stems.is_empty() {
        "fleet".to_owned()
    } else {
        stems.join("+")
    }
}

/// What the manifest demands, as far as the command line wants it.
pub(super) fn narrowed(planning: &Planning, mut desired: Desired) -> Result<Desired, Failure> {
    choose(&mut desired, &planning.targets, &planning.excludes)?;
    desired.gates = Gates {
        max_downtime: planning.max_downtime,
        no_reboot: planning.no_reboot,
        accept: planning.accept.iter().cloned().collect(),
        plan_time: planning.plan_time,
        max_detours: planning.max_detours,
    };
    desired.calibration = records::read(&planning.records)?;
    explain::expect_codes(planning.accept.iter().map(String::as_str))?;
    if let Some(most) = planning.parallelism {
        for host in desired.hosts.values_mut() {
            host.limits.parallel = Some(most);
            (host.limits.parallel_in, host.limits.parallel_out) = (None, None);
        }
    }
    Ok(desired)
}

/// Reading, plan, check.
pub(super) fn from_demand(
    console: Console,
    planning: &Planning,
    desired: Desired,
) -> Result<Made, Failure> {
    let desired = narrowed(planning, desired)?;
    let libvirt = Arc::new(LibvirtHosts::new(&desired.hosts));
    let recorded = planning.observed.as_deref();
    let observed = hosts::read(
        console,
        libvirt.as_ref(),
        &desired,
        recorded,
        planning.timeout.timeout,
    )?;
    let plan = checked(&desired, &observed)?;
    Ok(Made {
        desired,
        observed,
        plan,
        libvirt,
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
