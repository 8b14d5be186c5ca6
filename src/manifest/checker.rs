//! What the checks of all sections share: the names that are declared, and how faults are shown and noted.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{Fault, Label};
use super::merge::{Place, Sections, Texts};
use super::suggest;
use super::tree::{Content, PartId};
use crate::model::{ClusterName, HostName};

/// Notes the faults that show when several values are seen together.
pub(super) struct Checker<'t, 's, 'f> {
    pub(super) texts: Texts<'t>,
    pub(super) faults: &'f mut Vec<Fault>,
    hosts: Known<'s>,
    clusters: Known<'s>,
}

/// The names of one kind that are declared.
struct Known<'s> {
    kind: &'static str,
    section: &'static str,
    names: BTreeSet<&'s str>,
    /// The help for a name that is not declared, found once however often it is used.
    helps: BTreeMap<String, String>,
}

impl<'t, 's, 'f> Checker<'t, 's, 'f> {
    pub(super) fn new(
        sections: &'s Sections,
        texts: Texts<'t>,
        faults: &'f mut Vec<Fault>,
    ) -> Self {
        let hosts = sections.hosts.keys().map(HostName::as_str);
        let clusters = sections.clusters.keys().map(ClusterName::as_str);
        Self {
            texts,
            faults,
            hosts: Known::new("host", "hosts", hosts.collect()),
            clusters: Known::new("cluster", "clusters", clusters.collect()),
        }
    }

    /// Notes a host that is not declared. `subject` is the beginning of the sentence that the host ends.
    pub(super) fn host(
        &mut self,
        host: &HostName,
        path: &str,
        subject: &str,
        label: impl FnOnce(Texts<'t>, &'static str) -> Label,
    ) {
        if !self.hosts.names.contains(host.as_str()) {
            let message = format!("{subject} host `{host}`, which is not declared");
            let label = label(self.texts, NOT_DECLARED);
            let help = self.hosts.help(host.as_str());
            self.note(Fault::new("unknown-host", path, label, message).help(help));
        }
    }

    /// Notes a cluster that is not declared, in the same way.
    pub(super) fn cluster(
        &mut self,
        cluster: &ClusterName,
        path: &str,
        subject: &str,
        label: impl FnOnce(Texts<'t>, &'static str) -> Label,
    ) {
        if !self.clusters.names.contains(cluster.as_str()) {
            let message = format!("{subject} cluster `{cluster}`, which is not declared");
            let label = label(self.texts, NOT_DECLARED);
            let help = self.clusters.help(cluster.as_str());
            self.note(Fault::new("unknown-cluster", path, label, message).help(help));
        }
    }

    pub(super) fn out_of_range(
        &mut self,
        path: String,
        place: Place,
        keys: &[&str],
        message: &str,
    ) {
        let label = self.texts.value(place, keys, "out of range");
        self.note(Fault::new("out-of-range", path, label, message));
    }

    pub(super) fn note(&mut self, fault: Fault) {
        self.faults.push(fault);
    }
}

/// The most names that a help lists.
const NAMES_SHOWN: usize = 8;

const NOT_DECLARED: &str = "not declared";

impl<'s> Known<'s> {
    fn new(kind: &'static str, section: &'static str, names: BTreeSet<&'s str>) -> Self {
        Self {
            kind,
            section,
            names,
            helps: BTreeMap::new(),
        }
    }

    fn help(&mut self, name: &str) -> String {
        if let Some(help) = self.helps.get(name) {
            return help.clone();
        }
        let Self { kind, section, .. } = self;
        let help = match suggest::nearest(name, self.names.iter().copied()) {
            Some(near) => {
                format!("did you mean `{near}`? Otherwise declare `{name}` in `{section}`")
            }
            None if self.names.is_empty() => {
                format!("no {kind} is declared: declare `{name}` in `{section}`")
            }
            None if self.names.len() <= NAMES_SHOWN => {
                let names: Vec<&str> = self.names.iter().copied().collect();
                format!(
                    "declared: {}; declare `{name}` in `{section}`, too, or name one of these",
                    names.join(", ")
                )
            }
            None => format!("declare `{name}` in `{section}`"),
        };
        self.helps.insert(name.to_owned(), help.clone());
        help
    }
}

/// Labels of what a path of keys leads to from an entry. Where the entry does not have it, they show the entry: its
/// value in the short form, else its key.
impl Texts<'_> {
    pub(super) fn value(&self, place: Place, keys: &[&str], text: &str) -> Label {
        let found = self.found(place, keys).map(|(_, value)| value);
        self.label(place.source, found.unwrap_or(self.entry(place)), text)
    }

    pub(super) fn key(&self, place: Place, keys: &[&str], text: &str) -> Label {
        let found = self.found(place, keys).map(|(key, _)| key);
        self.label(place.source, found.unwrap_or(self.entry(place)), text)
    }

    /// The label of an item of the list there.
    pub(super) fn item(&self, place: Place, keys: &[&str], index: usize, text: &str) -> Label {
        let item = self.items(place, keys).get(index).copied();
        self.label(place.source, item.unwrap_or(self.entry(place)), text)
    }

    /// The items of the list there.
    pub(super) fn items(&self, place: Place, keys: &[&str]) -> &[PartId] {
        let list = self.found(place, keys).map(|(_, list)| list);
        match list.map(|list| self.trees[place.source].content(list)) {
            Some(Content::List(items)) => items,
            _ => &[],
        }
    }

    pub(super) fn found(&self, place: Place, keys: &[&str]) -> Option<(PartId, PartId)> {
        self.trees[place.source].find(place.value, keys)
    }

    fn entry(&self, place: Place) -> PartId {
        match self.trees[place.source].content(place.value) {
            Content::Scalar(..) => place.value,
            Content::List(_) | Content::Map(_) => place.key,
        }
    }
}
