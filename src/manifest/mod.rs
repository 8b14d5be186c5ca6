//! YAML text to [`crate::desired::Desired`], every fault at once with its line.
//!
//! ```text
//! files ──► Source ──► Tree ──► Sections ──► Desired
//!        read()     tree     merge       resolve
//! ```
//!
//! A tree is the YAML with the place of every part; sections are typed values by name, each with its place; resolving
//! checks what only shows when several values are seen together. Each stage notes its faults and goes on with what is
//! right, so one run shows them all. The other way, [`mod@write`] makes a manifest of a reading.

mod build;
mod checker;
mod document;
mod fault;
mod host_check;
mod load;
mod mapping_check;
mod merge;
mod resolve;
mod scalar;
mod schema;
mod settings;
mod settings_check;
mod source;
mod suggest;
mod tree;
mod uri;
mod value;
pub mod write;
mod write_notes;
mod written;

pub use fault::{Fault, Label};
pub use load::{Loaded, SourceSpan, load};
pub use schema::schema;
pub use source::{MANIFEST_BYTES_MAX, ReadError, Source, read};
