//! YAML text to [`crate::desired::Desired`], every fault at once with its line.
