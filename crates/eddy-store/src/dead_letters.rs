//! Deliveries that were given up.
//!
//! ```text
//! key      record (8 bytes) | place in it (4 bytes)
//! value    version | postcard of `DeadLetter`
//! by time  tenant 0 | !given up at (8 bytes) | !record | !place -> empty; newest first
//! lifetime until redriven or discarded
//! ```

use crate::codec;
use crate::keys::{KeyBuf, KeyReader, Table};
use crate::rows::Rows;
use crate::writer::Writer;
use eddy_core::{DeadLetter, DeadLetterId};
use eddy_types::{EddyError, Seq, ShardId, TenantId, Timestamp};
use std::ops::Bound;

/// Names a dead letter in the node, and its place in a listing: the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadLetterCursor {
    /// When it was given up.
    pub at: Timestamp,
    /// The shard that gave it up.
    pub shard: ShardId,
    /// Its number there.
    pub id: DeadLetterId,
}

fn row_key(shard: ShardId, id: DeadLetterId) -> KeyBuf {
    let mut key = KeyBuf::new(shard, Table::DeadLetter);
    key.bytes(&id.seq.0.to_be_bytes())
        .bytes(&id.index.to_be_bytes());
    key
}

fn index_of(shard: ShardId, tenant: &TenantId) -> KeyBuf {
    let mut key = KeyBuf::new(shard, Table::DeadLetterByTime);
    key.name(tenant.as_str());
    key
}

fn time_key(tenant: &TenantId, at: DeadLetterCursor) -> KeyBuf {
    let mut key = index_of(at.shard, tenant);
    key.bytes(&(!at.at.0).to_be_bytes())
        .bytes(&(!at.id.seq.0).to_be_bytes())
        .bytes(&(!at.id.index).to_be_bytes());
    key
}

fn decode(row: &[u8]) -> Result<DeadLetter, EddyError> {
    codec::decode("a dead letter", row)
}

pub(crate) fn put(
    writer: &mut Writer<'_>,
    id: DeadLetterId,
    letter: &DeadLetter,
) -> Result<(), EddyError> {
    let at = DeadLetterCursor {
        at: letter.at,
        shard: writer.shard,
        id,
    };
    writer.put(&time_key(letter.to.tenant(), at), Vec::new());
    writer.put(&row_key(writer.shard, id), codec::encode(letter)?);
    Ok(())
}

pub(crate) fn delete(writer: &mut Writer<'_>, id: DeadLetterId) -> Result<(), EddyError> {
    let key = row_key(writer.shard, id);
    if let Some(row) = writer.get(&key)? {
        let letter = decode(&row)?;
        let at = DeadLetterCursor {
            at: letter.at,
            shard: writer.shard,
            id,
        };
        writer.delete(&time_key(letter.to.tenant(), at));
        writer.delete(&key);
    }
    Ok(())
}

pub(crate) fn get(
    rows: &Rows,
    shard: ShardId,
    id: DeadLetterId,
) -> Result<Option<DeadLetter>, EddyError> {
    rows.get(&row_key(shard, id))?
        .map(|row| decode(&row))
        .transpose()
}

/// Dead letters of a tenant's agents in one shard, newest first, after `after` in that order.
pub(crate) fn list(
    rows: &Rows,
    shard: ShardId,
    tenant: &TenantId,
    after: Option<DeadLetterCursor>,
    limit: usize,
) -> Result<Vec<(DeadLetterCursor, DeadLetter)>, EddyError> {
    let mut from = index_of(shard, tenant);
    let end = from.end();
    if let Some(after) = after {
        // The same moment may hold letters of this shard on both sides of a cursor of another.
        from.bytes(&(!after.at.0).to_be_bytes());
    }
    let mut found = Vec::new();
    for entry in rows.range((Bound::Included(&*from), end)) {
        if found.len() == limit {
            break;
        }
        let (key, _) = entry?;
        let mut key = KeyReader::new(&key);
        key.name()?;
        let at = Timestamp(!key.u64()?);
        let id = DeadLetterId {
            seq: Seq(!key.u64()?),
            index: !key.u32()?,
        };
        let cursor = DeadLetterCursor { at, shard, id };
        if after.is_none_or(|after| cursor < after)
            && let Some(letter) = get(rows, shard, id)?
            && letter.at == at
        {
            found.push((cursor, letter));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::any_agent;
    use eddy_core::Sender;
    use eddy_types::{ErrorCode, MethodName};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_round_trip(to in any_agent(), timer: Option<u8>, at: u64, attempts: u32) {
            let row = DeadLetter {
                from: Sender::Agent(to.clone()),
                to,
                method: MethodName::new("add").unwrap(),
                argument: "1".into(),
                timer: timer.map(|name| name.to_string()),
                error: EddyError::new(ErrorCode::GuestTrap, "no"),
                attempts,
                at: Timestamp(at),
            };
            prop_assert_eq!(decode(&codec::encode(&row).unwrap()).unwrap(), row);
        }

        #[test]
        fn the_index_has_the_newest_first(a: (u64, u64, u32), b: (u64, u64, u32)) {
            let cursor = |(at, seq, index)| DeadLetterCursor {
                at: Timestamp(at),
                shard: ShardId(1),
                id: DeadLetterId { seq: Seq(seq), index },
            };
            let key = |at| time_key(&TenantId::default_tenant(), cursor(at));
            prop_assert_eq!(key(a).cmp(&key(b)), b.cmp(&a));
        }
    }
}
