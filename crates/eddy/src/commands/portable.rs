//! `eddy agent export` and `eddy agent import`.

use crate::args::Keyed;
use crate::exit::Failed;
use crate::indent::indented;
use crate::input;
use crate::output::Output;
use crate::remote::Remote;
use bytes::Bytes;
use eddy_api::{AgentDocument, CallOptions};
use eddy_types::{EddyError, ErrorCode};
use serde::Serialize;
use serde_json::value::RawValue;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use tempfile::NamedTempFile;

/// What `--json` prints when the document went to a file.
#[derive(Serialize)]
struct Exported<'e> {
    file: &'e Path,
    state: usize,
    timers: usize,
}

pub(crate) async fn export(
    remote: &Remote,
    address: &str,
    file: &Path,
    output: &Output,
) -> Result<(), Failed> {
    let (agent_type, key) = input::address(address)?;
    let text = remote.http()?.export_agent(agent_type, key).await?;
    let document = AgentDocument::parse(&text)?;
    let text: Box<RawValue> = serde_json::from_slice(&text)
        .map_err(|error| EddyError::internal(format!("a document that was read: {error}")))?;
    if file == Path::new("-") {
        return output.data(&text, || indented(text.get()));
    }
    let written = write(file, &(indented(text.get()) + "\n"));
    written.map_err(|error| unwritable(file, &error))?;
    let exported = Exported {
        file,
        state: document.state.len(),
        timers: document.timers.len(),
    };
    if output.is_json() {
        return output.data(&exported, String::new);
    }
    output.say(format_args!(
        "exported {address} to {}: {}",
        file.display(),
        content(&document)
    ));
    Ok(())
}

pub(crate) async fn import(
    remote: &Remote,
    address: &str,
    file: &Path,
    replace: bool,
    keyed: Keyed,
    output: &Output,
) -> Result<(), Failed> {
    let (agent_type, key) = input::address(address)?;
    let text = Bytes::from(input::document(file)?);
    // What is wrong with it is told before a node is asked.
    let document = AgentDocument::parse(&text)?;
    let options = CallOptions {
        idempotency_key: keyed.idempotency_key,
        ..CallOptions::default()
    };
    let client = remote.http()?;
    let imported = client.import_agent(agent_type, key, text, replace, &options);
    let imported = imported.await?;
    if output.is_json() {
        return output.data(&imported, String::new);
    }
    let did = if imported.replaced {
        "replaced"
    } else {
        "imported"
    };
    output.say(format_args!("{did} {address}: {}", content(&document)));
    Ok(())
}

/// Writes a file as a whole or not at all, for nobody else to read: what was there may be the last copy.
fn write(file: &Path, text: &str) -> io::Result<()> {
    // Through a link, and not in the place of a device or a pipe.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    if fs::metadata(&file).is_ok_and(|there| !there.is_file()) {
        return fs::write(&file, text);
    }
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    let mut whole = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    whole.write_all(text.as_bytes())?;
    whole.as_file().sync_all()?;
    whole.persist(file)?;
    Ok(())
}

/// `2 state keys, 1 timer`.
fn content(document: &AgentDocument) -> String {
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    };
    let state = count(document.state.len(), "state key");
    let timers = count(document.timers.len(), "timer");
    format!("{state}, {timers}")
}

fn unwritable(file: &Path, error: &std::io::Error) -> EddyError {
    let detail = format!("{} cannot be written: {error}", file.display());
    EddyError::new(ErrorCode::InvalidArgument, detail)
        .hint("Give the path of a file that this user may write, or `-` for stdout.")
}
