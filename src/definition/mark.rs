//! Domicile's own element in a definition's `<metadata>`: read, written, removed.

use roxmltree::{Document, Node};

use super::splice::{Splices, append, escaped};
use super::{DefinitionError, xml};
use crate::model::MoveMark;

/// The element to hand to `virDomainSetMetadata`, with [`MoveMark::PREFIX`] as key and [`MoveMark::NAMESPACE`] as URI.
///
/// # Errors
/// When a name in it cannot stand in XML.
pub fn mark_element(mark: &MoveMark) -> Result<String, DefinitionError> {
    let json =
        serde_json::to_string(mark).map_err(|_| DefinitionError::Missing { what: "mark" })?;
    // The only two characters that JSON leaves bare and XML forbids.
    let json = json
        .replace('\u{fffe}', "\\ufffe")
        .replace('\u{ffff}', "\\uffff");
    Ok(format!("<move>{}</move>", escaped(&json, "a mark")?))
}

/// Our element's attribute that says what was in its place, so that removing it restores that to the letter.
const FOUND: &str = "found";

/// What [`with_mark`] found of the definition's `<metadata>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// There was none.
    Nothing,
    /// `<metadata/>`.
    Closed,
    /// One with a start and an end.
    Open,
}

impl Found {
    const ALL: [Self; 3] = [Self::Nothing, Self::Closed, Self::Open];

    fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Closed => "closed",
            Self::Open => "open",
        }
    }
}

/// The definition with this mark and no other.
///
/// # Errors
/// When the text is no definition.
pub fn with_mark(definition: &str, mark: &MoveMark) -> Result<String, DefinitionError> {
    let bare = without_mark(definition)?;
    let document = xml::parse(&bare, "domain")?;
    let root = document.root_element();
    let metadata = xml::child(root, "metadata");
    let found = match metadata.and_then(|metadata| bare.get(metadata.range())) {
        None => Found::Nothing,
        Some(text) if text.ends_with("/>") => Found::Closed,
        Some(_) => Found::Open,
    };
    let name = format!("{}:move", MoveMark::PREFIX);
    let start = format!(
        "<{name} xmlns:{}='{}' {FOUND}='{}'>",
        MoveMark::PREFIX,
        MoveMark::NAMESPACE,
        found.word()
    );
    let element = mark_element(mark)?.replacen("<move>", &start, 1).replacen(
        "</move>",
        &format!("</{name}>"),
        1,
    );
    let mut splices = Splices::default();
    match metadata {
        Some(metadata) => append(&mut splices, &bare, metadata, &element)?,
        None => append(
            &mut splices,
            &bare,
            root,
            &format!("<metadata>{element}</metadata>"),
        )?,
    }
    splices.made_in(&bare)
}

/// The definition without any mark, as it was before [`with_mark`], to the letter. A `<metadata>` in which libvirt wrote
/// the mark goes with it where nothing else is in it.
///
/// # Errors
/// When the text is no definition.
pub fn without_mark(definition: &str) -> Result<String, DefinitionError> {
    let document = xml::parse(definition, "domain")?;
    let mut splices = Splices::default();
    for metadata in xml::children(document.root_element(), "metadata") {
        let ours: Vec<Node<'_, '_>> = metadata.children().filter(is_ours).collect();
        let Some(last) = ours.last() else { continue };
        let alone = metadata
            .children()
            .all(|child| is_ours(&child) || is_blank(&child));
        let found = last.attribute(FOUND);
        let found = Found::ALL.into_iter().find(|it| Some(it.word()) == found);
        match found {
            Some(Found::Nothing) if alone => splices.replace(metadata.range(), ""),
            Some(Found::Closed) if alone => close(&mut splices, definition, metadata)?,
            None if alone => splices.replace(with_space_before(definition, metadata), ""),
            _ => {
                for element in ours {
                    splices.replace(element.range(), "");
                }
            }
        }
    }
    splices.made_in(definition)
}

fn is_ours(element: &Node<'_, '_>) -> bool {
    element.is_element() && element.tag_name().namespace() == Some(MoveMark::NAMESPACE)
}

fn is_blank(element: &Node<'_, '_>) -> bool {
    element.is_text() && element.text().is_none_or(|text| text.trim().is_empty())
}

/// Makes `<metadata>…</metadata>` the `<metadata/>` that it was.
fn close(splices: &mut Splices, text: &str, metadata: Node<'_, '_>) -> Result<(), DefinitionError> {
    let range = metadata.range();
    let first = metadata.first_child().ok_or(DefinitionError::Overlap)?;
    let start = text
        .get(range.start..first.range().start)
        .and_then(|start| start.strip_suffix('>'))
        .ok_or(DefinitionError::Overlap)?;
    splices.replace(range.start + start.len()..range.end, "/>");
    Ok(())
}

/// An element with the indentation before it, as libvirt writes it.
fn with_space_before(text: &str, element: Node<'_, '_>) -> std::ops::Range<usize> {
    let range = element.range();
    let before = text.get(..range.start).unwrap_or_default();
    before.trim_end().len()..range.end
}

/// Every element of ours, whatever its name: one of a later version may be called otherwise.
pub(super) fn elements<'a, 'i>(document: &'a Document<'i>) -> Vec<Node<'a, 'i>> {
    let metadata = xml::children(document.root_element(), "metadata");
    metadata
        .flat_map(|metadata| metadata.children())
        .filter(is_ours)
        .collect()
}

/// The mark that an element of ours holds, or why it cannot be read.
pub(super) fn parsed(element: Node<'_, '_>) -> Result<MoveMark, String> {
    /// The one field that every layout has.
    #[derive(serde::Deserialize)]
    struct Layout {
        version: u32,
    }
    let text = xml::text_of(element).unwrap_or_default();
    let layout: Layout = serde_json::from_str(&text)
        .map_err(|error| format!("its mark of a move is broken: {error}"))?;
    if layout.version != MoveMark::VERSION {
        return Err(format!(
            "its mark of a move is of layout {}, and this version of Domicile reads {} only",
            layout.version,
            MoveMark::VERSION
        ));
    }
    serde_json::from_str(&text).map_err(|error| format!("its mark of a move is broken: {error}"))
}
