//! The way of durable records to the thread that applies them to the store. They go in small crowds:
//! nobody waits for the store, since the overlay answers for what it does not show yet, and a crowd
//! costs little more than one.

use eddy_core::Record;
use eddy_types::{Seq, ShardId};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;

/// How long the first record of a crowd waits for others.
const LINGER: Duration = Duration::from_millis(5);
/// A crowd of this many waits no longer.
const CROWD: usize = 4096;

pub(super) type Batch = Vec<(ShardId, Seq, Arc<Record>)>;

/// Hands durable records to the thread that applies them to the store. Bounded by the overlay,
/// which holds the same records until they are applied.
#[derive(Clone, Default)]
pub(crate) struct Applier(Arc<Queue>);

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

#[derive(Default)]
struct Waiting {
    records: Batch,
    closed: bool,
    /// Somebody waits for the store: no lingering.
    hurry: bool,
    /// The thread sleeps until there is a record.
    idle: bool,
}

impl Applier {
    pub(crate) fn push(&self, shard: ShardId, seq: Seq, record: Arc<Record>) {
        let mut waiting = self.0.waiting.lock();
        waiting.records.push((shard, seq, record));
        let wake = waiting.idle || waiting.records.len() == CROWD;
        waiting.idle = false;
        drop(waiting);
        if wake {
            self.0.news.notify_one();
        }
    }

    /// Has what waits applied at once.
    pub(crate) fn hurry(&self) {
        let mut waiting = self.0.waiting.lock();
        if !waiting.records.is_empty() {
            waiting.hurry = true;
            drop(waiting);
            self.0.news.notify_one();
        }
    }

    /// Lets the thread end when everything is applied.
    pub(crate) fn close(&self) {
        self.0.waiting.lock().closed = true;
        self.0.news.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.waiting.lock().closed
    }

    /// The next records to apply; none when closed and done.
    pub(super) fn next(&self) -> Option<Batch> {
        let mut waiting = self.0.waiting.lock();
        while waiting.records.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting.idle = true;
            self.0.news.wait(&mut waiting);
        }
        waiting.idle = false;
        let lingers = |waiting: &mut Waiting| {
            !(waiting.closed || waiting.hurry || waiting.records.len() >= CROWD)
        };
        self.0.news.wait_while_for(&mut waiting, lingers, LINGER);
        waiting.hurry = false;
        Some(std::mem::take(&mut waiting.records))
    }
}
