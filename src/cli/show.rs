//! `domicile show`: a file as people or programs read it, without asking any host.

use super::args::{Format, ShowArguments};
use super::console::{Console, print};
use super::exit::Exit;
use super::failure::Failure;
use super::saved::{KIND, Saved};
use super::{files, plan};
use crate::render::{html, json, text};

pub(super) fn run(console: Console, arguments: &ShowArguments) -> Result<Exit, Failure> {
    let path = &arguments.file;
    let source = files::read(path)?;
    let value = files::parse_json(path, &source)?;
    if value.get("kind").and_then(serde_json::Value::as_str) == Some(KIND) {
        let saved = Saved::parse(path, value)?;
        match arguments.format() {
            Format::Json => print(&plan::as_json(&saved.plan)?)?,
            Format::Html => print(&as_html(&saved))?,
            Format::Text => {
                print(&text::plan(&saved.plan, &console.style))?;
                print(&format!(
                    "\nMade at {}; the hosts may have changed since. `domicile apply {}` checks that first.\n",
                    saved.made_at,
                    path.display(),
                ))?;
            }
        }
        return Ok(Exit::DONE);
    }
    let observed = files::parse_observed(path, &source)?;
    match arguments.format() {
        Format::Json => {
            let text = json::observed(&observed).map_err(|error| {
                Failure::error(format!("the reading cannot be written as JSON: {error}"))
            })?;
            print(&text)?;
        }
        Format::Text => print(&text::observed(&observed, &console.style))?,
        Format::Html => {
            let what = format!(
                "{} is a reading, and only a plan has a page",
                path.display()
            );
            return Err(Failure::error(what).help(
                "pass a file that `domicile plan --out FILE` wrote, or leave out `--format html`",
            ));
        }
    }
    Ok(Exit::DONE)
}

fn as_html(saved: &Saved) -> String {
    let about = html::About {
        domicile: env!("CARGO_PKG_VERSION"),
        made_at: Some(&saved.made_at),
        roster: saved.roster.as_ref(),
    };
    html::plan(&saved.plan, &about)
}
