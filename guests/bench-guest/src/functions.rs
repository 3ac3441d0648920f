//! The functions: one line each in `run`, what is longer below it.

use crate::bindings::eddy::platform::context::{self, LogLevel};
use crate::bindings::eddy::platform::effects::{self, HttpRequest, Outcome, Pending};
use crate::support::{self, Call, Failure, failure, parse, to_json};
use serde_json::{Value, json};

/// What `describe` lists.
pub const NAMES: &[&str] = &[
    "hello",
    "echo",
    "spin",
    "hog",
    "trap",
    "garbage",
    "fail",
    "stack",
    "sleep_ms",
    "calls",
    "fetch",
    "print",
    "env",
    "now",
    "random",
    "wait_for_nothing",
    "keep_pending",
    "start_many",
    "panic",
    "exit",
];

/// Runs one.
pub fn run(name: &str, argument: Vec<u8>) -> Result<Vec<u8>, Failure> {
    match name {
        "hello" => Ok(br#""hello""#.to_vec()),
        "echo" => Ok(argument),
        "spin" => support::spin(),
        "hog" => hog(),
        "trap" => support::trap(),
        "panic" => panic!("on purpose"),
        "exit" => std::process::exit(3),
        "garbage" => Ok(b"{\"not\": json".to_vec()),
        "fail" => Err(on_purpose()),
        "stack" => Ok(to_json(&recurse(1))),
        "sleep_ms" => sleep_ms(parse(&argument)?),
        "calls" => calls(&parse::<Vec<Call>>(&argument)?),
        "fetch" => fetch(&parse(&argument)?),
        "print" => print(&parse::<String>(&argument)?),
        "env" => Ok(env(&parse::<String>(&argument)?)),
        "now" => Ok(to_json(&context::now())),
        "random" => Ok(to_json(&context::random())),
        "wait_for_nothing" => effects::wait(&[]).map(|ready| to_json(&ready)),
        "keep_pending" => parse::<Call>(&argument)?.start().map(keep),
        "start_many" => start_many(parse(&argument)?),
        _ => Err(failure("unknown-function", &format!("no function {name}"))),
    }
}

/// Leaves an effect running: its handle stays in the instance.
pub fn keep(pending: Pending) -> Vec<u8> {
    std::mem::forget(pending);
    b"null".to_vec()
}

/// Every field of a failure, filled in.
fn on_purpose() -> Failure {
    Failure {
        code: "out-of-stock".to_owned(),
        message: "no more of it".to_owned(),
        stack: Some("at fail (functions.rs)".to_owned()),
        status: Some(409),
        details: Some(br#"{"left":0}"#.to_vec()),
    }
}

/// Allocates and touches memory until it is stopped.
fn hog() -> ! {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(std::hint::black_box(vec![1; 1 << 20]));
    }
}

/// Has no end and two calls of itself, so that it cannot become a loop.
#[inline(never)]
fn recurse(n: u64) -> u64 {
    if n == 0 {
        return 1;
    }
    recurse(n.wrapping_mul(3).wrapping_add(1) | 1) ^ recurse(n.wrapping_add(2) | 1)
}

fn sleep_ms(milliseconds: u64) -> Result<Vec<u8>, Failure> {
    support::wait_for(&effects::sleep(milliseconds)?)?;
    Ok(b"null".to_vec())
}

/// Starts all, waits for all; the answer lists each result, or `{error: {code, message}}`.
fn calls(calls: &[Call]) -> Result<Vec<u8>, Failure> {
    let pendings = calls
        .iter()
        .map(Call::start)
        .collect::<Result<Vec<_>, _>>()?;
    let mut results = vec![Value::Null; calls.len()];
    let mut open: Vec<usize> = (0..calls.len()).collect();
    while !open.is_empty() {
        let waiting: Vec<&Pending> = open.iter().map(|&i| &pendings[i]).collect();
        let mut ready = effects::wait(&waiting)?;
        // From the back, so that the positions in front stay true.
        ready.sort_unstable_by(|a, b| b.cmp(a));
        for position in ready {
            let index = open.remove(position as usize);
            results[index] = settled(pendings[index].take());
        }
    }
    Ok(to_json(&results))
}

fn settled(outcome: Option<Result<Outcome, Failure>>) -> Value {
    match outcome {
        Some(Ok(Outcome::Json(json))) => serde_json::from_slice(&json).unwrap_or(Value::Null),
        Some(Err(error)) => json!({ "error": { "code": error.code, "message": error.message } }),
        _ => Value::Null,
    }
}

/// `{url, method?, body?}` to `{status, body}`.
fn fetch(request: &Value) -> Result<Vec<u8>, Failure> {
    let text = |name: &str| request.get(name).and_then(Value::as_str).map(str::to_owned);
    let pending = effects::fetch(&HttpRequest {
        method: text("method").unwrap_or_else(|| "GET".to_owned()),
        url: text("url").unwrap_or_default(),
        headers: vec![("accept".to_owned(), "*/*".to_owned())],
        body: text("body").map(String::into_bytes),
    })?;
    match support::wait_for(&pending)? {
        Outcome::Http(response) => {
            let body = String::from_utf8_lossy(&response.body);
            Ok(to_json(&json!({ "status": response.status, "body": body })))
        }
        Outcome::Json(_) | Outcome::Elapsed => Err(failure("bad-outcome", "not a response")),
    }
}

/// The same line to the log, to standard output and to standard error.
fn print(line: &str) -> Result<Vec<u8>, Failure> {
    context::log(LogLevel::Info, line);
    println!("{line}");
    eprintln!("{line}");
    Ok(b"null".to_vec())
}

/// A variable as Eddy and as WASI tell it, and how many variables WASI lists.
fn env(name: &str) -> Vec<u8> {
    to_json(&json!({
        "context": context::env(name),
        "wasi": std::env::var(name).ok(),
        "count": std::env::vars().count(),
        "args": std::env::args().count(),
    }))
}

/// Starts so many long sleeps; the answer is how many it got.
fn start_many(count: usize) -> Result<Vec<u8>, Failure> {
    let started = (0..count)
        .map(|_| effects::sleep(600_000))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(to_json(&started.len()))
}
