//! What the planner decides, case by case. Every plan here passes the independent check.

mod fleet;
mod moves;
mod recovery;
mod room;
