//! Rules about the processor that the guest sees.

use super::case::{Case, Effect, Rule, Verdict, When};
use super::live::version;
use crate::model::{CpuMode, HostName};
use crate::observed::{CpuFit, FeaturePolicy, Fit, Host};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "cpu-incompatible",
        title: "the destination cannot give the guest its CPU",
        effects: &[Effect::Blocks, Effect::RefusesLive, Effect::RefusesDirect],
        why: "A running guest has seen the features of its CPU and uses them; a host that lacks one cannot take it over. A guest that is started anew may get along with less, if its definition lets it.",
        remedy: "Give the VM a CPU model that both hosts have, or move it cold where only the running form does not fit.",
        source: "libvirt, virConnectCompareHypervisorCPU",
        judge: incompatible,
    },
    Rule {
        code: "cpu-passthrough",
        title: "the guest has its host's own CPU, and the destination has another",
        effects: &[Effect::Risk],
        why: "With host-passthrough the guest sees everything of its host's CPU, also what libvirt does not compare: after the move it may freeze or crash.",
        remedy: "Use host-model or a named model, or move it cold.",
        source: "VMmanager 6, live migration; libvirt, formatdomain",
        judge: passthrough,
    },
    Rule {
        code: "nested",
        title: "the guest can run guests of its own",
        effects: &[Effect::Risk, Effect::RefusesLive],
        why: "A guest that runs guests of its own can be migrated on Intel from Linux 5.3 and QEMU 4.2 on; on AMD what happens is undefined while one runs. An older QEMU leaves out what the processor knows of such guests, so one on either host refuses live migration. Two things cannot be known beforehand: which kernel a host has, for which libvirt has no call, and whether the guest runs guests of its own just now.",
        remedy: "Take vmx or svm out of its CPU, or move it cold.",
        source: "VMmanager 6, live migration; Linux, running-nested-guests.rst; QEMU, vmstate_nested_state",
        judge: nested,
    },
    Rule {
        code: "invtsc",
        title: "the guest's clock rate is not fixed",
        effects: &[Effect::RefusesLive, Effect::RefusesDirect],
        why: "A guest with an invariant TSC trusts its rate. libvirt migrates it only where the definition names that rate, so that the destination must have it.",
        remedy: "Add `<timer name='tsc' frequency='...'/>` to its clock, or take invtsc out of its CPU.",
        source: "libvirt, qemuMigrationSrcIsAllowed",
        judge: invtsc,
    },
    Rule {
        code: "tsc-frequency",
        title: "the destination cannot give the guest its clock rate",
        effects: &[Effect::Blocks],
        why: "Where the definition names the rate of the TSC, the destination's must be the same within 250 parts of a million, or its processors must be able to scale it. libvirt refuses to start the VM otherwise.",
        remedy: "Choose a host whose processors have that rate or can scale it, or leave the frequency out and move the VM cold.",
        source: "libvirt, qemuProcessStartValidateTSC",
        judge: tsc_frequency,
    },
    Rule {
        code: "time-jump",
        title: "the guest's clock may jump",
        effects: &[Effect::Note],
        why: "Hosts with different processors count time at different rates. A guest that reads its clock from the TSC may see it jump.",
        remedy: "Let the guest synchronise its clock, and use kvm-clock.",
        source: "restrictions seen in the field: Ganeti, SmartOS",
        judge: time_jump,
    },
];

fn fit<'a>(case: &Case<'a>) -> Option<&'a Fit> {
    case.destination.fits.get(case.name)
}

fn incompatible(case: &Case<'_>) -> Vec<Verdict> {
    let Some(fit) = fit(case).filter(|_| case.changes_host()) else {
        return Vec::new();
    };
    let remedy = "give it a CPU model that both hosts have";
    let message =
        |form: &str, why: &str| format!("{} cannot give it the CPU that it {form}: {why}", case.to);
    let mut verdicts = Vec::new();
    if let Some(CpuFit::Incompatible(why)) = fit.running.as_ref().map(|running| &running.cpu)
        && case.may_go_live()
    {
        verdicts.push(Verdict::new(
            "cpu-incompatible",
            Effect::RefusesLive,
            case.to,
            message("runs with", why),
            format!("{remedy}, or move it cold"),
        ));
    }
    if let CpuFit::Incompatible(why) = &fit.starting.cpu {
        let effect = if case.is_active() {
            Effect::Blocks
        } else {
            // One that is off can be there all the same, and be started when its definition has changed.
            Effect::RefusesDirect
        };
        verdicts.push(Verdict::new(
            "cpu-incompatible",
            effect,
            case.to,
            message("is defined with", why),
            remedy,
        ));
    }
    verdicts
}

fn passes_host_through(case: &Case<'_>) -> bool {
    matches!(case.detail.cpu, CpuMode::HostPassthrough | CpuMode::Maximum)
}

fn passthrough(case: &Case<'_>) -> Vec<Verdict> {
    if !case.may_go_live() || !passes_host_through(case) || has_same_cpu(case) {
        return Vec::new();
    }
    let name = |model: &str| {
        if model.is_empty() {
            "an unknown CPU".to_owned()
        } else {
            model.to_owned()
        }
    };
    vec![
        Verdict::new(
            "cpu-passthrough",
            Effect::Risk,
            case.to,
            format!(
                "it has the CPU of {} itself ({}), and {} has another ({})",
                case.from,
                name(&case.source.cpu_model),
                case.to,
                name(&case.destination.cpu_model)
            ),
            "use host-model or a named model, or move it cold",
        )
        .only(When::Live),
    ]
}

/// Whether both hosts' capabilities say the same of their CPU.
fn has_same_cpu(case: &Case<'_>) -> bool {
    case.source.cpu_xml == case.destination.cpu_xml
}

fn nested(case: &Case<'_>) -> Vec<Verdict> {
    let needs = &case.detail.needs;
    let named = needs.nested.iter().find(|feature| {
        matches!(
            feature.policy,
            FeaturePolicy::Force | FeaturePolicy::Require
        )
    });
    let denied = |name: &str| {
        needs.nested.iter().any(|feature| {
            feature.name == name
                && matches!(
                    feature.policy,
                    FeaturePolicy::Disable | FeaturePolicy::Forbid
                )
        })
    };
    let of_host = || {
        let has = |name: &&str| {
            let quoted = [format!("name='{name}'"), format!("name=\"{name}\"")];
            quoted.iter().any(|text| case.source.cpu_xml.contains(text)) && !denied(name)
        };
        let all = ["vmx", "svm"];
        all.into_iter()
            .filter(|_| passes_host_through(case))
            .find(has)
    };
    let Some(feature) = named
        .map(|feature| feature.name.as_str())
        .or_else(of_host)
        .filter(|_| case.may_go_live())
    else {
        return Vec::new();
    };
    let message = format!(
        "its CPU has {feature}, so it can run guests of its own, which a live migration may break"
    );
    let remedy = format!("disable {feature} in its <cpu>, or move it cold");
    let ends = [(case.from, case.source), (case.to, case.destination)];
    // 0: a driver that does not say.
    let bad = |(_, host): &(&HostName, &Host)| (1..SAVES_NESTED).contains(&host.hypervisor_version);
    if let Some((host, old)) = ends.into_iter().find(bad) {
        let found = version(old.hypervisor_version);
        let message = format!("{message}: QEMU {found} on {host} does not carry them over");
        return vec![Verdict::new(
            "nested",
            Effect::RefusesLive,
            host,
            message,
            remedy,
        )];
    }
    vec![Verdict::new("nested", Effect::Risk, case.from, message, remedy).only(When::Live)]
}

/// QEMU carries over what the processor knows of guests of the guest from here on, with a kernel that tells it.
const SAVES_NESTED: u64 = 4_002_000;

/// How far the host's rate may be from the guest's, in parts of a million (`TSC_TOLERANCE` of libvirt).
const TSC_TOLERANCE: u64 = 250;

fn tsc_frequency(case: &Case<'_>) -> Vec<Verdict> {
    let needs = if case.may_go_live() {
        &case.detail.needs
    } else {
        case.detail.needs_at_start()
    };
    let (Some(wanted), Some(tsc)) = (needs.tsc_frequency, case.destination.offers.tsc) else {
        return Vec::new();
    };
    let tolerance = u128::from(tsc.frequency) * u128::from(TSC_TOLERANCE) / 1_000_000;
    let fits = u128::from(tsc.frequency.abs_diff(wanted)) <= tolerance;
    // Where libvirt does not know whether it scales, QEMU tries.
    if !case.changes_host() || fits || tsc.scaling != Some(false) {
        return Vec::new();
    }
    vec![Verdict::new(
        "tsc-frequency",
        Effect::Blocks,
        case.to,
        format!(
            "its clock counts {wanted} Hz, and {} counts {} Hz and cannot scale",
            case.to, tsc.frequency
        ),
        format!(
            "choose a host other than {}, or change the TSC frequency in its <clock>",
            case.to
        ),
    )]
}

fn invtsc(case: &Case<'_>) -> Vec<Verdict> {
    if !case.detail.needs.invtsc_without_frequency {
        return Vec::new();
    }
    case.unmigratable(
        "invtsc",
        case.from,
        "its CPU has invtsc, and its definition names no TSC frequency",
        "add `<timer name='tsc' frequency='...'/>` to its <clock>",
    )
}

/// A CPU model without libvirt's version of it: `EPYC-v2` is an `EPYC`.
fn family(model: &str) -> &str {
    match model.rsplit_once("-v") {
        Some((family, version)) if version.parse::<u32>().is_ok() => family,
        _ => model,
    }
}

fn time_jump(case: &Case<'_>) -> Vec<Verdict> {
    let models = (
        family(&case.source.cpu_model),
        family(&case.destination.cpu_model),
    );
    let differ = !models.0.is_empty() && !models.1.is_empty() && models.0 != models.1;
    if !case.may_go_live() || !differ {
        return Vec::new();
    }
    vec![
        Verdict::new(
            "time-jump",
            Effect::Note,
            case.to,
            format!(
                "{} has a {}, {} a {}: the guest's clock may jump",
                case.from, models.0, case.to, models.1
            ),
            "see that the guest synchronises its clock",
        )
        .only(When::Live),
    ]
}
