//! Durable timers.
//!
//! ```text
//! key      tenant 0 | type 0 | agent key 0 | name
//! value    version | postcard of `Timer`
//! index    by time: fires at (8 bytes) | the key above -> version | postcard of its generation and of
//!          the size of its argument, so that nobody reads arguments to know what comes when; empty when
//!          an older build wrote it
//! lifetime until cancelled, fired or given up, or until its agent is deleted
//! ```

use crate::codec;
use crate::keys::{HEAD, KeyBuf, KeyReader, Table};
use crate::rows::Rows;
use crate::writer::Writer;
use eddy_core::{Timer, TimerRow};
use eddy_types::{AgentId, EddyError, ShardId, Timestamp};
use std::ops::Bound;

fn prefix(shard: ShardId, agent: &AgentId) -> KeyBuf {
    let mut key = KeyBuf::new(shard, Table::Timer);
    key.agent(agent);
    key
}

fn row_key(shard: ShardId, agent: &AgentId, name: &str) -> KeyBuf {
    let mut key = prefix(shard, agent);
    key.bytes(name.as_bytes());
    key
}

fn time_key(shard: ShardId, at: Timestamp, row_key: &[u8]) -> KeyBuf {
    let mut key = KeyBuf::new(shard, Table::TimerByTime);
    key.bytes(&at.0.to_be_bytes()).bytes(&row_key[HEAD..]);
    key
}

fn decode(row: &[u8]) -> Result<Timer, EddyError> {
    codec::decode("a timer", row)
}

pub(crate) fn put(
    writer: &mut Writer<'_>,
    agent: &AgentId,
    name: &str,
    timer: &Timer,
) -> Result<(), EddyError> {
    let key = row_key(writer.shard, agent, name);
    delete_at(writer, &key)?;
    let brief = codec::encode(&(timer.generation, timer.argument.len()))?;
    writer.put(&time_key(writer.shard, timer.at, &key), brief);
    writer.put(&key, codec::encode(timer)?);
    Ok(())
}

pub(crate) fn delete(
    writer: &mut Writer<'_>,
    agent: &AgentId,
    name: &str,
) -> Result<(), EddyError> {
    delete_at(writer, &row_key(writer.shard, agent, name))
}

pub(crate) fn delete_all(writer: &mut Writer<'_>, agent: &AgentId) -> Result<(), EddyError> {
    for key in writer.keys_under(&prefix(writer.shard, agent))? {
        delete_at(writer, &key)?;
    }
    Ok(())
}

fn delete_at(writer: &mut Writer<'_>, key: &[u8]) -> Result<(), EddyError> {
    if let Some(row) = writer.get(key)? {
        let at = decode(&row)?.at;
        writer.delete(&time_key(writer.shard, at, key));
        writer.delete(key);
    }
    Ok(())
}

pub(crate) fn get(
    rows: &Rows,
    shard: ShardId,
    agent: &AgentId,
    name: &str,
) -> Result<Option<Timer>, EddyError> {
    rows.get(&row_key(shard, agent, name))?
        .map(|row| decode(&row))
        .transpose()
}

pub(crate) fn of_agent(
    rows: &Rows,
    shard: ShardId,
    agent: &AgentId,
) -> Result<Vec<(String, usize)>, EddyError> {
    rows.under(&prefix(shard, agent))
        .map(|row| {
            let (key, row) = row?;
            let mut key = KeyReader::new(&key);
            key.agent()?;
            Ok((key.text()?.to_owned(), decode(&row)?.argument.len()))
        })
        .collect()
}

pub(crate) fn until(
    rows: &Rows,
    shard: ShardId,
    until: Timestamp,
    after: Option<&TimerRow>,
    limit: usize,
) -> Result<Vec<TimerRow>, EddyError> {
    let index = KeyBuf::new(shard, Table::TimerByTime);
    let mut last = index.clone();
    last.bytes(&until.0.to_be_bytes());
    let after = after.map(|row| time_key(shard, row.at, &row_key(shard, &row.agent, &row.name)));
    let from = after
        .as_deref()
        .map_or(Bound::Included(&*index), Bound::Excluded);
    let mut due = Vec::new();
    for entry in rows.range((from, last.end())) {
        if due.len() == limit {
            break;
        }
        let (key, brief) = entry?;
        due.extend(row_of_index(rows, shard, &key, &brief)?);
    }
    Ok(due)
}

/// The timer an index entry points to; none when an older build wrote it and the timer is gone.
fn row_of_index(
    rows: &Rows,
    shard: ShardId,
    index_key: &[u8],
    brief: &[u8],
) -> Result<Option<TimerRow>, EddyError> {
    let mut key = KeyReader::new(index_key);
    let at = Timestamp(key.u64()?);
    let agent = key.agent()?;
    let name = key.text()?;
    if brief.is_empty() {
        let timer = get(rows, shard, &agent, name)?.filter(|timer| timer.at == at);
        return Ok(timer.map(|timer| TimerRow::of(&agent, name, &timer)));
    }
    let (generation, argument_bytes) = codec::decode("a timer's time", brief)?;
    Ok(Some(TimerRow {
        name: name.to_owned(),
        agent,
        at,
        generation,
        argument_bytes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::any_agent;
    use crate::{Store, StoreConfig};
    use eddy_types::{Key, MethodName, Name, Seq, TenantId};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_round_trip(agent in any_agent(), name in "[\0a-z€]{0,5}", at: u64, generation: u64) {
            let key = time_key(ShardId(1), Timestamp(at), &row_key(ShardId(1), &agent, &name));
            let mut reader = KeyReader::new(&key);
            prop_assert_eq!(reader.u64().unwrap(), at);
            prop_assert_eq!(reader.agent().unwrap(), agent);
            prop_assert_eq!(reader.text().unwrap(), name);
            let timer = Timer {
                at: Timestamp(at),
                method: MethodName::new("tick").unwrap(),
                argument: "{}".into(),
                generation: Seq(generation),
            };
            prop_assert_eq!(decode(&codec::encode(&timer).unwrap()).unwrap(), timer);
        }
    }

    #[test]
    fn arguments_are_not_read_to_know_what_comes_when() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(StoreConfig::new(dir.path())).unwrap();
        let shard = ShardId(1);
        let (tenant, name) = (TenantId::default_tenant(), Name::new("a").unwrap());
        let agent = AgentId::new(tenant, name, Key::new("k").unwrap());
        let timer = Timer {
            at: Timestamp(7),
            method: MethodName::new("tick").unwrap(),
            argument: "[1,2]".into(),
            generation: Seq(300),
        };
        let (key, row) = (
            row_key(shard, &agent, "t"),
            TimerRow::of(&agent, "t", &timer),
        );
        let write = |what: &dyn Fn(&mut Writer<'_>)| {
            let mut writer = Writer::new(shard, &store.rows);
            what(&mut writer);
            writer.commit().unwrap();
        };
        let listed = || until(&store.rows, shard, Timestamp(7), None, 9).unwrap();
        write(&|writer| put(writer, &agent, "t", &timer).unwrap());
        assert_eq!(listed(), std::slice::from_ref(&row));
        // As an older build left it.
        let index = time_key(shard, timer.at, &key);
        write(&|writer| writer.put(&index, Vec::new()));
        assert_eq!(listed(), std::slice::from_ref(&row));
        let at = Timestamp(8);
        let later = codec::encode(&Timer {
            at,
            ..timer.clone()
        })
        .unwrap();
        write(&|writer| writer.put(&key, later.clone()));
        assert_eq!(listed(), []);
        write(&|writer| {
            writer.delete(&key);
            put(writer, &agent, "t", &timer).unwrap();
            writer.put(&key, b"no timer".to_vec());
        });
        assert_eq!(listed(), [row]);
    }
}
