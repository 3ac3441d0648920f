//! The state of agents.
//!
//! ```text
//! key      tenant 0 | type 0 | agent key 0 | state key
//! value    version | kind (0 JSON, 1 bytes) | content
//! lifetime until deleted, or until its agent is
//! ```
//! The content is not wrapped in postcard, so that a read hands out the stored bytes uncopied.

use crate::codec::{self, VERSION, damaged};
use crate::keys::{KeyBuf, Table};
use crate::rows::Rows;
use crate::writer::Writer;
use bytes::Bytes;
use eddy_core::Value;
use eddy_types::{AgentId, EddyError, ShardId};
use std::ops::Bound;

fn prefix(shard: ShardId, agent: &AgentId) -> KeyBuf {
    let mut key = KeyBuf::new(shard, Table::State);
    key.agent(agent);
    key
}

fn row_key(shard: ShardId, agent: &AgentId, state_key: &str) -> KeyBuf {
    let mut key = prefix(shard, agent);
    key.bytes(state_key.as_bytes());
    key
}

fn encode(value: &Value) -> Vec<u8> {
    let (kind, content) = match value {
        Value::Json(content) => (0, content),
        Value::Bytes(content) => (1, content),
    };
    let mut row = Vec::with_capacity(2 + content.len());
    row.extend_from_slice(&[VERSION, kind]);
    row.extend_from_slice(content);
    row
}

fn decode(row: &Bytes) -> Result<Value, EddyError> {
    match codec::body("a state value", row)?.first() {
        Some(0) => Ok(Value::Json(row.slice(2..))),
        Some(1) => Ok(Value::Bytes(row.slice(2..))),
        _ => Err(damaged("a state value")),
    }
}

pub(crate) fn put(writer: &mut Writer<'_>, agent: &AgentId, key: &str, value: &Value) {
    writer.put(&row_key(writer.shard, agent, key), encode(value));
}

pub(crate) fn delete(writer: &mut Writer<'_>, agent: &AgentId, key: &str) {
    writer.delete(&row_key(writer.shard, agent, key));
}

pub(crate) fn delete_all(writer: &mut Writer<'_>, agent: &AgentId) -> Result<(), EddyError> {
    for key in writer.keys_under(&prefix(writer.shard, agent))? {
        writer.delete(&key);
    }
    Ok(())
}

pub(crate) fn get(
    rows: &Rows,
    shard: ShardId,
    agent: &AgentId,
    key: &str,
) -> Result<Option<Value>, EddyError> {
    rows.get(&row_key(shard, agent, key))?
        .map(|row| decode(&row))
        .transpose()
}

pub(crate) fn range(
    rows: &Rows,
    shard: ShardId,
    agent: &AgentId,
    starts: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<(String, Value)>, EddyError> {
    let all = row_key(shard, agent, starts);
    let after = after
        .filter(|after| *after >= starts)
        .map(|after| row_key(shard, agent, after));
    let from = after
        .as_deref()
        .map_or(Bound::Included(&*all), Bound::Excluded);
    let skip = prefix(shard, agent).len();
    rows.range((from, all.end()))
        .take(limit)
        .map(|row| {
            let (key, value) = row?;
            let key = std::str::from_utf8(&key[skip..]).map_err(|_| damaged("a state key"))?;
            Ok((key.to_owned(), decode(&value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyReader;
    use crate::keys::tests::any_agent;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_round_trip(
            agent in any_agent(),
            key in "\\PC{0,9}|[\0a]{0,3}",
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            json in any::<bool>(),
        ) {
            let stored = row_key(ShardId(9), &agent, &key);
            let mut reader = KeyReader::new(&stored);
            prop_assert_eq!(reader.agent().unwrap(), agent);
            prop_assert_eq!(reader.text().unwrap(), key);
            let content = Bytes::from(bytes);
            let value = if json { Value::Json(content) } else { Value::Bytes(content) };
            prop_assert_eq!(decode(&Bytes::from(encode(&value))).unwrap(), value);
        }
    }
}
