//! Random fleets: small descriptions that shrink well, and the readings and manifests that they stand for.

mod build;
mod sketch;

pub(crate) use build::{Fleet, build};
pub(crate) use sketch::{Sketch, of_seed, sketches};
