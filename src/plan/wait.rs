//! What a step waits for: what must come before it in any order, and what by the forecast determined its start.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resource::Slot;

/// A step's number: its index in the plan.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct StepId(pub usize);

/// People count from one.
impl fmt::Display for StepId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0.saturating_add(1))
    }
}

/// Why a step waits for another.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It is the next act on the same VM.
    SameVm,
    /// The base must be there before what stands on it.
    BaseFirst,
    /// The other gives back the room that this one takes.
    FreesRoom,
    /// The two VMs must not be on one host: the other must have left it.
    KeepsApart,
    /// The copy must be proven before the original goes.
    CopyBeforeDelete,
}

/// Waiting for another step.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Dependency {
    /// For which.
    pub step: StepId,
    /// Why.
    pub why: Why,
}

/// What determined a step's start: another step that ends then, and what the two have to do with each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    /// The step that ends when this one starts.
    pub by: StepId,
    /// What it held.
    pub what: Cause,
}

/// What a step held that another waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The other waits for it in any order: it is among those that must have succeeded.
    After(Why),
    /// It used up this slot, such as the link between two hosts.
    Slot(Slot),
    /// Enough moves were prepared for this slot; the other step's move is the next.
    Turn(Slot),
}
