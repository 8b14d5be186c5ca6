//! The one integration test binary: everything here needs neither root nor a daemon.

mod architecture;
mod browser;
mod cli;
mod definition;
mod executor;
mod manifest;
mod meaning;
mod observe;
mod pipelines;
mod planner;
mod properties;
mod render;
mod rules;
mod scenarios;
#[expect(
    clippy::unwrap_used,
    reason = "a schema that is not understood must stop the test that relies on it"
)]
mod schema;
mod schemas;
mod simulator;
mod solver;
mod support;
