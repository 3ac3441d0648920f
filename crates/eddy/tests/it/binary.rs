//! Running the binary in an environment that is the same everywhere.

use std::process::{Command, Output};

/// A loopback port that nothing listens on: 1 is reserved and never given out.
pub(crate) const NOBODY: &str = "http://127.0.0.1:1";

/// What a run of `eddy` printed, and its exit code.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn eddy(args: &[&str]) -> Ran {
    finish(&mut command(args))
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the binary runs");
    Ran {
        code: status.code().expect("it ends by itself"),
        stdout: String::from_utf8(stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(stderr).expect("stderr is UTF-8"),
    }
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command
        .args(args)
        .env("EDDY_URL", NOBODY)
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1");
    for name in [
        "CODE_CACHE",
        "LOG",
        "TLS_CA",
        "TOKEN",
        "TOKEN_FILE",
        "TENANT",
    ] {
        command.env_remove(format!("EDDY_{name}"));
    }
    command
}

/// One command of a transcript: its line, what it printed and how it ended. `every.rs` reads these.
pub(crate) fn transcript(args: &[&str], stdout: &str, stderr: &str, code: i32) -> String {
    format!(
        "$ eddy {}\n{stdout}{stderr}(exit code {code})\n\n",
        args.join(" ")
    )
}
