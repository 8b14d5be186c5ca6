//! The restrictions, pure.
