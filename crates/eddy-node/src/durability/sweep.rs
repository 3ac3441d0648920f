//! Dropping keys and records whose time is over, as many as there are.

use crate::clock;
use crate::tasks;
use eddy_store::Store;
use eddy_types::{EddyError, ShardId};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Drops what has expired by now, `batch` rows of each shard in turn, so that none starves and
/// none is held for long. Whether everything went before `longest` had passed or the node closed.
pub(super) async fn sweep(
    store: &Store,
    batch: usize,
    longest: Duration,
    closing: &CancellationToken,
) -> Result<bool, EddyError> {
    let (now, until) = (clock::now(), tokio::time::Instant::now() + longest);
    let mut left: Vec<ShardId> = store.shard_map().shards().collect();
    while !left.is_empty() {
        for shard in std::mem::take(&mut left) {
            if closing.is_cancelled() || tokio::time::Instant::now() >= until {
                return Ok(false);
            }
            let store = store.clone();
            let seen = tasks::blocking(move || store.sweep_expired(shard, now, batch)).await??;
            if seen >= batch {
                left.push(shard);
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use eddy_core::{Change, DedupeKey, DedupeRow, DedupeScope, Record, StoreView as _};
    use eddy_store::StoreConfig;
    use eddy_types::{AgentId, Digest, Key, Name, Seq, TenantId, Timestamp};
    use std::sync::Arc;

    const KEYS: usize = 25;
    const BATCH: usize = 4;

    fn scope() -> DedupeScope {
        let (name, key) = (Name::new("cart").unwrap(), Key::new("a").unwrap());
        DedupeScope::Agent(AgentId::new(TenantId::default_tenant(), name, key))
    }

    fn key(n: usize) -> DedupeKey {
        DedupeKey::Client(n.to_string())
    }

    /// Two shards, each with keys that expired long ago and one that lives.
    fn store(dir: &std::path::Path) -> Store {
        let config = StoreConfig {
            shards: 2,
            workers: 1,
            ..StoreConfig::new(dir)
        };
        let store = Store::open(config).unwrap();
        let put = |n: usize| Change::DedupePut {
            scope: scope(),
            key: key(n),
            row: DedupeRow {
                digest: Digest::of(b"x"),
                outcome: Ok("1".into()),
                expires: Timestamp(if n == KEYS { u64::MAX } else { 5 }),
            },
        };
        for shard in store.shard_map().shards() {
            let changes = (0..=KEYS).map(put).collect();
            let at = Timestamp(1);
            let record = Arc::new(Record { at, changes });
            store.apply(shard, &[(Seq(1), record)]).unwrap();
        }
        store
    }

    fn kept(store: &Store) -> usize {
        let shards = store.shard_map().shards().map(|shard| store.shard(shard));
        shards
            .map(|view| {
                let there = |n: &usize| view.dedupe(&scope(), &key(*n)).unwrap().is_some();
                (0..=KEYS).filter(there).count()
            })
            .sum()
    }

    #[tokio::test]
    async fn a_sweep_drops_all_that_expired_not_one_batch() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        assert_eq!(kept(&store), 2 * (KEYS + 1));
        let open = CancellationToken::new();
        let long = Duration::from_secs(600);
        assert_eq!(sweep(&store, BATCH, long, &open).await, Ok(true));
        assert_eq!(kept(&store), 2, "what lives stays");
    }

    #[tokio::test]
    async fn a_sweep_ends_with_its_time_or_with_the_node() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let open = CancellationToken::new();
        assert_eq!(sweep(&store, BATCH, Duration::ZERO, &open).await, Ok(false));
        open.cancel();
        let long = Duration::from_secs(600);
        assert_eq!(sweep(&store, BATCH, long, &open).await, Ok(false));
        assert_eq!(kept(&store), 2 * (KEYS + 1));
    }
}
