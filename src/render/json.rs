//! Plans and readings for programs: one document each. [`super::stream`] has the lines of an apply.
//!
//! Every document names its layout in `format_version`. A minor step adds fields, so a reader ignores what it does not
//! know; a major one changes meanings, so a reader refuses what is newer. `schemas/` holds the schema of each.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

use crate::observed::Observed;
use crate::plan::{Drift, Plan, PlanHash, Totals};

/// A plan as `plan --json` and `show --json` print it.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "Domicile plan")]
struct PlanDocument<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    /// Counts of what happens.
    totals: Totals,
    /// How many times the least possible time (`bound`) the plan takes.
    ratio: f64,
    /// Whether an apply would start: there are steps, and nothing is refused.
    applyable: bool,
    /// The hash of what the plan means, for `apply --expect`.
    hash: PlanHash,
}

/// Whether an apply of the plan would start: there are steps, and nothing is refused.
#[must_use]
pub fn is_applyable(plan: &Plan) -> bool {
    !plan.steps.is_empty() && !plan.is_blocked()
}

/// A plan as one document: its own fields, `totals`, `ratio`, `applyable` and `hash`.
///
/// # Errors
/// Never for a plan that the planner made; a number that JSON does not know would be one.
pub fn plan(plan: &Plan) -> serde_json::Result<String> {
    pretty(&PlanDocument {
        plan,
        totals: plan.totals(),
        ratio: plan.ratio(),
        applyable: is_applyable(plan),
        hash: plan.hash(),
    })
}

/// A reading as one document, in the form that `--observed` reads.
///
/// # Errors
/// As for [`plan`].
pub fn observed(observed: &Observed) -> serde_json::Result<String> {
    pretty(observed)
}

/// Drift as one document.
///
/// # Errors
/// As for [`fn@plan`].
pub fn drift(drift: &Drift) -> serde_json::Result<String> {
    pretty(drift)
}

fn pretty(value: &impl Serialize) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(text)
}

/// The JSON schema (draft 2020-12) of what a type looks like when it is written.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    without_links(&mut schema);
    schema
}

/// The comments of types are its descriptions; what links to other documentation there means nothing in a schema.
fn without_links(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                match field {
                    Value::String(text) if key == "description" => {
                        *text = text.replace("[`", "`").replace("`]", "`");
                    }
                    other => without_links(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_links),
        _ => {}
    }
}

/// The schema of [`fn@plan`].
#[must_use]
pub fn plan_schema() -> Value {
    schema_of::<PlanDocument<'_>>()
}

/// The schema of [`fn@drift`].
#[must_use]
pub fn drift_schema() -> Value {
    schema_of::<Drift>()
}

/// The schema of [`fn@observed`].
#[must_use]
pub fn reading_schema() -> Value {
    schema_of::<Observed>()
}
