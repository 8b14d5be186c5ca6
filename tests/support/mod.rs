//! Random fleets: small descriptions that shrink well, and the readings and manifests that they stand for.

#![expect(
    clippy::unwrap_used,
    reason = "a fleet that cannot be built is a fault of its generator"
)]

mod build;
pub(crate) mod sketch;

pub(crate) use build::{Fleet, build};
