//! Whatever goes wrong, and whenever a person stops it, no invariant breaks, no VM stays off without a word, and
//! planning and applying again brings every VM to where it shall be.
//!
//! Each seed makes a fleet and what befalls its plans while they are carried out. A seed that fails prints the command
//! that runs it alone. The number of seeds is what these tests live of, so they are built for speed:
//! `cargo test --profile checked --test seeds`; without that they try a few.

#[path = "../support/mod.rs"]
mod support;

mod dice;
mod each;
mod inputs;
mod mutants;
mod mutate;
mod trial;

use domicile::simulator::Faults;

use each::{count, each_seed};
use trial::Trial;

/// The faults of one round of a seed's trial.
fn faults(seed: u64, round: u64) -> Faults {
    Faults::from_seed(seed.wrapping_mul(8).wrapping_add(round))
}

#[test]
fn whatever_fails_nothing_is_lost_and_applying_again_finishes_it() {
    let test = "whatever_fails";
    each_seed(test, count(800), |seed| {
        let mut trial = Trial::new(seed);
        for round in 0..=seed % 3 {
            let press = (seed % 5 == 4).then_some(seed / 5 % 40);
            trial.run_with(faults(seed, round), press)?;
        }
        if seed % 4 == 3 {
            trial.run_on()?;
        }
        let refused = trial.settle()?;
        trial.check_placement(seed, &refused)
    });
}

#[test]
fn whoever_changes_the_manifest_before_all_is_done_gets_what_it_says_by_then() {
    let test = "whoever_changes_the_manifest";
    each_seed(test, count(150), |seed| {
        let mut trial = Trial::new(seed);
        for round in 0..=seed % 3 {
            trial.run_with(faults(seed, round), None)?;
            trial.change_mind(seed.wrapping_add(round));
        }
        let refused = trial.settle()?;
        trial.check_placement(seed, &refused)
    });
}

#[test]
fn wherever_it_is_stopped_nothing_is_lost_and_applying_again_finishes_it() {
    let test = "wherever_it_is_stopped";
    each_seed(test, count(50), |seed| {
        let mut trial = Trial::new(seed);
        let first = trial.plan();
        // The first press comes somewhere in the first few events, the second, if any, soon after.
        let (once, twice) = (seed % 23, seed % 23 + seed % 5);
        let mut count = 0;
        let summary = trial.apply(&first, |_, cancel| {
            if count == once || (count == twice && seed.is_multiple_of(2)) {
                cancel.press();
            }
            count += 1;
        });
        trial.check_end(&summary, &[])?;
        if !summary.stranded.is_empty() || !summary.failed.is_empty() {
            return trial.wrong("stopping made steps fail", &summary);
        }
        let refused = trial.settle()?;
        trial.check_placement(seed, &refused)
    });
}

#[test]
fn a_seed_gives_the_same_events_each_time_with_many_steps_at_once() {
    for seed in 0..30 {
        let events = || {
            let mut trial = Trial::new(seed);
            trial.hosts.set_faults(Faults::from_seed(seed));
            let first = trial.plan();
            let mut events = Vec::new();
            trial.apply(&first, |event, _| events.push(event.clone()));
            events
        };
        assert_eq!(events(), events(), "seed {seed}");
    }
}
