//! Journals of earlier applies to what they teach about durations: how long migrations and copies took, and how long
//! guests stood still, against what was reckoned for them.
//!
//! The middle of all ratios counts, so that one move which waited for a person changes nothing, and only with a few of
//! them: two moves are no rule. Only steps that came to their end count, and only on real hosts.
//!
//! What moves lose to each other over a link that they share counts as slowness of each. That is right as long as as many
//! share it the next time; forecasts know no sharing, so that to take it off here would make them too short. Where hosts
//! have bandwidth budgets, transfers that would share a link go one after the other, and nothing is lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::Happening;
use super::lines::{self, NotAJournal};
use crate::model::{Calibration, Millis};
use crate::plan::{Carrying, Plan, StepId};

/// So many steps of a kind must have been measured.
pub const SAMPLES_MIN: usize = 3;
/// Shorter steps are mostly what calls take, not what is carried.
const SHORTEST: Millis = Millis(1000);
/// Whatever was measured, forecasts stay within these thousandths of what is reckoned: links of 10 Gbit/s where 1 was
/// reckoned with are within, clocks that jumped are not.
const RANGE: std::ops::RangeInclusive<u32> = 50..=10_000;

/// Where a journal's durations come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Times {
    /// Real hosts.
    #[default]
    Measured,
    /// Hosts in memory: they teach nothing.
    Simulated,
}

/// What a step was reckoned to take, before anything was corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reckoned {
    step: StepId,
    kind: Carrying,
    time: Millis,
    /// How long the guest stands still, where it runs.
    #[serde(default)]
    downtime: Millis,
}

/// What is reckoned of a plan's steps that teach something.
pub(super) fn reckoned(plan: &Plan) -> Vec<Reckoned> {
    let calibration = &plan.calibration;
    let steps = plan.steps.iter().enumerate();
    let known = steps.filter_map(|(index, step)| {
        let kind = Carrying::of(&step.action)?;
        let forecast = &step.forecast;
        Some(Reckoned {
            step: StepId(index),
            kind,
            time: Calibration::reckoned(kind.thousandths(calibration), forecast.duration),
            downtime: Calibration::reckoned(calibration.downtime, forecast.downtime),
        })
    });
    known.collect()
}

/// What was measured, in thousandths of what was reckoned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    live: Vec<u32>,
    copy: Vec<u32>,
    downtime: Vec<u32>,
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    times: Times,
    #[serde(default)]
    reckoned: Vec<Reckoned>,
}

impl Records {
    /// Adds what a journal tells, and says where its times come from; simulated ones are left out. The journal of an
    /// apply that died counts as far as it goes.
    ///
    /// # Errors
    /// When the text is no journal; then nothing of it is added.
    pub fn add(&mut self, journal: &str) -> Result<Times, NotAJournal> {
        let (header, events): (Header, _) = lines::read(journal)?;
        let mut left: BTreeMap<StepId, Reckoned> = header
            .reckoned
            .into_iter()
            .map(|reckoned| (reckoned.step, reckoned))
            .collect();
        let mut new = Self::default();
        for event in events {
            let Happening::StepDone {
                step,
                took,
                downtime,
                ..
            } = event?.what
            else {
                continue;
            };
            if let Some(reckoned) = left.remove(&step) {
                new.compare(&reckoned, took, downtime);
            }
        }
        if header.times == Times::Measured {
            self.live.extend(new.live);
            self.copy.extend(new.copy);
            self.downtime.extend(new.downtime);
        }
        Ok(header.times)
    }

    fn compare(&mut self, reckoned: &Reckoned, took: Millis, downtime: Option<Millis>) {
        let of_kind = match reckoned.kind {
            Carrying::Live => &mut self.live,
            Carrying::Copy => &mut self.copy,
        };
        if reckoned.time >= SHORTEST {
            of_kind.extend(ratio(took, reckoned.time));
        }
        if let (Carrying::Live, Some(downtime)) = (reckoned.kind, downtime) {
            self.downtime.extend(ratio(downtime, reckoned.downtime));
        }
    }

    /// Whether enough was measured to correct anything by.
    #[must_use]
    pub fn suffice(&self) -> bool {
        [&self.live, &self.copy, &self.downtime]
            .into_iter()
            .any(|ratios| middle(ratios).is_some())
    }

    /// What forecasts are to be corrected by.
    #[must_use]
    pub fn calibration(&self) -> Calibration {
        let default = Calibration::default();
        Calibration {
            live: middle(&self.live).unwrap_or(default.live),
            copy: middle(&self.copy).unwrap_or(default.copy),
            downtime: middle(&self.downtime).unwrap_or(default.downtime),
        }
    }
}

/// Thousandths; `None` where nothing was reckoned.
fn ratio(measured: Millis, reckoned: Millis) -> Option<u32> {
    let ratio = (u128::from(measured.0) * 1000).checked_div(u128::from(reckoned.0))?;
    Some(u32::try_from(ratio).unwrap_or(u32::MAX))
}

fn middle(ratios: &[u32]) -> Option<u32> {
    let mut ratios = ratios.to_vec();
    ratios.sort_unstable();
    let middle = ratios.get(ratios.len() / 2).copied();
    let middle = middle.filter(|_| ratios.len() >= SAMPLES_MIN);
    middle.map(|ratio| ratio.clamp(*RANGE.start(), *RANGE.end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::event::Event;
    use crate::model::Bytes;

    /// A journal of live migrations that were reckoned to take ten seconds each, with 300 ms of downtime.
    fn journal(happenings: Vec<Happening>) -> String {
        let reckoned = |step| serde_json::json!({ "step": step, "kind": "live", "time": 10_000, "downtime": 300 });
        let reckoned: Vec<_> = (0..9).map(reckoned).collect();
        let header = serde_json::json!({ "format_version": "1.2", "reckoned": reckoned });
        let events = happenings.into_iter().map(|what| {
            let event = Event {
                at: Millis(0),
                what,
            };
            serde_json::json!({ "time": "2026-01-01T00:00:00Z", "event": event }).to_string()
        });
        let lines = [header.to_string()].into_iter().chain(events);
        lines.collect::<Vec<_>>().join("\n")
    }

    fn done(step: usize, took: u64, downtime: Option<u64>) -> Happening {
        Happening::StepDone {
            step: StepId(step),
            took: Millis(took),
            bytes: Bytes::ZERO,
            downtime: downtime.map(Millis),
            saved: Bytes::ZERO,
        }
    }

    fn of(took: &[u64]) -> String {
        let steps = took.iter().enumerate();
        journal(steps.map(|(step, took)| done(step, *took, None)).collect())
    }

    fn learned(journal: &str) -> Calibration {
        let mut records = Records::default();
        records.add(journal).unwrap();
        records.calibration()
    }

    #[test]
    fn the_middle_of_what_was_measured_counts_and_not_a_move_that_waited_for_a_person() {
        let learned = learned(&of(&[12_000, 13_000, 900_000]));
        assert_eq!(
            (learned.live, learned.copy, learned.downtime),
            (1300, 1000, 1000)
        );
    }

    #[test]
    fn two_moves_are_no_rule_and_nothing_is_believed_that_is_out_of_all_proportion() {
        assert!(learned(&of(&[20_000, 20_000])).is_none());
        assert_eq!(learned(&of(&[1, 1, 1])).live, 50);
        assert_eq!(learned(&of(&[999_999, u64::MAX, u64::MAX])).live, 10_000);
    }

    #[test]
    fn the_time_for_which_guests_stood_still_counts_where_it_was_measured() {
        let steps = [Some(60), Some(90), None, Some(2000)];
        let steps = steps.into_iter().enumerate();
        let text = journal(steps.map(|(step, down)| done(step, 10_000, down)).collect());
        let learned = learned(&text);
        assert_eq!((learned.live, learned.downtime), (1000, 300));
    }

    #[test]
    fn a_step_that_failed_does_not_count_and_one_that_is_told_twice_counts_once() {
        let failed = |step| Happening::StepFailed {
            step: StepId(step),
            what: "migration".to_owned(),
            why: "no route".to_owned(),
            help: None,
            cancelled: false,
        };
        let told = |last| {
            let steps = vec![done(0, 20_000, None), done(1, 20_000, None), last];
            learned(&journal(steps))
        };
        assert!(told(failed(2)).is_none());
        assert!(told(done(1, 20_000, None)).is_none());
        assert_eq!(told(done(2, 20_000, None)).live, 2000);
    }

    #[test]
    fn what_was_only_simulated_teaches_nothing() {
        let text = of(&[20_000; 5]).replacen('{', r#"{"times":"simulated","#, 1);
        let mut records = Records::default();
        assert_eq!(records.add(&text), Ok(Times::Simulated));
        assert!(!records.suffice());
    }

    #[test]
    fn what_is_no_journal_is_refused_by_its_line_and_one_that_was_cut_off_counts_as_far_as_it_goes()
    {
        let mut records = Records::default();
        assert_eq!(records.add("version: 1").unwrap_err().line, 1);
        let whole = of(&[20_000; 3]);
        let broken = whole.replacen("\n{", "\n{]", 1);
        let error = records.add(&broken).unwrap_err();
        assert_eq!((error.line, error.column), (2, 2), "{error}");
        records.add(&whole[..whole.len() - 20]).unwrap();
        assert!(!records.suffice());
        records.add(&whole).unwrap();
        assert_eq!(records.calibration().live, 2000);
    }

    #[test]
    fn the_order_of_journals_does_not_matter() {
        let texts = [&[11_000, 12_000, 50_000][..], &[9_000, 40_000], &[13_000]].map(of);
        let all = |order: [usize; 3]| {
            let mut records = Records::default();
            for index in order {
                records.add(&texts[index]).unwrap();
            }
            records.calibration()
        };
        assert_eq!(all([0, 1, 2]), all([2, 1, 0]));
    }
}
