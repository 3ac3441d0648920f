//! Small helpers around the generated bindings: JSON in and out, failures, outcomes as text.

use crate::bindings::eddy::platform::effects::{self, Outcome, Pending};
pub use crate::bindings::eddy::platform::types::Failure;
use serde::{Serialize, de::DeserializeOwned};

pub const NULL: &[u8] = b"null";

/// An error of this guest.
pub fn failure(code: &str, message: &str) -> Failure {
    Failure {
        code: code.to_owned(),
        message: message.to_owned(),
        stack: None,
        status: None,
        details: None,
    }
}

/// Reads an argument; `bad-argument` when it does not fit.
pub fn parse<T: DeserializeOwned>(argument: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(argument).map_err(|error| failure("bad-argument", &error.to_string()))
}

/// Writes a result.
pub fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a value of this guest is always JSON")
}

/// Waits until `pending` is done: what it came to, in a few words.
pub fn told(pending: Result<Pending, Failure>) -> String {
    let waited = pending.and_then(|pending| {
        loop {
            effects::wait(&[&pending])?;
            if let Some(outcome) = pending.take() {
                return outcome;
            }
        }
    });
    match waited {
        Ok(Outcome::Json(json)) => format!("ok {}", String::from_utf8_lossy(&json)),
        Ok(Outcome::Http(response)) => format!("REACHED {}", response.status),
        Ok(Outcome::Elapsed) => "ok".to_owned(),
        Err(failure) => failure.code,
    }
}
