//! A definition's change, coloured line by line.

use maud::{Markup, html};

use crate::render::Style;
use crate::render::page::Page;
use crate::render::text::diff;

/// The diff as the terminal shows it, with a style for what goes and what comes.
pub(super) fn definition(before: &str, after: &str) -> Markup {
    let style = Style::plain(usize::MAX);
    let mut page = Page::new(&style);
    diff::unified(&mut page, 0, before, after);
    let text = page.finish();
    html! {
        pre.diff {
            @for line in text.lines() {
                @match line.as_bytes().first() {
                    Some(b'-') => { del { (line) } }
                    Some(b'+') => { ins { (line) } }
                    _ => { (line) }
                }
                "\n"
            }
        }
    }
}
