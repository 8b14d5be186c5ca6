//! `domicile show`: a file as people or programs read it, without asking any host.

use super::args::{Format, ShowArguments};
use super::console::{Console, print, remark};
use super::exit::Exit;
use super::failure::Failure;
use super::files;
use super::output::Shown;
use super::saved::{KIND, Saved};
use crate::render::{json, text};

pub(super) fn run(console: Console, arguments: &ShowArguments) -> Result<Exit, Failure> {
    let path = &arguments.file;
    let source = files::read(path)?;
    let value = files::parse_json(path, &source)?;
    let format = arguments.output.format();
    if value.get("kind").and_then(serde_json::Value::as_str) == Some(KIND) {
        let saved = Saved::parse(path, value)?;
        let file = path.display().to_string();
        let shown = Shown {
            plan: &saved.plan,
            name: &saved.name,
            made_at: Some(&saved.made_at),
            file: Some(&file),
            roster: saved.roster.as_ref(),
        };
        print(&shown.render(console, &arguments.output)?)?;
        let warning = format!(
            "Made at {}; the hosts may have changed since. `domicile apply {file}` checks that first.",
            saved.made_at,
        );
        if format == Format::Text {
            print(&format!("\n{warning}\n"))?;
        } else {
            remark(&warning);
        }
        return Ok(Exit::DONE);
    }
    let observed = files::parse_observed(path, &source)?;
    match format {
        Format::Text => print(&text::observed(&observed, &console.style))?,
        Format::Json => {
            let text = json::observed(&observed).map_err(|error| {
                Failure::error(format!("the reading cannot be written as JSON: {error}"))
            })?;
            print(&text)?;
        }
        Format::Markdown | Format::Mermaid | Format::Dot | Format::Html | Format::Line => {
            return Err(Failure::new(
                Exit::USAGE,
                format!("{} is a reading of hosts, not a plan", path.display()),
            )
            .help("readings are shown as text or json"));
        }
    }
    Ok(Exit::DONE)
}
