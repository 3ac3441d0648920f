//! Making what is applied durable, so that the journal may forget it.

use crate::close::journals;
use crate::rows::{Engine, store_failed};
use crate::store::Store;
use eddy_types::{EddyError, Seq, ShardId};
use fjall::PersistMode;
use std::fs::File;
use std::io;
use std::path::Path;

/// Smaller memtables stay, in bytes.
const WORTH_WRITING: u64 = 1 << 20;

impl Store {
    /// Makes everything applied so far durable and says how far each of these shards is: its
    /// journal may forget the records up to there. Blocks on the disk, so call it beside the
    /// thread that applies, which waits for a small part of it only. Errors: `store-failed`, and
    /// the store refuses to go on.
    pub fn checkpoint(&self, shards: &[ShardId]) -> Result<Vec<(ShardId, Seq)>, EddyError> {
        let engine = &self.rows.engine;
        engine.check()?;
        // Read first: what is applied while the flush runs may not be in it.
        let applied = shards
            .iter()
            .map(|shard| (*shard, self.applied(*shard)))
            .collect();
        // fjall flushes under the lock that writers need. Most of the bytes are brought to disk
        // before, without it.
        engine
            .db
            .persist(PersistMode::Buffer)
            .and_then(|()| flush_files(&self.dir).map_err(fjall::Error::Io))
            .and_then(|()| engine.db.persist(PersistMode::SyncAll))
            .and_then(|()| write_memtable(engine))
            .map_err(|error| engine.poison(store_failed("flushing", &error)))?;
        Ok(applied)
    }
}

/// Has a memtable of some size written to a sorted file in the background: a store that is not written
/// to any more would keep it in memory for ever. What fjall counts includes what it writes already, so
/// a small one may go, too.
fn write_memtable(engine: &Engine) -> fjall::Result<()> {
    if engine.db.write_buffer_size() >= WORTH_WRITING {
        engine.rows.rotate_memtable()?;
    }
    Ok(())
}

/// Flushes the files of fjall's journal.
fn flush_files(dir: &Path) -> io::Result<()> {
    let files = journals(dir, File::options().read(true))?;
    files.iter().try_for_each(File::sync_data)
}
