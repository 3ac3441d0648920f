//! Quick figures of the store on this machine: `cargo run --release -p eddy-store --example
//! store_figures [RECORDS]`. Times are those that this thread spent on a processor where the system
//! tells (Linux), so that a busy machine disturbs them less. The benchmarks that are compared with others live in `bench/`.
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use eddy_core::{Change, DedupeKey, DedupeRow, DedupeScope, Record, StoreView, Value};
use eddy_store::{Store, StoreConfig};
use eddy_types::{AgentId, Digest, EddyError, Key, Name, Seq, ShardId, TenantId, Timestamp};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SHARD: ShardId = ShardId(0);
const AGENTS: u64 = 10_000;
const BATCH: u64 = 100;
const READS: u64 = 500_000;

fn agent(n: u64) -> AgentId {
    let key = Key::new(&format!("user-{n:06}")).expect("a valid key");
    AgentId::new(
        TenantId::default_tenant(),
        Name::new("cart").expect("a valid name"),
        key,
    )
}

/// A durable increment with an idempotency key.
fn record(seq: u64, agents: &[AgentId]) -> Record {
    let agent = &agents[usize::try_from(seq * 7919 % AGENTS).expect("an index")];
    let (key, value) = ("n".to_owned(), Value::Json(seq.to_string().into()));
    let row = DedupeRow {
        digest: Digest::of(b"x"),
        outcome: Ok(format!("{{\"n\":{seq}}}").into()),
        expires: Timestamp(seq + 1_000_000),
    };
    let changes = vec![
        Change::AgentTouched {
            agent: agent.clone(),
        },
        Change::StatePut {
            agent: agent.clone(),
            key,
            value,
        },
        Change::DedupePut {
            scope: scope(agent),
            key: client_key(seq),
            row,
        },
    ];
    Record {
        at: Timestamp(seq),
        changes,
    }
}

fn scope(agent: &AgentId) -> DedupeScope {
    DedupeScope::Agent(agent.clone())
}

fn client_key(seq: u64) -> DedupeKey {
    DedupeKey::Client(format!("6f1c9d5e-0000-4000-8000-{seq:012}"))
}

/// A stopwatch of this thread's time on a processor.
struct Watch(Instant, Option<u64>);

impl Watch {
    fn start() -> Self {
        Self(Instant::now(), on_processor())
    }

    fn spent(&self) -> Duration {
        match (self.1, on_processor()) {
            (Some(before), Some(now)) => Duration::from_nanos(now - before),
            _ => self.0.elapsed(),
        }
    }
}

fn on_processor() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok()
}

fn main() -> Result<(), EddyError> {
    let total: u64 = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_000_000);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(StoreConfig::new(dir.path()))?;
    let agents: Vec<_> = (0..AGENTS).map(agent).collect();
    apply(&store, &agents, 1, total.min(100_000))?;
    reads(&store, &agents, "100,000 records applied")?;
    apply(&store, &agents, total.min(100_000) + 1, total)?;
    reads(&store, &agents, "all applied")?;
    let start = Instant::now();
    store.checkpoint(&[SHARD])?;
    println!("checkpoint: {:?}", start.elapsed());
    drop(store);
    let start = Instant::now();
    let store = Store::open(StoreConfig::new(dir.path()))?;
    println!(
        "open again: {:?}, applied {}",
        start.elapsed(),
        store.applied(SHARD).0
    );
    reads(&store, &agents, "opened again")
}

fn apply(store: &Store, agents: &[AgentId], from: u64, to: u64) -> Result<(), EddyError> {
    let mut spent = Duration::ZERO;
    let mut slowest = Duration::ZERO;
    for first in (from..=to).step_by(BATCH as usize) {
        let seqs = first..=(first + BATCH - 1).min(to);
        let records: Vec<_> = seqs
            .map(|seq| (Seq(seq), Arc::new(record(seq, agents))))
            .collect();
        let watch = Watch::start();
        store.apply(SHARD, &records)?;
        spent += watch.spent();
        slowest = slowest.max(watch.0.elapsed());
    }
    let rate = (to + 1 - from) as f64 / spent.as_secs_f64();
    println!("apply, {BATCH} a batch: {rate:.0} records/s, slowest batch {slowest:?}");
    Ok(())
}

fn reads(store: &Store, agents: &[AgentId], when: &str) -> Result<(), EddyError> {
    let shard = store.shard(SHARD);
    let at = |n: u64| &agents[usize::try_from(n * 104_729 % AGENTS).expect("an index")];
    let time = |what: &str, read: &dyn Fn(u64) -> Result<bool, EddyError>| {
        let watch = Watch::start();
        let mut found = 0;
        for n in 0..READS {
            found += u64::from(black_box(read(n)?));
        }
        let each = watch.spent().as_nanos() / u128::from(READS);
        println!("{when}: {what}: {each} ns ({found} of {READS} found)");
        Ok::<_, EddyError>(())
    };
    time("state get", &|n| Ok(shard.state(at(n), "n")?.is_some()))?;
    time("state get, absent", &|n| {
        Ok(shard.state(at(n), "m")?.is_some())
    })?;
    time("dedupe get, absent", &|n| {
        Ok(shard
            .dedupe(&scope(at(n)), &client_key(n + (1 << 40)))?
            .is_some())
    })
}
