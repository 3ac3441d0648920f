//! The writer: the one thread that writes and flushes. Takes all that waits, makes one batch of
//! it for all shards, writes it once, flushes it, tells of it, and begins again. A batch is
//! written only after the one before was flushed. After the first error it never writes again:
//! a flush that failed once may succeed later without its data (the kernel forgets what it could
//! not write).

use super::format::{BatchBuilder, Kind, RECORD_HEADER};
use super::index::{Index, Loc, Segment};
use super::queue::{Queue, Task, Work};
use super::segment::{Active, file_name, header, mark};
use super::{Counters, LocalConfig};
use crate::error::JournalError;
use crate::fs::FileSystem;
use crate::journal::JournalEvents;
use eddy_types::{Seq, ShardId};
use parking_lot::RwLock;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// What the writer and the callers share.
pub(super) struct Shared {
    pub queue: Queue,
    pub index: RwLock<Index>,
    pub counters: Counters,
    pub events: Arc<dyn JournalEvents>,
}

impl Shared {
    /// Ends the journal with an error and tells of it, once.
    fn fail(&self, error: &JournalError) {
        if self.queue.fail(error) {
            tracing::error!(%error, "the journal failed; nothing more is written");
            self.events.failed(error);
        }
    }
}

/// The state of the writer's thread.
pub(super) struct Writer {
    pub shared: Arc<Shared>,
    pub fs: Arc<dyn FileSystem>,
    pub config: LocalConfig,
    pub active: Active,
    pub next_batch: u64,
    batch: BatchBuilder,
    /// Shard, place in the batch and data length of each record in it.
    placed: Vec<(ShardId, usize, usize)>,
    acks: Vec<(ShardId, Seq)>,
}

/// A writer that panics (a bug, or one in a callback) must not leave appenders waiting.
struct FailOnPanic(Arc<Shared>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = io::Error::other("it panicked");
            self.0
                .fail(&JournalError::io("the journal's writer", &error));
        }
    }
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        fs: Arc<dyn FileSystem>,
        config: LocalConfig,
        active: Active,
        next_batch: u64,
    ) -> Self {
        let (batch, placed, acks) = (BatchBuilder::default(), Vec::new(), Vec::new());
        Self {
            shared,
            fs,
            config,
            active,
            next_batch,
            batch,
            placed,
            acks,
        }
    }

    /// Runs until the journal is closed or fails.
    pub(super) fn run(mut self) {
        let _guard = FailOnPanic(Arc::clone(&self.shared));
        let mut work = Work::default();
        let mut may_idle = true;
        loop {
            let task = self.shared.queue.take(&mut work, may_idle);
            may_idle = task == Task::Commit;
            let done = match task {
                Task::Commit => self.commit_all(&mut work),
                Task::Idle => self.prepare(),
                Task::Seal => self.seal(),
                Task::Stop => return,
            };
            if let Err(error) = done {
                let name = file_name(u64::from(self.active.number));
                let what = format!("writing {name} in {}", self.config.dir.display());
                self.shared.fail(&JournalError::io(&what, &error));
                return;
            }
        }
    }

    fn commit_all(&mut self, work: &mut Work) -> io::Result<()> {
        let mut records = work.records.drain(..).peekable();
        while records.peek().is_some() || !work.trims.is_empty() {
            self.batch.start(self.active.salt);
            for (shard, through) in &work.trims {
                self.batch.push(Kind::Trim, shard.0, through.0, &[]);
            }
            while let Some(next) = records.next_if(|next| {
                let len = self.batch.len() + RECORD_HEADER + next.record.len();
                self.batch.is_empty() || len <= self.config.max_batch_bytes
            }) {
                let at = self
                    .batch
                    .push(Kind::Data, next.shard.0, next.seq.0, &next.record);
                self.placed.push((next.shard, at, next.record.len()));
                self.acks.push((next.shard, next.seq));
            }
            self.commit(&work.trims)?;
            work.trims.clear();
        }
        Ok(())
    }

    /// Makes the batch durable and tells of it.
    fn commit(&mut self, trims: &[(ShardId, Seq)]) -> io::Result<()> {
        if !self
            .active
            .has_room(self.batch.finished_len(), self.config.segment_bytes)
        {
            self.rotate()?;
        }
        let start = self.write_batch()?;
        let mut index = self.shared.index.write();
        for (shard, at, len) in self.placed.drain(..) {
            let small = |n: usize| u32::try_from(n).map_err(io::Error::other);
            let offset = small(usize::try_from(start).map_err(io::Error::other)? + at)?;
            index.push(
                shard,
                Loc {
                    segment: self.active.number,
                    offset,
                    len: small(len)?,
                },
            );
        }
        for (shard, through) in trims {
            index.forget(*shard, through.0);
        }
        drop(index);
        self.shared
            .counters
            .records
            .fetch_add(self.acks.len() as u64, Relaxed);
        if !self.acks.is_empty() {
            self.shared.events.durable(&self.acks);
            self.acks.clear();
        }
        if trims.is_empty() {
            Ok(())
        } else {
            self.remove_dead()
        }
    }

    /// Writes and flushes the batch. Returns where it begins.
    fn write_batch(&mut self) -> io::Result<u64> {
        let start = self
            .active
            .write(&mut self.batch, self.next_batch, self.config.grow_bytes)?;
        self.next_batch += 1;
        let counters = &self.shared.counters;
        counters.batches.fetch_add(1, Relaxed);
        counters.bytes.fetch_add(self.active.pos - start, Relaxed);
        counters.syncs.fetch_add(1, Relaxed);
        Ok(start)
    }

    /// Makes the next segment, and only then closes this one: a closed segment without its
    /// successor is damage, an open one is not.
    fn rotate(&mut self) -> io::Result<()> {
        let number = u64::from(self.active.number) + 1;
        let salt = self.active.salt;
        let mut marks = base(&self.shared.index.read(), salt);
        let header = header(number, salt, self.next_batch + 1);
        let grow = self.config.grow_bytes;
        let next = Active::create(&*self.fs, &self.config.dir, &header, &mut marks, grow)?;
        mark(&mut marks, salt, Kind::Next, number);
        self.active.write(&mut marks, self.next_batch, grow)?;
        self.next_batch += 2;
        self.shared.counters.syncs.fetch_add(3, Relaxed);
        self.shared.counters.batches.fetch_add(2, Relaxed);
        self.shared
            .index
            .write()
            .segments
            .push_back(segment_of(&next));
        self.active = next;
        Ok(())
    }

    /// Removes the oldest segments when no record in them is needed. One after the other, so
    /// that a crash never leaves a gap.
    fn remove_dead(&mut self) -> io::Result<()> {
        loop {
            let dead = self.shared.index.write().pop_dead();
            let Some(dead) = dead else { return Ok(()) };
            self.fs
                .remove(&self.config.dir.join(file_name(u64::from(dead.number))))?;
            self.fs.sync_dir(&self.config.dir)?;
            self.shared.counters.syncs.fetch_add(1, Relaxed);
        }
    }

    fn prepare(&mut self) -> io::Result<()> {
        if self
            .active
            .grow_ahead(self.config.grow_bytes, self.config.segment_bytes)?
        {
            self.shared.counters.syncs.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    fn seal(&mut self) -> io::Result<()> {
        mark(&mut self.batch, self.active.salt, Kind::Seal, 0);
        self.write_batch()?;
        self.shared.queue.closed();
        Ok(())
    }
}

/// The first batch of a segment: where each shard stands.
pub(super) fn base(index: &Index, salt: u32) -> BatchBuilder {
    let mut batch = BatchBuilder::default();
    batch.start(salt);
    for (shard, index) in &index.shards {
        let trimmed = index.durably_trimmed().to_le_bytes();
        batch.push(Kind::Base, shard.0, index.last(), &trimmed);
    }
    batch
}

/// How readers see a segment that was just made.
pub(super) fn segment_of(active: &Active) -> Segment {
    Segment {
        number: active.number,
        salt: active.salt,
        file: Arc::clone(&active.file),
        live: 0,
    }
}
