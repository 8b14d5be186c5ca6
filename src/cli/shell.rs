//! What a shell and `man` want to know, made from the arguments: `domicile completions` and `domicile man`.

use std::io;
use std::path::Path;

use super::console::print;
use super::exit::Exit;
use super::failure::Failure;

pub(super) fn completions(
    mut command: clap::Command,
    shell: clap_complete::Shell,
) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "domicile", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::DONE)
}

/// The manual page of the program, or with a folder a page for each command in it.
pub(super) fn man(command: clap::Command, folder: Option<&Path>) -> Result<Exit, Failure> {
    // The version of the library is that of one machine, and a manual is read on many.
    let command = command
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true);
    let Some(folder) = folder else {
        let mut page = Vec::new();
        let rendered: io::Result<()> = clap_mangen::Man::new(command).render(&mut page);
        rendered
            .map_err(|error| Failure::error(format!("the manual page cannot be made: {error}")))?;
        print(&String::from_utf8_lossy(&page))?;
        return Ok(Exit::DONE);
    };
    clap_mangen::generate_to(command, folder).map_err(|error| {
        let shown = folder.display();
        Failure::error(format!(
            "the manual pages cannot be written to {shown}: {error}"
        ))
        .help("name a folder that is there and can be written")
    })?;
    Ok(Exit::DONE)
}
