//! Domicile keeps virtual machines where a YAML file says they live.
//!
//! It reads the manifest, reads the live state of every libvirt host, works out which VMs and disks must move and
//! how, orders the moves so that every host and pool has room at every moment, shows the plan, and carries it out
//! without losing a VM or running one twice.
//!
//! # The way of the data
//!
//! ```text
//! manifest ──► desired ──┐
//!                        ├─► changes ─► moves ─► findings ─► steps ─► graph ─► schedule ─► check ─► plan
//! hosts ──► observed ────┘                                                                          │
//!                                       text · JSON · HTML ◄── render ◄─────────────────────────────┤
//!                                                    events ◄── hosts ◄──── apply ◄─────────────────┘
//! ```
//!
//! # The layers
//!
//! Each line uses only the lines above it; modules that share a line know nothing of each other. A test in
//! `tests/architecture.rs` holds the tree to this table.
//!
//! 1. [`model`]: the nouns and quantities, checked when made.
//! 2. [`desired`], [`observed`]: what the manifest demands; one reading of all hosts.
//! 3. [`definition`]: a domain's XML, read and rewritten. It stands here and not in [`libvirt`] because the plan
//!    shows the rewritten definition and the simulator applies it, and both must be what the real host gets.
//! 4. [`plan`], [`manifest`]: what a plan is; YAML to desired.
//! 5. [`rules`], [`hypervisor`], [`lock`]: the restrictions, pure; the traits that doing and locking need.
//! 6. [`planner`], [`apply`], [`libvirt`], [`simulator`]: making a plan; carrying it out; the two implementations
//!    of the traits.
//! 7. [`render`]: plans, readings and events as text, JSON and HTML.
//! 8. [`cli`]: arguments, commands, reports, exit codes.

pub mod apply;
pub mod cli;
pub mod definition;
pub mod desired;
pub mod hypervisor;
pub mod libvirt;
pub mod lock;
pub mod manifest;
pub mod model;
pub mod observed;
pub mod plan;
pub mod planner;
pub mod render;
pub mod rules;
pub mod simulator;
