//! How each shard names its deliveries and firings.
//!
//! ```text
//! key      nothing
//! value    version | postcard of `MessageIds`
//! lifetime for ever: with another secret, what is under way would be done twice
//! ```
//! Not from the journal: the rows are written once, when a folder is opened that has none, and flushed
//! before anything is named by them.

use crate::codec::{self, damaged};
use crate::keys::{KeyBuf, Table};
use crate::rows::Rows;
use crate::store::Store;
use crate::writer::Writer;
use eddy_core::{MessageIds, StoreView as _};
use eddy_types::{EddyError, ShardId};
use fjall::PersistMode;
use std::collections::BTreeMap;

fn key(shard: ShardId) -> KeyBuf {
    KeyBuf::new(shard, Table::MessageIds)
}

fn find(rows: &Rows, shard: ShardId) -> Result<Option<MessageIds>, EddyError> {
    let row = rows.get(&key(shard))?;
    row.map(|row| codec::decode("the secret of ids", &row))
        .transpose()
}

pub(crate) fn get(rows: &Rows, shard: ShardId) -> Result<MessageIds, EddyError> {
    find(rows, shard)?.ok_or_else(|| damaged("the secret of ids"))
}

impl Store {
    /// Lets every shard name what it delivers with a secret, unless they do so already; `secret` makes
    /// one. To be called when all that is durable is applied, and before a shard is served: what has a
    /// number by then keeps the id that it has. Errors: `store-failed`, or those of `secret`.
    pub fn begin_message_ids(
        &self,
        secret: impl FnOnce() -> Result<[u8; 32], EddyError>,
    ) -> Result<(), EddyError> {
        let engine = &self.rows.engine;
        engine.check()?;
        let _guards = self.lock_all();
        let shards: Vec<_> = self.shard_map().shards().collect();
        let Some(first) = shards.first() else {
            return Ok(());
        };
        // All of them are written in one batch.
        if find(&self.rows, *first)?.is_some() {
            return Ok(());
        }
        let secret = secret()?;
        let mut writer = Writer::new(*first, &self.rows);
        for (shard, sends_before) in self.numbered(&shards)? {
            let ids = MessageIds {
                secret,
                sends_before,
                timers_before: self.applied(shard),
            };
            writer.put(&key(shard), codec::encode(&ids)?);
        }
        writer.commit()?;
        let flushed = engine.db.persist(PersistMode::SyncAll);
        flushed.map_err(|error| engine.failed("flushing", &error))
    }

    /// The highest number of a send to each shard, by source.
    fn numbered(
        &self,
        shards: &[ShardId],
    ) -> Result<BTreeMap<ShardId, BTreeMap<ShardId, u64>>, EddyError> {
        let none = shards.iter().map(|shard| (*shard, BTreeMap::new()));
        let mut numbered: BTreeMap<_, BTreeMap<_, _>> = none.collect();
        for source in shards {
            for (dest, last) in self.shard(*source).outbox_last()? {
                numbered.entry(dest).or_default().insert(*source, last);
            }
        }
        Ok(numbered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eddy_types::Seq;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_round_trip(secret: [u8; 32], sends: BTreeMap<u16, u64>, timers: u64) {
            let sends_before = sends.into_iter().map(|(shard, last)| (ShardId(shard), last));
            let ids = MessageIds {
                secret,
                sends_before: sends_before.collect(),
                timers_before: Seq(timers),
            };
            let row = codec::encode(&ids).unwrap();
            prop_assert_eq!(codec::decode::<MessageIds>("ids", &row).unwrap(), ids);
        }
    }
}
