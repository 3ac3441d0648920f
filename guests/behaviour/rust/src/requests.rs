//! Requests to others, and the ways to wait for them.

use eddy_sdk::Call;
use eddy_sdk::prelude::*;
use serde_json::{Value, json};
use std::future::Future;
use std::time::Duration;

/// An agent to call, or a function to invoke.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Request {
    Agent {
        #[serde(rename = "type")]
        agent_type: String,
        key: String,
        method: String,
        #[serde(default)]
        argument: Value,
    },
    Function {
        function: String,
        #[serde(default)]
        argument: Value,
    },
}

/// A request, and how long it may take.
#[derive(Deserialize)]
pub struct Within {
    pub ms: u64,
    pub request: Request,
}

/// Makes a request.
pub fn make(ctx: &FunctionContext, wanted: &Request) -> Call<Value> {
    match wanted {
        Request::Agent {
            agent_type,
            key,
            method,
            argument,
        } => ctx.call(agent_type, key, method, argument),
        Request::Function { function, argument } => ctx.invoke(function, argument),
    }
}

/// What came of it: a value, or what a caller sees of the error.
pub async fn attempt(work: Call<Value>) -> Value {
    match work.await {
        Ok(value) => json!({ "value": value }),
        Err(error) => caught(error),
    }
}

/// An error of a guest has its own name and details inside of the node's.
fn caught(error: EddyError) -> Value {
    let guest = match &*error.code {
        "guest-error" => error.details.unwrap_or_default(),
        _ => Value::Null,
    };
    json!({
        "code": error.code,
        "status": error.status,
        "name": guest["name"],
        "details": guest["details"],
    })
}

/// Its value, unless it takes longer.
pub async fn in_time<T: Serialize>(
    ctx: &FunctionContext,
    ms: u64,
    work: impl Future<Output = Result<T>>,
) -> Result<Value> {
    match ctx.timeout(Duration::from_millis(ms), work).await {
        Ok(value) => Ok(json!({ "value": value? })),
        Err(error) if error.code == "timed-out" => Ok(json!({ "timed_out": true })),
        Err(error) => Err(error),
    }
}
