//! The checker bites: valid plans are changed in every way in which a planner could be wrong, and each changed plan is
//! refused, or does no harm in any order that its waits allow.
//!
//! What is harm is not the checker's to say: the changed plan is carried out on hosts in memory, in many orders, beside
//! the plan that it was made from. Both must break nothing, keep to every limit, end in the same state, and tell the
//! truth about it.

mod acts;
mod cases;
mod claims;
mod edit;
mod play;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;

use domicile::plan::{Plan, check::check};

use crate::dice::Dice;
use crate::each::{count, each_seed, is_replay};
use cases::Case;
use play::Played;

/// Changes a plan somewhere and says how; nothing where it has no such place.
type Change = fn(&Case, &mut Plan, &mut Dice) -> Option<String>;

/// How many times each change is tried on each plan.
const TRIES: usize = 3;

/// How a class of mutants fared.
#[derive(Default, Clone, Copy)]
struct Tally {
    made: usize,
    refused: usize,
    harmless: usize,
    /// Accepted, and does harm.
    slipped: usize,
}

fn changes() -> impl Iterator<Item = (&'static str, Change)> {
    acts::CHANGES.into_iter().chain(claims::CHANGES)
}

/// A valid plan, whose steps come one after the other by the forecast, and what comes of it.
fn played(case: &Case, dice: &mut Dice) -> Result<(Plan, Played), String> {
    let mut original = case.plan.clone();
    edit::one_after_the_other(&mut original);
    let in_words = || edit::in_words(&original);
    let wrong = check(&case.desired, &case.observed, &original);
    if !wrong.is_empty() {
        return Err(format!(
            "a valid plan is refused: {wrong:?}\n{}",
            in_words()
        ));
    }
    let played = Played::of(case, &original, dice)
        .map_err(|why| format!("a valid plan does harm: {why}\n{}", in_words()))?;
    Ok((original, played))
}

/// Every class on one plan; what was accepted and does harm, a line each.
fn try_each(
    case: &Case,
    dice: &mut Dice,
    tallies: &mut BTreeMap<&'static str, Tally>,
) -> Result<String, String> {
    let (original, played) = played(case, dice)?;
    let mut slipped = String::new();
    for (class, change) in changes() {
        for _ in 0..TRIES {
            let mut mutant = original.clone();
            let Some(what) = change(case, &mut mutant, dice) else {
                break;
            };
            edit::one_after_the_other(&mut mutant);
            if mutant == original {
                continue;
            }
            let tally = tallies.entry(class).or_default();
            tally.made += 1;
            let violations = check(&case.desired, &case.observed, &mutant);
            if !violations.is_empty() {
                tally.refused += 1;
                continue;
            }
            match played.harm_of(case, &original, &mutant, dice) {
                None => tally.harmless += 1,
                Some(harm) => {
                    tally.slipped += 1;
                    let _ = writeln!(slipped, "{class}: {what}: {harm}");
                    if is_replay() {
                        slipped.push_str(&edit::in_words(&mutant));
                    }
                }
            }
        }
    }
    Ok(slipped)
}

#[expect(
    clippy::print_stderr,
    reason = "how many mutants of each class there are is what such a run is for"
)]
fn tell(tallies: &BTreeMap<&'static str, Tally>) {
    eprintln!("   made refused harmless slipped  mutants");
    for (class, tally) in tallies {
        let Tally {
            made,
            refused,
            harmless,
            slipped,
        } = tally;
        eprintln!("{made:>7} {refused:>7} {harmless:>8} {slipped:>7}  {class}");
    }
}

/// Every scenario's plan and those of as many random fleets.
fn each_case(
    test: &str,
    seeds: u64,
    trial: impl Fn(u64, &Case, &mut Dice) -> Result<(), String> + Sync,
) {
    let scenarios = cases::scenarios();
    let seeds = u64::try_from(scenarios.len()).unwrap_or(0) + seeds;
    each_seed(test, seeds, |seed| {
        let at = usize::try_from(seed).unwrap_or(usize::MAX);
        let case = match scenarios.get(at) {
            Some(case) => case(),
            None => cases::of_seed(seed)?,
        };
        trial(seed, &case, &mut Dice::new(seed))
    });
}

#[test]
fn a_valid_plan_does_no_harm_in_any_order() {
    each_case("a_valid_plan", count(10).max(60), |_, case, dice| {
        played(case, dice).map(|_| ())
    });
}

#[test]
fn a_wrong_plan_is_refused_or_does_no_harm() {
    let test = "a_wrong_plan";
    let all = Mutex::new((BTreeMap::<&'static str, Tally>::new(), Vec::new()));
    each_case(test, count(5).max(120), |seed, case, dice| {
        let mut own = BTreeMap::new();
        let slipped = try_each(case, dice, &mut own)?;
        let mut all = all.lock().map_err(|error| error.to_string())?;
        for (class, tally) in own {
            let sum = all.0.entry(class).or_default();
            sum.made += tally.made;
            sum.refused += tally.refused;
            sum.harmless += tally.harmless;
            sum.slipped += tally.slipped;
        }
        if !slipped.is_empty() {
            all.1.push((seed, slipped));
        }
        Ok(())
    });
    let (tallies, mut slipped) = all.into_inner().expect("no worker panicked");
    tell(&tallies);
    slipped.sort();
    if let Some((seed, what)) = slipped.first() {
        panic!(
            "{} plans have mutants that slip through, the first that of seed {seed}:\n{what}\n\
             DOMICILE_SEED={seed} cargo test --test seeds {test}",
            slipped.len()
        );
    }
    for (class, _) in changes().filter(|_| !is_replay()) {
        let tally = tallies.get(class).copied().unwrap_or_default();
        assert!(
            tally.refused > 0,
            "none of {} is refused: {class}",
            tally.made
        );
    }
}
