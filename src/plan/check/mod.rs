//! Replays a plan and says what is wrong with it. It knows what each step means and nothing of how plans are made: what
//! there is it works out anew from the reading and the manifest.
//!
//! Checked are: every step waits only for earlier ones; what steps say that they take, give back and use is what they do
//! by their meaning; at each instant of the forecast every resource and every slot holds, and every resource also in
//! each order that the waits allow; for each VM the acts come in an order that never has it on two hosts, never on none,
//! and never without a complete copy of each disk; every volume is made where, in which size and format and on what it
//! has to be, and a definition names only disks that hold what its VM had; a volume goes only where a mark says that
//! it is ours, after its replacement is complete, once every host that sees it is asked; every disk ends in the pool where
//! it is wanted, and nothing is left that only a mark tells of; what is told of each move, such as live, a reboot or a
//! downtime, is what its steps do; and every VM ends on the host where it is wanted, or its refusal is told.

mod claims;
mod given;
mod history;
mod ledger;
mod room;
mod safety;
mod volumes;

use crate::desired::Desired;
use crate::observed::Observed;

use super::{Plan, StepId};
use given::Given;
use history::History;

/// Something wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {step}: {what}")]
pub struct Violation {
    /// At which step.
    pub step: StepId,
    /// What.
    pub what: String,
}

/// Replays a plan that was made of this demand and this reading. An empty answer means that nothing is wrong.
#[must_use]
pub fn check(desired: &Desired, observed: &Observed, plan: &Plan) -> Vec<Violation> {
    let mut faults = order(plan);
    if faults.is_empty() {
        let given = Given::of(desired, observed);
        let history = History::of(plan);
        faults.extend(ledger::faults(&given, plan, &history));
        faults.extend(room::faults(&given, plan));
        faults.extend(history::astray(&given, plan, &history));
        faults.extend(history::strangers(plan));
        faults.extend(safety::faults(plan, &history));
        faults.extend(volumes::faults(&given, plan, &history));
        faults.extend(claims::faults(plan));
        faults.extend(claims::unmet(&given, plan));
    }
    let violation = |(step, what)| Violation { step, what };
    faults.into_iter().map(violation).collect()
}

/// Replays a plan of which only itself is known, such as one from a file: what it rests on is left out, and its order and
/// the safety of each step remain.
#[must_use]
pub fn check_alone(plan: &Plan) -> Vec<Violation> {
    let mut faults = order(plan);
    if faults.is_empty() {
        faults = safety::faults(plan, &History::of(plan));
        faults.extend(claims::faults(plan));
    }
    let violation = |(step, what)| Violation { step, what };
    faults.into_iter().map(violation).collect()
}

fn order(plan: &Plan) -> Vec<(StepId, String)> {
    let mut faults = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        for dependency in &step.after {
            let other = dependency.step;
            let what = match plan.steps.get(other.0) {
                None => format!("waits for step {other}, which does not exist"),
                Some(_) if other.0 >= index => {
                    format!("waits for step {other}, which does not come before it")
                }
                Some(before) if before.end() > step.start => {
                    format!("starts by the forecast before step {other} ends")
                }
                Some(_) => continue,
            };
            faults.push((StepId(index), what));
        }
    }
    faults
}
