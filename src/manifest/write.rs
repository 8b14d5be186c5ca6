//! A reading to a manifest.
