//! One YAML text to a tree of parts that know where they stand.
//!
//! One parse serves values and positions alike, so that they cannot disagree. Scalars stay the text that was
//! written, since a name such as `0123` must not become a number on its way. Aliases are parts that point to the part
//! they mean; `<<` is carried out. Depth and the number of parts, with every alias counted at its full size, are
//! bounded, so what walks the tree need not be afraid of it.

use std::ops::Range;

use super::scalar::{Meaning, meaning};

/// A part of one [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartId(pub(super) u32);

/// One YAML document.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) parts: Vec<Part>,
    pub(super) root: Option<PartId>,
    pub(super) positions: Positions,
    /// Whether the text was read to its end.
    pub(super) whole: bool,
}

#[derive(Debug)]
pub(super) struct Part {
    /// In characters, as the parser counts.
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar { text: Box<str>, quoted: bool },
    List(Box<[PartId]>),
    Map(Box<[(PartId, PartId)]>),
    Alias(PartId),
}

/// What a part is, aliases followed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'t> {
    /// Its text as written and what YAML takes it for.
    Scalar(&'t str, Meaning),
    List(&'t [PartId]),
    /// Keys, which are scalars and differ from one another, with their values.
    Map(&'t [(PartId, PartId)]),
}

impl Tree {
    /// The outermost part; `None`: the text has nothing but space and comments.
    pub(super) fn root(&self) -> Option<PartId> {
        self.root
    }

    pub(super) fn content(&self, id: PartId) -> Content<'_> {
        match &self.part(id).kind {
            Kind::Scalar { text, quoted: true } => Content::Scalar(text, Meaning::Text),
            Kind::Scalar {
                text,
                quoted: false,
            } => Content::Scalar(text, meaning(text)),
            Kind::List(items) => Content::List(items),
            Kind::Map(entries) => Content::Map(entries),
            // What an alias points to is never an alias itself.
            Kind::Alias(target) => self.content(*target),
        }
    }

    /// The text of a key or another scalar; empty for what is none.
    pub(super) fn key(&self, id: PartId) -> &str {
        match self.content(id) {
            Content::Scalar(text, _) => text,
            Content::List(_) | Content::Map(_) => "",
        }
    }

    /// The bytes at which a part stands in its text: an alias where it is used, and of what takes several lines the
    /// first one.
    pub(super) fn span(&self, id: PartId, text: &str) -> Range<usize> {
        let part = self.part(id);
        self.positions.span(part.start, part.end, text)
    }

    /// The key and the value that a path of keys leads to from here.
    pub(super) fn find(&self, from: PartId, path: &[&str]) -> Option<(PartId, PartId)> {
        let (first, rest) = path.split_first()?;
        let Content::Map(entries) = self.content(from) else {
            return None;
        };
        let found = entries.iter().find(|(key, _)| self.key(*key) == *first)?;
        if rest.is_empty() {
            Some(*found)
        } else {
            self.find(found.1, rest)
        }
    }

    pub(super) fn part(&self, id: PartId) -> &Part {
        &self.parts[id.0 as usize]
    }
}

/// From the parser's characters to bytes.
#[derive(Debug, Default)]
pub(super) struct Positions {
    /// The byte of each character; empty where each is one byte.
    bytes: Vec<u32>,
}

impl Positions {
    pub(super) fn new(text: &str) -> Self {
        if text.is_ascii() {
            return Self::default();
        }
        let bytes = text
            .char_indices()
            .map(|(byte, _)| u32::try_from(byte).unwrap_or(u32::MAX))
            .collect();
        Self { bytes }
    }

    fn byte(&self, character: u32, text: &str) -> usize {
        if self.bytes.is_empty() {
            return (character as usize).min(text.len());
        }
        let found = self.bytes.get(character as usize);
        found.map_or(text.len(), |byte| *byte as usize)
    }

    /// The bytes from one character to another, at most to the end of the line and without the space there.
    pub(super) fn span(&self, start: u32, end: u32, text: &str) -> Range<usize> {
        let start = self.byte(start, text);
        let end = self.byte(end, text).max(start);
        let piece = text.get(start..end).unwrap_or_default();
        let line = piece.lines().next().unwrap_or_default().trim_end();
        start..start + line.len()
    }
}
