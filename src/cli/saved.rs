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
use super::sound::expect_sound;
use crate::desired::Desired;
use crate::observed::{Observed, Roster};
use crate::plan::{Basis, Plan, PlanHash, Since, check};
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
    /// Who was on the hosts, for showing the plan among them.
    pub(super) roster: Option<Roster>,
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
            roster: Some(Roster::of(observed)),
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

    /// Reads it back, and refuses a file of another kind, another layout, or with another checksum than its own, and a
    /// plan that is not sound in itself.
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
        let saved: Self =
            serde_path_to_error::deserialize(document.saved).map_err(|error| damaged(&error))?;
        if let Some(id) = saved.plan.missing_step() {
            let what = format!("it names a step {id}, which it does not have");
            return Err(damaged(&what));
        }
        expect_sound(&check::check_alone(&saved.plan))?;
        Ok(saved)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The quickstart's fleet, for which there is much to do.
    fn fleet() -> (Desired, serde_json::Value) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
        let sources = crate::manifest::read(&[folder.join("fleet.yaml")]).unwrap();
        let Ok(loaded) = crate::manifest::load(&sources) else {
            panic!("the manifest is wrong");
        };
        let reading = std::fs::read_to_string(folder.join("observed.json")).unwrap();
        (loaded.desired, serde_json::from_str(&reading).unwrap())
    }

    /// What is different after every host's reading and every VM's detail have changed so.
    fn after(
        of_host: impl Fn(&mut serde_json::Value),
        of_detail: impl Fn(&mut serde_json::Value),
    ) -> Vec<String> {
        let (desired, then) = fleet();
        let mut now = then.clone();
        now["taken_at"] = 1.into();
        for host in now["hosts"].as_object_mut().unwrap().values_mut() {
            let host = &mut host["reached"];
            of_host(host);
            for vm in host["vms"].as_object_mut().unwrap().values_mut() {
                of_detail(&mut vm["detail"]);
            }
        }
        assert_ne!(then, now);
        let [then, now]: [Observed; 2] =
            [then, now].map(|reading| serde_json::from_value(reading).unwrap());
        let plan = |observed: &Observed| crate::planner::plan(&desired, observed);
        let saved = Saved::new("fleet", &desired, &then, &plan(&then));
        assert!(saved.plan.moves.len() > 3);
        saved.differences(&now, &plan(&now)).matters
    }

    /// Guests work, their agents come and go, pools and disks fill: nobody touched anything.
    #[test]
    fn a_plan_holds_while_hosts_change_only_of_their_own() {
        let nothing = |_: &mut serde_json::Value| {};
        for agent in ["connected", "disconnected", "unknown"] {
            let lines = after(nothing, |detail| {
                detail["needs"]["agent"] = agent.into();
                detail["needs"]["without_acpi"] = true.into();
                detail["later_needs"] = serde_json::Value::Null;
            });
            assert_eq!(lines, Vec::<String>::new(), "{agent}");
        }
        for rate in [1000_u64, 8 << 30] {
            let lines = after(nothing, |detail| detail["dirty_rate"] = rate.into());
            assert_eq!(lines, Vec::<String>::new(), "{rate}");
            let lines = after(nothing, |detail| detail["resident"] = rate.into());
            assert_eq!(lines, Vec::<String>::new(), "{rate}");
        }
        let more = |place: &mut serde_json::Value, by: i64| {
            *place = place
                .as_i64()
                .map_or(serde_json::Value::Null, |it| (it + by).into());
        };
        let lines = after(
            |host| {
                more(&mut host["memory_free"], -4096);
                for pool in host["pools"].as_object_mut().unwrap().values_mut() {
                    more(&mut pool["available"], -(1 << 20));
                }
            },
            |detail| {
                for disk in detail["disks"].as_array_mut().unwrap() {
                    more(&mut disk["allocation"], 4096);
                }
            },
        );
        assert_eq!(lines, Vec::<String>::new());
        let lines = after(nothing, |detail| {
            detail["snapshots"] = serde_json::json!(["a"]);
        });
        assert_ne!(lines, Vec::<String>::new());
    }
}
