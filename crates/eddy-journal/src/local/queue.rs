//! What waits for the writer: records in order, trims, and what to do when nothing waits.
//! Appenders meet the writer here and nowhere else; nobody holds the lock during I/O. What is taken
//! from here is written in the order of taking: only who holds the writer may take.

// Holding a record back for a stated time needs a monotonic clock. No decision about data does.
#![allow(clippy::disallowed_methods)]

use crate::error::JournalError;
use crate::journal::Urgency;
use bytes::Bytes;
use eddy_types::{Seq, ShardId};
use parking_lot::{Condvar, Mutex};
use std::mem;
use std::time::{Duration, Instant};

/// How long a trim may wait for a batch to ride along with.
const TRIM_WITHIN: Duration = Duration::from_millis(100);

/// Longer holds count as this, so that no caller's number overflows the clock.
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 3600);

/// A record that waits.
pub(super) struct Pending {
    pub shard: ShardId,
    pub seq: Seq,
    pub record: Bytes,
}

/// What the writer takes in one go. Its buffers go back and forth.
#[derive(Default)]
pub(super) struct Work {
    pub records: Vec<Pending>,
    pub trims: Vec<(ShardId, Seq)>,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.trims.is_empty()
    }
}

/// What the writer should do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Commit what was taken.
    Commit,
    /// Nothing waits: prepare for what may come.
    Idle,
    /// All is committed: seal and end.
    Seal,
    /// End at once.
    Stop,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// `close` was called; the rest is still written.
    Closing,
    Closed,
    Failed(JournalError),
}

struct State {
    phase: Phase,
    work: Work,
    /// Bytes in `work.records`.
    bytes: usize,
    /// When `work` must be on its way; `Some(None)` means now.
    due: Option<Option<Instant>>,
    /// The next sequence of each shard.
    next: Vec<u64>,
    /// The writer sleeps, and nobody has woken it.
    parked: bool,
}

/// The meeting point of appenders and the writer.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    max_bytes: usize,
}

impl Queue {
    /// A queue that holds at most `max_bytes`; `last` gives each shard's last sequence.
    pub(super) fn new(max_bytes: usize, last: impl Iterator<Item = (ShardId, u64)>) -> Self {
        let mut state = State {
            phase: Phase::Open,
            work: Work::default(),
            bytes: 0,
            due: None,
            next: Vec::new(),
            parked: false,
        };
        for (shard, last) in last {
            *state.next(shard) = last + 1;
        }
        Self {
            state: Mutex::new(state),
            wake: Condvar::new(),
            max_bytes,
        }
    }

    pub(super) fn append(
        &self,
        shard: ShardId,
        expected: Seq,
        record: Bytes,
        urgency: Urgency,
    ) -> Result<(), JournalError> {
        let mut state = self.state.lock();
        state.check_open()?;
        let next = Seq(*state.next(shard));
        if expected != next {
            return Err(JournalError::OutOfOrder {
                shard,
                expected,
                next,
            });
        }
        if state.bytes + record.len() > self.max_bytes {
            return Err(JournalError::Busy {
                queued: state.bytes,
            });
        }
        state.bytes += record.len();
        *state.next(shard) += 1;
        state.work.records.push(Pending {
            shard,
            seq: expected,
            record,
        });
        let due = match urgency {
            Urgency::Now => None,
            Urgency::Within(time) => Some(Instant::now() + time.min(LONGEST_HOLD)),
            // A writer that is awake anyway takes it along.
            Urgency::Held => {
                state.due = Some(None);
                return Ok(());
            }
        };
        self.hurry(state, due);
        Ok(())
    }

    /// Wakes the writer if something is due.
    pub(super) fn wake(&self) {
        let state = self.state.lock();
        if state.due == Some(None) {
            self.hurry(state, None);
        }
    }

    pub(super) fn trim(&self, shard: ShardId, through: Seq) -> Result<(), JournalError> {
        let mut state = self.state.lock();
        state.check_open()?;
        state.work.trims.push((shard, through));
        self.hurry(state, Some(Instant::now() + TRIM_WITHIN));
        Ok(())
    }

    /// Notes when work is due and wakes the writer if that is sooner than it knows.
    fn hurry(&self, mut state: parking_lot::MutexGuard<'_, State>, due: Option<Instant>) {
        let sooner = match (state.due, due) {
            (Some(None), Some(_)) => false,
            (None, _) | (_, None) => true,
            (Some(Some(old)), Some(new)) => new < old,
        };
        if sooner {
            state.due = Some(due);
        }
        let wake = sooner && state.parked;
        if wake {
            state.parked = false;
        }
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Waits for something to do. `may_idle`: return [`Task::Idle`] instead of sleeping when nothing
    /// waits.
    pub(super) fn wait(&self, may_idle: bool) -> Task {
        let mut state = self.state.lock();
        loop {
            match state.phase {
                Phase::Failed(_) | Phase::Closed => return Task::Stop,
                Phase::Closing if state.work.is_empty() => return Task::Seal,
                Phase::Closing => break,
                Phase::Open => {}
            }
            match state.due {
                Some(None) => break,
                Some(Some(due)) if due <= Instant::now() => break,
                None if may_idle => return Task::Idle,
                due => {
                    state.parked = true;
                    match due.flatten() {
                        Some(due) => drop(self.wake.wait_until(&mut state, due)),
                        None => self.wake.wait(&mut state),
                    }
                    state.parked = false;
                }
            }
        }
        Task::Commit
    }

    /// Takes what waits, for who has the right to write. `work` must be empty and receives it.
    pub(super) fn take(&self, work: &mut Work) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Failed(_) | Phase::Closed) {
            return;
        }
        mem::swap(&mut state.work, work);
        state.bytes = 0;
        state.due = None;
    }

    /// How much waits, in bytes of records.
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// Asks the writer to write what waits and to end.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Ends at once; what waits is dropped.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Open | Phase::Closing) {
            state.phase = Phase::Closed;
        }
        drop(state);
        self.wake.notify_one();
    }

    /// The writer has sealed the journal.
    pub(super) fn closed(&self) {
        self.state.lock().phase = Phase::Closed;
    }

    /// Drops what waits and refuses everything from now on. `false` when it was over already.
    pub(super) fn fail(&self, error: &JournalError) -> bool {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Failed(_) | Phase::Closed) {
            return false;
        }
        state.phase = Phase::Failed(error.clone());
        state.work = Work::default();
        state.bytes = 0;
        drop(state);
        self.wake.notify_one();
        true
    }

    /// The failure, if there was one.
    pub(super) fn failure(&self) -> Option<JournalError> {
        match &self.state.lock().phase {
            Phase::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }
}

impl State {
    fn check_open(&self) -> Result<(), JournalError> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Closing | Phase::Closed => Err(JournalError::Closed),
            Phase::Failed(error) => Err(error.clone()),
        }
    }

    fn next(&mut self, shard: ShardId) -> &mut u64 {
        let at = usize::from(shard.0);
        if self.next.len() <= at {
            self.next.resize(at + 1, 1);
        }
        &mut self.next[at]
    }
}
