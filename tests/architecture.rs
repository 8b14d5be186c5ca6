//! Holds the source tree to the layers that the crate's documentation lists.
