//! Which agents exist.
//!
//! ```text
//! key      tenant 0 | type 0 | agent key 0
//! value    version | postcard of `AgentRow`
//! lifetime from the agent's first commit until it is deleted
//! ```

use crate::codec;
use crate::keys::{KeyBuf, KeyReader, Table};
use crate::rows::Rows;
use crate::writer::Writer;
use eddy_types::{AgentId, EddyError, Key, Name, ShardId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// When an agent came to be and when it last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRow {
    /// Its first commit since it was last deleted.
    pub created: Timestamp,
    /// Its last commit that changed state or timers.
    pub updated: Timestamp,
}

fn row_key(shard: ShardId, agent: &AgentId) -> KeyBuf {
    let mut key = KeyBuf::new(shard, Table::Agent);
    key.agent(agent);
    key
}

fn decode(row: &[u8]) -> Result<AgentRow, EddyError> {
    codec::decode("an agent", row)
}

pub(crate) fn put(
    writer: &mut Writer<'_>,
    agent: &AgentId,
    row: AgentRow,
) -> Result<(), EddyError> {
    writer.put(&row_key(writer.shard, agent), codec::encode(&row)?);
    Ok(())
}

pub(crate) fn delete(writer: &mut Writer<'_>, agent: &AgentId) {
    writer.delete(&row_key(writer.shard, agent));
}

pub(crate) fn pending(writer: &Writer<'_>, agent: &AgentId) -> Result<Option<AgentRow>, EddyError> {
    writer
        .get(&row_key(writer.shard, agent))?
        .map(|row| decode(&row))
        .transpose()
}

pub(crate) fn get(
    rows: &Rows,
    shard: ShardId,
    agent: &AgentId,
) -> Result<Option<AgentRow>, EddyError> {
    rows.get(&row_key(shard, agent))?
        .map(|row| decode(&row))
        .transpose()
}

pub(crate) fn exists(rows: &Rows, shard: ShardId, agent: &AgentId) -> Result<bool, EddyError> {
    rows.contains(&row_key(shard, agent))
}

/// Agents of a type in one shard whose key starts so, after a key, in key order.
pub(crate) fn list(
    rows: &Rows,
    shard: ShardId,
    (tenant, agent_type): (&TenantId, &Name),
    starts: &str,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<(AgentId, AgentRow)>, EddyError> {
    let mut of_type = KeyBuf::new(shard, Table::Agent);
    of_type.name(tenant.as_str()).name(agent_type.as_str());
    let mut all = of_type.clone();
    all.bytes(starts.as_bytes());
    let after = after.map(|after| {
        let mut key = of_type;
        key.name(after.as_str());
        key
    });
    let after = after.filter(|after| **after > *all);
    let from = after
        .as_deref()
        .map_or(Bound::Included(&*all), Bound::Excluded);
    rows.range((from, all.end()))
        .take(limit)
        .map(|row| {
            let (key, row) = row?;
            Ok((KeyReader::new(&key).agent()?, decode(&row)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::any_agent;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_round_trip(agent in any_agent(), created: u64, updated: u64) {
            let key = row_key(ShardId(3), &agent);
            prop_assert_eq!(KeyReader::new(&key).agent().unwrap(), agent);
            let row = AgentRow { created: Timestamp(created), updated: Timestamp(updated) };
            prop_assert_eq!(decode(&codec::encode(&row).unwrap()).unwrap(), row);
        }
    }
}
