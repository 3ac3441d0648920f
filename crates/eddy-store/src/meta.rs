//! What the store says of itself.
//!
//! ```text
//! format   shard 0xFFFF | table Meta | "format" -> version of the whole store (4 bytes)
//! shards   shard 0xFFFF | table Meta | "shards" -> number of shards (2 bytes)
//! applied  shard | table Applied -> version | sequence of the last record applied
//! lifetime for ever
//! ```
//! `format` and `shards` are written when the folder is made. No shard has the number 0xFFFF.

use crate::codec::{self, damaged};
use crate::keys::{KeyBuf, Table};
use crate::rows::Rows;
use crate::writer::Writer;
use eddy_types::{EddyError, ErrorCode, Seq, ShardId};

/// The version of the layout of keys and tables.
pub(crate) const FORMAT: u32 = 2;

const NO_SHARD: ShardId = ShardId(u16::MAX);

fn meta_key(name: &str) -> KeyBuf {
    let mut key = KeyBuf::new(NO_SHARD, Table::Meta);
    key.bytes(name.as_bytes());
    key
}

/// The number of shards of the folder; `wanted` is written to a new one.
pub(crate) fn open(rows: &Rows, wanted: u16) -> Result<u16, EddyError> {
    let (Some(format), Some(shards)) = (
        rows.get(&meta_key("format"))?,
        rows.get(&meta_key("shards"))?,
    ) else {
        let mut writer = Writer::new(NO_SHARD, rows);
        writer.put(&meta_key("format"), FORMAT.to_be_bytes().to_vec());
        writer.put(&meta_key("shards"), wanted.to_be_bytes().to_vec());
        writer.commit()?;
        return Ok(wanted);
    };
    let format = u32::from_be_bytes(number(&format)?);
    if format != FORMAT {
        return Err(EddyError::new(
            ErrorCode::IncompatibleData,
            format!("the store has format {format}; this build reads format {FORMAT}"),
        )
        .hint(
            "Start the version of Eddy that wrote this data. Before the first release, data is not \
             carried over.",
        ));
    }
    Ok(u16::from_be_bytes(number(&shards)?))
}

fn number<const N: usize>(value: &[u8]) -> Result<[u8; N], EddyError> {
    value
        .try_into()
        .map_err(|_| damaged("the description of the store"))
}

pub(crate) fn applied(rows: &Rows, shard: ShardId) -> Result<Seq, EddyError> {
    match rows.get(&KeyBuf::new(shard, Table::Applied))? {
        Some(row) => codec::decode("the applied sequence", &row),
        None => Ok(Seq(0)),
    }
}

pub(crate) fn put_applied(writer: &mut Writer<'_>, seq: Seq) -> Result<(), EddyError> {
    writer.put(
        &KeyBuf::new(writer.shard, Table::Applied),
        codec::encode(&seq)?,
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, StoreConfig};
    use proptest::prelude::*;

    #[test]
    fn a_newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            Store::open(StoreConfig {
                shards: 2,
                ..StoreConfig::new(dir.path())
            })
        };
        let store = open().unwrap();
        let mut writer = Writer::new(NO_SHARD, &store.rows);
        let newer = (FORMAT + 1).to_be_bytes();
        writer.put(&meta_key("format"), newer.to_vec());
        writer.commit().unwrap();
        drop(store);
        assert_eq!(open().err().unwrap().code, ErrorCode::IncompatibleData);
    }

    proptest! {
        #[test]
        fn rows_round_trip(seq: u64, shards: u16) {
            let row = codec::encode(&Seq(seq)).unwrap();
            prop_assert_eq!(codec::decode::<Seq>("seq", &row).unwrap(), Seq(seq));
            prop_assert_eq!(u16::from_be_bytes(number(&shards.to_be_bytes()).unwrap()), shards);
            prop_assert!(number::<2>(&[1]).is_err());
        }
    }
}
