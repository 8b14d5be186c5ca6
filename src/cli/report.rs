//! Failures to what people read on standard error.

use std::panic::PanicHookInfo;

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::console::{Console, remark};
use super::failure::Failure;
use crate::render::clean;

/// The most reports shown at once; a broken template may make thousands of the same fault.
const SHOWN_MAX: usize = 50;

/// Prints all that a failure has to say.
pub(super) fn report(console: Console, failure: &Failure) {
    let theme = if console.errors.color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(console.errors.width)
        .with_links(false);
    for report in failure.reports.iter().take(SHOWN_MAX) {
        let mut text = String::new();
        match handler.render_report(&mut text, report.as_ref()) {
            Ok(()) => remark(&format!("\n{}", text.trim_matches('\n'))),
            Err(_) => remark(&report.to_string()),
        }
    }
    let hidden = failure.reports.len().saturating_sub(SHOWN_MAX);
    if hidden > 0 {
        remark(&format!("\n… and {hidden} more of these"));
    }
    if failure.reports.len() > 1 {
        remark(&format!(
            "\n{} faults; nothing was done.",
            failure.reports.len()
        ));
    }
}

/// What a panic says instead of a backtrace.
pub(super) fn bug(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let what = message(info);
    remark(&format!(
        "\nDomicile has met a bug in itself: {} (at {place})\n\
         Please report it with the command that you ran. If an apply was under way, run `domicile plan` before anything \
         else: it reads the hosts and shows what is unfinished.",
        clean(what),
    ));
}

fn message<'p>(info: &'p PanicHookInfo<'_>) -> &'p str {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
