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

/// The definition with this mark and no other.
///
/// # Errors
/// When the text is no definition.
pub fn with_mark(definition: &str, mark: &MoveMark) -> Result<String, DefinitionError> {
    let element = mark_element(mark)?.replacen(
        "<move>",
        &format!(
            "<{0}:move xmlns:{0}='{1}'>",
            MoveMark::PREFIX,
            MoveMark::NAMESPACE
        ),
        1,
    );
    let element = element.replacen("</move>", &format!("</{}:move>", MoveMark::PREFIX), 1);
    let bare = without_mark(definition)?;
    let document = xml::parse(&bare, "domain")?;
    let root = document.root_element();
    let mut splices = Splices::default();
    match xml::child(root, "metadata") {
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

/// The definition without any mark.
///
/// # Errors
/// When the text is no definition.
pub fn without_mark(definition: &str) -> Result<String, DefinitionError> {
    let document = xml::parse(definition, "domain")?;
    let mut splices = Splices::default();
    for element in elements(&document) {
        splices.replace(element.range(), "");
    }
    splices.made_in(definition)
}

/// Every element of ours, whatever its name: one of a later version may be called otherwise.
pub(super) fn elements<'a, 'i>(document: &'a Document<'i>) -> Vec<Node<'a, 'i>> {
    let metadata = xml::children(document.root_element(), "metadata");
    metadata
        .flat_map(|metadata| metadata.children())
        .filter(|child| child.tag_name().namespace() == Some(MoveMark::NAMESPACE))
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
