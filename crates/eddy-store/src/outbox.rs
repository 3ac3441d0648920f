//! Sends that wait for delivery, and the highest number given to one.
//!
//! ```text
//! key      destination shard (2 bytes) | number (8 bytes)
//! value    version | postcard of `SendRow`
//! lifetime until settled
//! last     destination shard (2 bytes) -> version | number; for ever, so that no number is reused
//! ```

use crate::codec;
use crate::keys::{KeyBuf, KeyReader, Table};
use crate::rows::Rows;
use crate::writer::Writer;
use eddy_core::SendRow;
use eddy_types::{EddyError, ShardId};

fn row_key(shard: ShardId, dest: ShardId, seq: u64) -> KeyBuf {
    let mut key = KeyBuf::new(shard, Table::Outbox);
    key.bytes(&dest.0.to_be_bytes()).bytes(&seq.to_be_bytes());
    key
}

fn last_key(shard: ShardId, dest: ShardId) -> KeyBuf {
    let mut key = KeyBuf::new(shard, Table::OutboxLast);
    key.bytes(&dest.0.to_be_bytes());
    key
}

fn decode(row: &[u8]) -> Result<SendRow, EddyError> {
    codec::decode("a send", row)
}

pub(crate) fn put(
    writer: &mut Writer<'_>,
    dest: ShardId,
    seq: u64,
    send: &SendRow,
) -> Result<(), EddyError> {
    let last = last_key(writer.shard, dest);
    let highest = match writer.get(&last)? {
        Some(row) => codec::decode::<u64>("the last send", &row)?,
        None => 0,
    };
    if seq > highest {
        writer.put(&last, codec::encode(&seq)?);
    }
    writer.put(&row_key(writer.shard, dest, seq), codec::encode(send)?);
    Ok(())
}

pub(crate) fn done(writer: &mut Writer<'_>, dest: ShardId, seq: u64) {
    writer.delete(&row_key(writer.shard, dest, seq));
}

pub(crate) fn all(rows: &Rows, shard: ShardId) -> Result<Vec<(ShardId, u64, SendRow)>, EddyError> {
    rows.under(&KeyBuf::new(shard, Table::Outbox))
        .map(|row| {
            let (key, row) = row?;
            let mut key = KeyReader::new(&key);
            Ok((ShardId(key.u16()?), key.u64()?, decode(&row)?))
        })
        .collect()
}

pub(crate) fn last(rows: &Rows, shard: ShardId) -> Result<Vec<(ShardId, u64)>, EddyError> {
    rows.under(&KeyBuf::new(shard, Table::OutboxLast))
        .map(|row| {
            let (key, row) = row?;
            let dest = ShardId(KeyReader::new(&key).u16()?);
            Ok((dest, codec::decode("the last send", &row)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::any_agent;
    use eddy_core::{MessageId, Sender};
    use eddy_types::MethodName;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_round_trip(dest: u16, seq: u64, to in any_agent(), agent: bool, body in "[a-z]{0,9}") {
            let key = row_key(ShardId(1), ShardId(dest), seq);
            let mut reader = KeyReader::new(&key);
            prop_assert_eq!((reader.u16().unwrap(), reader.u64().unwrap()), (dest, seq));
            let from = match agent {
                true => Sender::Agent(to.clone()),
                false => Sender::Invocation(MessageId(u128::from(seq))),
            };
            let method = MethodName::new("add").unwrap();
            let row = SendRow { from, to, method, argument: body.into() };
            prop_assert_eq!(decode(&codec::encode(&row).unwrap()).unwrap(), row);
        }
    }
}
