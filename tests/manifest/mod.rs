//! Manifests from text to what they demand, and back.

mod import;
mod invalid;
mod robust;
