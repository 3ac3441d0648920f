//! What a tenant stores: the keys and values of its rows, as they are before fjall compresses them.
//! Counted by looking, so that writing costs nothing. What is on its way (sends that are not settled)
//! and what is known of it elsewhere (indexes) is left out.

use crate::keys::{KeyBuf, KeyReader, Table};
use crate::store::Store;
use eddy_core::MessageId;
use eddy_types::{EddyError, ShardId, TenantId};

impl Store {
    /// Bytes of a tenant in one shard. Reads all of its rows there.
    pub fn usage(&self, shard: ShardId, tenant: &TenantId) -> Result<u64, EddyError> {
        let mut total = 0;
        for table in [Table::Agent, Table::State, Table::Timer] {
            let mut rows = KeyBuf::new(shard, table);
            rows.name(tenant.as_str());
            total += self.size(&rows)?;
        }
        for scope in [0, 1] {
            let mut rows = KeyBuf::new(shard, Table::Dedupe);
            rows.bytes(&[scope]).name(tenant.as_str());
            total += self.size(&rows)?;
        }
        Ok(total + self.invocations_size(shard, tenant)? + self.letters_size(shard, tenant)?)
    }

    fn size(&self, rows: &KeyBuf) -> Result<u64, EddyError> {
        let mut total = 0;
        for row in self.rows.range(rows.all()) {
            let (key, value) = row?;
            total += bytes(&key, &value);
        }
        Ok(total)
    }

    /// Rows of invocations are found by the index that begins with the tenant.
    fn invocations_size(&self, shard: ShardId, tenant: &TenantId) -> Result<u64, EddyError> {
        let mut index = KeyBuf::new(shard, Table::InvocationByTime);
        index.name(tenant.as_str());
        let mut total = 0;
        for entry in self.rows.range(index.all()) {
            let (key, _) = entry?;
            let mut parts = KeyReader::new(&key);
            parts.name()?;
            parts.u64()?;
            let id = MessageId(!parts.u128()?);
            let mut row = KeyBuf::new(shard, Table::Invocation);
            row.bytes(&id.0.to_be_bytes());
            total += self.rows.get(&row)?.map_or(0, |value| bytes(&row, &value));
        }
        Ok(total)
    }

    /// The same for dead letters.
    fn letters_size(&self, shard: ShardId, tenant: &TenantId) -> Result<u64, EddyError> {
        let mut index = KeyBuf::new(shard, Table::DeadLetterByTime);
        index.name(tenant.as_str());
        let mut total = 0;
        for entry in self.rows.range(index.all()) {
            let (key, _) = entry?;
            let mut parts = KeyReader::new(&key);
            parts.name()?;
            parts.u64()?;
            let (record, place) = (!parts.u64()?, !parts.u32()?);
            let mut row = KeyBuf::new(shard, Table::DeadLetter);
            row.bytes(&record.to_be_bytes()).bytes(&place.to_be_bytes());
            total += self.rows.get(&row)?.map_or(0, |value| bytes(&row, &value));
        }
        Ok(total)
    }
}

fn bytes(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}
