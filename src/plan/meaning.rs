//! What a plan means, without what is different at every look: what moves from where to where, how, with which steps,
//! and which findings stand against it. Two plans of one meaning have one [`Meaning::hash`].
//!
//! Left out are times, bytes that a disk occupies, forecasts, the order of independent steps, messages (they quote
//! figures) and notes (they stop nothing).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Difference, DiskPlacement, Move, MoveKind, Plan, Severity};
use crate::model::{Bytes, HostName, VmName};

/// What a plan means. It is compared and hashed, never shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Meaning {
    /// The layout: another one has other hashes.
    layout: u32,
    changes: BTreeMap<VmName, Vec<Difference>>,
    /// Two for a VM that goes by way of a third host.
    moves: BTreeMap<VmName, Vec<MoveMeaning>>,
    findings: BTreeSet<FindingMeaning>,
}

/// The layout of [`Meaning`]; it counts up when a plan's hash becomes another one without a change of the plan.
const LAYOUT: u32 = 1;

/// A move without forecasts and without the words of its reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct MoveMeaning {
    kind: MoveKind,
    from: HostName,
    to: HostName,
    reboots: bool,
    disks: Vec<DiskPlacement>,
    /// Of the definition before and after.
    definition: Option<String>,
    /// Each action as JSON, in order of their texts: which of two independent ones comes first follows from forecasts.
    actions: Vec<String>,
}

/// A finding that stops something or may hurt, without its words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct FindingMeaning {
    severity: Severity,
    code: String,
    vm: Option<VmName>,
    host: Option<HostName>,
}

/// A plan's hash: SHA-256 of its meaning, as 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct PlanHash(String);

impl fmt::Display for PlanHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

impl FromStr for PlanHash {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err("a plan's hash has 64 hexadecimal digits; `domicile plan` prints it".to_owned())
        }
    }
}

impl TryFrom<String> for PlanHash {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PlanHash> for String {
    fn from(hash: PlanHash) -> Self {
        hash.0
    }
}

impl Plan {
    /// What it means.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        let mut changes: BTreeMap<VmName, Vec<Difference>> = BTreeMap::new();
        for change in &self.changes {
            let of_vm = changes.entry(change.vm.clone()).or_default();
            of_vm.push(match &change.what {
                // How far an earlier apply came is told in words; what remains to be done are the move's steps.
                Difference::Unfinished { .. } => Difference::Unfinished {
                    found: String::new(),
                },
                other => other.clone(),
            });
        }
        let mut moves: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for a_move in &self.moves {
            let of_vm = moves.entry(a_move.vm.clone()).or_default();
            of_vm.push(MoveMeaning::of(self, a_move));
        }
        let weighty = |severity| matches!(severity, Severity::Blocks | Severity::Risk);
        let findings = self.findings.iter();
        Meaning {
            layout: LAYOUT,
            changes,
            moves,
            findings: findings
                .filter(|finding| weighty(finding.severity))
                .map(|finding| FindingMeaning {
                    severity: finding.severity,
                    code: finding.code.clone(),
                    vm: finding.vm.clone(),
                    host: finding.host.clone(),
                })
                .collect(),
        }
    }

    /// The hash of its meaning: equal for plans that do the same in the same way.
    #[must_use]
    pub fn hash(&self) -> PlanHash {
        self.meaning().hash()
    }
}

impl Meaning {
    /// SHA-256 of all of it.
    #[must_use]
    pub fn hash(&self) -> PlanHash {
        PlanHash(digest(self))
    }

    /// What another plan does otherwise, a line each. That a risk is gone is not among it: nobody has to look again
    /// because of that.
    #[must_use]
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let vms: BTreeSet<&VmName> = [self, now]
            .iter()
            .flat_map(|side| side.changes.keys().chain(side.moves.keys()))
            .collect();
        let mut lines: Vec<String> = vms
            .into_iter()
            .filter_map(|vm| self.vm_differs(now, vm))
            .collect();
        let gone = self.findings.difference(&now.findings);
        let gone = gone.filter(|finding| finding.severity == Severity::Blocks);
        lines.extend(gone.map(|finding| format!("gone: {}", finding.in_words())));
        let new = now.findings.difference(&self.findings);
        lines.extend(new.map(|finding| format!("new: {}", finding.in_words())));
        lines
    }

    fn vm_differs(&self, now: &Self, vm: &VmName) -> Option<String> {
        let same_changes = self.changes.get(vm) == now.changes.get(vm);
        let line = match (self.moves.get(vm), now.moves.get(vm)) {
            (Some(_), None) => format!("{vm}: would not be moved any more"),
            (None, Some(is)) => format!("{vm}: would be moved now ({})", in_words(is)),
            (Some(was), Some(is)) if in_words(was) != in_words(is) => {
                format!("{vm}: {} instead of {}", in_words(is), in_words(was))
            }
            (Some(was), Some(is)) if differ(was, is, |one| &one.disks) => {
                format!("{vm}: its disks are or go elsewhere ({})", in_words(is))
            }
            (Some(was), Some(is)) if differ(was, is, |one| &one.definition) => {
                format!("{vm}: its definition is not as it was ({})", in_words(is))
            }
            _ if !same_changes => format!("{vm}: what differs is no longer the same"),
            (Some(was), Some(is)) if was != is => {
                format!("{vm}: other steps than before")
            }
            _ => return None,
        };
        Some(line)
    }
}

/// Both halves of a detour, or the one move.
fn in_words(moves: &[MoveMeaning]) -> String {
    let words: Vec<String> = moves.iter().map(MoveMeaning::in_words).collect();
    words.join(", then ")
}

fn differ<T: PartialEq>(
    was: &[MoveMeaning],
    is: &[MoveMeaning],
    what: impl Fn(&MoveMeaning) -> &T,
) -> bool {
    was.iter().map(&what).ne(is.iter().map(&what))
}

impl MoveMeaning {
    fn of(plan: &Plan, a_move: &Move) -> Self {
        let steps = a_move.steps.iter().filter_map(|id| plan.steps.get(id.0));
        let mut actions: Vec<String> = steps.map(|step| text(&step.action)).collect();
        actions.sort_unstable();
        let disks = a_move.disks.iter().map(|disk| DiskPlacement {
            allocation: Bytes::ZERO,
            below: disk.below.map(|_| Bytes::ZERO),
            ..disk.clone()
        });
        Self {
            kind: a_move.kind,
            from: a_move.from.clone(),
            to: a_move.to.clone(),
            reboots: a_move.reboots,
            disks: disks.collect(),
            definition: a_move.definition.as_ref().map(digest),
            actions,
        }
    }

    fn in_words(&self) -> String {
        let how = match self.kind {
            MoveKind::Live => "live",
            MoveKind::Cold => "cold",
            MoveKind::Offline => "off",
            MoveKind::DiskOnly => "disks only",
            MoveKind::Finish => "finish",
        };
        let reboot = if self.reboots { ", with a reboot" } else { "" };
        format!("{how} from {} to {}{reboot}", self.from, self.to)
    }
}

impl FindingMeaning {
    fn in_words(&self) -> String {
        let word = match self.severity {
            Severity::Blocks => "blocks",
            Severity::Risk => "risk",
            Severity::Note => "note",
        };
        let vm = self.vm.as_ref().map(|vm| format!(", VM {vm}"));
        let host = self.host.as_ref().map(|host| format!(", host {host}"));
        let about: String = vm.into_iter().chain(host).collect();
        format!("finding {word} {}{about}", self.code)
    }
}

/// A value as JSON. What a plan is made of has texts as keys and whole numbers, so that it always can be; if it ever
/// could not, unlike values must still have unlike texts.
fn text(value: &(impl Serialize + Debug)) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| format!("{value:?}"))
}

fn digest(value: &(impl Serialize + Debug)) -> String {
    hex::encode(Sha256::digest(text(value).as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Millis;
    use crate::plan::{Action, Change, Finding, StepId};

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
            detour: None,
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
            calibration: crate::model::Calibration::default(),
        }
    }

    /// What is told of another plan; where nothing is told, the hashes must be one.
    fn differences(fresh: &Plan) -> Vec<String> {
        let told = plan().meaning().differences(&fresh.meaning());
        assert_eq!(told.is_empty(), plan().hash() == fresh.hash(), "{told:?}");
        told
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
        assert_eq!(
            differences(&fresh),
            ["new: finding risk mac-taken, VM web-1"]
        );
        fresh.findings[0].severity = Severity::Note;
        assert_eq!(differences(&fresh), Vec::<String>::new());
    }

    #[test]
    fn a_hash_is_read_in_either_case_and_nothing_else_is_taken_for_one() {
        let hash = plan().hash();
        assert_eq!(hash.to_string().to_uppercase().parse(), Ok(hash));
        for text in ["", "12ab", &"g".repeat(64), &"a".repeat(65)] {
            assert!(text.parse::<PlanHash>().is_err(), "{text}");
        }
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
            held: None,
            start: Millis(0),
            forecast: crate::plan::Forecast::default(),
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
