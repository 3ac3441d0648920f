//! Values: a version byte and postcard. A newer row type gets a new version and keeps reading
//! the older ones.

use eddy_types::{EddyError, ErrorCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version this build writes for every row whose file does not name another one.
pub(crate) const VERSION: u8 = 1;

/// The bytes of a row.
pub(crate) fn encode<T: Serialize>(row: &T) -> Result<Vec<u8>, EddyError> {
    encode_as(VERSION, row)
}

/// The bytes of a row of this version.
pub(crate) fn encode_as<T: Serialize>(version: u8, row: &T) -> Result<Vec<u8>, EddyError> {
    postcard::to_extend(row, vec![version])
        .map_err(|error| EddyError::internal(format!("a row does not encode: {error}")))
}

/// Reads a row; `what` names it in the error.
pub(crate) fn decode<T: DeserializeOwned>(what: &str, value: &[u8]) -> Result<T, EddyError> {
    decode_as(VERSION, what, value)
}

/// Reads a row of this version.
pub(crate) fn decode_as<T: DeserializeOwned>(
    version: u8,
    what: &str,
    value: &[u8],
) -> Result<T, EddyError> {
    let body = body_of(version, what, value)?;
    match postcard::take_from_bytes(body) {
        Ok((row, [])) => Ok(row),
        _ => Err(damaged(what)),
    }
}

/// The bytes after the version.
pub(crate) fn body<'a>(what: &str, value: &'a [u8]) -> Result<&'a [u8], EddyError> {
    body_of(VERSION, what, value)
}

fn body_of<'a>(version: u8, what: &str, value: &'a [u8]) -> Result<&'a [u8], EddyError> {
    match value.split_first() {
        Some((found, body)) if *found == version => Ok(body),
        Some((found, _)) => Err(EddyError::new(
            ErrorCode::IncompatibleData,
            format!("{what} in the store has version {found}; this build reads {version}"),
        )
        .hint("Start the version of Eddy that wrote this data, or a newer one.")),
        None => Err(damaged(what)),
    }
}

/// The error of bytes that this build cannot have written.
pub(crate) fn damaged(what: &str) -> EddyError {
    EddyError::new(
        ErrorCode::StoreFailed,
        format!("{what} in the store is damaged"),
    )
    .hint("Check the disk and restore the data folder from a copy.")
}
