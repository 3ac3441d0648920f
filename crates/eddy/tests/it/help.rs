//! The help is what people read first; a change of it is a change to look at.

use crate::binary::eddy;
use std::fmt::Write as _;

/// A command with what `--help` says of it.
pub(crate) struct Help {
    pub(crate) command: String,
    text: String,
}

impl Help {
    /// Whether it does something, and is not there for the commands below it alone.
    pub(crate) fn does_something(&self) -> bool {
        let usage = self.text.lines().find(|line| line.starts_with("Usage:"));
        !usage.expect("a line of usage").ends_with("<COMMAND>")
    }

    fn below(&self) -> impl Iterator<Item = String> {
        let lines = self.text.lines().skip_while(|line| *line != "Commands:");
        let names = lines.skip(1).take_while(|line| !line.is_empty());
        // A deeper line goes on with the text of the one above.
        let names = names.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        let names = names.filter(|name| !name.is_empty() && *name != "help");
        names.map(|name| format!("{} {name}", self.command).trim().to_owned())
    }
}

/// `eddy`, and every command below it.
pub(crate) fn everything() -> Vec<Help> {
    let mut found: Vec<Help> = Vec::new();
    let mut to_do = vec![String::new()];
    while let Some(command) = to_do.pop() {
        let args: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
        let ran = eddy(&args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{command}");
        let text = ran.stdout;
        let help = Help { command, text };
        let mut below: Vec<_> = help.below().collect();
        below.reverse();
        to_do.append(&mut below);
        found.push(help);
    }
    found
}

#[test]
fn help_of_every_command() {
    let mut text = String::new();
    for Help {
        command,
        text: help,
    } in everything()
    {
        let line = format!("{command} --help");
        writeln!(text, "$ eddy {}\n{help}", line.trim()).unwrap();
    }
    insta::assert_snapshot!(text);
}
