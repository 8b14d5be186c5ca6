//! What the independent check found, as the end of a command: a plan with which something is wrong is a bug in Domicile,
//! and is neither shown nor carried out.

use super::exit::Exit;
use super::failure::Failure;
use crate::plan::check::Violation;

/// Refuses a plan with which something is wrong: whoever made it, Domicile has a bug.
pub(super) fn expect_sound(violations: &[Violation]) -> Result<(), Failure> {
    if violations.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    Err(Failure::new(
        Exit::BUG,
        format!(
            "a bug in Domicile: the plan breaks a rule of safety, so it is neither shown nor carried out, and nothing was done\n{}",
            lines.join("\n"),
        ),
    )
    .help("report it with the manifest and the file that `domicile observe --out FILE` writes; until it is mended, leave the VMs of these steps out (--exclude)"))
}
