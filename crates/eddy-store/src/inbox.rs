//! Which sends from other shards took effect.
//!
//! ```text
//! key      source shard (2 bytes)
//! value    version 2 | floor (varint) | count (varint) | of each range of numbers above the floor: the
//!          distance of its first one from the last one before it, and of its last one from its
//!          first one (varint each)
//! before   version 1 | floor (varint) | count (varint) | distance of each number above the floor
//!          from the one before it (varint each); read, and no longer written
//! lifetime for ever: it never expires by time
//! ```

use crate::codec;
use crate::keys::{KeyBuf, KeyReader, Table};
use crate::rows::Rows;
use crate::writer::Writer;
use eddy_core::InboxRow;
use eddy_types::{EddyError, ShardId};

/// The version of a row with ranges.
const RANGES: u8 = 2;
/// The version of a row with each number by itself.
const NUMBERS: u8 = 1;

fn row_key(shard: ShardId, source: ShardId) -> KeyBuf {
    let mut key = KeyBuf::new(shard, Table::Inbox);
    key.bytes(&source.0.to_be_bytes());
    key
}

fn encode(row: &InboxRow) -> Result<Vec<u8>, EddyError> {
    let mut before = row.floor;
    let mut distances = |(first, last): (u64, u64)| {
        let distances = (first - before, last - first);
        before = last;
        distances
    };
    let distances: Vec<(u64, u64)> = row.above.iter().map(&mut distances).collect();
    codec::encode_as(RANGES, &(row.floor, distances))
}

fn decode(row: &[u8]) -> Result<InboxRow, EddyError> {
    const WHAT: &str = "an inbox row";
    let (floor, distances): (u64, Vec<(u64, u64)>) = match row.first() {
        Some(&NUMBERS) => {
            let (floor, distances): (_, Vec<u64>) = codec::decode_as(NUMBERS, WHAT, row)?;
            let alone = distances.into_iter().map(|distance| (distance, 0));
            (floor, alone.collect())
        }
        _ => codec::decode_as(RANGES, WHAT, row)?,
    };
    let mut before = floor;
    let above = distances.into_iter().map(|(distance, length)| {
        let first = before.checked_add(distance)?;
        before = first.checked_add(length)?;
        Some((first, before))
    });
    let above = above
        .collect::<Option<_>>()
        .ok_or_else(|| codec::damaged(WHAT))?;
    Ok(InboxRow { floor, above })
}

pub(crate) fn pending(writer: &Writer<'_>, source: ShardId) -> Result<InboxRow, EddyError> {
    let row = writer.get(&row_key(writer.shard, source))?;
    row.map_or_else(|| Ok(InboxRow::default()), |row| decode(&row))
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
    use crate::{Store, StoreConfig};
    use eddy_core::{Change, Record, StoreView as _};
    use eddy_types::{ErrorCode, Seq, Timestamp};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_round_trip(floor: u64, above in proptest::collection::vec(any::<(u64, u8)>(), 0..9)) {
            let above = above.into_iter().filter(|(number, _)| *number >= floor);
            let ranges = above.map(|(number, more)| (number, number.saturating_add(more.into())));
            let row = InboxRow { floor, above: ranges.collect() };
            prop_assert_eq!(decode(&encode(&row).unwrap()).unwrap(), row);
        }
    }

    /// What an older build wrote of 7, 8, 9 and 209 with all below 5 settled.
    const OLD: &[u8] = &[1, 5, 4, 2, 1, 1, 0xC8, 1];

    #[test]
    fn a_folder_of_an_older_build_opens_and_has_the_new_form_after_the_first_mark() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Store::open(StoreConfig::new(dir.path())).unwrap();
        let (store, shard, source) = (open(), ShardId(0), ShardId(1));
        let mut writer = Writer::new(shard, &store.rows);
        writer.put(&row_key(shard, source), OLD.to_vec());
        writer.commit().unwrap();
        drop(store);

        let store = open();
        let above = [(7, 9), (209, 209)].into_iter().collect();
        let row = InboxRow { floor: 5, above };
        assert_eq!(store.shard(shard).inbox(), Ok(vec![(source, row)]));
        let (seq, floor) = (210, 5);
        let changes = vec![Change::InboxMark { source, seq, floor }];
        let record = Record {
            at: Timestamp(1),
            changes,
        };
        store.apply(shard, &[(Seq(1), record.into())]).unwrap();
        let written = store.rows.get(&row_key(shard, source)).unwrap().unwrap();
        assert_eq!(*written, [2, 5, 2, 2, 2, 0xC8, 1, 1]);
        let above = [(7, 9), (209, 210)].into_iter().collect();
        assert_eq!(decode(&written), Ok(InboxRow { floor, above }));
        let newer = decode(&[3, 5, 0]).unwrap_err();
        assert_eq!(newer.code, ErrorCode::IncompatibleData);
    }

    #[test]
    fn a_row_grows_with_what_is_missing_and_not_with_what_came() {
        let mut row = InboxRow::default();
        (2..100_000).for_each(|seq| row.mark(seq, 1));
        assert!(encode(&row).unwrap().len() < 10);
    }
}
