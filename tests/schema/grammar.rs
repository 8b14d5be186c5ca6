//! RELAX NG files to patterns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use roxmltree::{Document, Node};

/// What more than any document can nest.
pub(crate) const NEVER: u32 = u32::MAX;

/// The name of an element or attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// This one, in this namespace, which is empty for none.
    Is {
        /// The namespace.
        namespace: String,
        /// The local name.
        local: String,
    },
    /// Whatever.
    Any,
}

/// What a part of a document may be.
#[derive(Debug, Clone)]
pub(crate) enum Pattern {
    /// An element.
    Element(Name, Box<Pattern>),
    /// An attribute.
    Attribute(Name, Box<Pattern>),
    /// Any text.
    Text,
    /// Nothing.
    Empty,
    /// What no document has.
    NotAllowed,
    /// This text.
    Value(String),
    /// A text of a type.
    Data(Data),
    /// What a definition of that name says.
    Ref(String),
    /// All, in this order.
    Group(Vec<Pattern>),
    /// All, in any order.
    Interleave(Vec<Pattern>),
    /// One.
    Choice(Vec<Pattern>),
    /// So many, or more.
    Many(usize, Box<Pattern>),
    /// Words of a text, with space between them.
    List(Box<Pattern>),
}

/// A text of one of the types of XML Schema.
#[derive(Debug, Clone)]
pub(crate) struct Data {
    pub(crate) kind: String,
    pub(crate) pattern: Option<String>,
    pub(crate) least: Option<i128>,
    pub(crate) most: Option<i128>,
    pub(crate) longest: Option<usize>,
    /// Texts that it is not.
    pub(crate) except: BTreeSet<String>,
}

/// A grammar with all that it includes.
#[derive(Debug)]
pub(crate) struct Grammar {
    defines: BTreeMap<String, Pattern>,
    /// How deep the shallowest document of each definition nests.
    depths: BTreeMap<String, u32>,
}

/// The name that a grammar's start has among its definitions.
const START: &str = " start";

impl Grammar {
    /// Reads a schema of a folder.
    pub(crate) fn read(folder: &Path, file: &str) -> Self {
        let mut defines = BTreeMap::new();
        include(folder, file, &mut defines);
        let mut grammar = Self {
            depths: defines.keys().map(|name| (name.clone(), NEVER)).collect(),
            defines,
        };
        loop {
            let next: BTreeMap<String, u32> = grammar
                .defines
                .iter()
                .map(|(name, pattern)| (name.clone(), grammar.depth(pattern)))
                .collect();
            if next == grammar.depths {
                return grammar;
            }
            grammar.depths = next;
        }
    }

    /// What a document is.
    pub(crate) fn start(&self) -> &Pattern {
        self.named(START)
    }

    /// What a definition says.
    pub(crate) fn named(&self, name: &str) -> &Pattern {
        self.defines
            .get(name)
            .unwrap_or_else(|| panic!("the schema has no definition {name}"))
    }

    /// How deep the shallowest document of a pattern nests.
    pub(crate) fn depth(&self, pattern: &Pattern) -> u32 {
        match pattern {
            Pattern::Element(_, content) => self.depth(content).saturating_add(1),
            Pattern::Attribute(_, content)
            | Pattern::List(content)
            | Pattern::Many(1.., content) => self.depth(content),
            Pattern::Text
            | Pattern::Empty
            | Pattern::Value(_)
            | Pattern::Data(_)
            | Pattern::Many(0, _) => 0,
            Pattern::NotAllowed => NEVER,
            Pattern::Ref(name) => self.depths.get(name).copied().unwrap_or(NEVER),
            Pattern::Group(all) | Pattern::Interleave(all) => {
                all.iter().map(|part| self.depth(part)).max().unwrap_or(0)
            }
            Pattern::Choice(all) => all.iter().map(|one| self.depth(one)).min().unwrap_or(NEVER),
        }
    }

    /// The names of the elements that may stand right below the one that a definition is about.
    pub(crate) fn children_of(&self, definition: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        match self.named(definition) {
            Pattern::Element(_, content) => self.elements(content, &mut found, &mut seen),
            other => panic!("{definition} is no element: {other:?}"),
        }
        found
    }

    fn elements(
        &self,
        pattern: &Pattern,
        found: &mut BTreeSet<String>,
        seen: &mut BTreeSet<String>,
    ) {
        match pattern {
            Pattern::Element(Name::Is { local, .. }, _) if self.depth(pattern) < NEVER => {
                found.insert(local.clone());
            }
            Pattern::Ref(name) if seen.insert(name.clone()) => {
                self.elements(self.named(name), found, seen);
            }
            Pattern::Group(all) | Pattern::Interleave(all) | Pattern::Choice(all) => {
                for part in all {
                    self.elements(part, found, seen);
                }
            }
            Pattern::Many(_, content) => self.elements(content, found, seen),
            _ => {}
        }
    }
}

/// Adds the definitions of a file and of those that it includes.
fn include(folder: &Path, file: &str, defines: &mut BTreeMap<String, Pattern>) {
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{} comes with libvirt's client library: {error}",
            path.display()
        )
    });
    let document = Document::parse(&text).unwrap();
    for element in elements(document.root_element()) {
        match element.tag_name().name() {
            "include" => {
                assert!(
                    elements(element).next().is_none(),
                    "an include that overrides"
                );
                include(folder, element.attribute("href").unwrap(), defines);
            }
            "define" => define(element.attribute("name").unwrap(), element, defines),
            "start" => define(START, element, defines),
            other => panic!("{file}: <{other}> in a grammar is not understood"),
        }
    }
}

fn define(name: &str, element: Node<'_, '_>, defines: &mut BTreeMap<String, Pattern>) {
    let pattern = group(element);
    let Some(before) = defines.remove(name) else {
        defines.insert(name.to_owned(), pattern);
        return;
    };
    let both = vec![before, pattern];
    let joined = match element.attribute("combine") {
        Some("interleave") => Pattern::Interleave(both),
        // The other of the two may be the one that says how.
        _ => Pattern::Choice(both),
    };
    defines.insert(name.to_owned(), joined);
}

fn elements<'a, 'i: 'a>(element: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    element.children().filter(Node::is_element)
}

fn all(element: Node<'_, '_>) -> Vec<Pattern> {
    elements(element).map(pattern).collect()
}

/// What stands in an element, which is a group where it is several.
fn group(element: Node<'_, '_>) -> Pattern {
    join(all(element))
}

fn join(mut parts: Vec<Pattern>) -> Pattern {
    match parts.len() {
        0 => Pattern::Empty,
        1 => parts.remove(0),
        _ => Pattern::Group(parts),
    }
}

fn pattern(element: Node<'_, '_>) -> Pattern {
    let text = || element.text().unwrap_or_default().to_owned();
    match element.tag_name().name() {
        "element" => {
            let (name, content) = named(element);
            Pattern::Element(name, Box::new(join(content)))
        }
        "attribute" => {
            let (name, mut content) = named(element);
            if content.is_empty() {
                content.push(Pattern::Text);
            }
            Pattern::Attribute(name, Box::new(join(content)))
        }
        "text" => Pattern::Text,
        "empty" => Pattern::Empty,
        "notAllowed" => Pattern::NotAllowed,
        "value" => Pattern::Value(text()),
        "data" => Pattern::Data(data(element)),
        "ref" => Pattern::Ref(element.attribute("name").unwrap().to_owned()),
        "group" => group(element),
        "interleave" => Pattern::Interleave(all(element)),
        "choice" => Pattern::Choice(all(element)),
        "optional" => Pattern::Choice(vec![Pattern::Empty, group(element)]),
        "zeroOrMore" => Pattern::Many(0, Box::new(group(element))),
        "oneOrMore" => Pattern::Many(1, Box::new(group(element))),
        "mixed" => Pattern::Interleave(vec![Pattern::Text, group(element)]),
        "list" => Pattern::List(Box::new(group(element))),
        other => panic!("<{other}> in a pattern is not understood"),
    }
}

/// The name of an element or attribute, by its attribute or its first child, and what it holds.
fn named(element: Node<'_, '_>) -> (Name, Vec<Pattern>) {
    let of_element = element.tag_name().name() == "element";
    let given = element
        .ancestors()
        .take(if of_element { usize::MAX } else { 1 })
        .find_map(|above| above.attribute("ns"));
    if let Some(local) = element.attribute("name") {
        let name = Name::Is {
            namespace: given.unwrap_or_default().to_owned(),
            local: local.trim().to_owned(),
        };
        return (name, all(element));
    }
    let mut inner = elements(element);
    let class = inner.next().unwrap();
    assert_eq!(
        class.tag_name().name(),
        "anyName",
        "a class of names is not understood"
    );
    (Name::Any, inner.map(pattern).collect())
}

fn data(element: Node<'_, '_>) -> Data {
    let param = |name: &str| {
        elements(element)
            .find(|inner| inner.attribute("name") == Some(name))
            .map(|inner| inner.text().unwrap_or_default().to_owned())
    };
    let number = |name| param(name).map(|text| text.trim().parse().unwrap());
    for inner in elements(element).filter(|inner| {
        inner.has_tag_name((inner.tag_name().namespace().unwrap_or_default(), "param"))
    }) {
        let known = ["pattern", "minInclusive", "maxInclusive", "maxLength"];
        let name = inner.attribute("name").unwrap();
        assert!(known.contains(&name), "the limit {name} is not understood");
    }
    let except = elements(element).filter(|inner| inner.tag_name().name() == "except");
    Data {
        kind: element.attribute("type").unwrap().to_owned(),
        pattern: param("pattern"),
        least: number("minInclusive"),
        most: number("maxInclusive"),
        longest: param("maxLength").map(|text| text.parse().unwrap()),
        except: except
            .flat_map(|except| except.descendants())
            .filter(|inner| inner.tag_name().name() == "value")
            .filter_map(|value| value.text())
            .map(str::to_owned)
            .collect(),
    }
}
