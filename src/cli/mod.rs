//! Arguments as typed to an exit code: one file per command, reports for people, the terminal. Everything that is
//! printed is printed here.

mod annotate;
mod apply;
mod args;
mod console;
mod drift;
mod execution;
pub mod exit;
mod expect;
mod explain;
mod failure;
mod files;
mod hosts;
mod import;
mod locking;
mod manifest;
mod observe;
mod output;
mod plan;
mod progress;
mod records;
mod report;
mod run;
mod saved;
mod schema;
mod shell;
mod show;
mod signals;
mod sound;
mod undo;
mod unlock;
mod validate;
mod waiting;

pub use run::{command, run};
