//! The one integration test binary: everything here needs neither root nor a daemon.

mod architecture;
mod browser;
mod cli;
mod definition;
mod executor;
mod faults;
mod manifest;
mod observe;
mod pipelines;
mod planner;
mod properties;
mod render;
mod rules;
mod scenarios;
mod simulator;
mod support;
