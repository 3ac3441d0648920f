//! The writer: takes all that waits, makes one batch of it for all shards, writes it once, flushes
//! it, tells of it, and begins again. One thread does that all its life; an appender whose disk is
//! quick does it itself while nobody else is at it. A batch is written only after the one before was
//! flushed. After the first error it never writes again: a flush that failed once may succeed later
//! without its data (the kernel forgets what it could not write).

// How long a flush takes decides who does the next one. No decision about data does.
#![allow(clippy::disallowed_methods)]

use super::format::{BatchBuilder, Kind, RECORD_HEADER};
use super::index::{Index, Loc, Segment};
use super::queue::{Queue, Task, Work};
use super::segment::{Active, file_name, header, mark};
use super::{Counters, LocalConfig};
use crate::error::JournalError;
use crate::fs::FileSystem;
use crate::journal::JournalEvents;
use eddy_types::{Seq, ShardId};
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What the writer and the callers share.
pub(super) struct Shared {
    pub queue: Queue,
    pub index: RwLock<Index>,
    pub counters: Counters,
    pub events: Arc<dyn JournalEvents>,
    /// Microseconds that flushes take of late.
    flush_micros: AtomicU32,
}

/// Flushes slower than this are left to the writer's thread: waking it costs little then, and the
/// appender's thread has better things to do.
const QUICK_MICROS: u32 = 250;

/// Bytes that an appender writes itself at most.
const SMALL: usize = 256 << 10;
/// Room for the headers of a small batch.
const HEADERS: usize = 1 << 10;

impl Shared {
    pub(super) fn new(
        queue: Queue,
        index: RwLock<Index>,
        counters: Counters,
        events: Arc<dyn JournalEvents>,
    ) -> Self {
        Self {
            queue,
            index,
            counters,
            events,
            flush_micros: AtomicU32::new(QUICK_MICROS),
        }
    }

    fn flush_took(&self, time: Duration) {
        let new = u32::try_from(time.as_micros()).unwrap_or(u32::MAX / 8);
        let old = self.flush_micros.load(Relaxed);
        self.flush_micros
            .store((old / 8 * 7).saturating_add(new / 8), Relaxed);
    }

    /// Ends the journal with an error and tells of it, once.
    fn fail(&self, error: &JournalError) {
        if self.queue.fail(error) {
            self.tell_failure(error);
        }
    }

    fn tell_failure(&self, error: &JournalError) {
        tracing::error!(%error, "the journal failed; nothing more is written");
        self.events.failed(error);
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
    /// Records of the batch at hand.
    acks: Vec<(ShardId, Seq)>,
    /// Records that are durable and not told of yet.
    durable: Vec<(ShardId, Seq)>,
    work: Work,
    /// Something under way failed or panicked: what it left must never reach the disk.
    dead: bool,
}

/// The writer, and who may use it.
pub(super) struct Desk {
    pub shared: Arc<Shared>,
    writer: Mutex<Writer>,
}

/// A writer that panics (a bug, or one in a callback) must not leave appenders waiting.
struct FailOnPanic {
    shared: Arc<Shared>,
    /// An appender may commit while it unwinds: that panic is none of the writer's.
    panicked_before: bool,
}

impl FailOnPanic {
    fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            panicked_before: std::thread::panicking(),
        }
    }
}

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.panicked_before {
            let error = io::Error::other("it panicked");
            self.shared
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
        let durable = Vec::new();
        let work = Work::default();
        Self {
            shared,
            fs,
            config,
            active,
            next_batch,
            batch,
            placed,
            acks,
            durable,
            work,
            dead: false,
        }
    }

    /// Does something with the files. After the first time that it fails or panics: nothing ever.
    fn attempt(&mut self, work: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        if std::mem::replace(&mut self.dead, true) {
            return Ok(());
        }
        let done = work(self);
        self.dead = done.is_err();
        done
    }

    /// Commits what waits; what became durable is in `durable` then.
    fn commit_waiting(&mut self) -> io::Result<()> {
        let mut work = std::mem::take(&mut self.work);
        self.shared.queue.take(&mut work);
        let began = Instant::now();
        let some = !work.records.is_empty();
        let done = self.commit_all(&mut work);
        if some {
            self.shared.flush_took(began.elapsed());
        }
        self.work = work;
        done
    }

    /// Whether what waits is one small write: no new segment, no second batch.
    fn is_quick(&self, waiting: usize) -> bool {
        waiting <= SMALL
            && self
                .active
                .has_room(2 * waiting + HEADERS, self.config.segment_bytes)
    }

    fn failed(&self, error: &io::Error) -> JournalError {
        let name = file_name(u64::from(self.active.number));
        let what = format!("writing {name} in {}", self.config.dir.display());
        JournalError::io(&what, error)
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
        let records = self.placed.len();
        // Only now: what was written and not flushed must not be told of.
        self.durable.append(&mut self.acks);
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
            .fetch_add(records as u64, Relaxed);
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
        self.active.file.appended();
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

impl Desk {
    pub(super) fn new(shared: Arc<Shared>, writer: Writer) -> Self {
        Self {
            shared,
            writer: Mutex::new(writer),
        }
    }

    /// Runs until the journal is closed or fails.
    pub(super) fn run(&self) {
        let _guard = FailOnPanic::new(&self.shared);
        let mut acks = Vec::new();
        let mut may_idle = true;
        loop {
            let task = self.shared.queue.wait(may_idle);
            may_idle = task == Task::Commit;
            let mut writer = self.writer.lock();
            let done = match task {
                Task::Commit => writer.attempt(Writer::commit_waiting),
                Task::Idle => writer.attempt(Writer::prepare),
                Task::Seal => writer.attempt(Writer::seal),
                Task::Stop => return,
            };
            self.tell(writer, done, &mut acks);
        }
    }

    /// Commits what waits on this thread, if that is quicker than to wake the writer's.
    pub(super) fn commit_here(&self) -> bool {
        if self.shared.flush_micros.load(Relaxed) > QUICK_MICROS {
            return false;
        }
        let Some(mut writer) = self.writer.try_lock() else {
            return false;
        };
        let _guard = FailOnPanic::new(&self.shared);
        if !writer.is_quick(self.shared.queue.bytes()) {
            return false;
        }
        let done = writer.attempt(Writer::commit_waiting);
        self.tell(writer, done, &mut Vec::new());
        true
    }

    /// Gives the writer back and tells what became of its work. A failure ends the journal before
    /// anybody else gets the writer; it is told of after what became durable before it.
    fn tell(
        &self,
        mut writer: MutexGuard<'_, Writer>,
        done: io::Result<()>,
        acks: &mut Vec<(ShardId, Seq)>,
    ) {
        std::mem::swap(acks, &mut writer.durable);
        let failed = done.err().map(|error| writer.failed(&error));
        let failed = failed.filter(|error| self.shared.queue.fail(error));
        drop(writer);
        if !acks.is_empty() {
            self.shared.events.durable(acks);
            acks.clear();
        }
        if let Some(error) = &failed {
            self.shared.tell_failure(error);
        }
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
