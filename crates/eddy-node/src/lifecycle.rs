//! How a node comes up and goes down, and what keeps it going in between: the epoch of guests, the
//! ticks of shards, passivation.

use crate::access::Access;
use crate::catalog::Catalog;
use crate::clock;
use crate::data_dir::{DataDir, random_key, shared_key};
use crate::durability::{self, Applier, Events};
use crate::facade::NodeConfig;
use crate::inner::{Inner, Shard};
use crate::logs::LogHub;
use crate::portable;
use crate::recent::Recent;
use crate::runners::Runners;
use crate::sealed::Sealer;
use crate::shares::Shares;
use crate::simulate;
use crate::stats::Stats;
use crate::tasks::{self, Tasks};
use eddy_core::ShardCore;
use eddy_journal::LocalJournal;
use eddy_store::{Store, StoreConfig};
use eddy_types::EddyError;
use eddy_wasm::{CacheConfig, Engine, EngineConfig};
use futures::FutureExt as _;
use parking_lot::Mutex;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// How often the epoch is ticked while guests run: how long one may hold a thread at a stretch.
const EPOCH_TICK: Duration = Duration::from_millis(1);
/// How often shards are looked at for what is due.
const SHARD_TICK: Duration = Duration::from_millis(5);
/// How often idle agents are looked for.
const PASSIVATE_EVERY: Duration = Duration::from_secs(1);
/// Compiled components that stay in a folder that nodes share.
const MOST_SHARED_CODE: usize = 32;

pub(crate) fn open(
    config: NodeConfig,
    tasks: Tasks,
) -> Result<(Arc<Inner>, Arc<Events>), EddyError> {
    let dir = Arc::new(DataDir::open(&config.data)?);
    if config.simulated_time {
        simulate::begin();
    }
    let engine = Engine::new(EngineConfig {
        cache: Some(code_cache(&dir, &config)),
        max_instances: config.max_instances,
        ..EngineConfig::default()
    })?;
    if let Some(shortage) = engine.shortage() {
        let hint = shortage.hint.as_deref().unwrap_or_default();
        tracing::warn!(code = %shortage.code, "{} {hint}", shortage.detail);
    }
    let store = Store::open(StoreConfig {
        shards: config.shards,
        ..StoreConfig::new(dir.join("store"))
    })?;
    let map = store.shard_map();
    let events = Arc::new(Events::default());
    let journal = Arc::new(durability::open_journal(
        &dir,
        events.clone(),
        config.fault_fs.as_deref(),
    )?);
    let last = durability::take_over(&*journal, &events, &store, map)?;
    store.begin_message_ids(random_key)?;
    let mut shards = Vec::with_capacity(last.len());
    let mut waiting = Vec::new();
    for (shard, last) in map.shards().zip(last) {
        let view = store.shard(shard);
        let mut out = Vec::new();
        let mut core = ShardCore::open(shard, map, last, clock::now(), &view, &mut out)?;
        if config.simulated_time {
            core.look_ahead(simulate::LOOK_AHEAD);
        }
        waiting.extend(out.into_iter().map(|action| (shard, action)));
        shards.push(Shard::new(shard, view, core));
    }
    let counting = Arc::<LocalJournal>::clone(&journal);
    let closing = CancellationToken::new();
    let inner = Arc::new(Inner {
        engine,
        journal,
        flushes: Box::new(move || counting.stats().syncs),
        map,
        shards,
        sealer: Sealer::new(&dir.key),
        access: Access::load(dir.clone())?,
        catalog: Catalog::new(dir),
        documents: Semaphore::new(portable::AT_ONCE),
        store,
        config,
        applier: Applier::default(),
        recent: Recent::default(),
        stats: Stats::default(),
        tasks,
        runners: Runners::new(processors()),
        shares: Shares::new(processors()),
        spares: Arc::default(),
        retired: Arc::default(),
        busy: AtomicUsize::new(0),
        abort: CancellationToken::new(),
        logs: LogHub::new(closing.clone()),
        closing,
        fatal: watch::Sender::new(None),
        resumed: Mutex::new(waiting),
    });
    Ok((inner, events))
}

/// Where compiled code is kept.
fn code_cache(dir: &DataDir, config: &NodeConfig) -> CacheConfig {
    if let Some(shared) = &config.code_cache {
        match shared_key(shared) {
            Ok(key) => {
                return CacheConfig {
                    dir: shared.clone(),
                    key,
                    shared: Some(MOST_SHARED_CODE),
                };
            }
            // It only saves time.
            Err(error) => tracing::warn!(%error, "compiled code is not shared with other nodes"),
        }
    }
    CacheConfig {
        dir: dir.join("cache"),
        key: dir.key,
        shared: None,
    }
}

/// How many threads can compute at once.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Takes up what the last stop left: sends to deliver and invocations to run.
pub(crate) async fn resume(inner: &Arc<Inner>) -> Result<(), EddyError> {
    let waiting = std::mem::take(&mut *inner.resumed.lock());
    let node = inner.clone();
    let handle = tokio::runtime::Handle::current();
    tasks::blocking(move || {
        let _entered = handle.enter();
        node.carry_out(waiting);
    })
    .await
}

/// Waits until no guest runs and nothing is uncommitted.
pub(crate) async fn quiet(inner: &Inner) {
    loop {
        let busy = inner.busy.load(Ordering::Relaxed) > 0
            || inner.shards.iter().any(|shard| {
                let state = shard.lock();
                state.core.running() > 0 || state.core.uncommitted() > 0
            });
        if !busy || inner.fatal.borrow().is_some() {
            return;
        }
        tokio::time::sleep(SHARD_TICK).await;
    }
}

pub(crate) fn close(inner: &Arc<Inner>, threads: Vec<JoinHandle<()>>) -> Result<(), EddyError> {
    inner.applier.close();
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread of the node broke");
        }
    }
    if let Some(error) = inner.fatal.borrow().clone() {
        return Err(error);
    }
    if inner.store.is_closed() {
        return Ok(());
    }
    // What becomes durable from here on is replayed at the next start.
    let checkpoint = durability::checkpoint(inner);
    if checkpoint.is_ok() {
        close_store(inner);
    }
    inner.journal.close()?;
    checkpoint
}

/// All is durable: when this fails, the next start takes longer.
fn close_store(inner: &Inner) {
    match inner.store.close() {
        Ok(true) => {}
        Ok(false) => tracing::warn!("the store took too long to close: the next start is slower"),
        Err(error) => tracing::warn!(%error, "the store did not close: the next start is slower"),
    }
}

/// Lets running guests give way, and see that they were cancelled.
pub(crate) fn epoch_loop(inner: &std::sync::Weak<Inner>) {
    loop {
        std::thread::sleep(EPOCH_TICK);
        let Some(inner) = inner.upgrade() else { return };
        let busy = inner.busy.load(Ordering::Relaxed) > 0;
        if inner.applier.is_closed() && (!busy || inner.abort.is_cancelled()) {
            return;
        }
        if busy {
            inner.engine.tick();
        }
    }
}

/// Timers, pauses, deadlines: what is due in each shard. The node cannot do without.
pub(crate) async fn tick_loop(inner: Arc<Inner>) {
    let ticking = AssertUnwindSafe(ticks(inner.clone())).catch_unwind();
    if ticking.await.is_err() {
        inner.fail(EddyError::internal("the node's clock work broke"));
    }
}

async fn ticks(inner: Arc<Inner>) {
    let mut ticks = tokio::time::interval(SHARD_TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = inner.abort.cancelled() => return,
        }
        if inner.applier.is_closed() {
            return;
        }
        if let Err(error) = inner.tick_all() {
            inner.fail(error);
            return;
        }
    }
}

impl Inner {
    /// What is due in each shard, happens.
    pub(crate) fn tick_all(self: &Arc<Self>) -> Result<(), EddyError> {
        let now = clock::now();
        for shard in &self.shards {
            if shard.lock().core.next_wake() > now {
                continue;
            }
            self.step(shard.id, |state, now, view, out| {
                state.core.tick(now, view, out)
            })?;
        }
        Ok(())
    }
}

pub(crate) async fn passivate_loop(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PASSIVATE_EVERY) => {
                inner.passivate_idle();
                inner.drop_idle_spares();
            }
            () = inner.closing.cancelled() => return,
        }
    }
}
