//! A plan in the format that was asked for.

use super::args::{Format, OutputArguments};
use super::console::Console;
use super::failure::Failure;
use crate::observed::Roster;
use crate::plan::Plan;
use crate::render::{comment, graph, html, json, text};

/// A plan and what there is to say of it beside what it says itself.
pub(super) struct Shown<'a> {
    pub(super) plan: &'a Plan,
    /// What it is called where nobody chose a name.
    pub(super) name: &'a str,
    /// When it was made, for one that was not made just now.
    pub(super) made_at: Option<&'a str>,
    /// The file that it is in, where it is in one.
    pub(super) file: Option<&'a str>,
    /// Who was on the hosts, where that is known.
    pub(super) roster: Option<&'a Roster>,
}

impl Shown<'_> {
    /// The text of it.
    pub(super) fn render(
        &self,
        console: Console,
        output: &OutputArguments,
    ) -> Result<String, Failure> {
        Ok(match output.format() {
            Format::Text => text::plan(self.plan, &console.style) + &text::hash(self.plan),
            Format::Markdown => comment::plan(
                self.plan,
                &comment::About {
                    name: output.comment_id.as_deref().unwrap_or(self.name),
                    made_at: self.made_at,
                    file: self.file,
                },
            ),
            Format::Json => json::plan(self.plan).map_err(|error| {
                Failure::error(format!("the plan cannot be written as JSON: {error}"))
            })?,
            Format::Mermaid => graph::mermaid(self.plan),
            Format::Dot => graph::dot(self.plan),
            Format::Line => text::totals(self.plan) + "\n",
            Format::Html => html::plan(
                self.plan,
                &html::About {
                    domicile: env!("CARGO_PKG_VERSION"),
                    made_at: self.made_at,
                    roster: self.roster,
                },
            ),
        })
    }
}
