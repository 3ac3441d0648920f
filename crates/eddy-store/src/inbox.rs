//! Which sends from other shards took effect.
//!
//! ```text
//! key      source shard (2 bytes)
//! value    version | floor (varint) | count (varint) | distance of each number above the floor
//!          from the one before it (varint each)
//! lifetime for ever: it never expires by time
//! ```

use crate::codec;
use crate::keys::{KeyBuf, KeyReader, Table};
use crate::rows::Rows;
use crate::writer::Writer;
use eddy_core::InboxRow;
use eddy_types::{EddyError, ShardId};

fn row_key(shard: ShardId, source: ShardId) -> KeyBuf {
    let mut key = KeyBuf::new(shard, Table::Inbox);
    key.bytes(&source.0.to_be_bytes());
    key
}

fn encode(row: &InboxRow) -> Result<Vec<u8>, EddyError> {
    let mut before = row.floor;
    let mut distance = |number: &u64| {
        let distance = number - before;
        before = *number;
        distance
    };
    let distances: Vec<u64> = row.above.iter().map(&mut distance).collect();
    codec::encode(&(row.floor, distances))
}

fn decode(row: &[u8]) -> Result<InboxRow, EddyError> {
    let (floor, distances): (u64, Vec<u64>) = codec::decode("an inbox row", row)?;
    let mut number = floor;
    let above = distances.into_iter().map(|distance| {
        number = number.checked_add(distance)?;
        Some(number)
    });
    let above = above
        .collect::<Option<_>>()
        .ok_or_else(|| codec::damaged("an inbox row"))?;
    Ok(InboxRow { floor, above })
}

/// The row before the first mark: numbers start at 1.
fn empty() -> InboxRow {
    InboxRow {
        floor: 1,
        ..InboxRow::default()
    }
}

pub(crate) fn pending(writer: &Writer<'_>, source: ShardId) -> Result<InboxRow, EddyError> {
    let row = writer.get(&row_key(writer.shard, source))?;
    row.map_or_else(|| Ok(empty()), |row| decode(&row))
}

pub(crate) fn put(
    writer: &mut Writer<'_>,
    source: ShardId,
    row: &InboxRow,
) -> Result<(), EddyError> {
    writer.put(&row_key(writer.shard, source), encode(row)?);
    Ok(())
}

pub(crate) fn all(rows: &Rows, shard: ShardId) -> Result<Vec<(ShardId, InboxRow)>, EddyError> {
    rows.under(&KeyBuf::new(shard, Table::Inbox))
        .map(|row| {
            let (key, row) = row?;
            Ok((ShardId(KeyReader::new(&key).u16()?), decode(&row)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_round_trip(floor: u64, above in proptest::collection::btree_set(any::<u64>(), 0..9)) {
            let above = above.into_iter().filter(|number| *number >= floor).collect();
            let row = InboxRow { floor, above };
            prop_assert_eq!(decode(&encode(&row).unwrap()).unwrap(), row);
        }
    }
}
