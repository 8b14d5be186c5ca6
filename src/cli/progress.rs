//! The events of an apply, shown as they come: bars on a terminal, lines elsewhere, JSON on request.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::console::Console;
use crate::apply::{Event, Happening};
use crate::plan::{Plan, StepId};
use crate::render::progress::{Level, Lines, amount, level, sentence};
use crate::render::{Role, clean, stream};

/// How often a bar's clock moves.
const TICK: Duration = Duration::from_millis(200);

/// Columns that a bar's margins and its clock take.
const ELAPSED: usize = 10;

/// Shows events. Nothing that goes wrong here stops an apply.
pub(super) enum Shower<'p> {
    Bars(Bars<'p>),
    Lines(Lines<'p>),
    Json(&'p Plan),
}

impl<'p> Shower<'p> {
    pub(super) fn new(console: Console, plan: &'p Plan, json: bool) -> Self {
        if json {
            Self::Json(plan)
        } else if console.is_live {
            Self::Bars(Bars::new(console, plan))
        } else {
            Self::Lines(Lines::new(plan))
        }
    }

    pub(super) fn show(&mut self, event: &Event) {
        match self {
            Self::Bars(bars) => bars.show(event),
            Self::Lines(lines) => lines.line(event).iter().for_each(|line| say(line)),
            Self::Json(plan) => stream::event(plan, event, &now())
                .iter()
                .for_each(|line| say(line)),
        }
    }
}

/// The time of day as the lines of the stream say it.
pub(super) fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// The time of day in seconds since 1970.
pub(super) fn seconds() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A line for whoever still listens.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A bar for each step that runs, and above them a line for each that ended.
pub(super) struct Bars<'p> {
    console: Console,
    plan: &'p Plan,
    all: MultiProgress,
    running: BTreeMap<StepId, ProgressBar>,
}

impl<'p> Bars<'p> {
    fn new(console: Console, plan: &'p Plan) -> Self {
        Self {
            console,
            plan,
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stdout()),
            running: BTreeMap::new(),
        }
    }

    fn show(&mut self, event: &Event) {
        match &event.what {
            Happening::StepStarted { step } => self.start(*step),
            Happening::StepProgress {
                step,
                done,
                total,
                rate,
            } => {
                if let Some(bar) = self.running.get(step) {
                    bar.set_length(total.0.max(1));
                    bar.set_position(done.0);
                    bar.set_message(amount(*done, *total, *rate));
                }
            }
            Happening::StepDone { step, .. } | Happening::StepFailed { step, .. } => {
                if let Some(bar) = self.running.remove(step) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
                self.tell(&event.what);
            }
            Happening::StepNotStarted { .. } => {}
            Happening::Finished(_) => {
                let _ = self.all.clear();
            }
            _ => self.tell(&event.what),
        }
    }

    fn start(&mut self, step: StepId) {
        let bar = self.all.add(ProgressBar::new(1));
        // Nothing may be longer than a line, or the terminal's own breaks garble what is drawn anew.
        let name = self.console.style.width.saturating_sub(ELAPSED);
        let template = format!("  {{prefix:<{name}!}} {{elapsed}}\n    {{bar:20}} {{wide_msg}}");
        // A bar in another dress would be no harm.
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let action = self
            .plan
            .steps
            .get(step.0)
            .map(|step| step.action.to_string());
        let what = format!("step {step}, {}", action.unwrap_or_default());
        bar.set_prefix(clean(&what).into_owned());
        bar.enable_steady_tick(TICK);
        self.running.insert(step, bar);
    }

    fn tell(&self, what: &Happening) {
        let role = match (what, level(what)) {
            (Happening::MoveDone { .. }, _) => Role::Good,
            (_, Level::Error) => Role::Bad,
            (_, Level::Warn) => Role::Warning,
            _ => Role::Plain,
        };
        let line = self.console.style.paint(role, &sentence(self.plan, what));
        let _ = self.all.println(line);
    }
}
