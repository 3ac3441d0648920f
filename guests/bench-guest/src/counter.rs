//! The agent type `counter`: state, sends, timers, calls, and ways to go wrong after a write.

use crate::bindings::eddy::platform::{effects, outbox};
use crate::bindings::eddy::platform::state::{self, Value};
use crate::functions::keep;
use crate::support::{self, Call, Failure, failure, json_or_null, parse, to_json};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Methods, and whether each is a query.
pub const METHODS: &[(&str, bool)] = &[
    ("increment", false),
    ("value", true),
    ("echo", true),
    ("write_in_query", true),
    ("put", false),
    ("get", true),
    ("delete", false),
    ("sum", true),
    ("transfer", false),
    ("deposit", false),
    ("balance", true),
    ("forward", false),
    ("relay", true),
    ("spin", false),
    ("trap", false),
    ("fail_after_write", false),
    ("trap_after_write", false),
    ("arm", false),
    ("disarm", false),
    ("keep_pending", false),
];

#[derive(Serialize)]
struct Count {
    n: i64,
}

#[derive(Deserialize)]
struct Increment {
    #[serde(default = "one")]
    by: i64,
}

#[derive(Deserialize)]
struct Put {
    key: String,
    bytes: usize,
}

#[derive(Deserialize)]
struct Transfer {
    to: String,
    amount: i64,
}

#[derive(Deserialize, Serialize)]
struct Amount {
    amount: i64,
}

#[derive(Deserialize)]
struct Relay {
    key: String,
    calls: u32,
    bytes: usize,
}

#[derive(Deserialize)]
struct Arm {
    ms: u64,
    name: String,
    method: String,
    #[serde(default)]
    arg: Option<Box<RawValue>>,
}

/// Runs one method of `counter/key`.
pub fn run(key: &str, method: &str, argument: Vec<u8>) -> Result<Vec<u8>, Failure> {
    match method {
        "increment" => increment(&argument),
        "value" => Ok(to_json(&Count { n: number("n")? })),
        "echo" => Ok(argument),
        "write_in_query" => set_number("n", -1).map(|()| b"null".to_vec()),
        "put" => put(&parse(&argument)?),
        "get" => get(&parse::<String>(&argument)?),
        "delete" => state::delete(&parse::<String>(&argument)?).map(|was| to_json(&was)),
        "sum" => sum(),
        "transfer" => transfer(key, &parse(&argument)?),
        "deposit" => add("balance", parse::<Amount>(&argument)?.amount).map(|n| to_json(&n)),
        "balance" => number("balance").map(|n| to_json(&n)),
        "forward" => support::reply_of(&parse::<Call>(&argument)?.start()?),
        "relay" => relay(&parse(&argument)?),
        "spin" => support::spin(),
        "trap" => support::trap(),
        "fail_after_write" => {
            set_number("n", -1)?;
            Err(failure("on-purpose", "failed after a write"))
        }
        "trap_after_write" => {
            set_number("n", -1)?;
            support::trap()
        }
        "arm" => arm(&parse(&argument)?),
        "disarm" => outbox::cancel_timer(&parse::<String>(&argument)?).map(|was| to_json(&was)),
        "keep_pending" => parse::<Call>(&argument)?.start().map(keep),
        _ => Err(failure(
            "unknown-method",
            &format!("counter has no method {method}"),
        )),
    }
}

fn one() -> i64 {
    1
}

fn increment(argument: &[u8]) -> Result<Vec<u8>, Failure> {
    let by = match argument {
        b"null" => 1,
        _ => parse::<Increment>(argument)?.by,
    };
    Ok(to_json(&Count { n: add("n", by)? }))
}

/// The number under `key`; 0 when there is none.
fn number(key: &str) -> Result<i64, Failure> {
    match state::get(key)? {
        Some(Value::Json(json)) => parse(&json),
        Some(Value::Bytes(_)) => Err(failure("not-a-number", &format!("{key} holds bytes"))),
        None => Ok(0),
    }
}

fn set_number(key: &str, number: i64) -> Result<(), Failure> {
    state::set(key, &Value::Json(to_json(&number)))
}

fn add(key: &str, by: i64) -> Result<i64, Failure> {
    let sum = number(key)?.saturating_add(by);
    set_number(key, sum)?;
    Ok(sum)
}

fn put(put: &Put) -> Result<Vec<u8>, Failure> {
    state::set(&put.key, &Value::Bytes(vec![b'x'; put.bytes]))?;
    Ok(b"null".to_vec())
}

/// The JSON under a key, or the length of the bytes there, or null.
fn get(key: &str) -> Result<Vec<u8>, Failure> {
    match state::get(key)? {
        Some(Value::Json(json)) => Ok(json),
        Some(Value::Bytes(bytes)) => Ok(to_json(&bytes.len())),
        None => Ok(b"null".to_vec()),
    }
}

/// Adds up all numbers and all lengths of bytes in the state, page by page.
fn sum() -> Result<Vec<u8>, Failure> {
    const PAGE: u32 = 100;
    let (mut total, mut after) = (0i64, None::<String>);
    loop {
        let page = state::list("", after.as_deref(), PAGE)?;
        for (_, value) in &page {
            total += match value {
                Value::Json(json) => parse::<i64>(json).unwrap_or(0),
                Value::Bytes(bytes) => bytes.len() as i64,
            };
        }
        match page.into_iter().last() {
            Some((key, _)) => after = Some(key),
            None => return Ok(to_json(&total)),
        }
    }
}

/// Takes from this balance and sends the same to another counter: together or not at all.
fn transfer(own_key: &str, transfer: &Transfer) -> Result<Vec<u8>, Failure> {
    if transfer.to == own_key {
        return Err(failure("same-account", "a transfer needs another account"));
    }
    let left = add("balance", -transfer.amount)?;
    let deposit = to_json(&Amount {
        amount: transfer.amount,
    });
    outbox::send("counter", &transfer.to, "deposit", &deposit)?;
    Ok(to_json(&left))
}

/// Lets another counter echo a string of so many bytes, so many times, one after the other.
fn relay(relay: &Relay) -> Result<Vec<u8>, Failure> {
    let argument = to_json(&"x".repeat(relay.bytes.saturating_sub(2)));
    for _ in 0..relay.calls {
        let pending = effects::call("counter", &relay.key, "echo", &argument)?;
        if support::reply_of(&pending)?.len() != argument.len() {
            return Err(failure("bad-echo", "the echo has another length"));
        }
    }
    Ok(to_json(&relay.calls))
}

fn arm(arm: &Arm) -> Result<Vec<u8>, Failure> {
    outbox::set_timer(
        &arm.name,
        arm.ms,
        &arm.method,
        json_or_null(arm.arg.as_deref()),
    )?;
    Ok(b"null".to_vec())
}
