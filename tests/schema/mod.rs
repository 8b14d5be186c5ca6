//! Random documents by libvirt's own schemas, which its client library brings along (`/usr/share/libvirt/schemas`).
//!
//! A schema is a RELAX NG grammar: [`grammar`] reads it, [`documents`] walks it and makes a document of a seed.

mod documents;
mod grammar;
mod part;

pub(crate) use documents::Documents;
pub(crate) use grammar::Grammar;
