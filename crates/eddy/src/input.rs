//! What people type: arguments and addresses.

use bytes::Bytes;
use eddy_types::limits::{MAX_AGENT_DOCUMENT_BYTES, MAX_PAYLOAD_BYTES};
use eddy_types::{EddyError, ErrorCode};
use serde::de::IgnoredAny;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The argument of a call: JSON, `@FILE` or `-`; empty (which means `null`) when absent.
pub(crate) fn argument(text: Option<&str>) -> Result<Bytes, EddyError> {
    let (bytes, from) = match text {
        None => return Ok(Bytes::new()),
        Some("-") => (
            argument_from(io::stdin().lock(), "stdin")?,
            "stdin".to_owned(),
        ),
        Some(text) => match text.strip_prefix('@') {
            Some(path) => {
                let file = File::open(path).map_err(|error| unreadable(path, &error))?;
                (argument_from(file, path)?, path.to_owned())
            }
            None => (text.as_bytes().to_vec(), "the argument".to_owned()),
        },
    };
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(&bytes) {
        return Err(EddyError::new(
            ErrorCode::InvalidJson,
            format!("{from} is not JSON: {error}"),
        )
        .hint("Quote it for the shell: '{\"by\": 2}', and a string as '\"text\"'."));
    }
    Ok(bytes.into())
}

/// The text of an exported agent; stdin for `-`.
pub(crate) fn document(path: &Path) -> Result<Vec<u8>, EddyError> {
    let shown = path.display().to_string();
    let unreadable = |error: io::Error| {
        let detail = format!("{shown} cannot be read: {error}");
        EddyError::new(ErrorCode::InvalidArgument, detail)
            .hint("Give the path of a file that `eddy agent export` wrote, or `-` for stdin.")
    };
    let read = match path == Path::new("-") {
        true => read(io::stdin().lock(), MAX_AGENT_DOCUMENT_BYTES),
        false => File::open(path).and_then(|file| read(file, MAX_AGENT_DOCUMENT_BYTES)),
    };
    match read.map_err(unreadable)? {
        Some(bytes) => Ok(bytes),
        None => Err(too_large(&shown, MAX_AGENT_DOCUMENT_BYTES)),
    }
}

fn argument_from(from: impl Read, name: &str) -> Result<Vec<u8>, EddyError> {
    let read = read(from, MAX_PAYLOAD_BYTES).map_err(|error| unreadable(name, &error))?;
    read.ok_or_else(|| {
        too_large(name, MAX_PAYLOAD_BYTES)
            .hint("Send less, or keep large data outside and send a reference to it.")
    })
}

/// All of it; none when there are more than `limit` bytes.
fn read(from: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limit).then_some(bytes))
}

fn too_large(name: &str, limit: usize) -> EddyError {
    let detail = format!("{name} is larger than {limit} bytes");
    EddyError::new(ErrorCode::PayloadTooLarge, detail)
}

fn unreadable(name: &str, error: &io::Error) -> EddyError {
    EddyError::new(
        ErrorCode::InvalidArgument,
        format!("{name} cannot be read: {error}"),
    )
    .hint("After @ comes the path of a file that holds the JSON.")
}

/// A file of PEM text that `option` names.
pub(crate) fn pem(path: &Path, option: &str) -> Result<Vec<u8>, EddyError> {
    std::fs::read(path).map_err(|error| {
        let file = path.display();
        let detail = format!("{option}: the file {file} cannot be read: {error}");
        EddyError::new(ErrorCode::InvalidArgument, detail)
            .hint("Give the path of a PEM file that this user may read.")
    })
}

/// The token to show: the first line of `file`, else what `EDDY_TOKEN` says.
pub(crate) fn token(file: Option<&OsStr>) -> Result<Option<String>, EddyError> {
    let bad = |detail: String| EddyError::new(ErrorCode::InvalidArgument, detail);
    let Some(file) = file else {
        let text = std::env::var("EDDY_TOKEN").unwrap_or_default();
        let text = text.trim();
        return Ok((!text.is_empty()).then(|| text.to_owned()));
    };
    let shown = Path::new(file).display();
    let text = std::fs::read_to_string(file).map_err(|error| {
        bad(format!(
            "--token-file: the file {shown} cannot be read: {error}"
        ))
        .hint("Give the path of a file that holds a token and that this user may read.")
    })?;
    match text.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => Ok(Some(line.to_owned())),
        None => Err(bad(format!("--token-file: the file {shown} is empty"))
            .hint("`eddy token create` prints a token to keep there.")),
    }
}

/// `TYPE/KEY`; the key may hold further slashes.
pub(crate) fn address(text: &str) -> Result<(&str, &str), EddyError> {
    text.split_once('/')
        .filter(|(agent_type, key)| !agent_type.is_empty() && !key.is_empty())
        .ok_or_else(|| {
            EddyError::new(
                ErrorCode::InvalidName,
                format!("{text:?} is not the address of an agent"),
            )
            .hint("Write it as TYPE/KEY, such as cart/alice.")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_splits_at_its_first_slash() {
        assert_eq!(address("cart/a/b"), Ok(("cart", "a/b")));
        for bad in ["cart", "/alice", "cart/", ""] {
            assert!(address(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_argument_is_json() {
        assert_eq!(argument(None), Ok(Bytes::new()));
        assert_eq!(
            argument(Some("{\"by\":2}")),
            Ok(Bytes::from_static(b"{\"by\":2}"))
        );
        let error = argument(Some("hello")).expect_err("no quotes");
        assert_eq!(error.code, ErrorCode::InvalidJson);
        let error = argument(Some("@/no/such/file")).expect_err("no file");
        assert_eq!(error.code, ErrorCode::InvalidArgument);
    }
}
