//! `eddy completions` and `eddy man`: the command line as shells and `man` want it.

use crate::args::Cli;
use crate::exit::Failed;
use crate::output::Output;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use eddy_types::{EddyError, ErrorCode};
use serde_json::json;
use std::io;
use std::path::Path;

/// Prints what a shell reads to complete commands.
pub(crate) fn completions(shell: Shell, output: &Output) -> Result<(), Failed> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "eddy", &mut script);
    output.text(&String::from_utf8_lossy(&script))
}

/// Prints the page of `eddy`, or writes a page for each command into a folder.
pub(crate) fn man(out: Option<&Path>, output: &Output) -> Result<(), Failed> {
    let command = Cli::command();
    let Some(folder) = out else {
        return output.text(&page(command)?);
    };
    let mut named = command.clone().disable_help_subcommand(true);
    named.build();
    let written =
        std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    written.map_err(|error| {
        let folder = folder.display();
        let detail = format!("the pages cannot be written into {folder}: {error}");
        EddyError::new(ErrorCode::InvalidArgument, detail)
            .hint("Give a folder that this user may write, such as ~/.local/share/man/man1.")
    })?;
    let mut files = Vec::new();
    names(&named, &mut files);
    output.data(&json!({ "path": folder, "files": files }), || {
        files.join("\n")
    })?;
    output.say(format_args!(
        "wrote the pages into {}; `man {}` shows the first",
        folder.display(),
        folder.join("eddy.1").display()
    ));
    Ok(())
}

/// The files of the pages of a command and of those below it.
fn names(command: &Command, files: &mut Vec<String>) {
    let name = command.get_display_name().unwrap_or(command.get_name());
    files.push(format!("{name}.1"));
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        names(below, files);
    }
}

fn page(command: Command) -> Result<String, Failed> {
    let mut page = Vec::new();
    let rendered: io::Result<()> = clap_mangen::Man::new(command).render(&mut page);
    rendered.map_err(|error| EddyError::internal(format!("the page cannot be made: {error}")))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
