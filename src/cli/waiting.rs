//! A moving sign that something is going on, where a terminal can show one.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::console::Console;

/// How often the sign moves.
const TICK: Duration = Duration::from_millis(100);

/// Shown until it ends.
pub(super) struct Waiting {
    bar: ProgressBar,
}

impl Waiting {
    /// Says what is going on.
    pub(super) fn new(console: Console, what: &str) -> Self {
        let target = if console.is_live {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target).with_message(what.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{msg} {spinner} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self { bar }
    }

    /// Takes it away.
    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}
