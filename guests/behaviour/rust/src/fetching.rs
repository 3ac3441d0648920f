//! Requests to HTTP servers.

use crate::requests::in_time;
use eddy_sdk::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Deserialize)]
pub struct Wanted {
    url: String,
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

async fn get(ctx: &FunctionContext, wanted: Wanted) -> Result<Value> {
    let mut fetch = ctx.fetch(wanted.url);
    if let Some(method) = wanted.method {
        fetch = fetch.method(method);
    }
    for (name, value) in wanted.headers {
        fetch = fetch.header(name, value);
    }
    if let Some(body) = wanted.body {
        fetch = fetch.body(body);
    }
    let response = fetch.await?;
    Ok(json!({
        "status": response.status,
        "ok": response.ok(),
        "reply": response.header("x-reply"),
        "text": response.text(),
    }))
}

#[function]
pub async fn fetch_url(ctx: &FunctionContext, wanted: Wanted) -> Result<Value> {
    get(ctx, wanted).await
}

#[function]
pub async fn fetch_json(ctx: &FunctionContext, wanted: Wanted) -> Result<Value> {
    ctx.fetch(wanted.url).await?.json()
}

#[function]
pub async fn fetch_caught(ctx: &FunctionContext, wanted: Wanted) -> Result<Value> {
    match get(ctx, wanted).await {
        Err(error) => Ok(json!({ "code": error.code })),
        fetched => fetched,
    }
}

#[derive(Deserialize)]
pub struct Within {
    ms: u64,
    url: String,
}

#[function]
pub async fn fetch_within(ctx: &FunctionContext, Within { ms, url }: Within) -> Result<Value> {
    in_time(ctx, ms, async { Ok(ctx.fetch(url).await?.status) }).await
}
