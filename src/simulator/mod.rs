//! Hosts in memory, behind the same trait as real ones.
