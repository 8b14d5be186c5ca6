//! What a rule looks at, and what it says.

use std::collections::BTreeSet;

use crate::desired::{Desired, Method, MigrationSettings};
use crate::model::{HostName, VmName, VolumeRef};
use crate::observed::{self, Observed, VmDetail};
use crate::plan::DiskPlacement;

/// Everything that a rule may look at for one VM's move.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What the manifest demands.
    pub desired: &'a Desired,
    /// The reading.
    pub observed: &'a Observed,
    /// The VM's name.
    pub name: &'a VmName,
    /// The VM as it is.
    pub vm: &'a observed::Vm,
    /// What its XML tells.
    pub detail: &'a VmDetail,
    /// Where it is.
    pub from: &'a HostName,
    /// That host's reading.
    pub source: &'a observed::Host,
    /// Where it shall be.
    pub to: &'a HostName,
    /// That host's reading.
    pub destination: &'a observed::Host,
    /// VMs that were found on other hosts and are to come to that one.
    pub comers: &'a [(&'a VmName, &'a observed::Vm)],
    /// How the manifest lets it be moved.
    pub method: Method,
    /// Its migration settings.
    pub settings: &'a MigrationSettings,
    /// Its disks and where each goes.
    pub disks: &'a [DiskPlacement],
    /// Volumes that an earlier apply of ours created and that are removed before the move begins.
    pub discarded: &'a BTreeSet<VolumeRef>,
}

impl Case<'_> {
    /// Whether the VM changes its host.
    #[must_use]
    pub fn changes_host(&self) -> bool {
        self.from != self.to
    }

    /// Whether the VM could be moved live, as far as the manifest and its state say.
    #[must_use]
    pub(super) fn may_go_live(&self) -> bool {
        self.changes_host() && self.is_active() && self.method != Method::Cold
    }

    /// Refuses what QEMU would have to migrate: the running VM, where that is in question, and the stopped one that is
    /// started paused to be carried.
    pub(super) fn unmigratable(
        &self,
        code: &'static str,
        host: &HostName,
        message: &str,
        remedy: &str,
    ) -> Vec<Verdict> {
        let verdict = |effect| Verdict::new(code, effect, host, message.to_owned(), remedy);
        let live = self.may_go_live().then(|| verdict(Effect::RefusesLive));
        let direct = self.changes_host().then(|| verdict(Effect::RefusesDirect));
        live.into_iter().chain(direct).collect()
    }

    /// Whether the VM holds memory now.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.vm.power.is_active()
    }
}

/// What a rule's verdict does to the move, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The move is refused.
    Blocks,
    /// Moving live is refused, another method may do.
    RefusesLive,
    /// Moving the stopped VM host to host is refused, streams through this process may do.
    RefusesDirect,
    /// Moving the stopped VM by streams through this process is refused, host to host may do.
    RefusesStream,
    /// It may fail or hurt: refused unless the manifest or the command line accepts the rule by its code.
    Risk,
    /// The reviewer should know.
    Note,
}

impl Effect {
    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::RefusesLive => "refuses live",
            Self::RefusesDirect => "refuses direct copy",
            Self::RefusesStream => "refuses streamed copy",
            Self::Risk => "risk",
            Self::Note => "note",
        }
    }
}

/// What a rule says of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The rule's code.
    pub code: &'static str,
    /// What it does to the move.
    pub effect: Effect,
    /// The host that it is about.
    pub host: Option<HostName>,
    /// What was seen and what is needed.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// In which kind of move it counts.
    pub when: When,
}

/// In which kind of move a verdict counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// In every kind.
    Always,
    /// Where the VM is moved live.
    Live,
    /// Where its guest is shut down for the move.
    Reboot,
}

impl Verdict {
    pub(super) fn new(
        code: &'static str,
        effect: Effect,
        host: &HostName,
        message: String,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            code,
            effect,
            host: Some(host.clone()),
            message,
            remedy: remedy.into(),
            when: When::Always,
        }
    }

    /// The same, but only in that kind of move.
    pub(super) fn only(self, when: When) -> Self {
        Self { when, ..self }
    }
}

/// A rule of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its code, which manifests and people name it by.
    pub code: &'static str,
    /// What it watches, in a few words.
    pub title: &'static str,
    /// Everything that it may do to a move.
    pub effects: &'static [Effect],
    /// Why it is there, for who wants to know more.
    pub why: &'static str,
    /// What can be done about it, in general.
    pub remedy: &'static str,
    /// Who says so: a function of libvirt, a document, a product.
    pub source: &'static str,
    pub(super) judge: fn(&Case<'_>) -> Vec<Verdict>,
}

/// For rules that are watched where more than one case is seen: by the planner, over the whole fleet and over time.
pub(super) fn over_the_whole_plan(_: &Case<'_>) -> Vec<Verdict> {
    Vec::new()
}
