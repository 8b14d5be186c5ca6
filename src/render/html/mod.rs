//! A plan as one page for a browser: a single file that loads nothing and sends nothing.
//!
//! Everything that can be read is in the markup; the script filters, opens, turns the theme and moves the focus. Without
//! it the page is read all the same. The page forbids itself every request by a content security policy that allows
//! its own style and script by their hashes, so that not even a hole in the escaping could load or run anything.
//!
//! Text from hosts is escaped by the markup's builder, and the finished document passes [`clean()`], so that no name
//! hides or turns a part of a line.

mod diff;
mod document;
mod findings;
mod hosts;
mod layout;
mod moves;
mod room;
mod schedule;
mod steps;
mod view;

pub use view::{About, DETAILED_MOVES_MAX};

use maud::html;

use super::clean;
use crate::plan::Plan;
use view::View;

/// A plan as one HTML document.
#[must_use]
pub fn plan(plan: &Plan, about: &About<'_>) -> String {
    let view = View::of(plan, about.roster);
    let body = html! {
        (document::header(&view, about))
        main id="main" tabindex="-1" {
            (findings::section(&view))
            (moves::section(&view))
            (schedule::section(&view))
            (room::section(&view))
            (hosts::section(&view))
        }
        (document::footer(&view, about))
    };
    let page = document::whole(&view, &body).into_string();
    let lines: Vec<_> = page.split('\n').map(clean).collect();
    lines.join("\n")
}
