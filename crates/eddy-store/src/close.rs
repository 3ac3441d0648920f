//! Closing the store so that the next start is quick.
//!
//! fjall reads the whole of its own journal when it opens, up to 64 MB at 1.2 us an entry, flushed
//! rows or not, and shortens it only now and then. When every row is in a sorted file the journal
//! says nothing, and may be as empty as fjall itself leaves one that nothing was written to.

use crate::rows::store_failed;
use crate::store::Store;
use eddy_types::{EddyError, ErrorCode};
use fjall::PersistMode;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How often to look whether all rows are written, and how many times.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const LOOKS: usize = 1000;
/// What a closed store answers to those who write.
const CLOSED: ErrorCode = ErrorCode::ShuttingDown;

impl Store {
    /// Brings all rows into sorted files, so that the next start need not read them from fjall's
    /// journal. Nothing can be applied afterwards; reading goes on. Blocks for as long as writing
    /// [`crate::StoreConfig::memtable_bytes`] takes, some five seconds at most. Returns whether it was
    /// done: if not, the next start takes longer, and nothing else. Nothing is lost either way.
    ///
    /// Errors: `store-failed`.
    pub fn close(&self) -> Result<bool, EddyError> {
        let engine = &self.rows.engine;
        // Whoever writes holds one of these.
        let _nobody_writes = self.lock_all();
        engine.check()?;
        engine.poison(EddyError::new(CLOSED, "the store was closed"));
        self.settle()
            .map_err(|error| store_failed("closing", &error))
    }

    /// Whether [`Self::close`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let poison = self.rows.engine.check().err();
        poison.is_some_and(|error| error.code == CLOSED)
    }

    fn settle(&self) -> fjall::Result<bool> {
        let engine = &self.rows.engine;
        engine.rows.rotate_memtable()?;
        for _ in 0..LOOKS {
            // Says whether writing them failed, and leaves nothing in fjall's hands for its journal.
            engine.db.persist(PersistMode::Buffer)?;
            if engine.rows.sealed_memtable_count() == 0 {
                empty_journals(&self.dir)?;
                return Ok(true);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(false)
    }
}

/// Empties fjall's journal. All of its rows must be in flushed sorted files, and nobody may write.
fn empty_journals(dir: &Path) -> io::Result<()> {
    for file in journals(dir, File::options().write(true))? {
        file.set_len(0)?;
        file.sync_all()?;
    }
    Ok(())
}

/// The files of fjall's journal that are there.
pub(crate) fn journals(dir: &Path, how: &std::fs::OpenOptions) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension() != Some(OsStr::new("jnl")) {
            continue;
        }
        match how.open(&path) {
            Ok(file) => files.push(file),
            // fjall deleted it: its rows are in sorted files.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}
