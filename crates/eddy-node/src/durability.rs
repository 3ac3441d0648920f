//! The journal's news come in, durable records go to the store, checkpoints trim the journal, and
//! a start replays what the store has not seen.

mod applier;
mod sweep;

pub(crate) use applier::Applier;

use crate::clock;
use crate::data_dir::DataDir;
use crate::inner::Inner;
use crate::tasks;
use eddy_core::{Change, Record};
use eddy_journal::fs::{Fault, FaultFs, FileSystem, RealFs};
use eddy_journal::{Journal, JournalError, JournalEvents, LocalConfig, LocalJournal, Urgency};
use eddy_store::Store;
use eddy_types::limits::MAX_OVERLAY_BYTES;
use eddy_types::{EddyError, ErrorCode, Seq, ShardId, ShardMap};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Bytes of journal read at a time during replay.
const REPLAY_PAGE: usize = 4 << 20;
/// Time between checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);
/// Rows that are swept at a time: a shard applies no records meanwhile.
const SWEEP_BATCH: usize = 10_000;
/// The longest sweep, so that the next checkpoint is in time.
const SWEEP_FOR: Duration = Duration::from_secs(20);
/// Records applied to the store in one batch.
const APPLY_BATCH: usize = 4096;

/// Carries the journal's news to the node, once there is one.
#[derive(Default)]
pub(crate) struct Events {
    inner: OnceLock<Weak<Inner>>,
    /// What became durable before there was a node: epoch records.
    early: Mutex<Early>,
    news: Condvar,
}

#[derive(Default)]
struct Early {
    durable: BTreeMap<ShardId, Seq>,
    failed: Option<JournalError>,
}

impl Events {
    pub(crate) fn connect(&self, inner: &Arc<Inner>) {
        let first = self.inner.set(Arc::downgrade(inner)).is_ok();
        debug_assert!(first, "a node is connected once");
    }

    fn node(&self) -> Option<Arc<Inner>> {
        self.inner.get().and_then(Weak::upgrade)
    }

    /// Waits until a record appended before the node served is durable.
    fn wait(&self, shard: ShardId, seq: Seq) -> Result<(), EddyError> {
        let mut early = self.early.lock();
        loop {
            if let Some(error) = &early.failed {
                return Err(error.clone().into());
            }
            if early
                .durable
                .get(&shard)
                .is_some_and(|durable| *durable >= seq)
            {
                return Ok(());
            }
            self.news.wait(&mut early);
        }
    }
}

impl JournalEvents for Events {
    fn durable(&self, acks: &[(ShardId, Seq)]) {
        let mut newest: BTreeMap<ShardId, Seq> = BTreeMap::new();
        for (shard, seq) in acks {
            newest.insert(*shard, *seq);
        }
        match self.node() {
            Some(node) => newest
                .into_iter()
                .for_each(|(shard, seq)| node.durable(shard, seq)),
            None => {
                self.early.lock().durable.extend(newest);
                self.news.notify_all();
            }
        }
    }

    fn failed(&self, error: &JournalError) {
        match self.node() {
            Some(node) => node.fail(error.clone().into()),
            None => {
                self.early.lock().failed = Some(error.clone());
                self.news.notify_all();
            }
        }
    }
}

/// Opens the journal of a data folder. `fault` is `EDDY_FAULT_FS`, see [`fault_fs`].
pub(crate) fn open_journal(
    dir: &DataDir,
    events: Arc<Events>,
    fault: Option<&str>,
) -> Result<LocalJournal, EddyError> {
    let fs: Arc<dyn FileSystem> = match fault {
        None => Arc::new(RealFs),
        Some(spec) => fault_fs(spec)?,
    };
    let [a, b, c, d, ..] = dir.key;
    let config = LocalConfig {
        // What waits for the disk is bounded by the overlays of the shards.
        max_queue_bytes: usize::from(u16::MAX) * MAX_OVERLAY_BYTES,
        salt: u32::from_be_bytes([a, b, c, d]),
        ..LocalConfig::new(dir.join("journal"))
    };
    LocalJournal::open(config, fs, events).map_err(EddyError::from)
}

/// The file system of the crash tests, for tests only, and loud: unflushed bytes stay in the
/// process, so that kill -9 loses them. `buffer` does no more than that, `lie` never flushes,
/// `fail-flush=N` fails the N-th flush from here on, `full=N` fails the N-th write with "disk full".
fn fault_fs(spec: &str) -> Result<Arc<FaultFs>, EddyError> {
    let fs = FaultFs::over(Arc::new(RealFs));
    let (mode, count) = spec.split_once('=').unwrap_or((spec, ""));
    match (mode, count.parse::<u64>()) {
        ("buffer", Err(_)) => {}
        ("lie", Err(_)) => fs.set_lying(true),
        ("fail-flush", Ok(nth)) => fs.fail_sync(nth, Fault::Io),
        ("full", Ok(nth)) => fs.fail_write(nth, Fault::DiskFull),
        _ => {
            let detail = format!(
                "EDDY_FAULT_FS={spec:?} is none of `buffer`, `lie`, `fail-flush=N`, `full=N`"
            );
            return Err(EddyError::new(ErrorCode::InvalidArgument, detail));
        }
    }
    tracing::warn!("EDDY_FAULT_FS={spec}: the journal runs on the file system of the crash tests");
    Ok(fs)
}

/// Takes every shard over: appends its epoch record, then replays the journal through it into the
/// store. Answers with the last sequence of each shard.
pub(crate) fn take_over(
    journal: &dyn Journal,
    events: &Events,
    store: &Store,
    map: ShardMap,
) -> Result<Vec<Seq>, EddyError> {
    let mut epochs = Vec::new();
    for shard in map.shards() {
        let bounds = journal.bounds(shard)?;
        let applied = store.applied(shard);
        if applied > bounds.last {
            return Err(EddyError::new(
                ErrorCode::JournalCorrupt,
                format!(
                    "the store of shard {} has seen record {}, but the journal ends at {}",
                    shard.0, applied.0, bounds.last.0
                ),
            )
            .hint("Records are missing from the journal. Restore the data folder from a copy."));
        }
        if applied.next() < bounds.first {
            return Err(EddyError::new(
                ErrorCode::StoreBehindJournal,
                format!(
                    "the store of shard {} has seen record {}, but the journal begins at {}",
                    shard.0, applied.0, bounds.first.0
                ),
            )
            .hint("The store lost data that the journal no longer has. Restore the data folder from a copy."));
        }
        let seq = bounds.last.next();
        let record = Record {
            at: clock::now(),
            changes: vec![Change::Epoch { epoch: seq.0 }],
        };
        journal.append(shard, seq, record.encode()?, Urgency::Now)?;
        epochs.push((shard, seq));
    }
    for (shard, seq) in &epochs {
        events.wait(*shard, *seq)?;
        replay(journal, store, *shard, *seq)?;
    }
    Ok(epochs.into_iter().map(|(_, seq)| seq).collect())
}

fn replay(
    journal: &dyn Journal,
    store: &Store,
    shard: ShardId,
    through: Seq,
) -> Result<(), EddyError> {
    let mut applied = store.applied(shard);
    while applied < through {
        let page = journal.read(shard, applied.next(), REPLAY_PAGE)?;
        let mut records = Vec::with_capacity(page.len());
        for entry in page {
            records.push((entry.seq, Arc::new(Record::decode(&entry.record)?)));
        }
        let Some((last, _)) = records.last() else {
            return Err(EddyError::internal(format!(
                "the journal of shard {} ends before record {}",
                shard.0, through.0
            )));
        };
        let last = *last;
        store.apply(shard, &records)?;
        applied = last;
    }
    Ok(())
}

/// Applies records until the node closes.
pub(crate) fn apply_loop(inner: &Arc<Inner>) {
    while let Some(batch) = inner.applier.next() {
        let mut by_shard: BTreeMap<ShardId, Vec<(Seq, Arc<Record>)>> = BTreeMap::new();
        for (shard, seq, record) in batch {
            count_dead_letters(inner, &record);
            inner.note_stored(&record);
            by_shard.entry(shard).or_default().push((seq, record));
        }
        for (shard, records) in by_shard {
            for chunk in records.chunks(APPLY_BATCH) {
                if let Err(error) = inner.store.apply(shard, chunk) {
                    inner.fail(error);
                    return;
                }
                if let Some((seq, _)) = chunk.last() {
                    inner.shard(shard).lock().core.applied(*seq);
                }
            }
        }
    }
}

fn count_dead_letters(inner: &Inner, record: &Record) {
    for change in &record.changes {
        if let Change::DeadLetterPut { letter, .. } = change {
            inner.stats.dead_letters(1);
            // What the guest said of it is its tenant's to read: `eddy dead-letters` has it.
            tracing::warn!(
                tenant = %letter.to.tenant(), to = %letter.to, method = %letter.method,
                attempts = letter.attempts, code = %letter.error.code, "a delivery became a dead letter"
            );
        }
    }
}

/// Makes the store durable and lets the journal forget what it holds.
pub(crate) fn checkpoint(inner: &Inner) -> Result<(), EddyError> {
    for (shard, seq) in inner
        .store
        .checkpoint(&inner.map.shards().collect::<Vec<_>>())?
    {
        inner.journal.trim(shard, seq)?;
    }
    Ok(())
}

/// Checkpoints now and then, and sweeps between, off the async threads.
pub(crate) async fn checkpoint_loop(inner: Arc<Inner>) {
    let mut due = tokio::time::interval(CHECKPOINT_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    due.tick().await; // the first one is at once
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = inner.closing.cancelled() => return,
        }
        let inner2 = inner.clone();
        let done = tasks::blocking(move || checkpoint(&inner2)).await;
        let done = match done.and_then(|done| done) {
            Ok(()) => sweep::sweep(&inner.store, SWEEP_BATCH, SWEEP_FOR, &inner.closing).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(true) => {}
            Ok(false) => tracing::debug!("more keys have expired than one sweep drops"),
            // The store was closed between.
            Err(_) if inner.closing.is_cancelled() => return,
            Err(error) => return inner.fail(error),
        }
    }
}
