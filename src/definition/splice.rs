//! Replacements at places of a text, made all at once; what lies between them is not touched.

use std::ops::Range;

use roxmltree::{Attribute, Node};

use super::DefinitionError;

/// Replacements that were noted and not yet made.
#[derive(Debug, Default)]
pub(super) struct Splices {
    all: Vec<(Range<usize>, String)>,
}

impl Splices {
    /// Notes that the text of that range becomes another.
    pub(super) fn replace(&mut self, range: Range<usize>, by: impl Into<String>) {
        self.all.push((range, by.into()));
    }

    /// Notes that an attribute gets another name and value.
    pub(super) fn set_attribute(
        &mut self,
        attribute: &Attribute<'_, '_>,
        name: &str,
        value: &str,
        what: &'static str,
    ) -> Result<(), DefinitionError> {
        if attribute.name() != name || attribute.value() != value {
            self.replace(
                attribute.range(),
                format!("{name}='{}'", escaped(value, what)?),
            );
        }
        Ok(())
    }

    /// Notes that an attribute goes, with the white space before it.
    pub(super) fn remove_attribute(&mut self, text: &str, attribute: &Attribute<'_, '_>) {
        let range = attribute.range();
        let before = text.get(..range.start).unwrap_or_default();
        self.replace(before.trim_end().len()..range.end, "");
    }

    /// The text with every replacement made.
    pub(super) fn made_in(mut self, text: &str) -> Result<String, DefinitionError> {
        self.all.sort_by_key(|(range, _)| (range.start, range.end));
        let mut result = String::with_capacity(text.len() + 256);
        let mut done = 0;
        for (range, by) in &self.all {
            let between = text.get(done..range.start);
            result.push_str(between.ok_or(DefinitionError::Overlap)?);
            result.push_str(by);
            done = range.end;
        }
        result.push_str(text.get(done..).ok_or(DefinitionError::Overlap)?);
        Ok(result)
    }
}

/// Notes that something is added at the end of what an element holds; `<element/>` gets an end tag.
pub(super) fn append(
    splices: &mut Splices,
    text: &str,
    element: Node<'_, '_>,
    added: &str,
) -> Result<(), DefinitionError> {
    let range = element.range();
    let whole = text.get(range.clone()).ok_or(DefinitionError::Overlap)?;
    if let Some(open) = whole.strip_suffix("/>") {
        let name = open
            .trim_start_matches('<')
            .split(char::is_whitespace)
            .next()
            .unwrap_or_default();
        let start = range.start + open.len();
        splices.replace(start..range.end, format!(">{added}</{name}>"));
    } else {
        let end = range.start + whole.rfind("</").ok_or(DefinitionError::Overlap)?;
        splices.replace(end..end, added);
    }
    Ok(())
}

/// The value as it stands between quotes or tags.
pub(super) fn escaped(value: &str, what: &'static str) -> Result<String, DefinitionError> {
    let mut out = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            // A parser turns these into spaces where they stand bare.
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                return Err(DefinitionError::Value {
                    what,
                    value: value.to_owned(),
                });
            }
            other => out.push(other),
        }
    }
    Ok(out)
}
