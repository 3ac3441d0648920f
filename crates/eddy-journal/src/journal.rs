//! The port: what the node asks of a journal, whoever provides it. No provider lives here.

use crate::error::JournalError;
use bytes::Bytes;
use eddy_types::{Seq, ShardId};
use std::time::Duration;

/// The durable, not trimmed records of a shard: `first..=last`, empty when `first > last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The oldest record that can be read; 1 for a shard that was never trimmed.
    pub first: Seq,
    /// The newest durable record; 0 for a shard that never had one. Trimming does not lower it.
    pub last: Seq,
}

impl Bounds {
    /// Whether nothing can be read.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.first > self.last
    }
}

/// One durable record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its position in its shard.
    pub seq: Seq,
    /// Its bytes, as they were appended.
    pub record: Bytes,
}

/// How soon a record must be on its way to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// At once, together with everything that waits.
    Now,
    /// After at most this time; sooner when a later record takes it along.
    Within(Duration),
    /// When the caller calls [`Journal::release`], which it does on the same thread within a few
    /// turns' time; sooner when another record takes it along.
    Held,
}

/// The ordered durable record of each shard.
///
/// Each shard counts its records from 1 without gaps. Appends are pipelined: many may be under
/// way at once. After a failure nothing is
/// tried again: records that were not acknowledged may or may not be durable, and only opening
/// the journal anew and reading it tells.
pub trait Journal: Send + Sync {
    /// The first and last durable record of `shard`.
    fn bounds(&self, shard: ShardId) -> Result<Bounds, JournalError>;

    /// Durable records of `shard` from `from` on, in order. One page: as many as fit `max_bytes`
    /// of record bytes, but at least one when there is one. Nothing after the last record.
    ///
    /// [`JournalError::Trimmed`] when `from` is older than the first record.
    fn read(&self, shard: ShardId, from: Seq, max_bytes: usize)
    -> Result<Vec<Entry>, JournalError>;

    /// Starts an append; never waits for the disk. `expected` is the sequence that the record must
    /// get; [`JournalError::OutOfOrder`] when it is not the next one.
    ///
    /// Other errors: `TooLarge` over [`eddy_types::limits::MAX_RECORD_BYTES`], `Busy` when too
    /// many bytes wait, `Failed` after a failure, `Closed`. The record was not taken then.
    fn append(
        &self,
        shard: ShardId,
        expected: Seq,
        record: Bytes,
        urgency: Urgency,
    ) -> Result<(), JournalError>;

    /// Lets the records go that were appended as [`Urgency::Held`]. With `here`, on this thread when
    /// nobody else is writing and the disk is quick: then it waits for the flush, and
    /// [`JournalEvents`] hears of it before this returns. That spares two threads from waking each
    /// other. Providers that hold nothing do nothing.
    fn release(&self, here: bool) {
        let _ = here;
    }

    /// Says that records up to and including `through` are no longer needed. They cannot be read
    /// from now on; their space is freed later. A crash may bring some of them back.
    ///
    /// [`JournalError::OutOfOrder`] when `through` is not durable yet.
    fn trim(&self, shard: ShardId, through: Seq) -> Result<(), JournalError>;

    /// Makes everything durable that was appended, acknowledges it, and stops. Later appends are
    /// refused with `Closed`; reads still work. Closing twice is fine.
    fn close(&self) -> Result<(), JournalError>;
}

/// Hears what became of appends. Called by the provider from its own thread, which carries all
/// shards, or from the one in [`Journal::release`]: an implementation hands over and returns.
pub trait JournalEvents: Send + Sync {
    /// These records are durable, and with each all before it in its shard. Each is told of exactly
    /// once, and within one call in order; two calls at a time may overtake each other.
    fn durable(&self, acks: &[(ShardId, Seq)]);

    /// Appends failed; [`JournalError::shards`] says where. Called once per failure.
    fn failed(&self, error: &JournalError);
}
