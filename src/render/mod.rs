//! Plans, readings and events to text, JSON and HTML. Pure: what a function returns depends on its arguments alone, and
//! nothing is decided here that a plan does not say already.
//!
//! What comes from hosts is hostile until it has passed [`clean()`]: no name, message or definition can move a
//! terminal's cursor or hide a part of a line.

pub mod annotations;
mod clean;
pub mod comment;
pub mod drift;
pub mod graph;
mod grouping;
pub mod html;
mod index;
pub mod json;
mod page;
pub mod progress;
mod quoted;
pub mod stream;
mod style;
pub mod text;

pub use clean::clean;
pub use grouping::Grouping;
pub use style::{Role, Style};
