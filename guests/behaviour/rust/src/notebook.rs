//! State, and what queries may not do.

use crate::requests::{Request, make};
use eddy_sdk::Stored;
use eddy_sdk::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

#[agent]
pub struct Notebook;

#[derive(Deserialize)]
pub struct Entry {
    key: String,
    value: Value,
}

#[derive(Deserialize)]
pub struct ByteEntry {
    key: String,
    bytes: Vec<u8>,
}

#[derive(Deserialize)]
pub struct Many {
    prefix: String,
    count: u32,
}

#[derive(Deserialize)]
pub struct Large {
    key: String,
    bytes: usize,
}

#[derive(Deserialize)]
pub struct Listing {
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
pub struct EntryAndRequest {
    key: String,
    value: Value,
    request: Request,
}

/// A state value in JSON, with its kind.
fn shown(value: Option<Stored>) -> Result<Value> {
    Ok(match value {
        None => Value::Null,
        Some(Stored::Bytes(bytes)) => json!({ "bytes": bytes }),
        Some(Stored::Json(json)) => json!({ "json": serde_json::from_slice::<Value>(&json)? }),
    })
}

#[agent]
impl Notebook {
    pub fn put(ctx: &AgentContext, Entry { key, value }: Entry) -> Result<()> {
        ctx.state.set(&key, value)
    }

    pub fn put_bytes(ctx: &AgentContext, ByteEntry { key, bytes }: ByteEntry) -> Result<()> {
        ctx.state.set(&key, Bytes(bytes))
    }

    pub fn put_many(ctx: &AgentContext, Many { prefix, count }: Many) -> Result<()> {
        for n in 0..count {
            ctx.state.set(&format!("{prefix}{n:03}"), n)?;
        }
        Ok(())
    }

    pub fn put_large(ctx: &AgentContext, Large { key, bytes }: Large) -> Result<()> {
        ctx.state.set(&key, "x".repeat(bytes))
    }

    pub fn put_and_read(ctx: &AgentContext, Entry { key, value }: Entry) -> Result<Value> {
        ctx.state.set(&key, value)?;
        shown(ctx.state.get(&key)?)
    }

    pub fn remove(ctx: &AgentContext, key: String) -> Result<bool> {
        ctx.state.delete(&key)
    }

    #[query]
    pub fn read(ctx: &AgentContext, key: String) -> Result<Value> {
        shown(ctx.state.get(&key)?)
    }

    #[query]
    pub fn list(ctx: &AgentContext, listing: Listing) -> Result<Vec<(String, Value)>> {
        let Listing {
            prefix,
            after,
            limit,
        } = listing;
        let entries = match (after, limit) {
            (None, None) => ctx.state.list(&prefix)?,
            (after, limit) => {
                let limit = limit.unwrap_or(1000);
                ctx.state.list_page(&prefix, after.as_deref(), limit)?
            }
        };
        let entries = entries.into_iter();
        entries
            .map(|(key, value)| Ok((key, shown(Some(value))?)))
            .collect()
    }

    pub fn put_then_fail(ctx: &AgentContext, Entry { key, value }: Entry) -> Result<()> {
        ctx.state.set(&key, value)?;
        let why = "nothing of this turn is to stay";
        Err(EddyError::new("changed-mind", why))
    }

    pub async fn put_and_catch(
        ctx: &AgentContext,
        EntryAndRequest {
            key,
            value,
            request,
        }: EntryAndRequest,
    ) -> Result<Option<String>> {
        ctx.state.set(&key, value)?;
        Ok(make(ctx, &request).await.err().map(|error| error.code))
    }

    #[query]
    pub fn put_in_query(ctx: &AgentContext, Entry { key, value }: Entry) -> Result<()> {
        ctx.state.set(&key, value)
    }

    #[query]
    pub fn remove_in_query(ctx: &AgentContext, key: String) -> Result<bool> {
        ctx.state.delete(&key)
    }

    #[query]
    pub fn send_in_query(ctx: &AgentContext, key: String) -> Result<()> {
        ctx.send("worker", &key, "tick", ())
    }

    #[query]
    pub fn timer_in_query(ctx: &AgentContext) -> Result<()> {
        let entry = json!({ "key": "late", "value": 1 });
        ctx.after(Duration::from_secs(3600), "put", entry)
    }

    #[query]
    pub fn caught_in_query(
        ctx: &AgentContext,
        Entry { key, value }: Entry,
    ) -> Result<Option<String>> {
        Ok(ctx.state.set(&key, value).err().map(|error| error.code))
    }

    #[query]
    pub async fn request_in_query(ctx: &AgentContext, wanted: Request) -> Result<Value> {
        make(ctx, &wanted).await
    }
}
