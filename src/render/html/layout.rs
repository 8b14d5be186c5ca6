//! Places in drawings, in whole numbers, and small pieces of markup that several sections use.

use maud::{Markup, html};

use crate::model::{Bytes, HostName, Millis};
use crate::plan::{MoveKind, Severity};
use crate::render::quoted::{Piece, pieces};
use crate::render::style;
use crate::render::text::time;

/// Marks on a time axis.
const TICKS_MAX: u64 = 8;

/// `value` of `of` in units of a drawing that is `units` wide, never beyond it.
pub(super) fn scale(value: u64, of: u64, units: u64) -> u64 {
    let scaled = u128::from(value.min(of)) * u128::from(units) / u128::from(of.max(1));
    u64::try_from(scaled).unwrap_or(units)
}

/// `value` of `of` as a percentage with two decimals, such as `12.50%`.
pub(super) fn percent(value: u64, of: u64) -> String {
    let parts = scale(value, of, 10_000);
    format!("{}.{:02}%", parts / 100, parts % 100)
}

/// Round times between the start and the end, for an axis.
pub(super) fn ticks(end: Millis) -> Vec<Millis> {
    const STEPS: [u64; 19] = [
        100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000,
        600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 86_400_000,
    ];
    let day = 86_400_000;
    let fits = |step: &u64| end.0 / step < TICKS_MAX;
    let step = STEPS.into_iter().find(fits).unwrap_or_else(|| {
        (end.0 / TICKS_MAX / day)
            .saturating_add(1)
            .saturating_mul(day)
    });
    let count = (end.0 / step).min(TICKS_MAX);
    (0..=count)
        .map(|tick| Millis(tick.saturating_mul(step)))
        .collect()
}

/// The time axis of a drawing, for the eye only.
pub(super) fn axis(end: Millis) -> Markup {
    html! {
        svg.axis width="100%" height="20" aria-hidden="true" {
            @for tick in ticks(end) {
                @let x = percent(tick.0, end.0);
                line x1=(x) x2=(x) y1="15" y2="20" {}
                @if tick.0 == 0 {
                    text x="0" y="11" { "0" }
                } @else if scale(tick.0, end.0, 100) < 96 {
                    text x=(x) y="11" text-anchor="middle" { (time(tick)) }
                }
            }
        }
    }
}

/// Hosts as the filter reads them: each with a space on both sides.
pub(super) fn host_words<'h>(hosts: impl IntoIterator<Item = &'h HostName>) -> String {
    let mut words = String::from(" ");
    for host in hosts {
        words.push_str(host.as_str());
        words.push(' ');
    }
    words
}

/// A severity with its code.
pub(super) fn verdict(severity: Severity, code: &str) -> Markup {
    let (word, _) = style::severity(severity);
    html! { span.verdict.(word) { (word) } " " code { (code) } }
}

/// A sentence of ours that says what to do; what is typed stands as code.
pub(super) fn instruction(text: &str) -> Markup {
    html! {
        @for piece in pieces(text) {
            @match piece {
                Piece::Words(words) => (words),
                Piece::Typed(typed) => code { (typed) }
            }
        }
    }
}

/// The name of a way to move, for the style.
pub(super) fn kind(kind: MoveKind) -> &'static str {
    match kind {
        MoveKind::Live => "live",
        MoveKind::Cold => "cold",
        MoveKind::Offline => "offline",
        MoveKind::DiskOnly => "disks",
        MoveKind::Finish => "finish",
    }
}

/// A count with a comma between thousands, as prose writes it.
pub(super) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount before and after, which is one amount where a person could not tell them apart.
pub(super) fn from_to(before: u64, after: u64) -> String {
    let (before, after) = (Bytes(before).to_string(), Bytes(after).to_string());
    if before == after {
        before
    } else {
        format!("{before} → {after}")
    }
}

/// `1 move`, `1,000 moves`.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_within_the_drawing() {
        assert_eq!(percent(1, 8), "12.50%");
        assert_eq!(percent(9, 8), "100.00%");
        assert_eq!(percent(5, 0), "0.00%");
        assert_eq!(percent(u64::MAX, u64::MAX), "100.00%");
    }

    #[test]
    fn an_axis_has_a_few_round_times() {
        assert_eq!(ticks(Millis::ZERO), [Millis::ZERO]);
        assert_eq!(ticks(Millis(131_000)).last(), Some(&Millis(120_000)));
        for end in [1, 999, 86_400_000 * 400, u64::MAX] {
            assert!((1..=9).contains(&ticks(Millis(end)).len()), "{end}");
        }
    }

    #[test]
    fn large_counts_are_readable() {
        assert_eq!(count(999), "999");
        assert_eq!(counted(1_234_567, "move", "moves"), "1,234,567 moves");
    }
}
