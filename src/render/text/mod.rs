//! Plans, readings and results for people.

pub(in crate::render) mod diff;
pub(in crate::render) mod findings;
pub(in crate::render) mod moves;
mod observed;
mod plan;
mod restrictions;
pub(in crate::render) mod steps;
mod summary;
mod totals;

pub(super) use diff::diff_lines;
pub(super) use findings::groups;
pub(super) use moves::word;
pub use observed::observed;
pub use plan::plan;
pub use restrictions::{checks_table, restriction, restrictions, restrictions_table};
pub use summary::{next, summary};
pub use totals::{hash, totals};

use crate::model::Millis;

/// A forecast of time; [`Millis`] has no word for a time that nobody can tell.
pub(in crate::render) fn time(span: Millis) -> String {
    if span.0 == u64::MAX {
        "unknown".to_owned()
    } else {
        span.to_string()
    }
}
