//! Small helpers around the generated bindings: JSON in and out, failures, waiting.

use crate::bindings::eddy::platform::effects::{self, Outcome, Pending};
pub use crate::bindings::eddy::platform::types::Failure;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// A call to somebody else: an agent's method, or a function.
#[derive(Deserialize)]
pub struct Call {
    #[serde(default, rename = "type")]
    agent_type: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    function: Option<String>,
    #[serde(default)]
    arg: Option<Box<RawValue>>,
}

impl Call {
    /// Starts it.
    pub fn start(&self) -> Result<Pending, Failure> {
        let argument = json_or_null(self.arg.as_deref());
        match &self.function {
            Some(function) => effects::invoke(function, argument),
            None => effects::call(&self.agent_type, &self.key, &self.method, argument),
        }
    }
}

/// The text of a JSON value, `null` when there is none.
pub fn json_or_null(value: Option<&RawValue>) -> &[u8] {
    value.map_or(b"null", |raw| raw.get().as_bytes())
}

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

/// Waits until `pending` is done and takes its outcome.
pub fn wait_for(pending: &Pending) -> Result<Outcome, Failure> {
    loop {
        effects::wait(&[pending])?;
        if let Some(outcome) = pending.take() {
            return outcome;
        }
    }
}

/// Waits for a call and takes its JSON.
pub fn reply_of(pending: &Pending) -> Result<Vec<u8>, Failure> {
    match wait_for(pending)? {
        Outcome::Json(json) => Ok(json),
        Outcome::Http(_) | Outcome::Elapsed => Err(failure("bad-outcome", "not a reply")),
    }
}

/// Never returns. A frame of its own, for the backtrace.
#[inline(never)]
pub fn spin() -> ! {
    let mut n = 0u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

/// Traps. A frame of its own, for the backtrace.
#[inline(never)]
pub fn trap() -> ! {
    core::arch::wasm32::unreachable()
}
