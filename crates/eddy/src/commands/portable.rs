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
use std::path::Path;

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
    let written = std::fs::write(file, indented(text.get()) + "\n");
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
