//! Hostile XML text to a tree with limits, and the few look-ups that reading libvirt's XML needs.
//!
//! Document types and entities of one's own are refused, which libvirt never writes. The tree keeps the place of
//! everything in the text, so that a rewrite can leave alone what it does not mean.

use roxmltree::{Document, Node, ParsingOptions};

use crate::model::Bytes;

/// The longest text that is read: libvirt itself refuses strings over 16 MiB on the wire for domain XML.
const BYTES_MAX: usize = 16 << 20;

/// The most nodes in one text; the largest definitions have some thousands.
const NODES_MAX: u32 = 1 << 20;

/// The deepest nesting. libvirt allows 200 images in a backing chain, each nested in the one above.
const DEPTH_MAX: usize = 512;

/// Why a text is no XML that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// It is too long.
    #[error("the XML has {bytes} bytes, more than the {BYTES_MAX} that are read")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It is nested too deeply.
    #[error("the XML is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// It is not well formed.
    #[error("the XML is broken: {0}")]
    Broken(#[from] roxmltree::Error),
    /// The outermost element is another one.
    #[error("the XML is a <{found}>, not a <{wanted}>")]
    OtherRoot {
        /// What was wanted.
        wanted: &'static str,
        /// What it is; at most 64 characters of it.
        found: String,
    },
}

/// Parses the text, whose outermost element must be of that name.
pub(crate) fn parse<'t>(text: &'t str, root: &'static str) -> Result<Document<'t>, XmlError> {
    if text.len() > BYTES_MAX {
        return Err(XmlError::TooLong { bytes: text.len() });
    }
    let options = ParsingOptions {
        nodes_limit: NODES_MAX,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options)?;
    if is_too_deep(document.root_element()) {
        return Err(XmlError::TooDeep);
    }
    let found = document.root_element().tag_name().name();
    if found == root {
        Ok(document)
    } else {
        Err(XmlError::OtherRoot {
            wanted: root,
            found: found.chars().take(64).collect(),
        })
    }
}

/// Walks without recursion, since the depth is what is in doubt.
fn is_too_deep(root: Node<'_, '_>) -> bool {
    let mut node = root;
    let mut depth = 1;
    loop {
        if let Some(child) = node.first_element_child() {
            node = child;
            depth += 1;
            if depth > DEPTH_MAX {
                return true;
            }
            continue;
        }
        loop {
            if node == root {
                return false;
            }
            if let Some(sibling) = node.next_sibling_element() {
                node = sibling;
                break;
            }
            match node.parent_element() {
                Some(parent) => {
                    node = parent;
                    depth -= 1;
                }
                None => return false,
            }
        }
    }
}

/// Every child element of that name.
pub(crate) fn children<'a, 'i: 'a>(
    node: Node<'a, 'i>,
    name: &'a str,
) -> impl Iterator<Item = Node<'a, 'i>> + 'a {
    node.children()
        .filter(move |child| child.is_element() && child.tag_name().name() == name)
}

/// The first child element of that name.
pub(crate) fn child<'a, 'i: 'a>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children()
        .find(|child| child.is_element() && child.tag_name().name() == name)
}

/// The element that one comes to from here by these names.
pub(crate) fn at<'a, 'i: 'a>(node: Node<'a, 'i>, path: &[&str]) -> Option<Node<'a, 'i>> {
    path.iter()
        .try_fold(node, |reached, name| child(reached, name))
}

/// The text in an element, comments left out, trimmed; `None` where there is nothing.
pub(crate) fn text_of(node: Node<'_, '_>) -> Option<String> {
    let pieces = node.children().filter(Node::is_text);
    let whole: String = pieces.filter_map(|piece| piece.text()).collect();
    let trimmed = whole.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// The text of the element that one comes to from here by these names.
pub(crate) fn text_at(node: Node<'_, '_>, path: &[&str]) -> Option<String> {
    text_of(at(node, path)?)
}

/// An attribute of the element that one comes to from here by these names; an empty one counts as none.
pub(crate) fn attribute_at<'a>(node: Node<'a, '_>, path: &[&str], name: &str) -> Option<&'a str> {
    at(node, path)?
        .attribute(name)
        .filter(|value| !value.is_empty())
}

/// An amount as libvirt writes it: a whole number and a `unit` attribute (`virScaleInteger`), which is the given one
/// where the attribute is missing. An amount too large to count is the largest there is.
pub(crate) fn amount(node: Node<'_, '_>, unit_if_none: &str) -> Option<Bytes> {
    scaled(
        &text_of(node)?,
        node.attribute("unit").unwrap_or(unit_if_none),
    )
}

/// The same with the number in an attribute of that name.
pub(crate) fn amount_in(node: Node<'_, '_>, name: &str, unit_if_none: &str) -> Option<Bytes> {
    scaled(
        node.attribute(name)?,
        node.attribute("unit").unwrap_or(unit_if_none),
    )
}

fn scaled(number: &str, unit: &str) -> Option<Bytes> {
    let number: u64 = number.parse().ok()?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "b" | "byte" | "bytes" => 1,
        "kb" => 1_000,
        "k" | "kib" => 1 << 10,
        "mb" => 1_000_000,
        "m" | "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "g" | "gib" => 1 << 30,
        "tb" => 1_000_000_000_000,
        "t" | "tib" => 1 << 40,
        "pb" => 1_000_000_000_000_000,
        "p" | "pib" => 1 << 50,
        "eb" => 1_000_000_000_000_000_000,
        "e" | "eib" => 1 << 60,
        _ => return None,
    };
    Some(Bytes(number.saturating_mul(factor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_every_unit_libvirt_writes() {
        let read = |text: &str| {
            let document = Document::parse(text).unwrap();
            amount(document.root_element(), "KiB")
        };
        assert_eq!(read("<m>4</m>"), Some(Bytes(4096)));
        assert_eq!(read("<m unit='bytes'>4</m>"), Some(Bytes(4)));
        assert_eq!(read("<m unit='G'> 2 </m>"), Some(Bytes(2 << 30)));
        assert_eq!(read("<m unit='MB'>3</m>"), Some(Bytes(3_000_000)));
        assert_eq!(read("<m unit='E'>99</m>"), Some(Bytes(u64::MAX)));
        assert_eq!(read("<m unit='pages'>4</m>"), None);
        assert_eq!(read("<m>-4</m>"), None);
        assert_eq!(read("<m/>"), None);
    }

    #[test]
    fn a_text_that_would_cost_too_much_is_refused() {
        let deep = format!("{}{}", "<a>".repeat(600), "</a>".repeat(600));
        assert_eq!(parse(&deep, "a").unwrap_err(), XmlError::TooDeep);
        let wide = format!("<a>{}</a>", "<b><c/></b>".repeat(600));
        assert!(parse(&wide, "a").is_ok());
        let long = " ".repeat(BYTES_MAX + 1);
        assert!(matches!(
            parse(&long, "a").unwrap_err(),
            XmlError::TooLong { .. }
        ));
    }

    #[test]
    fn document_types_and_entities_are_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>";
        assert!(matches!(parse(bomb, "a").unwrap_err(), XmlError::Broken(_)));
    }

    #[test]
    fn text_around_a_comment_is_one_text() {
        let document = parse("<a> one<!-- no --> two </a>", "a").unwrap();
        assert_eq!(text_of(document.root_element()).as_deref(), Some("one two"));
    }
}
