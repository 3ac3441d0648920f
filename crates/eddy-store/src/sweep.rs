//! Dropping what has expired. Nothing of it is in the journal: the expiry is in the row and
//! readers compare, so a replay may bring a row back and it is swept again.

use crate::keys::KeyBuf;
use crate::store::Store;
use crate::writer::Writer;
use crate::{dedupe, invocations};
use eddy_types::{EddyError, ShardId, Timestamp};
use std::ops::Bound;

type Expire = fn(&mut Writer<'_>, &[u8], Timestamp) -> Result<(), EddyError>;

impl Store {
    /// Drops remembered answers and invocations that expired at `now` or before, looking at no
    /// more than `limit` entries. Answers how many it looked at: fewer than `limit` means that
    /// nothing more has expired. Applies to the shard wait meanwhile.
    pub fn sweep_expired(
        &self,
        shard: ShardId,
        now: Timestamp,
        limit: usize,
    ) -> Result<usize, EddyError> {
        let (_guard, _) = self.writing(shard)?;
        let mut writer = Writer::new(shard, &self.rows);
        let mut seen = 0;
        let tables: [(KeyBuf, Expire); 2] = [
            (dedupe::expiry_index(shard), dedupe::expire),
            (invocations::expiry_index(shard), invocations::expire),
        ];
        for (index, expire) in tables {
            let mut last = index.clone();
            last.bytes(&now.0.to_be_bytes());
            let expired = self.rows.range((Bound::Included(&*index), last.end()));
            for entry in expired.take(limit - seen) {
                let (key, _) = entry?;
                expire(&mut writer, &key, now)?;
                writer.delete(&key);
                seen += 1;
            }
        }
        writer.commit()?;
        Ok(seen)
    }
}
