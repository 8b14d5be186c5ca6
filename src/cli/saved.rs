//! A plan on disk, between the review and the apply.
//!
//! The file holds what the reviewer saw and the demand that it came from. Its checksum finds damage and edits by hand;
//! it is no signature, so a file must come from where only the right people can write.

use std::path::Path;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::files;
use crate::desired::Desired;
use crate::observed::Observed;
use crate::plan::{Basis, Plan, PlanHash, Since};
use crate::render::json;

/// The layout of the file. A minor step adds fields, a major one changes their meaning.
const FORMAT_VERSION: &str = "1.0";

/// What the file says it is.
pub(super) const KIND: &str = "domicile-plan";

/// A saved plan, as `plan --out` writes it and `apply` reads it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Domicile saved plan")]
struct Document {
    /// The layout: a minor step adds fields, a major one changes their meaning.
    format_version: String,
    /// What the file is: `domicile-plan`.
    #[schemars(extend("const" = KIND))]
    kind: String,
    /// The version of Domicile that made it.
    domicile: String,
    /// SHA-256 of the JSON of `saved` without white space, its keys in order.
    sha256: String,
    /// The plan and what it was made from.
    #[schemars(with = "Saved")]
    saved: serde_json::Value,
}

/// The JSON schema of a saved plan.
pub(super) fn schema() -> serde_json::Value {
    json::schema_of::<Document>()
}

/// What a plan file holds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(super) struct Saved {
    /// When it was made.
    pub(super) made_at: String,
    /// The demand, without VMs that were left out on the command line.
    pub(super) desired: Desired,
    /// What the plan is called in a comment, unless its reader chooses another name.
    pub(super) name: String,
    /// What the plan rests on, as it was read.
    pub(super) basis: Basis,
    /// The hash of what the plan means.
    pub(super) hash: PlanHash,
    /// What the reviewer saw.
    pub(super) plan: Plan,
}

impl Saved {
    /// What is to be kept of a plan that was just made.
    pub(super) fn new(name: &str, desired: &Desired, observed: &Observed, plan: &Plan) -> Self {
        Self {
            made_at: Timestamp::now()
                .strftime("%Y-%m-%d %H:%M:%S UTC")
                .to_string(),
            desired: desired.clone(),
            name: name.to_owned(),
            basis: Basis::of(plan, observed),
            hash: plan.hash(),
            plan: plan.clone(),
        }
    }

    /// Writes it to a file; one that is there is replaced.
    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let broken = |error| Failure::error(format!("the plan cannot be written as JSON: {error}"));
        let saved = serde_json::to_value(self).map_err(broken)?;
        let document = Document {
            format_version: FORMAT_VERSION.to_owned(),
            kind: KIND.to_owned(),
            domicile: env!("CARGO_PKG_VERSION").to_owned(),
            sha256: checksum(&saved),
            saved,
        };
        let text = serde_json::to_string_pretty(&document).map_err(broken)?;
        files::replace(path, &(text + "\n"))
    }

    /// Reads it back, and refuses a file of another kind, another layout, or with another checksum than its own.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        Self::parse(path, files::parse_json(path, &files::read(path)?)?)
    }

    /// The same from JSON that was read already.
    pub(super) fn parse(path: &Path, value: serde_json::Value) -> Result<Self, Failure> {
        let shown = path.display();
        let make = "make one with `domicile plan --out FILE`";
        if value.get("kind").and_then(serde_json::Value::as_str) != Some(KIND) {
            return Err(Failure::error(format!("{shown} is not a saved plan")).help(make));
        }
        files::check_version(path, &value, FORMAT_VERSION)?;
        let damaged = |error: &dyn std::fmt::Display| {
            Failure::error(format!("{shown} is damaged: {error}")).help(make)
        };
        let document: Document =
            serde_path_to_error::deserialize(value).map_err(|error| damaged(&error))?;
        if checksum(&document.saved) != document.sha256 {
            return Err(Failure::error(format!(
                "{shown} was changed after it was made: its checksum does not fit"
            ))
            .help("do not apply it; plan again and review what the new plan says"));
        }
        serde_path_to_error::deserialize(document.saved).map_err(|error| damaged(&error))
    }

    /// What an apply would rest on otherwise, or do otherwise, than what was reviewed. Forecasts, room and the order of
    /// independent steps may differ: they follow from the load of the moment.
    pub(super) fn differences(&self, observed: &Observed, fresh: &Plan) -> Since {
        let mut since = self.basis.since(observed);
        let meaning = self.plan.meaning();
        since.matters.extend(meaning.differences(&fresh.meaning()));
        since
    }
}

fn checksum(value: &serde_json::Value) -> String {
    hex::encode(Sha256::digest(value.to_string().as_bytes()))
}
