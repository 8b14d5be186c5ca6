//! Definitions as libvirt writes them, and one by hand that holds everything: read, and rewritten to the letter.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod mark;
mod needs;
mod random;
mod read;
mod rewrite;
mod schema;

/// Of a running VM with a UEFI and a linked clone, as libvirt 11.3 prints it.
const LIVE: &str = include_str!("../data/definitions/live-linked-clone.xml");
/// The same VM's, fit for a migration.
const MIGRATABLE: &str = include_str!("../data/definitions/migratable-linked-clone.xml");
/// The same VM's persistent one.
const PERSISTENT: &str = include_str!("../data/definitions/persistent-linked-clone.xml");
/// Of a running VM, as libvirt 9.0 prints it.
const LIVE_9: &str = include_str!("../data/definitions/live-libvirt-9.xml");
/// Written by hand, with every kind of device and in an unusual style.
const EVERYTHING: &str = include_str!("../data/definitions/everything.xml");

const ALL: [&str; 5] = [LIVE, MIGRATABLE, PERSISTENT, LIVE_9, EVERYTHING];
