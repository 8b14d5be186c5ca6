//! `domicile explain`: what a restriction is about.

use super::console::{Console, print};
use super::exit::Exit;
use super::failure::Failure;
use crate::render::text;
use crate::rules;

pub(super) fn run(console: Console, code: Option<&str>) -> Result<Exit, Failure> {
    let shown = match code {
        None => text::restrictions(&console.style),
        Some(code) => match rules::rule(code) {
            Some(rule) => text::restriction(&rule, &console.style),
            None => return Err(unknown(code)),
        },
    };
    print(&shown)?;
    Ok(Exit::DONE)
}

/// Refuses codes that no rule has: a risk that is accepted under a wrong name would be refused without a word why.
pub(super) fn expect_codes<'c>(mut codes: impl Iterator<Item = &'c str>) -> Result<(), Failure> {
    match codes.find(|code| rules::rule(code).is_none()) {
        Some(code) => Err(unknown(code)),
        None => Ok(()),
    }
}

fn unknown(code: &str) -> Failure {
    Failure::error(format!("there is no rule with the code {code}")).help(advice(code))
}

/// What was probably meant by a code that no rule has.
pub(super) fn advice(code: &str) -> String {
    let all = rules::catalogue();
    let likeness = |rule: &rules::Rule| strsim::jaro_winkler(code, rule.code);
    let best = all
        .iter()
        .max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    match best.filter(|rule| likeness(rule) >= LIKENESS_MIN) {
        Some(rule) => format!("did you mean `{}`?", rule.code),
        None => "`domicile explain` lists all codes".to_owned(),
    }
}

/// Below this likeness (0 to 1) a suggestion confuses more than it helps.
const LIKENESS_MIN: f64 = 0.8;
