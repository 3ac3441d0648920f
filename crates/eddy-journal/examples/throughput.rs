//! How fast durable appends are: a number of clients, each waiting for its acknowledgement before
//! it appends again, beside bare writes and flushes of a file made ahead in the same folder.
//!
//! `cargo run --release -p eddy-journal --example throughput -- DIR [SECONDS] [GROW_BYTES]`

// This program measures time and is no part of the node.
#![allow(clippy::disallowed_methods)]

use bytes::Bytes;
use eddy_journal::fs::RealFs;
use eddy_journal::{Journal, JournalError, JournalEvents, LocalConfig, LocalJournal, Urgency};
use eddy_types::{Seq, ShardId};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const RECORD: usize = 200;
const SHARDS: u16 = 16;

struct Acks(mpsc::Sender<Vec<(ShardId, Seq)>>);

impl JournalEvents for Acks {
    fn durable(&self, acks: &[(ShardId, Seq)]) {
        // The measuring thread has gone: nobody counts any more.
        let _ = self.0.send(acks.to_vec());
    }

    fn failed(&self, error: &JournalError) {
        panic!("{error}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args
        .next()
        .ok_or("usage: throughput DIR [SECONDS] [GROW_BYTES]")?;
    let time = Duration::from_secs(args.next().map_or(Ok(3), |s| s.parse())?);
    let grow = args.next().map(|s| s.parse()).transpose()?;
    println!("records of {RECORD} bytes; latency is that of one append, in us");
    for clients in [1, 32, 100, 1000] {
        let bare = bare(Path::new(&dir), clients, time)?;
        let (rate, p50, p99, batch) = journal(Path::new(&dir), clients, time, grow)?;
        println!(
            "{clients:>5} clients: journal {rate:>8.0}/s p50 {p50:>5} p99 {p99:>5} \
             batch {batch:>5.1}; bare {bare:>8.0}/s; ratio {:.2}",
            rate / bare
        );
    }
    Ok(())
}

/// Each flush carries one record of every client: the most that group commit can do.
fn bare(dir: &Path, clients: usize, time: Duration) -> std::io::Result<f64> {
    let path = dir.join("bare");
    let file = std::fs::File::create(&path)?;
    let zeros = vec![0; 1 << 20];
    (0..64).try_for_each(|mib| file.write_all_at(&zeros, mib << 20))?;
    file.sync_all()?;
    let batch = vec![7; RECORD * clients];
    let (start, mut at, mut flushes) = (Instant::now(), 0, 0u64);
    while start.elapsed() < time {
        file.write_all_at(&batch, at)?;
        file.sync_data()?;
        at = (at + batch.len() as u64) % (63 << 20);
        flushes += 1;
    }
    let rate = (flushes * clients as u64) as f64 / start.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

fn journal(
    dir: &Path,
    clients: usize,
    time: Duration,
    grow: Option<u64>,
) -> Result<(f64, u128, u128, f64), Box<dyn std::error::Error>> {
    let dir = dir.join("journal");
    let (sender, acks) = mpsc::channel();
    let mut config = LocalConfig::new(&dir);
    config.grow_bytes = grow.unwrap_or(config.grow_bytes);
    let journal = LocalJournal::open(config, Arc::new(RealFs), Arc::new(Acks(sender)))?;
    let record = Bytes::from(vec![7; RECORD]);
    let mut next = vec![1u64; usize::from(SHARDS)];
    let mut sent = vec![std::collections::VecDeque::new(); usize::from(SHARDS)];
    let mut append = |shard: ShardId, sent: &mut Vec<std::collections::VecDeque<Instant>>| {
        let seq = &mut next[usize::from(shard.0)];
        sent[usize::from(shard.0)].push_back(Instant::now());
        journal.append(shard, Seq(*seq), record.clone(), Urgency::Now)?;
        *seq += 1;
        Ok::<(), JournalError>(())
    };
    let start = Instant::now();
    for client in 0..clients {
        append(ShardId(u16::try_from(client)? % SHARDS), &mut sent)?;
    }
    let mut latencies = Vec::new();
    while start.elapsed() < time {
        for (shard, _) in acks.recv()? {
            let began = sent[usize::from(shard.0)]
                .pop_front()
                .ok_or("an ack too many")?;
            latencies.push(began.elapsed().as_micros());
            append(shard, &mut sent)?;
        }
    }
    let rate = latencies.len() as f64 / start.elapsed().as_secs_f64();
    journal.close()?;
    let stats = journal.stats();
    drop(journal);
    std::fs::remove_dir_all(dir)?;
    latencies.sort_unstable();
    let at = |percent| latencies[latencies.len() * percent / 100];
    Ok((
        rate,
        at(50),
        at(99),
        stats.records as f64 / stats.batches as f64,
    ))
}
