//! The executor: carries out a plan on anything that implements [`crate::hypervisor::Hypervisor`].

mod event;

pub use event::{Event, Happening, Summary};
