//! Opening the store and applying records to it.

use crate::rows::{Engine, Rows, store_failed};
use crate::shard::ShardStore;
use crate::{apply, meta};
use eddy_core::Record;
use eddy_types::{EddyError, ErrorCode, Seq, ShardId, ShardMap};
use fjall::{Database, KeyspaceCreateOptions};
use parking_lot::{Mutex, MutexGuard};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The folder; made when it is not there.
    pub dir: PathBuf,
    /// Shards of a new folder. One that exists keeps its number.
    pub shards: u16,
    /// Memory for blocks read from disk, in bytes.
    pub cache_bytes: u64,
    /// Rows kept in memory before they are written to a sorted file, in bytes. Up to five times
    /// this much while the disk is behind.
    pub memtable_bytes: u64,
    /// Threads that write and merge sorted files.
    pub workers: usize,
}

impl StoreConfig {
    /// The defaults for a node with a few cores.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            shards: eddy_types::limits::DEFAULT_SHARDS,
            cache_bytes: 24 << 20,
            memtable_bytes: 16 << 20,
            workers: 2,
        }
    }
}

/// What fjall keeps of its own journal before it writes memtables to shorten it: as little as it
/// allows, since all of it is read when the store is opened.
const FJALL_JOURNAL_BYTES: u64 = 64 << 20;

/// The materialised state of all shards of a node. Cheap to clone.
///
/// Everything here blocks on the disk now and then; reads seldom do. After the first failure of
/// a write or flush every later one is refused with that failure: open the store again.
#[derive(Clone)]
pub struct Store {
    pub(crate) rows: Rows,
    pub(crate) dir: Arc<Path>,
    shards: Arc<[Shard]>,
}

/// One shard: the lock of those who write to it, and how far it has got.
#[derive(Default)]
pub(crate) struct Shard {
    writing: Mutex<()>,
    applied: AtomicU64,
}

impl Store {
    /// Opens the folder, or makes it. Errors: `data-in-use` when another process has it open,
    /// `incompatible-data` when a newer build wrote it, `store-failed` otherwise.
    pub fn open(config: StoreConfig) -> Result<Self, EddyError> {
        if config.shards == 0 || config.shards == u16::MAX {
            return Err(EddyError::internal("a store has 1 to 65534 shards"));
        }
        let rows = open_rows(&config).map_err(|error| open_failed(&config.dir, &error))?;
        let count = meta::open(&rows, config.shards)?;
        let shards = ShardMap::new(count).shards().map(|shard| {
            let applied = meta::applied(&rows, shard)?.0.into();
            Ok(Shard {
                writing: Mutex::default(),
                applied,
            })
        });
        let shards = shards.collect::<Result<_, EddyError>>()?;
        Ok(Self {
            rows,
            dir: config.dir.into(),
            shards,
        })
    }

    /// The shards of this folder, as chosen when it was made.
    #[must_use]
    pub fn shard_map(&self) -> ShardMap {
        ShardMap::new(u16::try_from(self.shards.len()).expect("the number of shards is a u16"))
    }

    /// The latest rows of a shard.
    #[must_use]
    pub fn shard(&self, shard: ShardId) -> ShardStore {
        ShardStore {
            shard,
            rows: self.rows.clone(),
        }
    }

    /// The rows of a shard as they are now, whatever is applied later.
    #[must_use]
    pub fn snapshot(&self, shard: ShardId) -> ShardStore {
        self.shard(shard).snapshot()
    }

    /// The last record applied to a shard; 0 before the first.
    #[must_use]
    pub fn applied(&self, shard: ShardId) -> Seq {
        self.shards
            .get(usize::from(shard.0))
            .map_or(Seq(0), |shard| Seq(shard.applied.load(Ordering::Acquire)))
    }

    /// Applies records in order, without flushing: all of them in one atomic batch, or in several
    /// of some 8 MiB that each end with a record. Those applied before are skipped.
    ///
    /// Deleting an agent takes about 150 bytes of memory per state key and timer it has.
    /// Errors: `internal` for a gap, and nothing is applied; `store-failed`.
    pub fn apply(&self, shard: ShardId, records: &[(Seq, Arc<Record>)]) -> Result<(), EddyError> {
        let (_guard, state) = self.writing(shard)?;
        let applied = Seq(state.applied.load(Ordering::Acquire));
        let skip = records
            .iter()
            .take_while(|(seq, _)| *seq <= applied)
            .count();
        let new = &records[skip..];
        let mut expected = applied;
        for (seq, _) in new {
            expected = expected.next();
            if *seq != expected {
                return Err(EddyError::internal(format!(
                    "record {} came to shard {} of the store where {} follows",
                    seq.0, shard.0, expected.0
                )));
            }
        }
        let new = new.iter().map(|(seq, record)| (*seq, &**record));
        apply::apply(&self.rows, shard, new, |seq| {
            state.applied.store(seq.0, Ordering::Release)
        })
        .map_err(|error| self.rows.engine.poison(error))
    }

    /// The locks of all who write.
    pub(crate) fn lock_all(&self) -> Vec<MutexGuard<'_, ()>> {
        let shards = self.shards.iter();
        shards.map(|shard| shard.writing.lock()).collect()
    }

    /// The lock of those who write to a shard. `internal` when there is no such shard, the first
    /// failure when there was one.
    pub(crate) fn writing(
        &self,
        shard: ShardId,
    ) -> Result<(MutexGuard<'_, ()>, &Shard), EddyError> {
        self.rows.engine.check()?;
        let state = self
            .shards
            .get(usize::from(shard.0))
            .ok_or_else(|| EddyError::internal(format!("the store has no shard {}", shard.0)))?;
        Ok((state.writing.lock(), state))
    }
}

fn open_rows(config: &StoreConfig) -> fjall::Result<Rows> {
    if !config.dir.exists() {
        make(config)?;
    }
    open_at(config, &config.dir)
}

/// A new store is made beside its place and then moved there: a crash in between leaves nothing
/// that looks like a store.
fn make(config: &StoreConfig) -> fjall::Result<()> {
    let unborn = config.dir.with_extension("new");
    if unborn.exists() {
        std::fs::remove_dir_all(&unborn)?;
    }
    drop(open_at(config, &unborn)?);
    std::fs::rename(&unborn, &config.dir)?;
    match config.dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            std::fs::File::open(parent)?.sync_all()?;
        }
        _ => {}
    }
    Ok(())
}

fn open_at(config: &StoreConfig, dir: &Path) -> fjall::Result<Rows> {
    let db = Database::builder(dir)
        .cache_size(config.cache_bytes)
        .worker_threads(config.workers.max(1))
        .max_journaling_size(FJALL_JOURNAL_BYTES)
        // The journal of the shard is what survives a crash; this saves a write call per batch.
        .manual_journal_persist(true)
        .open()?;
    let memtable = config.memtable_bytes;
    // fjall's default filters (0.01 % false positives where most files are, 10 bits below)
    // answer for absent keys, which new idempotency keys are.
    let rows = db.keyspace("rows", || {
        KeyspaceCreateOptions::default().max_memtable_size(memtable)
    })?;
    Ok(Rows::latest(Arc::new(Engine::new(db, rows))))
}

fn open_failed(dir: &Path, error: &fjall::Error) -> EddyError {
    match error {
        fjall::Error::Locked => EddyError::new(
            ErrorCode::DataInUse,
            format!("another process has the store in {} open", dir.display()),
        )
        .hint("Stop the other node, or give this one a data folder of its own."),
        fjall::Error::InvalidVersion(version) => EddyError::new(
            ErrorCode::IncompatibleData,
            format!("the store in {} has file format {version:?}", dir.display()),
        )
        .hint("Start the version of Eddy that wrote this data, or a newer one."),
        error => store_failed("opening", error),
    }
}
