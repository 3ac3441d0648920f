//! What a tenant stores: the keys and values of its rows, as they are before fjall compresses them.
//! Counted by looking, so that writing costs nothing. What is on its way (sends that are not settled)
//! and what is known of it elsewhere (indexes) is left out.

use crate::keys::{KeyBuf, KeyReader, Table};
use crate::store::Store;
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
        let of = (shard, tenant);
        total += self.size_by_index(of, Table::InvocationByTime, |parts| {
            let mut row = KeyBuf::new(shard, Table::Invocation);
            row.bytes(&(!parts.u128()?).to_be_bytes());
            Ok(row)
        })?;
        total += self.size_by_index(of, Table::DeadLetterByTime, |parts| {
            let mut row = KeyBuf::new(shard, Table::DeadLetter);
            let (record, place) = (!parts.u64()?, !parts.u32()?);
            row.bytes(&record.to_be_bytes()).bytes(&place.to_be_bytes());
            Ok(row)
        })?;
        Ok(total)
    }

    fn size(&self, rows: &KeyBuf) -> Result<u64, EddyError> {
        let mut total = 0;
        for row in self.rows.range(rows.all()) {
            let (key, value) = row?;
            total += bytes(&key, &value);
        }
        Ok(total)
    }

    /// Rows that are found by an index which begins with the tenant and a time; `row` makes the key of
    /// one from what stands behind these.
    fn size_by_index(
        &self,
        (shard, tenant): (ShardId, &TenantId),
        index: Table,
        row: impl Fn(&mut KeyReader<'_>) -> Result<KeyBuf, EddyError>,
    ) -> Result<u64, EddyError> {
        let mut all = KeyBuf::new(shard, index);
        all.name(tenant.as_str());
        let mut total = 0;
        for entry in self.rows.range(all.all()) {
            let (key, _) = entry?;
            let mut parts = KeyReader::new(&key);
            parts.name()?;
            parts.u64()?;
            let key = row(&mut parts)?;
            total += self.rows.get(&key)?.map_or(0, |value| bytes(&key, &value));
        }
        Ok(total)
    }
}

fn bytes(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}
