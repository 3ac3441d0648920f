//! Errors that are returned on purpose.

use eddy_sdk::prelude::*;
use serde_json::Value;

#[derive(Deserialize)]
pub struct Failing {
    code: String,
    message: String,
    status: Option<u16>,
    details: Option<Value>,
}

#[function]
pub fn fail(_ctx: &FunctionContext, failing: Failing) -> Result<()> {
    let mut error = EddyError::new(failing.code, failing.message);
    error.status = failing.status;
    error.details = failing.details;
    Err(error)
}

#[derive(Deserialize)]
pub struct Plain {
    message: String,
}

#[function]
pub fn fail_plain(_ctx: &FunctionContext, plain: Plain) -> Result<()> {
    Err(std::io::Error::other(plain.message))?
}
