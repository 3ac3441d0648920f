//! The rows that one batch will write, readable before they are written. The last write of a key
//! wins here already: fjall gives a batch one sequence number, so a key may be in it only once.

use crate::keys::KeyBuf;
use crate::rows::Rows;
use bytes::Bytes;
use eddy_types::{EddyError, ShardId};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Pending writes over the latest rows of a shard.
pub(crate) struct Writer<'a> {
    pub(crate) shard: ShardId,
    rows: &'a Rows,
    pending: BTreeMap<Vec<u8>, Option<Bytes>>,
    bytes: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(shard: ShardId, rows: &'a Rows) -> Self {
        Self {
            shard,
            rows,
            pending: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Bytes that wait to be written, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn put(&mut self, key: &[u8], value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.pending.insert(key.to_vec(), Some(Bytes::from(value)));
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        self.bytes += key.len();
        self.pending.insert(key.to_vec(), None);
    }

    /// The value a key will have.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EddyError> {
        match self.pending.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.rows.get(key),
        }
    }

    /// Every key that begins so and will have a value. All of them are in memory at once: some
    /// 150 bytes each.
    pub(crate) fn keys_under(&self, prefix: &KeyBuf) -> Result<Vec<Bytes>, EddyError> {
        let mut keys = Vec::new();
        for row in self.rows.under(prefix) {
            let (key, _) = row?;
            if self.pending.get(&*key).is_none_or(Option::is_some) {
                keys.push(key);
            }
        }
        let end = prefix.end();
        let bounds = (Bound::Included(&**prefix), Bound::Excluded(&*end));
        for (key, value) in self.pending.range::<[u8], _>(bounds) {
            if value.is_some() && !self.rows.contains(key)? {
                keys.push(Bytes::copy_from_slice(key));
            }
        }
        Ok(keys)
    }

    /// Writes everything as one atomic batch; not flushed.
    pub(crate) fn commit(self) -> Result<(), EddyError> {
        let engine = &self.rows.engine;
        engine.check()?;
        let mut batch =
            fjall::OwnedWriteBatch::with_capacity(engine.db.clone(), self.pending.len());
        for (key, value) in self.pending {
            match value {
                Some(value) => batch.insert(&engine.rows, key, value),
                None => batch.remove(&engine.rows, key),
            }
        }
        batch
            .commit()
            .map_err(|error| engine.failed("writing", &error))
    }
}
