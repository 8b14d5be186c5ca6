//! How each VM gets to where it shall be: the rules are heard, and the method follows from what they refuse.

use std::collections::BTreeSet;

use super::compact;
use super::difference::{Index, locate};
use super::gates::findings_of;
use super::intent::{Choice, Intent, Transfer};
use super::place::{Way, detail_of, differences, unknown_disks};
use super::recover::{self, Remains};
use crate::definition::{self, DefinitionError, Rewrite};
use crate::desired::{self, ColdCopy, Desired, Method};
use crate::model::{DiskTarget, HostName, Interface, VmName, VolumeRef};
use crate::observed::{Host, Observed, VmDetail};
use crate::plan::{Difference, FINISHED_FIRST, Finding, MoveKind, Severity};
use crate::rules::{self, Case, Effect, Verdict};

/// What came of one VM of the manifest.
#[derive(Debug, Default)]
pub(super) struct Decision<'a> {
    pub(super) changes: Vec<Difference>,
    pub(super) findings: Vec<Finding>,
    pub(super) intent: Option<Intent<'a>>,
}

impl Decision<'_> {
    pub(super) fn is_blocked(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Blocks)
    }
}

fn blocked(
    name: &VmName,
    code: &str,
    host: Option<&HostName>,
    message: String,
    remedy: &str,
) -> Finding {
    Finding {
        severity: Severity::Blocks,
        code: code.into(),
        vm: Some(name.clone()),
        host: host.cloned(),
        message,
        remedy: remedy.into(),
    }
}

/// Decides what shall happen to one VM.
pub(super) fn decide<'a>(
    desired: &'a Desired,
    observed: &'a Observed,
    paused: &BTreeSet<(HostName, VmName)>,
    index: &'a Index<'a>,
    name: &'a VmName,
    wanted: &'a desired::Vm,
) -> Decision<'a> {
    let mut decision = Decision::default();
    let found = match locate(observed, index, name, &wanted.host) {
        Ok(found) => found,
        Err(finding) => {
            decision.findings.push(*finding);
            return decision;
        }
    };
    let remains = match recover::remains(observed, paused, &index.storages, name, &found) {
        Ok(remains) => remains,
        Err(finding) => {
            decision.changes.push(Difference::Unfinished {
                found: finding.message.clone(),
            });
            decision.findings.push(*finding);
            return decision;
        }
    };
    if !remains.prelude.is_empty() {
        let found = remains.found.clone();
        decision.changes.push(if remains.under_way.is_some() {
            Difference::InFlight { found }
        } else {
            Difference::Unfinished { found }
        });
    }
    let leftover = |at: &VolumeRef| Finding {
        severity: Severity::Note,
        ..blocked(
            name,
            "unproven-leftover",
            Some(&at.host),
            format!(
                "{at} may be left of an earlier apply's move, and nothing proves that it may go"
            ),
            "if nothing needs it, remove it by hand (`virsh vol-delete`); Domicile removes only what is proven to be its own",
        )
    };
    decision
        .findings
        .extend(remains.unproven.iter().map(leftover));
    let (from, vm) = (remains.host, remains.vm);
    let Some(detail) = detail_of(vm) else {
        decision.findings.push(blocked(
            name,
            "reading-incomplete",
            Some(from),
            format!("{name} on {from} could not be looked into"),
            "plan again; if it stays so, look at the host's libvirt log",
        ));
        return decision;
    };
    let way = Way {
        desired,
        observed,
        storages: &index.storages,
        wanted,
        from,
        to: &wanted.host,
        flatten: desired.settings(name, from, &wanted.host).flatten,
    };
    decide_way(&mut decision, index, name, way, detail, remains);
    decision
}

fn decide_way<'a>(
    decision: &mut Decision<'a>,
    index: &'a Index<'a>,
    name: &'a VmName,
    way: Way<'a>,
    detail: &'a VmDetail,
    remains: Remains<'a>,
) {
    let Some((source, destination)) = ends(decision, name, &way) else {
        return;
    };
    decision.findings.extend(missing_disks(name, &way, detail));
    let settings = way.desired.settings(name, way.from, way.to);
    let disks = way.disks(detail);
    let differences = differences(&way, (detail, &disks), remains.under_way.as_ref());
    let case = Case {
        desired: way.desired,
        observed: way.observed,
        name,
        vm: remains.vm,
        detail,
        from: way.from,
        source,
        to: way.to,
        destination,
        comers: index.comers_to(way.to),
        method: way.wanted.method,
        settings: &settings,
        disks: &disks,
        discarded: &remains.discarded,
    };
    decision.findings.extend(unmeasured(&case));
    decision.findings.extend(unconnected(&case));
    if remains.prelude.is_empty() && differences.is_empty() {
        // Nothing is to be done, so no rule need be asked: most VMs of a large fleet are like this.
        return;
    }
    let verdicts = rules::judge(&case);
    let choice = choose(&case, &remains, &verdicts);
    let findings = findings_of(&case, &choice, &verdicts);
    let rewrite = rewrite_of(&way, &case);
    let intent = Intent {
        name,
        way,
        vm: remains.vm,
        detail,
        facts: index.facts(&detail.inactive_xml),
        source,
        destination,
        kind: choice.kind,
        transfer: choice.transfer,
        reason: choice.reason,
        found: remains.found,
        shuts_down: choice.kind == MoveKind::Cold && remains.vm.power.is_active(),
        may_go_direct: refusal(&verdicts, Effect::RefusesDirect).is_none(),
        may_stream: refusal(&verdicts, Effect::RefusesStream).is_none(),
        hands_over: false,
        detour: None,
        starts: choice.kind == MoveKind::Cold,
        disks: compact::shaped(&case, choice.transfer),
        settings,
        rewrite,
        prelude: remains.prelude,
        restart: remains.was_active && !remains.is_active_at_end,
        stale_bases: remains.stale_bases,
        unused_bases: remains.unused_bases,
    };
    // What is started first can be judged as a running VM only when it runs.
    let stays = intent.way.from == intent.way.to;
    let runs_again = remains.is_active_at_end || intent.restart && stays;
    let is_started = runs_again && !remains.vm.power.is_active();
    if differences.is_empty() {
        decision.intent = intent.finish();
    } else if remains.under_way.is_some() || is_started {
        decision.findings.push(finished_first(&intent));
        decision.intent = intent.finish();
    } else {
        decision.changes.extend(differences);
        go_on(decision, intent, findings);
    }
}

/// Takes the way that was chosen if nothing speaks against it, and else finishes what was begun as far as that may be.
fn go_on<'a>(decision: &mut Decision<'a>, intent: Intent<'a>, findings: Vec<Finding>) {
    decision.findings.extend(findings);
    decision.findings.extend(unwritable(&intent));
    if !decision.is_blocked() {
        decision.intent = Some(intent);
    } else if may_be_finished(&decision.findings) {
        decision.intent = intent.finish();
    }
}

/// More is wanted of a VM than to finish what an earlier apply began, and only then can be seen how.
fn finished_first(intent: &Intent<'_>) -> Finding {
    let Intent { name, way, .. } = intent;
    Finding {
        severity: Severity::Note,
        ..blocked(
            name,
            FINISHED_FIRST,
            Some(way.from),
            format!(
                "an earlier apply's move of {name} is finished on {} first; what the manifest wants besides is planned after that",
                way.from
            ),
            "apply this plan, then plan again",
        )
    }
}

/// Whether what an earlier apply left may be put in order although the move itself is refused.
fn may_be_finished(findings: &[Finding]) -> bool {
    let untouchable = ["job-active", "unreadable-mark", "crashed"];
    findings
        .iter()
        .all(|finding| !untouchable.contains(&finding.code.as_str()))
}

/// The readings of both hosts, or a finding that says which is not there.
fn ends<'a>(
    decision: &mut Decision<'a>,
    name: &VmName,
    way: &Way<'a>,
) -> Option<(&'a Host, &'a Host)> {
    let source = way.observed.host(way.from)?;
    let destination = way.observed.host(way.to);
    if destination.is_none() {
        decision.changes.push(Difference::Host {
            is: way.from.clone(),
            wanted: way.to.clone(),
        });
        decision.findings.push(blocked(
            name,
            "host-unreachable",
            Some(way.to),
            format!("its destination {} could not be read", way.to),
            "make the host reachable, or choose another",
        ));
    }
    Some((source, destination?))
}

fn rewrite_of(way: &Way<'_>, case: &Case<'_>) -> Rewrite {
    let mut rewrite = way.rewrite(case.detail, case.disks);
    for interface in case
        .detail
        .interfaces
        .iter()
        .filter(|_| case.changes_host())
    {
        match rules::connection(case, interface) {
            Ok(source) if source != interface.source => {
                rewrite.interfaces.insert(interface.mac.clone(), source);
            }
            Ok(_) | Err(_) => {}
        }
    }
    rewrite
}

/// A definition that does not allow what must change in it.
fn unwritable(intent: &Intent<'_>) -> Option<Finding> {
    let definition = &intent.detail.inactive_xml;
    if definition.is_empty() {
        return None;
    }
    let error = definition::rewrite(definition, &intent.rewrite).err()?;
    let remedy = match &error {
        DefinitionError::Twice { .. } => "give each a name or address of its own (`virsh edit`)",
        _ => "look at it with `virsh dumpxml`",
    };
    Some(blocked(
        intent.name,
        "definition",
        Some(intent.way.from),
        format!("its definition cannot be rewritten: {error}"),
        remedy,
    ))
}

/// Interfaces of a VM that stays on its host and that the manifest wants on another network: only a move rewrites
/// them, and a guest's connection is not cut without one.
fn unconnected(case: &Case<'_>) -> Vec<Finding> {
    if case.changes_host() {
        return Vec::new();
    }
    let finding = |interface: &Interface| {
        let wanted = rules::connection(case, interface).ok()?;
        (wanted != interface.source).then(|| Finding {
            severity: Severity::Note,
            code: "network-differs".into(),
            vm: Some(case.name.clone()),
            host: Some(case.from.clone()),
            message: format!(
                "interface {} is connected to {}, the manifest says {wanted}",
                interface.mac, interface.source
            ),
            remedy: "it is connected anew when the VM moves to another host; until then do it with `virsh update-device`".into(),
        })
    };
    case.detail.interfaces.iter().filter_map(finding).collect()
}

/// Disks that are to be copied and of which nobody knows how large they, or the images below them, are.
fn unmeasured(case: &Case<'_>) -> Vec<Finding> {
    let is_copied = |target: &DiskTarget| {
        let mut placed = case.disks.iter();
        placed.any(|disk| disk.target == *target && disk.carry.is_copied())
    };
    let disks = case.detail.disks.iter();
    let unknown = disks.filter(|disk| {
        let mut below = disk.backing.iter();
        let is_base_unknown =
            below.any(|layer| layer.capacity.is_none() || layer.allocation.is_none());
        is_base_unknown || disk.capacity.is_none() || disk.allocation.is_none()
    });
    let finding = |target: &DiskTarget| {
        blocked(
            case.name,
            "reading-incomplete",
            Some(case.from),
            format!("how large disk {target} and what is below it are could not be found out"),
            "plan again; if it stays so, look at `virsh domblkinfo` and at the host's libvirt log",
        )
    };
    unknown
        .map(|disk| &disk.target)
        .filter(|target| is_copied(target))
        .map(finding)
        .collect()
}

fn missing_disks(name: &VmName, way: &Way<'_>, detail: &VmDetail) -> Vec<Finding> {
    let have: Vec<_> = detail
        .disks
        .iter()
        .map(|disk| disk.target.to_string())
        .collect();
    let finding = |disk: DiskTarget| {
        blocked(
            name,
            "disk-missing",
            Some(way.from),
            format!(
                "the manifest names disk {disk}, but it has: {}",
                have.join(", ")
            ),
            "name a disk that it has",
        )
    };
    unknown_disks(way.wanted, detail)
        .into_iter()
        .map(finding)
        .collect()
}

fn refusal(verdicts: &[Verdict], effect: Effect) -> Option<&Verdict> {
    verdicts.iter().find(|verdict| verdict.effect == effect)
}

fn choose(case: &Case<'_>, remains: &Remains<'_>, verdicts: &[Verdict]) -> Choice {
    let runs = case.is_active();
    let must_run = runs || remains.was_active;
    if !case.changes_host() {
        let transfer = if runs {
            Transfer::BlockCopy
        } else {
            Transfer::Stream
        };
        let reason = if runs {
            "on one host, while it runs"
        } else {
            "on one host, while it is off"
        };
        return Choice {
            kind: MoveKind::DiskOnly,
            transfer,
            reason: reason.into(),
            refused: None,
        };
    }
    let no_live = refusal(verdicts, Effect::RefusesLive);
    if runs && case.method != Method::Cold {
        match (no_live, case.method) {
            (None, _) => {
                let reason = if case.method == Method::Live {
                    "asked for in the manifest"
                } else {
                    "nothing speaks against it"
                };
                return Choice {
                    kind: MoveKind::Live,
                    transfer: Transfer::Live,
                    reason: reason.into(),
                    refused: None,
                };
            }
            (Some(verdict), Method::Live) => {
                return Choice {
                    kind: MoveKind::Live,
                    transfer: Transfer::Live,
                    reason: verdict.code.into(),
                    refused: Some(Effect::RefusesLive),
                };
            }
            (Some(_), Method::Auto | Method::Cold) => {}
        }
    }
    let kind = if must_run {
        MoveKind::Cold
    } else {
        MoveKind::Offline
    };
    let reason = match (runs, no_live, case.method) {
        (true, Some(verdict), Method::Auto) => format!("{}: {}", verdict.code, verdict.message),
        (true, _, _) => "asked for in the manifest".into(),
        (false, _, _) if must_run => "an earlier apply shut it down for this move".into(),
        (false, _, _) => "it is off and stays off".into(),
    };
    let (transfer, refused) = transfer(case.settings.cold_copy, verdicts);
    Choice {
        kind,
        transfer,
        reason,
        refused,
    }
}

fn transfer(asked: ColdCopy, verdicts: &[Verdict]) -> (Transfer, Option<Effect>) {
    let no_direct = refusal(verdicts, Effect::RefusesDirect).map(|_| Effect::RefusesDirect);
    let no_stream = refusal(verdicts, Effect::RefusesStream).map(|_| Effect::RefusesStream);
    match asked {
        ColdCopy::Direct => (Transfer::Direct, no_direct),
        ColdCopy::Stream => (Transfer::Stream, no_stream),
        ColdCopy::Auto if no_direct.is_none() => (Transfer::Direct, None),
        ColdCopy::Auto => (Transfer::Stream, no_stream.and(no_direct)),
    }
}
