//! The one integration test binary: everything here needs neither root nor a daemon.

mod architecture;
mod planner;
mod render;
