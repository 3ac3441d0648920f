//! The local provider: one log of segments for all shards, so that one flush commits what all of
//! them wait for.
//!
//! - `format`: the bytes. `scan`: torn or damaged. `recovery`: opening a folder.
//! - `queue`: where appenders leave records. `writer`: commits them, on its thread or on an appender's.
//! - `segment`: files. `index`: where each record lies. `reader`: pages of records.

mod format;
mod index;
mod queue;
mod reader;
mod recovery;
mod scan;
mod segment;
mod writer;

use crate::error::JournalError;
use crate::fs::FileSystem;
use crate::journal::{Bounds, Entry, Journal, JournalEvents, Urgency};
use bytes::Bytes;
use eddy_types::limits::MAX_RECORD_BYTES;
use eddy_types::{Seq, ShardId};
use parking_lot::{Mutex, RwLock};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use writer::{Desk, Shared, Writer};

/// Settings of a [`LocalJournal`]. [`LocalConfig::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// The folder, which belongs to the journal alone. Made when it does not exist.
    pub dir: PathBuf,
    /// Where a segment ends and the next begins: 64 MiB. From 4 KiB to 1 GiB.
    pub segment_bytes: u64,
    /// Largest batch, unless one record is larger: 4 MiB. At most 1 GiB.
    pub max_batch_bytes: usize,
    /// Record bytes that may wait for the disk: 64 MiB. At least one record's limit.
    pub max_queue_bytes: usize,
    /// How far a segment's file grows at once: 1 MiB. At least 512 bytes.
    pub grow_bytes: u64,
    /// Starts all checksums of a new journal. A number guests cannot guess keeps them from
    /// storing bytes that look like a batch. An existing journal keeps its own.
    pub salt: u32,
}

impl LocalConfig {
    /// The defaults, in this folder.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 64 << 20,
            max_batch_bytes: 4 << 20,
            max_queue_bytes: 64 << 20,
            grow_bytes: 1 << 20,
            salt: 0,
        }
    }

    fn check(&self) -> Result<(), JournalError> {
        let bad = |what: &str| {
            Err(JournalError::Config {
                what: what.to_owned(),
            })
        };
        if !(4 << 10..=1 << 30).contains(&self.segment_bytes) {
            return bad("segment_bytes must be from 4 KiB to 1 GiB");
        }
        if self.max_batch_bytes > 1 << 30 {
            return bad("max_batch_bytes must be at most 1 GiB");
        }
        if self.max_queue_bytes < MAX_RECORD_BYTES {
            return bad("max_queue_bytes must hold the largest record");
        }
        if !(512..=1 << 30).contains(&self.grow_bytes) {
            return bad("grow_bytes must be from 512 bytes to 1 GiB");
        }
        Ok(())
    }
}

/// What a journal has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches written.
    pub batches: u64,
    /// Records made durable.
    pub records: u64,
    /// Bytes written in batches, headers and padding included.
    pub bytes: u64,
    /// Flushes, of files and of the folder.
    pub syncs: u64,
    /// Segment files there are.
    pub segments: u64,
}

#[derive(Default)]
struct Counters {
    batches: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    syncs: AtomicU64,
}

/// The journal of a single node, in a folder of its own.
///
/// Whoever opens it makes sure that nobody else has the folder open. Dropping it without
/// [`Journal::close`] stops the writer after the batch it is at; what still waits is lost.
pub struct LocalJournal {
    shared: Arc<Shared>,
    desk: Arc<Desk>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl LocalJournal {
    /// Opens the journal in `config.dir`, or makes a new one. Reads all that is in it.
    ///
    /// [`JournalError::Corrupt`] when flushed bytes have changed: nothing is touched then. A batch
    /// whose flush never finished is dropped with a warning; nobody was told of it.
    pub fn open(
        config: LocalConfig,
        fs: Arc<dyn FileSystem>,
        events: Arc<dyn JournalEvents>,
    ) -> Result<Self, JournalError> {
        config.check()?;
        let io = |e| JournalError::io(&format!("making a journal in {}", config.dir.display()), &e);
        fs.create_dir_all(&config.dir).map_err(io)?;
        let recovered = recovery::recover(&*fs, &config.dir)?;
        let (mut index, mut next_batch) = (recovered.index, recovered.next_batch);
        let active = match recovered.active {
            Some(active) => active,
            None => {
                let header = segment::header(1, config.salt, next_batch);
                let mut base = writer::base(&index, config.salt);
                let grow = config.grow_bytes;
                let active = segment::Active::create(&*fs, &config.dir, &header, &mut base, grow)
                    .map_err(io)?;
                next_batch += 1;
                index.segments.push_back(writer::segment_of(&active));
                active
            }
        };
        let last = index
            .shards
            .iter()
            .map(|(shard, index)| (*shard, index.last()));
        let queue = queue::Queue::new(config.max_queue_bytes, last);
        let (index, counters) = (RwLock::new(index), Counters::default());
        let shared = Arc::new(Shared::new(queue, index, counters, events));
        let writer = Writer::new(Arc::clone(&shared), fs, config, active, next_batch);
        let desk = Arc::new(Desk::new(Arc::clone(&shared), writer));
        let own = Arc::clone(&desk);
        // The writer owns a thread because it waits for the disk all its life.
        let thread = thread::Builder::new()
            .name("eddy-journal".to_owned())
            .spawn(move || own.run())
            .map_err(|e| JournalError::io("starting the journal's writer", &e))?;
        Ok(Self {
            shared,
            desk,
            writer: Mutex::new(Some(thread)),
        })
    }

    /// What it has done since it was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        Stats {
            batches: counters.batches.load(Relaxed),
            records: counters.records.load(Relaxed),
            bytes: counters.bytes.load(Relaxed),
            syncs: counters.syncs.load(Relaxed),
            segments: self.shared.index.read().segments.len() as u64,
        }
    }

    /// Waits for the writer to end, unless this is the writer.
    fn join(&self) {
        let thread = self.writer.lock().take();
        if let Some(thread) = thread.filter(|t| t.thread().id() != thread::current().id()) {
            // A panic of the writer was told of as a failure already.
            let _ = thread.join();
        }
    }
}

impl Journal for LocalJournal {
    fn bounds(&self, shard: ShardId) -> Result<Bounds, JournalError> {
        Ok(self.shared.index.read().bounds(shard))
    }

    fn read(
        &self,
        shard: ShardId,
        from: Seq,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, JournalError> {
        reader::read(&self.shared, shard, from, max_bytes)
    }

    fn append(
        &self,
        shard: ShardId,
        expected: Seq,
        record: Bytes,
        urgency: Urgency,
    ) -> Result<(), JournalError> {
        let (bytes, limit) = (record.len(), MAX_RECORD_BYTES);
        if bytes > limit {
            return Err(JournalError::TooLarge { bytes, limit });
        }
        self.shared.queue.append(shard, expected, record, urgency)
    }

    fn release(&self, here: bool) {
        if !here || !self.desk.commit_here() {
            self.shared.queue.wake();
        }
    }

    fn trim(&self, shard: ShardId, through: Seq) -> Result<(), JournalError> {
        match self.shared.index.write().hide(shard, through)? {
            true => self.shared.queue.trim(shard, through),
            false => Ok(()),
        }
    }

    fn close(&self) -> Result<(), JournalError> {
        self.shared.queue.close();
        self.join();
        self.shared.queue.failure().map_or(Ok(()), Err)
    }
}

impl Drop for LocalJournal {
    fn drop(&mut self) {
        self.shared.queue.stop();
        self.join();
    }
}
