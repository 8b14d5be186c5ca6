//! Manifests from text to what they demand, and back.

mod invalid;
mod robust;
