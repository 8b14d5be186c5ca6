//! The one integration test binary: everything here needs neither root nor a daemon.

mod architecture;
mod definition;
mod planner;
mod render;
