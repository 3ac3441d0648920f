//! The suite that every [`Journal`] provider must pass. A provider's tests give a [`Harness`] to
//! [`crate::journal_conformance!`], which makes one test of each case in [`cases`].

pub mod cases;

use crate::error::JournalError;
use crate::journal::{Journal, JournalEvents, Urgency};
use bytes::Bytes;
use eddy_types::{Seq, ShardId};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Only bounds how long a broken provider hangs a test.
const PATIENCE: Duration = Duration::from_secs(60);

/// One place where a journal is kept, and the ways to treat it badly.
pub trait Harness {
    /// Opens the journal there, new or with what it held. Any earlier one was closed or crashed.
    fn open(&mut self, events: Arc<dyn JournalEvents>) -> Result<Arc<dyn Journal>, JournalError>;
    /// Stops the provider at once; what is not durable is lost.
    fn crash(&mut self);
    /// Makes the next commit fail.
    fn fail_next_commit(&mut self);
}

/// A journal with the recorder that listens to it.
pub struct Opened {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// What it said.
    pub heard: Arc<Recorder>,
}

impl Opened {
    /// Opens the harness's journal.
    pub fn open(harness: &mut dyn Harness) -> Self {
        let heard = Arc::new(Recorder::default());
        let events: Arc<dyn JournalEvents> = Arc::clone(&heard) as _;
        let journal = harness.open(events).expect("the journal opens");
        Self { journal, heard }
    }

    /// Appends `record(shard, seq)` for each of `seqs`.
    pub fn append(&self, shard: u16, seqs: std::ops::RangeInclusive<u64>) {
        for seq in seqs {
            self.journal
                .append(ShardId(shard), Seq(seq), record(shard, seq), Urgency::Now)
                .unwrap_or_else(|e| panic!("append {shard}/{seq}: {e}"));
        }
    }

    /// Appends and waits until all is durable.
    pub fn commit(&self, shard: u16, seqs: std::ops::RangeInclusive<u64>) {
        let last = *seqs.end();
        self.append(shard, seqs);
        self.heard.wait(shard, last);
    }

    /// First and last sequence of the shard.
    #[must_use]
    pub fn bounds(&self, shard: u16) -> (u64, u64) {
        let bounds = self.journal.bounds(ShardId(shard)).expect("bounds");
        (bounds.first.0, bounds.last.0)
    }

    /// Reads the shard from `from` to its end in pages of `page` bytes and checks every record.
    /// Returns how many there were.
    #[must_use]
    pub fn read_and_check(&self, shard: u16, from: u64, page: usize) -> u64 {
        let mut next = from;
        loop {
            let entries = self
                .journal
                .read(ShardId(shard), Seq(next), page)
                .expect("read");
            if entries.is_empty() {
                return next - from;
            }
            for entry in entries {
                assert_eq!(entry.seq, Seq(next), "shard {shard}");
                assert_eq!(
                    entry.record,
                    record(shard, next),
                    "shard {shard} record {next}"
                );
                next += 1;
            }
        }
    }
}

/// The record that the suite appends at this place: 0 to 300 bytes, always the same ones.
#[must_use]
pub fn record(shard: u16, seq: u64) -> Bytes {
    let len = (u64::from(shard) * 31 + seq * 7) % 301;
    (0..len)
        .map(|at| (seq.wrapping_mul(at + 1) % 251) as u8)
        .collect()
}

/// Remembers what a journal said, and checks that it said it once and in order.
#[derive(Default)]
pub struct Recorder {
    heard: Mutex<Heard>,
    news: Condvar,
}

#[derive(Default)]
struct Heard {
    /// The newest of each shard.
    acked: BTreeMap<ShardId, u64>,
    told: BTreeSet<(ShardId, u64)>,
    failures: Vec<JournalError>,
    disorder: Option<String>,
}

impl Recorder {
    /// Waits until this record, and so all before it, is acknowledged.
    pub fn wait(&self, shard: u16, seq: u64) {
        let mut heard = self.heard.lock();
        while heard
            .acked
            .get(&ShardId(shard))
            .is_none_or(|acked| *acked < seq)
        {
            assert!(heard.failures.is_empty(), "{:?}", heard.failures);
            let late = self.news.wait_for(&mut heard, PATIENCE).timed_out();
            assert!(
                !late,
                "no acknowledgement of {shard}/{seq}: {:?}",
                heard.acked
            );
        }
        assert_eq!(heard.disorder, None);
    }

    /// Waits for a failure and returns all there were.
    pub fn wait_failed(&self) -> Vec<JournalError> {
        let mut heard = self.heard.lock();
        while heard.failures.is_empty() {
            let late = self.news.wait_for(&mut heard, PATIENCE).timed_out();
            assert!(!late, "no failure was told of");
        }
        heard.failures.clone()
    }

    /// The last acknowledged record of a shard; 0 when there was none.
    #[must_use]
    pub fn acked(&self, shard: u16) -> u64 {
        self.heard
            .lock()
            .acked
            .get(&ShardId(shard))
            .copied()
            .unwrap_or(0)
    }

    /// How many failures were told of.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.heard.lock().failures.len()
    }
}

impl JournalEvents for Recorder {
    fn durable(&self, acks: &[(ShardId, Seq)]) {
        let mut heard = self.heard.lock();
        let mut before: BTreeMap<ShardId, u64> = BTreeMap::new();
        for (shard, seq) in acks {
            let before = before.insert(*shard, seq.0);
            if before.is_some_and(|before| before + 1 != seq.0) {
                heard.disorder = Some(format!("{seq:?} of {shard:?} after {before:?}"));
            }
            if !heard.told.insert((*shard, seq.0)) {
                heard.disorder = Some(format!("{seq:?} of {shard:?} twice"));
            }
            let newest = heard.acked.entry(*shard).or_default();
            *newest = (*newest).max(seq.0);
        }
        self.news.notify_all();
    }

    fn failed(&self, error: &JournalError) {
        self.heard.lock().failures.push(error.clone());
        self.news.notify_all();
    }
}

/// Makes a test of every case of the suite. `$make` is an expression of a new [`Harness`].
#[macro_export]
macro_rules! journal_conformance {
    ($make:expr) => {
        $crate::journal_conformance!($make;
            a_new_shard_is_empty, records_come_back_in_order, sequences_must_be_the_next,
            ten_thousand_appends_pipeline, many_shards_share_the_journal,
            pages_respect_their_size, held_records_go_with_urgent_ones,
            held_records_go_by_themselves, released_records_go,
            threads_that_release_do_not_disturb_each_other, large_records_fit_and_larger_are_refused,
            trimmed_records_are_gone, trimming_everything_keeps_the_sequence,
            closing_makes_all_durable, a_crash_keeps_what_was_acknowledged,
            a_failed_commit_ends_appends);
    };
    ($make:expr; $($case:ident),+) => {
        $(#[test]
        fn $case() {
            $crate::conformance::cases::$case(&mut $make);
        })+
    };
}
