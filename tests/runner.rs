//! The one integration test binary: everything here needs neither root nor a daemon.

mod architecture;
mod cli;
mod definition;
mod executor;
mod faults;
mod manifest;
mod meaning;
mod observe;
mod planner;
mod properties;
mod render;
mod rules;
mod scenarios;
mod schemas;
mod simulator;
mod support;
