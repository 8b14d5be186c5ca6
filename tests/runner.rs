//! The one integration test binary: everything here needs neither root nor a daemon.

mod architecture;
mod definition;
mod manifest;
mod planner;
mod render;
