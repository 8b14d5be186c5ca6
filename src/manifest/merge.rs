//! The trees of all sources to one set of sections, each name with its place, and the faults that a single value has.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::de::DeserializeOwned;

use super::document::{Cluster, Host, Limits, Placement, Pool, SECTIONS, VERSION, Vm};
use super::fault::{Fault, Label};
use super::settings::Migration;
use super::source::Source;
use super::suggest;
use super::tree::{Content, PartId, Tree};
use super::value::{EitherForm, Problem, ProblemKind, one_of, read};
use crate::desired::Profile;
use crate::model::{ClusterName, HostName, InvalidName, NetworkName, PoolName, VmName};

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) source: usize,
    pub(super) key: PartId,
    pub(super) value: PartId,
}

/// The entries of a section. A value that is wrong is `None`: its name is defined all the same.
pub(super) type Section<K, T> = BTreeMap<K, (Place, Option<T>)>;

/// Everything that the sources say.
#[derive(Default)]
pub(super) struct Sections {
    /// Whether any source has the field, right or wrong, or something that was probably meant to be it.
    pub(super) version: bool,
    pub(super) clusters: Section<ClusterName, Cluster>,
    pub(super) hosts: Section<HostName, Host>,
    pub(super) networks: Section<NetworkName, BTreeMap<HostName, String>>,
    pub(super) pools: Section<PoolName, Pool>,
    /// One for each source that has the section.
    pub(super) migration: Vec<(Place, Migration)>,
    pub(super) profile: Option<(Place, Profile)>,
    pub(super) limits: Option<(Place, Limits)>,
    /// Of all sources together.
    pub(super) placement: Placement,
    pub(super) vms: Section<VmName, Vm>,
}

/// The texts with their trees, to show places in them.
#[derive(Clone, Copy)]
pub(super) struct Texts<'t> {
    pub(super) sources: &'t [Source],
    pub(super) trees: &'t [Tree],
}

impl Texts<'_> {
    pub(super) fn label(&self, source: usize, part: PartId, text: impl Into<String>) -> Label {
        Label {
            source,
            span: self.trees[source].span(part, &self.sources[source].text),
            text: text.into(),
        }
    }
}

/// Reads the sections of every tree.
pub(super) fn merge(texts: Texts<'_>, faults: &mut Vec<Fault>) -> Sections {
    let mut sections = Sections::default();
    for (source, tree) in texts.trees.iter().enumerate() {
        let Some(root) = tree.root() else {
            continue;
        };
        let mut merger = Merger {
            texts,
            source,
            faults,
        };
        let Content::Map(entries) = tree.content(root) else {
            let label = texts.label(source, root, "not a mapping");
            let fault = Fault::new(
                "wrong-type",
                "",
                label,
                "a manifest is a mapping with fields such as `version`, `hosts` and `vms`",
            );
            faults.push(fault.help("is this the right file?"));
            // That it says no version needs no word of its own.
            sections.version = true;
            continue;
        };
        for (key, value) in entries {
            let place = Place {
                source,
                key: *key,
                value: *value,
            };
            merger.field(tree.key(*key), place, &mut sections);
        }
    }
    sections
}

struct Merger<'t, 'f> {
    texts: Texts<'t>,
    source: usize,
    faults: &'f mut Vec<Fault>,
}

impl<'t> Merger<'t, '_> {
    fn field(&mut self, field: &str, place: Place, sections: &mut Sections) {
        match field {
            "version" => self.version(place, sections),
            "clusters" => self.section(
                field,
                place,
                ClusterName::new,
                &mut sections.clusters,
                |read: Cluster| read,
            ),
            "hosts" => self.section(
                field,
                place,
                HostName::new,
                &mut sections.hosts,
                |read: EitherForm<Host>| read.0,
            ),
            "networks" => self.section(
                field,
                place,
                NetworkName::new,
                &mut sections.networks,
                |read: BTreeMap<HostName, String>| read,
            ),
            "pools" => self.section(
                field,
                place,
                PoolName::new,
                &mut sections.pools,
                |read: Pool| read,
            ),
            "vms" => self.section(
                field,
                place,
                VmName::new,
                &mut sections.vms,
                |read: EitherForm<Vm>| read.0,
            ),
            "migration" => self.migration(place, sections),
            "profile" => self.once(field, place, &mut sections.profile),
            "limits" => self.once(field, place, &mut sections.limits),
            "placement" => {
                let read: Option<Placement> = self.read(field, place.value);
                let Placement { apart, together } = read.unwrap_or_default();
                sections.placement.apart.extend(apart);
                sections.placement.together.extend(together);
            }
            _ if field.starts_with("x-") => {}
            _ => {
                sections.version |=
                    suggest::nearest(field, SECTIONS.iter().copied()) == Some("version");
                let kind = ProblemKind::UnknownField {
                    field: field.to_owned(),
                    known: SECTIONS,
                };
                let fault = self.fault(kind, field.to_owned(), place.key);
                self.faults.push(fault);
            }
        }
    }

    fn version(&mut self, place: Place, sections: &mut Sections) {
        sections.version = true;
        let Some(version) = self.read::<u64>("version", place.value) else {
            return;
        };
        if version == VERSION {
            return;
        }
        let label = self.texts.label(
            place.source,
            place.value,
            "not a version that is known here",
        );
        let message = format!(
            "the manifest has version {version} of the format, and this Domicile reads version {VERSION}"
        );
        let help = if version > VERSION {
            "a newer Domicile reads it"
        } else {
            "write `version: 1`"
        };
        self.faults
            .push(Fault::new("version-unsupported", "version", label, message).help(help));
    }

    /// A field that only one of all sources may give.
    fn once<T: DeserializeOwned>(
        &mut self,
        field: &str,
        place: Place,
        into: &mut Option<(Place, T)>,
    ) {
        if let Some((first, _)) = into {
            let first = self
                .texts
                .label(first.source, first.key, "first given here");
            let fault = self.twice(field.into(), place, field);
            self.faults.push(fault.second(first));
        } else if let Some(value) = self.read(field, place.value) {
            *into = Some((place, value));
        }
    }

    fn section<K: Ord + Display, R: DeserializeOwned, T>(
        &mut self,
        section: &str,
        place: Place,
        name: impl Fn(String) -> Result<K, InvalidName>,
        into: &mut Section<K, T>,
        value_of: impl Fn(R) -> T,
    ) {
        let tree = &self.texts.trees[self.source];
        let Some(entries) = self.entries(section, place) else {
            return;
        };
        for (key, value) in entries {
            let text = tree.key(*key);
            let path = format!("{section}.{text}");
            let value_read = self.read::<R>(&path, *value).map(&value_of);
            let name = match name(text.to_owned()) {
                Ok(name) => name,
                Err(error) => {
                    let label = self.texts.label(self.source, *key, "not a name");
                    self.faults
                        .push(Fault::new("invalid-name", path, label, error.to_string()));
                    continue;
                }
            };
            let here = Place {
                source: self.source,
                key: *key,
                value: *value,
            };
            if let Some((first, _)) = into.get(&name) {
                let first = self
                    .texts
                    .label(first.source, first.key, "first defined here");
                let fault = self.twice(path, here, text);
                self.faults.push(fault.second(first));
            } else {
                into.insert(name, (here, value_read));
            }
        }
    }

    /// The entries of a section, of which nothing at all is also right.
    fn entries(&mut self, section: &str, place: Place) -> Option<&'t [(PartId, PartId)]> {
        let tree = &self.texts.trees[self.source];
        match tree.content(place.value) {
            Content::Map(entries) => Some(entries),
            Content::Scalar("" | "~" | "null", _) => None,
            Content::Scalar(..) | Content::List(_) => {
                let label = self.texts.label(self.source, place.value, "not a mapping");
                let message = format!("`{section}` is a mapping of names to what they stand for");
                self.faults
                    .push(Fault::new("wrong-type", section, label, message));
                None
            }
        }
    }

    fn migration(&mut self, place: Place, sections: &mut Sections) {
        let Some(entries) = self.entries("migration", place) else {
            return;
        };
        let tree = &self.texts.trees[self.source];
        // What several files may add to: the names in `clusters` are compared with those of the other files later.
        let own = |field: &str| field != "clusters" && field != "pairs";
        for (key, value) in entries {
            let field = tree.key(*key);
            let first = sections.migration.iter().find_map(|(first, _)| {
                let found = self.texts.trees[first.source].find(first.value, &[field]);
                found.map(|(key, _)| (first.source, key))
            });
            if let Some((source, first)) = first.filter(|_| own(field)) {
                let first = self.texts.label(source, first, "first given here");
                let here = Place {
                    key: *key,
                    value: *value,
                    ..place
                };
                let fault = self.twice(format!("migration.{field}"), here, field);
                self.faults.push(fault.second(first));
            }
        }
        if let Some(migration) = self.read::<Migration>("migration", place.value) {
            sections.migration.push((place, migration));
        }
    }

    fn twice(&self, path: String, place: Place, name: &str) -> Fault {
        let label = self.texts.label(place.source, place.key, "and again here");
        let message = format!("`{name}` is defined twice");
        Fault::new("defined-twice", path, label, message)
            .help("remove one of the two, or give it another name")
    }

    fn read<T: DeserializeOwned>(&mut self, path: &str, part: PartId) -> Option<T> {
        let mut problems = Vec::new();
        let tree = &self.texts.trees[self.source];
        let value = read(tree, part, |problem| problems.push(problem));
        for problem in problems {
            let mut at = path.to_owned();
            let Problem {
                kind,
                at: wrong,
                path: keys,
                ..
            } = problem;
            for key in keys.iter().rev() {
                if !key.starts_with('[') {
                    at.push('.');
                }
                at.push_str(key);
            }
            let fault = self.fault(kind, at, wrong.unwrap_or(part));
            self.faults.push(fault);
        }
        value
    }

    fn fault(&self, kind: ProblemKind, path: String, part: PartId) -> Fault {
        let label = |text: &str| self.texts.label(self.source, part, text);
        match kind {
            ProblemKind::WrongType { found, wanted } => Fault::new(
                "wrong-type",
                path,
                label("not what is wanted here"),
                format!("found {found}, wanted {wanted}"),
            ),
            ProblemKind::UnknownField { field, known } => {
                let message = format!("there is no field `{field}` here");
                let fault = Fault::new("unknown-field", path, label("unknown"), message);
                fault.help(suggest::or_list(&field, known))
            }
            ProblemKind::UnknownValue { value, known } => {
                let message = format!(
                    "`{value}` is not possible here: it must be {}",
                    one_of(known)
                );
                let fault = Fault::new("unknown-value", path, label("unknown"), message);
                match suggest::nearest(&value, known.iter().copied()) {
                    Some(name) => fault.help(format!("did you mean `{name}`?")),
                    None => fault,
                }
            }
            ProblemKind::MissingField(field) => Fault::new(
                "missing-field",
                path,
                label("this has none"),
                format!("the field `{field}` is missing"),
            ),
            ProblemKind::Refused(message) => {
                Fault::new("invalid-value", path, label("not possible"), message)
            }
        }
    }
}
