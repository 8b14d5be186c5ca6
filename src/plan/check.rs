//! Replays a plan.
