//! Random definitions by libvirt's own schema, as its client library brings it along.

use std::collections::BTreeSet;
use std::path::Path;

use super::random::hold;
use crate::schema::{Documents, Grammar};

/// Where libvirt's client library keeps its schemas.
const SCHEMAS: &str = "/usr/share/libvirt/schemas";

/// How many definitions are made.
const SEEDS: u64 = 150;

#[test]
fn no_definition_that_libvirts_schema_allows_makes_us_panic_or_drop_an_element() {
    let grammar = Grammar::read(Path::new(SCHEMAS), "domain.rng");
    let mut documents = Documents::of(&grammar);
    let named = std::env::var("DOMICILE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seeds = named.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    let mut devices = BTreeSet::new();
    let (mut read, mut rewritten) = (0, 0);
    for seed in seeds {
        let text = documents.of_seed(seed);
        let held = std::panic::catch_unwind(|| hold(&text)).unwrap_or(Err("it panics".into()));
        let found = held.unwrap_or_else(|why| {
            panic!("{why}\n\nDOMICILE_SEED={seed} cargo test --test runner schema\n\n{text}")
        });
        read += u64::from(found.is_read);
        rewritten += found.rewritten;
        devices.extend(found.devices);
    }
    if named.is_none() {
        assert_eq!(devices, grammar.children_of("devices"));
        assert!(2 * read > SEEDS, "only {read} of {SEEDS} can be read");
        assert!(rewritten > 60, "only {rewritten} changes were made");
    }
}
