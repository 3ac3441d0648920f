//! What people and programs see: data on stdout, talk on stderr, errors in one form everywhere.

use crate::exit::Failed;
use anstream::{stderr, stdout};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use eddy_api::Problem;
use eddy_types::EddyError;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};

/// Where a command prints, and how.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read along.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Data: one line of JSON, or what `text` makes of it.
    pub(crate) fn data(
        &self,
        document: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failed> {
        self.line(document, text).map(drop)
    }

    /// One of many pieces of data; whether there is still somebody who reads.
    pub(crate) fn line(
        &self,
        document: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<bool, Failed> {
        let text = match self.json {
            true => serde_json::to_string(document).expect("documents of the API are plain data"),
            false => text(),
        };
        if text.is_empty() {
            return Ok(true);
        }
        written(print_line(&text))
    }

    /// Text that is made for other programs, and the same with `--json`.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failed> {
        written(print_line(text)).map(drop)
    }

    /// What was done: a document for programs, talk for people.
    pub(crate) fn done(&self, document: &impl Serialize, talk: impl Display) -> Result<(), Failed> {
        self.say(talk);
        self.data(document, String::new)
    }

    /// Talk, for people only.
    pub(crate) fn say(&self, text: impl Display) {
        if !self.json {
            tell(text);
        }
    }

    /// An error: code, what and why, what to do, and where the guest threw it.
    pub(crate) fn error(&self, error: &EddyError) {
        if self.json {
            let problem = serde_json::to_string(&Problem::from(error));
            tell(problem.expect("a problem is plain data"));
        } else {
            tell(for_people(error));
        }
    }
}

/// Whether somebody still reads: one that has seen enough (`eddy ls | head`) is not an error.
fn written(printed: io::Result<()>) -> Result<bool, Failed> {
    match printed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failed::output(&error)),
    }
}

fn print_line(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{}", text.trim_end_matches('\n'))?;
    out.flush()
}

/// To stderr. When that cannot be written, the exit code still tells how it ended.
fn tell(text: impl Display) {
    let _ = writeln!(stderr().lock(), "{text}");
}

fn for_people(error: &EddyError) -> String {
    let mut text = format!("error[{}]: ", error.code);
    if let Some(guest) = &error.guest {
        // Some runtimes put the name into the message, some do not.
        if !error.detail.starts_with(&guest.name) && !guest.name.is_empty() {
            text += &format!("{}: ", guest.name);
        }
    }
    text += &indented(&error.detail);
    if let Some(guest) = &error.guest {
        if let Some(stack) = &guest.stack {
            for line in stack.lines() {
                text += &format!("\n    {}", line.trim());
            }
        }
        if let Some(details) = &guest.details {
            text += &format!("\n  details: {details}");
        }
    }
    if let Some(hint) = &error.hint {
        text += &format!("\n  hint: {hint}");
    }
    if let Some(after) = error.retry_after {
        text += &format!("\n  try again in {}", humantime::format_duration(after));
    }
    text
}

/// Further lines of a text stand under its first.
fn indented(text: &str) -> String {
    text.replace('\n', "\n  ")
}

/// A table without lines: easy to read, cut and grep.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().map(|name| name.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use eddy_types::{ErrorCode, GuestFailure};

    #[test]
    fn an_error_says_what_why_where_and_what_next() {
        let error = EddyError::new(ErrorCode::GuestError, "only 3 left")
            .hint("See the log of the invocation.")
            .guest(GuestFailure {
                name: "OutOfStock".into(),
                stack: Some("    at reserve (stock.ts:7:11)\n    at handle (stock.ts:2:1)".into()),
                status: Some(409),
                details: Some("{\"left\":3}".into()),
            });
        insta::assert_snapshot!(for_people(&error));
    }

    #[test]
    fn tables_have_no_lines() {
        let rows = [
            vec!["shop".into(), "1".into()],
            vec!["chat".into(), "12".into()],
        ];
        insta::assert_snapshot!(table(&["app", "version"], rows));
    }
}
