//! Idempotency keys and effects that have been answered.
//!
//! ```text
//! key      scope | key
//!          scope: 0 | tenant 0 | type 0 | agent key 0     an agent
//!                 1 | tenant 0 | function 0               a function
//!          key:   0 | text                                a client's key
//!                 1 | message id (16 bytes)               an effect
//! value    version | postcard of `DedupeRow`
//! index    by expiry: expires (8 bytes) | the key above -> empty
//! lifetime until the sweep finds it expired; outlives its agent
//! ```

use crate::codec;
use crate::keys::{HEAD, KeyBuf, Table};
use crate::rows::Rows;
use crate::writer::Writer;
use eddy_core::{DedupeKey, DedupeRow, DedupeScope};
use eddy_types::{EddyError, ShardId, Timestamp};

fn row_key(shard: ShardId, scope: &DedupeScope, key: &DedupeKey) -> KeyBuf {
    let mut bytes = KeyBuf::new(shard, Table::Dedupe);
    match scope {
        DedupeScope::Agent(agent) => bytes.bytes(&[0]).agent(agent),
        DedupeScope::Function(function) => bytes
            .bytes(&[1])
            .name(function.tenant.as_str())
            .name(function.name.as_str()),
    };
    match key {
        DedupeKey::Client(text) => bytes.bytes(&[0]).bytes(text.as_bytes()),
        DedupeKey::Effect(id) => bytes.bytes(&[1]).bytes(&id.0.to_be_bytes()),
    };
    bytes
}

fn expiry_key(shard: ShardId, expires: Timestamp, row_key: &[u8]) -> KeyBuf {
    let mut key = KeyBuf::new(shard, Table::DedupeExpiry);
    key.bytes(&expires.0.to_be_bytes()).bytes(&row_key[HEAD..]);
    key
}

fn decode(row: &[u8]) -> Result<DedupeRow, EddyError> {
    codec::decode("a remembered answer", row)
}

pub(crate) fn put(
    writer: &mut Writer<'_>,
    scope: &DedupeScope,
    key: &DedupeKey,
    row: &DedupeRow,
) -> Result<(), EddyError> {
    let key = row_key(writer.shard, scope, key);
    writer.put(&expiry_key(writer.shard, row.expires, &key), Vec::new());
    writer.put(&key, codec::encode(row)?);
    Ok(())
}

pub(crate) fn get(
    rows: &Rows,
    shard: ShardId,
    scope: &DedupeScope,
    key: &DedupeKey,
) -> Result<Option<DedupeRow>, EddyError> {
    rows.get(&row_key(shard, scope, key))?
        .map(|row| decode(&row))
        .transpose()
}

/// The beginning of the index by expiry.
pub(crate) fn expiry_index(shard: ShardId) -> KeyBuf {
    KeyBuf::new(shard, Table::DedupeExpiry)
}

/// Deletes the row an index entry points to, unless it has been given a later expiry since.
pub(crate) fn expire(
    writer: &mut Writer<'_>,
    index_key: &[u8],
    now: Timestamp,
) -> Result<(), EddyError> {
    let mut key = KeyBuf::new(writer.shard, Table::Dedupe);
    key.bytes(
        index_key
            .get(HEAD + 8..)
            .ok_or_else(|| codec::damaged("a key"))?,
    );
    if let Some(row) = writer.get(&key)?
        && decode(&row)?.expires <= now
    {
        writer.delete(&key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::any_agent;
    use bytes::Bytes;
    use eddy_core::MessageId;
    use eddy_types::{Digest, ErrorCode, FunctionId, Name, TenantId};
    use proptest::prelude::*;

    fn any_scope() -> impl Strategy<Value = DedupeScope> {
        let function = ("[a-b]{1,2}", "[a-b]{1,2}").prop_map(|(tenant, name)| {
            let (tenant, name) = (TenantId::new(&tenant).unwrap(), Name::new(&name).unwrap());
            DedupeScope::Function(FunctionId { tenant, name })
        });
        prop_oneof![any_agent().prop_map(DedupeScope::Agent), function]
    }

    fn any_key() -> impl Strategy<Value = DedupeKey> {
        let client = "[\0\u{1}a]{0,4}".prop_map(DedupeKey::Client);
        prop_oneof![
            client,
            any::<u128>().prop_map(|id| DedupeKey::Effect(MessageId(id)))
        ]
    }

    proptest! {
        #[test]
        fn no_two_keys_meet(a in (any_scope(), any_key()), b in (any_scope(), any_key())) {
            let key = |(scope, key): &(DedupeScope, DedupeKey)| row_key(ShardId(1), scope, key);
            prop_assert_eq!(a == b, key(&a) == key(&b));
            let index = expiry_key(ShardId(1), Timestamp(9), &key(&a));
            prop_assert_eq!(&index[HEAD + 8..], &key(&a)[HEAD..]);
        }

        #[test]
        fn rows_round_trip(failed: bool, body in "[a-z]{0,9}", expires: u64) {
            let outcome = if failed {
                Err(EddyError::new(ErrorCode::GuestError, body).hint("again"))
            } else {
                Ok(Bytes::from(body))
            };
            let (digest, expires) = (Digest::of(b"x"), Timestamp(expires));
            let row = DedupeRow { digest, outcome, expires };
            prop_assert_eq!(decode(&codec::encode(&row).unwrap()).unwrap(), row);
        }
    }
}
