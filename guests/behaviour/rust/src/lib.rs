//! The app `behaviour` in Rust: what each handler does is in ../README.md.

mod failing;
mod fetching;
mod messages;
mod notebook;
mod requests;
mod worker;

use eddy_sdk::prelude::*;
use futures::future::{join_all, select_all, try_join_all};
use requests::{Request, Within, attempt, in_time, make};
use serde_json::{Value, json};
use std::time::Duration;

use failing::{fail, fail_plain};
use fetching::{fetch_caught, fetch_json, fetch_url, fetch_within};
use messages::{Alarm, Cache, Inbox};
use notebook::Notebook;
use worker::Worker;

eddy_sdk::export!(
    Alarm,
    Cache,
    Inbox,
    Notebook,
    Worker,
    about,
    caught,
    echo,
    fail,
    fail_plain,
    fetch_caught,
    fetch_json,
    fetch_url,
    fetch_within,
    first_of,
    forget,
    gather,
    gather_caught,
    greet,
    large,
    log_lines,
    nothing,
    pause,
    rendezvous,
    request,
    same_now,
    send_to,
    with_default,
    within,
);

#[derive(Deserialize)]
pub struct Person {
    name: String,
}

#[function]
pub fn greet(_ctx: &FunctionContext, Person { name }: Person) -> Result<String> {
    Ok(format!("Hello, {name}!"))
}

#[function]
pub fn echo(_ctx: &FunctionContext, value: Value) -> Result<Value> {
    Ok(value)
}

#[function]
pub fn nothing(_ctx: &FunctionContext) -> Result<()> {
    Ok(())
}

#[derive(Deserialize, Serialize)]
pub struct By {
    #[serde(default = "one")]
    by: i64,
}

fn one() -> i64 {
    1
}

#[function]
pub fn with_default(_ctx: &FunctionContext, by: By) -> Result<By> {
    Ok(by)
}

#[function]
pub fn about(ctx: &FunctionContext) -> Result<Value> {
    Ok(json!({
        "now": ctx.now(),
        "invocation": ctx.invocation(),
        "random": [ctx.random(), ctx.random()],
        "greeting": ctx.env("GREETING"),
        "missing": ctx.env("NO_SUCH_NAME"),
    }))
}

#[function]
pub async fn same_now(ctx: &FunctionContext) -> Result<bool> {
    let before = ctx.now();
    ctx.sleep(Duration::from_millis(20)).await?;
    Ok(ctx.now() == before)
}

#[function]
pub fn log_lines(ctx: &FunctionContext) -> Result<()> {
    ctx.log.info("plain");
    ctx.log.trace("at trace");
    ctx.log.debug("at debug");
    ctx.log.info("at info");
    ctx.log.warn("at warn");
    ctx.log.error("at error");
    Ok(())
}

#[derive(Deserialize)]
pub struct Size {
    bytes: usize,
}

#[function]
pub fn large(_ctx: &FunctionContext, size: Size) -> Result<String> {
    Ok("x".repeat(size.bytes))
}

#[derive(Deserialize)]
pub struct Pause {
    ms: u64,
}

#[function]
pub async fn pause(ctx: &FunctionContext, Pause { ms }: Pause) -> Result<u64> {
    ctx.sleep(Duration::from_millis(ms)).await?;
    Ok(ms)
}

#[function]
pub async fn request(ctx: &FunctionContext, wanted: Request) -> Result<Value> {
    make(ctx, &wanted).await
}

#[function]
pub async fn caught(ctx: &FunctionContext, wanted: Request) -> Result<Value> {
    Ok(attempt(make(ctx, &wanted)).await)
}

#[function]
pub async fn gather(ctx: &FunctionContext, wanted: Vec<Request>) -> Result<Vec<Value>> {
    try_join_all(wanted.iter().map(|one| make(ctx, one))).await
}

#[function]
pub async fn gather_caught(ctx: &FunctionContext, wanted: Vec<Request>) -> Result<Vec<Value>> {
    Ok(join_all(wanted.iter().map(|one| attempt(make(ctx, one)))).await)
}

#[function]
pub async fn first_of(ctx: &FunctionContext, wanted: Vec<Request>) -> Result<Value> {
    let (first, _, _) = select_all(wanted.iter().map(|one| make(ctx, one))).await;
    first
}

#[function]
pub async fn within(ctx: &FunctionContext, Within { ms, request }: Within) -> Result<Value> {
    in_time(ctx, ms, make(ctx, &request)).await
}

#[function]
pub fn forget(ctx: &FunctionContext, wanted: Request) -> Result<&'static str> {
    let _call = make(ctx, &wanted);
    Ok("done")
}

#[derive(Deserialize)]
pub struct Meeting {
    key: String,
    wanted: u64,
}

#[function]
pub async fn rendezvous(ctx: &FunctionContext, Meeting { key, wanted }: Meeting) -> Result<u64> {
    let worker = ctx.agent::<Worker>(&key);
    worker.tick().await?;
    loop {
        let ticks = worker.ticks().await?;
        if ticks >= wanted {
            return Ok(ticks);
        }
        ctx.sleep(Duration::from_millis(10)).await?;
    }
}

#[derive(Deserialize)]
pub struct Letters {
    key: String,
    notes: Vec<String>,
}

#[function]
pub fn send_to(ctx: &FunctionContext, Letters { key, notes }: Letters) -> Result<()> {
    for note in notes {
        ctx.send("inbox", &key, "receive", json!({ "note": note }))?;
    }
    Ok(())
}
