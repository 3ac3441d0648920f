//! Durable invocations of functions.
//!
//! ```text
//! key        message id (16 bytes)
//! value      version | postcard of `InvocationRow`
//! by time    tenant 0 | !queued (8 bytes) | !id (16 bytes) -> empty; newest first
//! by expiry  expires (8 bytes) | id -> empty
//! unfinished id -> empty, while it has not ended
//! lifetime   until the sweep finds it expired; it has no expiry while it runs
//! ```

use crate::codec;
use crate::keys::{KeyBuf, KeyReader, Table};
use crate::rows::Rows;
use crate::writer::Writer;
use eddy_core::{InvocationRow, MessageId};
use eddy_types::{EddyError, ShardId, TenantId, Timestamp};
use std::ops::Bound;

/// The last invocation of a page; the next page has older ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InvocationCursor {
    /// When it was accepted.
    pub queued: Timestamp,
    /// Its id.
    pub id: MessageId,
}

fn row_key(shard: ShardId, table: Table, id: MessageId) -> KeyBuf {
    let mut key = KeyBuf::new(shard, table);
    key.bytes(&id.0.to_be_bytes());
    key
}

fn time_key(shard: ShardId, tenant: &TenantId, at: InvocationCursor) -> KeyBuf {
    let mut key = KeyBuf::new(shard, Table::InvocationByTime);
    key.name(tenant.as_str())
        .bytes(&(!at.queued.0).to_be_bytes())
        .bytes(&(!at.id.0).to_be_bytes());
    key
}

fn expiry_key(shard: ShardId, expires: Timestamp, id: MessageId) -> KeyBuf {
    let mut key = expiry_index(shard);
    key.bytes(&expires.0.to_be_bytes())
        .bytes(&id.0.to_be_bytes());
    key
}

fn decode(row: &[u8]) -> Result<InvocationRow, EddyError> {
    codec::decode("an invocation", row)
}

pub(crate) fn put(
    writer: &mut Writer<'_>,
    id: MessageId,
    row: &InvocationRow,
) -> Result<(), EddyError> {
    let shard = writer.shard;
    let at = InvocationCursor {
        queued: row.queued,
        id,
    };
    writer.put(&time_key(shard, &row.tenant, at), Vec::new());
    if let Some(expires) = row.expires {
        writer.put(&expiry_key(shard, expires, id), Vec::new());
    }
    let unfinished = row_key(shard, Table::InvocationUnfinished, id);
    match row.ended {
        None => writer.put(&unfinished, Vec::new()),
        Some(_) => writer.delete(&unfinished),
    }
    writer.put(&row_key(shard, Table::Invocation, id), codec::encode(row)?);
    Ok(())
}

pub(crate) fn get(
    rows: &Rows,
    shard: ShardId,
    id: MessageId,
) -> Result<Option<InvocationRow>, EddyError> {
    rows.get(&row_key(shard, Table::Invocation, id))?
        .map(|row| decode(&row))
        .transpose()
}

pub(crate) fn unfinished(
    rows: &Rows,
    shard: ShardId,
) -> Result<Vec<(MessageId, InvocationRow)>, EddyError> {
    let mut found = Vec::new();
    for entry in rows.under(&KeyBuf::new(shard, Table::InvocationUnfinished)) {
        let id = MessageId(KeyReader::new(&entry?.0).u128()?);
        let row = get(rows, shard, id)?.filter(|row| row.ended.is_none());
        found.extend(row.map(|row| (id, row)));
    }
    Ok(found)
}

/// Invocations of a tenant in one shard, newest first, older than `after`.
pub(crate) fn list(
    rows: &Rows,
    shard: ShardId,
    tenant: &TenantId,
    after: Option<InvocationCursor>,
    limit: usize,
) -> Result<Vec<(InvocationCursor, InvocationRow)>, EddyError> {
    let mut all = KeyBuf::new(shard, Table::InvocationByTime);
    all.name(tenant.as_str());
    let after = after.map(|after| time_key(shard, tenant, after));
    let from = after
        .as_deref()
        .map_or(Bound::Included(&*all), Bound::Excluded);
    let mut found = Vec::new();
    for entry in rows.range((from, all.end())) {
        if found.len() == limit {
            break;
        }
        let (key, _) = entry?;
        let mut key = KeyReader::new(&key);
        key.name()?;
        let (queued, id) = (Timestamp(!key.u64()?), MessageId(!key.u128()?));
        let row = get(rows, shard, id)?.filter(|row| row.queued == queued && row.tenant == *tenant);
        found.extend(row.map(|row| (InvocationCursor { queued, id }, row)));
    }
    Ok(found)
}

/// The beginning of the index by expiry.
pub(crate) fn expiry_index(shard: ShardId) -> KeyBuf {
    KeyBuf::new(shard, Table::InvocationExpiry)
}

/// Deletes the row an index entry points to, unless it has been given a later expiry since.
pub(crate) fn expire(
    writer: &mut Writer<'_>,
    index_key: &[u8],
    now: Timestamp,
) -> Result<(), EddyError> {
    let mut index_key = KeyReader::new(index_key);
    index_key.u64()?;
    let id = MessageId(index_key.u128()?);
    let key = row_key(writer.shard, Table::Invocation, id);
    let Some(row) = writer.get(&key)? else {
        return Ok(());
    };
    let row = decode(&row)?;
    if row.expires.is_some_and(|expires| expires <= now) {
        let at = InvocationCursor {
            queued: row.queued,
            id,
        };
        writer.delete(&time_key(writer.shard, &row.tenant, at));
        writer.delete(&row_key(writer.shard, Table::InvocationUnfinished, id));
        writer.delete(&key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use eddy_types::{Digest, Name};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_round_trip(queued: u64, ended: Option<u64>, body in "[a-z]{0,9}", key: Option<u8>) {
            let row = InvocationRow {
                tenant: TenantId::default_tenant(),
                function: Name::new("hello").unwrap(),
                argument: body.clone().into(),
                queued: Timestamp(queued),
                ended: ended.map(Timestamp),
                outcome: ended.map(|_| Ok(body.into())),
                attempts: 2,
                key: key.map(|key| (key.to_string(), Digest::of(&[key]))),
                expires: ended.map(Timestamp),
            };
            prop_assert_eq!(decode(&codec::encode(&row).unwrap()).unwrap(), row);
        }

        #[test]
        fn the_index_has_the_newest_first(a: (u64, u128), b: (u64, u128)) {
            let cursor = |(queued, id)| InvocationCursor { queued: Timestamp(queued), id: MessageId(id) };
            let key = |at| time_key(ShardId(1), &TenantId::default_tenant(), cursor(at));
            prop_assert_eq!(key(a).cmp(&key(b)), b.cmp(&a));
        }
    }
}
