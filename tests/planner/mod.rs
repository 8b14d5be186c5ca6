//! What the planner decides, case by case. Every plan here passes the independent check.

#![expect(
    clippy::unwrap_used,
    reason = "a reading made by hand for a test is right or the test is wrong"
)]

mod asking;
mod carried_out;
mod compact;
mod detours;
mod exhaustive;
pub(crate) mod fleet;
mod forecasts;
mod in_flight;
mod limits;
mod moves;
mod recovery;
mod room;
