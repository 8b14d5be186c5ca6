//! `domicile show`: a file as people or programs read it, without asking any host.

use super::args::ShowArguments;
use super::console::{Console, print};
use super::exit::Exit;
use super::failure::Failure;
use super::saved::{KIND, Saved};
use super::{files, plan};
use crate::render::{json, text};

pub(super) fn run(console: Console, arguments: &ShowArguments) -> Result<Exit, Failure> {
    let path = &arguments.file;
    let source = files::read(path)?;
    let value = files::parse_json(path, &source)?;
    if value.get("kind").and_then(serde_json::Value::as_str) == Some(KIND) {
        let saved = Saved::parse(path, value)?;
        if arguments.json {
            print(&plan::as_json(&saved.plan)?)?;
        } else {
            print(&text::plan(&saved.plan, &console.style))?;
            print(&format!(
                "\nMade at {}; the hosts may have changed since. `domicile apply {}` checks that first.\n",
                saved.made_at,
                path.display(),
            ))?;
        }
        return Ok(Exit::DONE);
    }
    let observed = files::parse_observed(path, &source)?;
    if arguments.json {
        let text = json::observed(&observed).map_err(|error| {
            Failure::error(format!("the reading cannot be written as JSON: {error}"))
        })?;
        print(&text)?;
    } else {
        print(&text::observed(&observed, &console.style))?;
    }
    Ok(Exit::DONE)
}
