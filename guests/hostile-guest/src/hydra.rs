//! The agent type `hydra`: where there was one message there are two. What an agent has that a function
//! has not: state, timers, queries, and calls that wait for each other.

use crate::bindings::eddy::platform::effects::{self, Pending};
use crate::bindings::eddy::platform::outbox;
use crate::bindings::eddy::platform::state::{self, Value};
use crate::endless;
use crate::support::{Failure, NULL, failure, parse, to_json, told};
use serde::Deserialize;

/// Methods, and whether each is a query.
pub const METHODS: &[(&str, bool)] = &[
    ("bomb", false),
    ("timers", false),
    ("block", false),
    ("post", false),
    ("fill", false),
    ("read", true),
    ("spin", false),
    ("spin_query", true),
    ("list", true),
    ("write_in_query", true),
    ("nest", false),
    ("fan", false),
];

#[derive(Deserialize)]
struct Post {
    to: String,
    method: String,
    sends: usize,
    bytes: usize,
}

#[derive(Deserialize)]
struct Fill {
    name: String,
    bytes: usize,
}

/// Runs one method of `hydra/key`.
pub fn run(key: &str, method: &str, argument: &[u8]) -> Result<Vec<u8>, Failure> {
    match method {
        "bomb" => bomb(key, argument),
        "timers" => timers(),
        "block" | "spin" | "spin_query" => endless::spin(),
        "post" => post(&parse(argument)?),
        "fill" => fill(&parse(argument)?),
        "read" => Ok(NULL.to_vec()),
        "list" => endless::calls(b"\"list\""),
        "write_in_query" => {
            let written = state::set("n", &Value::Json(NULL.to_vec()));
            Ok(to_json(&written.map_err(|failure| failure.code).err()))
        }
        "nest" => nest(key),
        "fan" => fan(key, parse(argument)?),
        _ => Err(failure("unknown-method", method)),
    }
}

/// Sends itself to two others, which do the same.
fn bomb(key: &str, argument: &[u8]) -> Result<Vec<u8>, Failure> {
    let key = &key[key.len().saturating_sub(60)..];
    for child in ["l", "r"] {
        outbox::send("hydra", &format!("{key}{child}"), "bomb", argument)?;
    }
    Ok(NULL.to_vec())
}

/// Sets timers that set timers.
fn timers() -> Result<Vec<u8>, Failure> {
    for n in 0..100 {
        outbox::set_timer(&format!("t{n}"), 0, "timers", NULL)?;
    }
    Ok(NULL.to_vec())
}

/// Sends many large messages to somebody.
fn post(post: &Post) -> Result<Vec<u8>, Failure> {
    let argument = to_json(&"x".repeat(post.bytes));
    for _ in 0..post.sends {
        outbox::send("hydra", &post.to, &post.method, &argument)?;
    }
    Ok(NULL.to_vec())
}

fn fill(fill: &Fill) -> Result<Vec<u8>, Failure> {
    state::set(&fill.name, &Value::Bytes(vec![b'x'; fill.bytes]))?;
    Ok(NULL.to_vec())
}

/// Calls the next one, which calls the next one.
fn nest(key: &str) -> Result<Vec<u8>, Failure> {
    let depth: u32 = key.parse().unwrap_or(0);
    let next = effects::call("hydra", &(depth + 1).to_string(), "nest", NULL);
    let told = told(next);
    Ok(match told.strip_prefix("ok ") {
        Some(deepest) => deepest.as_bytes().to_vec(),
        None => to_json(&(depth, told)),
    })
}

/// Calls so many others at once, which do the same.
fn fan(key: &str, width: usize) -> Result<Vec<u8>, Failure> {
    let argument = to_json(&width);
    let key = &key[key.len().saturating_sub(60)..];
    let start = |n| effects::call("hydra", &format!("{key}.{n}"), "fan", &argument).ok();
    let mut open: Vec<Pending> = (0..width).map_while(start).collect();
    while !open.is_empty() {
        let waiting: Vec<&Pending> = open.iter().collect();
        effects::wait(&waiting)?;
        open.retain(|pending| pending.take().is_none());
    }
    Ok(NULL.to_vec())
}
