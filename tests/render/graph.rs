//! The graphs, held by snapshots; hostile names stay within their quotes.

use domicile::render::graph::{dot, mermaid};

use super::hostile;
use super::sample;

#[test]
fn a_plan_for_mermaid() {
    insta::assert_snapshot!(mermaid(&sample::plan()));
}

#[test]
fn a_plan_for_graphviz() {
    insta::assert_snapshot!(dot(&sample::plan()));
}

#[test]
fn no_name_ends_a_quote_or_a_line_of_a_graph() {
    for name in hostile::NAMES {
        let renamed = hostile::renamed(&sample::plan(), name);
        let (plain, strange) = (mermaid(&sample::plan()), mermaid(&renamed));
        assert_eq!(plain.lines().count(), strange.lines().count(), "{name}");
        for line in strange.lines() {
            let quotes = line.matches('"').count();
            assert!(quotes == 0 || quotes == 2, "{line}");
            assert!(!line.contains('<') && !line.contains('`'), "{line}");
        }
        let (plain, strange) = (dot(&sample::plan()), dot(&renamed));
        assert_eq!(plain.lines().count(), strange.lines().count(), "{name}");
        for (was, is) in plain.lines().zip(strange.lines()) {
            assert_eq!(quotes(was), quotes(is), "{is}");
        }
    }
}

/// How many quotes of Graphviz's language open or close a text.
fn quotes(line: &str) -> usize {
    let mut count = 0;
    let mut escaped = false;
    for letter in line.chars() {
        count += usize::from(letter == '"' && !escaped);
        escaped = letter == '\\' && !escaped;
    }
    count
}
