//! A plan on disk, between the review and the apply.
//!
//! The file holds what the reviewer saw and the demand that it came from. Its checksum finds damage and edits by hand;
//! it is no signature, so a file must come from where only the right people can write.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::files;
use super::sound::expect_sound;
use crate::desired::Desired;
use crate::model::{HostName, VmName};
use crate::observed::Observed;
use crate::plan::check;
use crate::plan::{Action, Finding, Move, MoveKind, Plan, Severity};

/// The layout of the file. A minor step adds fields, a major one changes their meaning.
const FORMAT_VERSION: &str = "1.0";

/// What the file says it is.
pub(super) const KIND: &str = "domicile-plan";

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    format_version: String,
    kind: String,
    /// The version of Domicile that made it.
    domicile: String,
    /// Of the JSON of `saved` without white space, its keys in order.
    sha256: String,
    saved: serde_json::Value,
}

/// What a plan file holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Saved {
    /// When it was made.
    pub(super) made_at: String,
    /// The demand, without VMs that were left out on the command line.
    pub(super) desired: Desired,
    /// libvirt's host UUID of each host that answered.
    pub(super) hosts: BTreeMap<HostName, String>,
    /// What the reviewer saw.
    pub(super) plan: Plan,
}

impl Saved {
    /// What is to be kept of a plan that was just made.
    pub(super) fn new(desired: &Desired, observed: &Observed, plan: &Plan) -> Self {
        let hosts = observed.reached();
        Self {
            made_at: Timestamp::now()
                .strftime("%Y-%m-%d %H:%M:%S UTC")
                .to_string(),
            desired: desired.clone(),
            hosts: hosts
                .map(|(name, host)| (name.clone(), host.uuid.clone()))
                .collect(),
            plan: plan.clone(),
        }
    }

    /// Writes it to a file; one that is there is replaced.
    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let broken = |error| Failure::error(format!("the plan cannot be written as JSON: {error}"));
        let saved = serde_json::to_value(self).map_err(broken)?;
        let document = Document {
            format_version: FORMAT_VERSION.to_owned(),
            kind: KIND.to_owned(),
            domicile: env!("CARGO_PKG_VERSION").to_owned(),
            sha256: checksum(&saved),
            saved,
        };
        let text = serde_json::to_string_pretty(&document).map_err(broken)?;
        files::replace(path, &(text + "\n"))
    }

    /// Reads it back, and refuses a file of another kind, another layout, or with another checksum than its own, and a
    /// plan that is not sound in itself.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        Self::parse(path, files::parse_json(path, &files::read(path)?)?)
    }

    /// The same from JSON that was read already.
    pub(super) fn parse(path: &Path, value: serde_json::Value) -> Result<Self, Failure> {
        let shown = path.display();
        let make = "make one with `domicile plan --out FILE`";
        if value.get("kind").and_then(serde_json::Value::as_str) != Some(KIND) {
            return Err(Failure::error(format!("{shown} is not a saved plan")).help(make));
        }
        files::check_version(path, &value, FORMAT_VERSION)?;
        let damaged = |error: &dyn std::fmt::Display| {
            Failure::error(format!("{shown} is damaged: {error}")).help(make)
        };
        let document: Document =
            serde_path_to_error::deserialize(value).map_err(|error| damaged(&error))?;
        if checksum(&document.saved) != document.sha256 {
            return Err(Failure::error(format!(
                "{shown} was changed after it was made: its checksum does not fit"
            ))
            .help("do not apply it; plan again and review what the new plan says"));
        }
        let saved: Self =
            serde_path_to_error::deserialize(document.saved).map_err(|error| damaged(&error))?;
        expect_sound(&check::check_alone(&saved.plan))?;
        Ok(saved)
    }

    /// What a fresh plan does otherwise than this one, a line each; empty where both do the same. Forecasts, room and
    /// the order of independent steps may differ: they follow from the load of the moment.
    pub(super) fn differences(&self, observed: &Observed, fresh: &Plan) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, uuid) in &self.hosts {
            match observed.host(name) {
                None => lines.push(format!("{name} does not answer any more")),
                Some(host) if host.uuid != *uuid => {
                    lines.push(format!(
                        "{name} is another machine than before (host UUID {} instead of {uuid})",
                        host.uuid
                    ));
                }
                Some(_) => {}
            }
        }
        let vms: BTreeSet<&VmName> = [&self.plan, fresh]
            .iter()
            .flat_map(|plan| {
                let changed = plan.changes.iter().map(|change| &change.vm);
                changed.chain(plan.moves.iter().map(|a_move| &a_move.vm))
            })
            .collect();
        lines.extend(
            vms.into_iter()
                .filter_map(|vm| vm_differs(&self.plan, fresh, vm)),
        );
        let known: BTreeSet<Key<'_>> = self.plan.findings.iter().filter_map(key).collect();
        let fresh_findings = fresh
            .findings
            .iter()
            .filter(|finding| key(finding).is_some_and(|key| !known.contains(&key)));
        lines.extend(
            fresh_findings
                .map(|finding| format!("new finding {}: {}", finding.code, finding.message)),
        );
        lines
    }
}

fn checksum(value: &serde_json::Value) -> String {
    hex::encode(Sha256::digest(value.to_string().as_bytes()))
}

/// What makes two findings the same; notes stop nothing and are left out.
type Key<'p> = (Severity, &'p str, Option<&'p VmName>, Option<&'p HostName>);

fn key(finding: &Finding) -> Option<Key<'_>> {
    (finding.severity != Severity::Note).then_some((
        finding.severity,
        finding.code.as_str(),
        finding.vm.as_ref(),
        finding.host.as_ref(),
    ))
}

fn vm_differs(old: &Plan, new: &Plan, vm: &VmName) -> Option<String> {
    let find = |plan: &Plan| plan.moves.iter().find(|a_move| a_move.vm == *vm).cloned();
    let changes = |plan: &Plan| -> Vec<_> {
        let own = plan.changes.iter().filter(|change| change.vm == *vm);
        own.map(|change| change.what.clone()).collect()
    };
    let line = match (find(old), find(new)) {
        (None, None) if changes(old) == changes(new) => return None,
        (None, None) => format!("{vm}: what differs is no longer the same"),
        (Some(_), None) => format!("{vm}: would not be moved any more"),
        (None, Some(a_move)) => format!("{vm}: would be moved now ({})", word(&a_move)),
        (Some(was), Some(is))
            if essence(&was) != essence(&is) || was.definition != is.definition =>
        {
            if word(&was) == word(&is) {
                format!(
                    "{vm}: its disks or its definition are not as they were ({})",
                    word(&is)
                )
            } else {
                format!("{vm}: {} instead of {}", word(&is), word(&was))
            }
        }
        (Some(_), Some(_)) if changes(old) != changes(new) => {
            format!("{vm}: what differs is no longer the same")
        }
        (Some(was), Some(is)) if actions(old, &was) != actions(new, &is) => {
            format!("{vm}: other steps than before")
        }
        (Some(_), Some(_)) => return None,
    };
    Some(line)
}

fn word(a_move: &Move) -> String {
    let how = match a_move.kind {
        MoveKind::Live => "live",
        MoveKind::Cold => "cold",
        MoveKind::Offline => "off",
        MoveKind::DiskOnly => "disks only",
        MoveKind::Finish => "finish",
    };
    let reboot = if a_move.reboots {
        ", with a reboot"
    } else {
        ""
    };
    format!("{how} from {} to {}{reboot}", a_move.from, a_move.to)
}

/// A move without what follows from the moment: forecasts and the bytes that a disk occupies.
fn essence(
    a_move: &Move,
) -> (
    MoveKind,
    &HostName,
    &HostName,
    bool,
    Vec<crate::plan::DiskPlacement>,
) {
    let disks = a_move.disks.iter().map(|disk| {
        let mut disk = disk.clone();
        disk.allocation = crate::model::Bytes::ZERO;
        disk
    });
    (
        a_move.kind,
        &a_move.from,
        &a_move.to,
        a_move.reboots,
        disks.collect(),
    )
}

fn actions<'p>(plan: &'p Plan, a_move: &Move) -> Vec<&'p Action> {
    a_move
        .steps
        .iter()
        .filter_map(|id| plan.steps.get(id.0))
        .map(|step| &step.action)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Bytes, Millis};
    use crate::observed::FORMAT_VERSION as READING;
    use crate::plan::{Change, Difference, StepId};

    fn host(name: &str) -> HostName {
        HostName::new(name).unwrap()
    }

    fn web() -> VmName {
        VmName::new("web-1").unwrap()
    }

    fn plan() -> Plan {
        let a_move = Move {
            vm: web(),
            kind: MoveKind::Live,
            reason: "nothing speaks against it".into(),
            from: host("kvm1"),
            to: host("kvm2"),
            reboots: false,
            memory: Bytes(1),
            disks: vec![],
            bytes: Bytes(2),
            duration: Millis(3),
            downtime: Millis(4),
            definition: None,
            steps: vec![],
        };
        let what = Difference::Host {
            is: host("kvm1"),
            wanted: host("kvm2"),
        };
        Plan {
            format_version: crate::plan::FORMAT_VERSION.into(),
            changes: vec![Change { vm: web(), what }],
            moves: vec![a_move],
            findings: vec![],
            steps: vec![],
            capacities: vec![],
            slots: BTreeMap::new(),
            makespan: Millis(3),
            bound: crate::plan::Bound::default(),
            critical: Vec::new(),
            alternatives: BTreeMap::new(),
        }
    }

    fn differences(fresh: &Plan) -> Vec<String> {
        let observed = Observed {
            format_version: READING.into(),
            taken_at: 0,
            hosts: BTreeMap::new(),
        };
        Saved::new(&Desired::default(), &observed, &plan()).differences(&observed, fresh)
    }

    #[test]
    fn another_forecast_is_not_another_plan() {
        let mut fresh = plan();
        fresh.makespan = Millis(9);
        fresh.moves[0].duration = Millis(9);
        fresh.moves[0].bytes = Bytes(9);
        assert_eq!(differences(&fresh), Vec::<String>::new());
    }

    #[test]
    fn a_reboot_that_nobody_reviewed_is_another_plan() {
        let mut fresh = plan();
        fresh.moves[0].kind = MoveKind::Cold;
        fresh.moves[0].reboots = true;
        assert_eq!(
            differences(&fresh),
            ["web-1: cold from kvm1 to kvm2, with a reboot instead of live from kvm1 to kvm2"]
        );
    }

    #[test]
    fn other_steps_changes_or_findings_are_another_plan() {
        let mut fresh = plan();
        fresh.moves.clear();
        assert_eq!(differences(&fresh), ["web-1: would not be moved any more"]);
        let mut fresh = plan();
        fresh.changes.clear();
        assert_eq!(
            differences(&fresh),
            ["web-1: what differs is no longer the same"]
        );
        let mut fresh = plan();
        fresh.moves[0].steps = vec![StepId(0)];
        fresh.steps.push(unmark());
        assert_eq!(differences(&fresh), ["web-1: other steps than before"]);
        let mut fresh = plan();
        fresh.findings.push(risk());
        assert_eq!(differences(&fresh), ["new finding mac-taken: seen twice"]);
        fresh.findings[0].severity = Severity::Note;
        assert_eq!(differences(&fresh), Vec::<String>::new());
    }

    fn unmark() -> crate::plan::Step {
        crate::plan::Step {
            action: Action::Unmark {
                host: host("kvm2"),
                vm: web(),
            },
            vms: vec![web()],
            after: vec![],
            takes: vec![],
            frees: vec![],
            uses: vec![],
            start: Millis(0),
            forecast: crate::plan::Forecast::default(),
            held: None,
        }
    }

    fn risk() -> Finding {
        Finding {
            severity: Severity::Risk,
            code: "mac-taken".into(),
            vm: Some(web()),
            host: None,
            message: "seen twice".into(),
            remedy: String::new(),
        }
    }
}
