//! Counters of a node, updated without locks.

use crate::facade::NodeStats;
use crate::inner::Inner;
use eddy_core::{Outcome, TurnEnd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the turn-time histogram, in microseconds.
const BOUNDS: [u64; 12] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000, 10_000_000,
];

/// Counters since the start.
#[derive(Default)]
pub(crate) struct Stats {
    turns: [AtomicU64; 3],
    functions: [AtomicU64; 3],
    records: AtomicU64,
    record_bytes: AtomicU64,
    activations: AtomicU64,
    passivations: AtomicU64,
    dead_letters: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len()],
    micros: AtomicU64,
}

impl Stats {
    pub(crate) fn turn(&self, end: &TurnEnd, run: Duration) {
        let kind = match end {
            TurnEnd::Returned(Ok(_), _) => 0,
            TurnEnd::Returned(Err(_), _) => 1,
            TurnEnd::Failed(_) => 2,
        };
        self.turns[kind].fetch_add(1, Relaxed);
        let micros = u64::try_from(run.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Relaxed);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn function(&self, outcome: &Outcome, fault: bool, _run: Duration) {
        let kind = if fault {
            2
        } else {
            usize::from(outcome.is_err())
        };
        self.functions[kind].fetch_add(1, Relaxed);
    }

    pub(crate) fn record(&self, bytes: usize) {
        self.records.fetch_add(1, Relaxed);
        self.record_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn activated(&self) {
        self.activations.fetch_add(1, Relaxed);
    }

    pub(crate) fn passivated(&self, count: usize) {
        self.passivations.fetch_add(count as u64, Relaxed);
    }

    pub(crate) fn dead_letters(&self, count: u64) {
        self.dead_letters.fetch_add(count, Relaxed);
    }
}

impl Inner {
    pub(crate) fn collect_stats(&self) -> NodeStats {
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        let stats = &self.stats;
        let turns = stats.turns.each_ref().map(load);
        let mut below = 0;
        let mut turn_seconds: Vec<_> = BOUNDS
            .iter()
            .zip(&stats.buckets)
            .map(|(bound, count)| {
                below += load(count);
                (*bound as f64 / 1e6, below)
            })
            .collect();
        turn_seconds.push((f64::INFINITY, turns.iter().sum::<u64>().max(below)));
        let (mut waiting, mut outbox) = (0, 0);
        for shard in &self.shards {
            let state = shard.lock();
            waiting += state.core.waiting() as u64;
            outbox += state.core.outbox_len() as u64;
        }
        let (active, memory) = self.live_total();
        NodeStats {
            turns,
            functions: stats.functions.each_ref().map(load),
            records: load(&stats.records),
            record_bytes: load(&stats.record_bytes),
            flushes: (self.flushes)(),
            activations: load(&stats.activations),
            passivations: load(&stats.passivations),
            active_agents: active as u64,
            active_memory: memory as u64,
            waiting,
            outbox,
            dead_letters: load(&stats.dead_letters),
            turn_seconds,
            turn_seconds_sum: load(&stats.micros) as f64 / 1e6,
        }
    }
}
