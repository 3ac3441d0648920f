//! How a command ends. The table of exit codes is in docs/errors/README.md; a test holds the two
//! together.

use clap::error::ErrorKind as ClapErrorKind;
use eddy_types::{EddyError, ErrorCode};
use std::io;

/// The node could not start, or had to stop.
pub(crate) const NODE: u8 = 6;
/// The output could not be written: `EX_IOERR` of sysexits.h.
const OUTPUT: u8 = 74;

/// An error, and the exit code it ends the program with.
#[derive(Debug)]
pub(crate) struct Failed {
    /// None when it has been told already.
    pub(crate) error: Option<Box<EddyError>>,
    pub(crate) exit: u8,
}

impl From<EddyError> for Failed {
    fn from(error: EddyError) -> Self {
        Self {
            exit: exit_code(error.code),
            error: Some(Box::new(error)),
        }
    }
}

impl From<eddy_bundle::BundleError> for Failed {
    fn from(error: eddy_bundle::BundleError) -> Self {
        EddyError::from(error).into()
    }
}

impl Failed {
    /// The node stopped by itself: whatever the reason, there is no node any more.
    pub(crate) fn stopped(error: EddyError) -> Self {
        Self {
            error: Some(Box::new(error)),
            exit: NODE,
        }
    }

    /// The command did its work, but nobody got to see what came of it.
    pub(crate) fn output(error: &io::Error) -> Self {
        let detail = format!("the output could not be written to stdout: {error}");
        let hint = "Check where stdout goes. What the command changed stays changed.";
        Self {
            error: Some(Box::new(
                EddyError::new(ErrorCode::Internal, detail).hint(hint),
            )),
            exit: OUTPUT,
        }
    }

    /// A command line that does not parse, as an error for programs.
    pub(crate) fn usage(error: &clap::Error) -> Self {
        if matches!(
            error.kind(),
            ClapErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                | ClapErrorKind::MissingSubcommand
        ) {
            // What clap says then is the help, or long.
            return EddyError::new(ErrorCode::InvalidArgument, "the command is missing")
                .hint("`--help` lists them.")
                .into();
        }
        let text = error.render().to_string();
        let mut paragraphs = text
            .split("\n\n")
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|text| !text.is_empty());
        let detail = paragraphs.next().unwrap_or_default();
        let detail = detail.strip_prefix("error: ").unwrap_or(&detail);
        let hint: Vec<_> = paragraphs.collect();
        EddyError::new(ErrorCode::InvalidArgument, detail)
            .hint(hint.join("\n"))
            .into()
    }

    /// What is wrong has been told already, as data.
    pub(crate) fn told(exit: u8) -> Self {
        Self { error: None, exit }
    }

    /// The system gave no threads or no event queue.
    pub(crate) fn no_runtime(error: &io::Error) -> Self {
        let detail = format!("the system does not let the program start: {error}");
        let hint = "Check the limits of processes and open files (`ulimit -a`).";
        Self::stopped(EddyError::new(ErrorCode::Internal, detail).hint(hint))
    }
}

/// The code decides, not the status: a guest that asks for 404 is still exit code 1.
fn exit_code(code: ErrorCode) -> u8 {
    use ErrorCode as E;
    match code {
        E::NodeUnreachable => 4,
        E::DataInUse
        | E::JournalFailed
        | E::JournalCorrupt
        | E::StoreFailed
        | E::StoreBehindJournal
        | E::IncompatibleData
        | E::ListenFailed
        | E::InsecureListen => NODE,
        E::Internal => 70,
        E::UnknownRoute
        | E::UnknownRuntime
        | E::UnknownApp
        | E::UnknownFunction
        | E::UnknownAgentType
        | E::UnknownMethod
        | E::UnknownAgent
        | E::UnknownInvocation
        | E::UnknownTenant
        | E::UnknownToken
        | E::UnknownDeadLetter => 3,
        _ => match code.http_status() {
            400 | 405 | 413 => 2,
            429 | 503 | 504 => 5,
            _ => 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_ends_as_documented() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors/README.md");
        let page = std::fs::read_to_string(page).expect("the page is there");
        for code in ErrorCode::ALL {
            let start = format!("| [{code}]({code}.md) |");
            let row = page.lines().find(|line| line.starts_with(&start));
            let row = row.unwrap_or_else(|| panic!("{code} has no row"));
            let exit = row.split('|').nth(4).expect("five columns").trim();
            assert_eq!(exit, exit_code(*code).to_string(), "{code}");
        }
    }
}
