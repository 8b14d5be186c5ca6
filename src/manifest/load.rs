//! All sources to what they demand together.

use std::ops::Range;

use super::build::build;
use super::document::VERSION;
use super::fault::{Fault, Label};
use super::merge::{Texts, merge};
use super::resolve::resolve;
use super::source::Source;
use super::tree::Tree;
use crate::desired::Desired;

/// A manifest without faults.
#[derive(Debug)]
pub struct Loaded {
    /// What it demands.
    pub desired: Desired,
    trees: Vec<Tree>,
}

/// A piece of one of the sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpan {
    /// Which of the sources, counted from 0.
    pub source: usize,
    /// The bytes of its text.
    pub span: Range<usize>,
}

/// Reads what the sources demand together. A name that is defined twice, in one source or in two, is a fault.
///
/// # Errors
/// Every fault of the manifest, in the order of the sources and of the lines.
pub fn load(sources: &[Source]) -> Result<Loaded, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut trees = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter().enumerate() {
        let (tree, found) = build(&source.text, index);
        trees.push(tree);
        faults.extend(found);
    }
    let whole = trees.iter().all(|tree| tree.whole);
    let texts = Texts {
        sources,
        trees: &trees,
    };
    let sections = merge(texts, &mut faults);
    // After the line where reading stopped there may be any name, so nothing can be said to be missing.
    if whole {
        if !sections.version {
            faults.push(no_version(&trees));
        }
        let desired = resolve(&sections, texts, &mut faults);
        if faults.is_empty() {
            return Ok(Loaded { desired, trees });
        }
    }
    faults.sort_by_key(|fault| (fault.label.source, fault.label.span.start));
    Err(faults)
}

fn no_version(trees: &[Tree]) -> Fault {
    let label = Label {
        source: 0,
        span: 0..0,
        text: "no file says it".to_owned(),
    };
    let message = if trees.iter().all(|tree| tree.root().is_none()) {
        "the manifest is empty"
    } else {
        "the manifest does not say its version"
    };
    Fault::new("version-missing", "version", label, message)
        .help(format!("write `version: {VERSION}` in the first line"))
}

impl Loaded {
    /// Where a path of keys such as `["vms", "web-1", "disks", "vda"]` stands in the sources that were loaded, or as
    /// much of the path as they have: the key and, behind it, the value in short. `sources` are those that were loaded.
    #[must_use]
    pub fn place(&self, sources: &[Source], path: &[&str]) -> Option<SourceSpan> {
        let shorter = (1..=path.len()).rev().map(|length| &path[..length]);
        shorter.into_iter().find_map(|path| {
            let mut texts = self.trees.iter().zip(sources).enumerate();
            texts.find_map(|(source, (tree, text))| {
                let (key, value) = tree.find(tree.root()?, path)?;
                let span = tree.span(key, &text.text);
                let value = tree.span(value, &text.text);
                // A value on another line than its key is too much to be underlined.
                let between = text.text.get(span.end..value.end).unwrap_or("\n");
                let span = if between.contains('\n') {
                    span
                } else {
                    span.start..value.end
                };
                Some(SourceSpan { source, span })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::{Method, OnStall};
    use crate::model::{Bytes, BytesPerSecond, Millis};

    const EXAMPLE: &str = include_str!("../../examples/fleet.yaml");

    fn one(text: &str) -> Vec<Source> {
        vec![Source::new("fleet.yaml", text)]
    }

    #[test]
    fn the_example_demands_what_it_says() {
        let desired = load(&one(EXAMPLE)).unwrap().desired;
        let kvm2 = &desired.hosts["kvm2"];
        assert_eq!(desired.hosts["kvm1"].uri, "qemu+ssh://root@kvm1/system");
        assert_eq!(kvm2.reserve.memory, Bytes(4 << 30));
        assert_eq!(kvm2.cluster.as_ref().unwrap().as_str(), "rack-a");
        assert!(desired.clusters["rack-a"].spice_denied);
        assert_eq!(desired.networks["public"]["kvm2"], "br-pub");
        let fleet = &desired.migration.fleet;
        assert_eq!(fleet.bandwidth, Some(BytesPerSecond(800 << 20)));
        assert_eq!(fleet.max_downtime, Some(Millis(300)));
        let ladder = [OnStall::AutoConverge, OnStall::PostCopy, OnStall::Cold];
        assert_eq!(fleet.on_stall.as_deref(), Some(&ladder[..]));
        assert_eq!(desired.vms["web-1"].host.as_str(), "kvm2");
        let db = &desired.vms["db-1"];
        assert_eq!(db.method, Method::Live);
        assert_eq!(db.disks["vda"].as_str(), "fast");
        assert_eq!(db.interfaces.values().next().unwrap().as_str(), "public");
    }

    #[test]
    fn a_path_is_found_in_the_text_and_of_an_unknown_one_the_part_that_is_there() {
        let sources = one(EXAMPLE);
        let loaded = load(&sources).unwrap();
        let text = |path: &[&str]| {
            let place = loaded.place(&sources, path)?;
            Some(&EXAMPLE[place.span])
        };
        assert_eq!(text(&["vms", "db-1", "disks", "vda"]), Some("vda: fast"));
        assert_eq!(text(&["vms", "web-1"]), Some("web-1: kvm2"));
        assert_eq!(text(&["vms", "web-1", "disks", "vda"]), Some("web-1: kvm2"));
        assert_eq!(text(&["vms", "db-1"]), Some("db-1"));
        assert_eq!(text(&["nowhere"]), None);
    }

    #[test]
    fn several_sources_are_one_manifest() {
        let sources = [
            Source::new(
                "hosts.yaml",
                "version: 1\nhosts: { kvm1: \"qemu:///system\" }\nmigration: { tls: true }\n",
            ),
            Source::new("vms.yaml", "vms: { a: kvm1 }\nmigration: { parallel: 4 }\n"),
        ];
        let desired = load(&sources).unwrap().desired;
        assert_eq!(desired.vms["a"].host.as_str(), "kvm1");
        assert_eq!(desired.migration.fleet.tls, Some(true));
        assert_eq!(desired.migration.fleet.parallel, Some(4));
    }
}
