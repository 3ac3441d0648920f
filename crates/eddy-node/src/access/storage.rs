//! What a tenant stores, held against what it may. Nothing is counted where a turn commits: what is
//! written adds up to an upper bound (rows that are written again count twice), and when that passes
//! the limit, the tenant's rows are counted. So a tenant may be over its limit for as long as a count
//! takes, and by an eighth at most until then.

use super::Account;
use crate::clock;
use crate::inner::Inner;
use crate::tasks;
use eddy_core::{Change, DedupeScope, Record};
use eddy_types::{EddyError, ErrorCode, TenantId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How often it is looked for what is to be counted.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many times longer than the last count took there is none.
const REST: u32 = 20;
/// Never counted.
const UNKNOWN: u64 = u64::MAX;
/// Bytes of a change besides its content: names, keys, times.
const CHANGE: u64 = 100;

/// What is known of a tenant's rows and apps on disk.
#[derive(Debug)]
pub(crate) struct Storage {
    counted: AtomicU64,
    /// Bytes written since the last count began.
    written: AtomicU64,
    /// Something was written or deleted since then.
    changed: AtomicBool,
    /// The limit or the code is another one.
    stale: AtomicBool,
    full: AtomicBool,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            counted: AtomicU64::new(UNKNOWN),
            written: AtomicU64::new(0),
            changed: AtomicBool::new(true),
            stale: AtomicBool::new(true),
            full: AtomicBool::new(false),
        }
    }
}

impl Storage {
    /// Bytes when that was last counted.
    pub(crate) fn counted(&self) -> Option<u64> {
        let counted = self.counted.load(Relaxed);
        (counted != UNKNOWN).then_some(counted)
    }

    /// The limit or the code has changed.
    pub(crate) fn look_again(&self) {
        self.stale.store(true, Relaxed);
        self.changed.store(true, Relaxed);
    }

    /// At most so many bytes are there now.
    fn at_most(&self) -> u64 {
        let counted = self.counted().unwrap_or_default();
        counted.saturating_add(self.written.load(Relaxed))
    }

    fn wrote(&self, bytes: u64, limit: u64) {
        self.written.fetch_add(bytes, Relaxed);
        self.changed.store(true, Relaxed);
        if self.at_most() > limit.saturating_add(limit / 8) {
            self.full.store(true, Relaxed);
        }
    }

    /// Whether a count would say something new that matters.
    fn is_due(&self, limit: u64) -> bool {
        // What expires by itself leaves no trace: who is full is counted again and again.
        let matters = self.stale.load(Relaxed) || self.at_most() > limit;
        self.full.load(Relaxed) || (matters && self.changed.load(Relaxed))
    }

    fn count(
        &self,
        count: impl FnOnce() -> Result<u64, EddyError>,
        limit: u64,
    ) -> Result<(), EddyError> {
        let before = self.written.load(Relaxed);
        self.changed.store(false, Relaxed);
        self.stale.store(false, Relaxed);
        let counted = count()?;
        self.counted.store(counted, Relaxed);
        // What was written meanwhile may be in the count, or not.
        self.written.fetch_sub(before, Relaxed);
        self.full.store(counted >= limit, Relaxed);
        Ok(())
    }
}

impl Account {
    /// Whether more may be stored.
    ///
    /// # Errors
    /// `storage-limit`.
    pub(crate) fn may_store(&self) -> Result<(), EddyError> {
        if !self.storage.full.load(Relaxed) {
            return Ok(());
        }
        let Some(limit) = self.spec().limits.storage else {
            return Ok(());
        };
        let detail = format!("the tenant stores as much as it may: {limit} bytes");
        Err(EddyError::new(ErrorCode::StorageLimit, detail)
            .hint("Delete agents or state that nobody needs, or have its `storage` raised."))
    }

    /// Whether `bytes` more may be stored, as far as that is known.
    ///
    /// # Errors
    /// `storage-limit`.
    pub(crate) fn may_store_bytes(&self, bytes: u64) -> Result<(), EddyError> {
        self.may_store()?;
        let limit = self.spec().limits.storage.unwrap_or(u64::MAX);
        let there = self.storage.counted().unwrap_or_default();
        if there.saturating_add(bytes) <= limit {
            return Ok(());
        }
        let detail =
            format!("{bytes} bytes more do not fit what the tenant may store: {limit} bytes");
        Err(EddyError::new(ErrorCode::StorageLimit, detail)
            .hint("Delete what nobody needs, or have its `storage` raised."))
    }
}

impl Inner {
    /// Notes what a durable record stores, for tenants with a limit.
    pub(crate) fn note_stored(&self, record: &Record) {
        if !self.access.limits_storage() {
            return;
        }
        for change in &record.changes {
            if let Some((tenant, bytes)) = stored(change) {
                let account = self.access.account(tenant);
                if let Some(limit) = account.spec().limits.storage {
                    account.storage.wrote(bytes, limit);
                }
            }
        }
    }

    /// The rows and the apps of a tenant, in bytes. Blocks.
    fn count_stored(&self, tenant: &TenantId) -> Result<u64, EddyError> {
        let mut total = self.catalog.app_bytes(tenant);
        for shard in self.map.shards() {
            total += self.store.usage(shard, tenant)?;
        }
        Ok(total)
    }
}

/// Whose change it is, and the bytes that it adds at most.
fn stored(change: &Change) -> Option<(&TenantId, u64)> {
    let of = |bytes: usize| CHANGE + bytes as u64;
    Some(match change {
        Change::StatePut { agent, key, value } => (agent.tenant(), of(key.len() + value.len())),
        Change::TimerPut { agent, name, timer } => {
            (agent.tenant(), of(name.len() + timer.argument.len()))
        }
        Change::AgentTouched { agent } => (agent.tenant(), of(0)),
        Change::DedupePut { scope, row, .. } => {
            let tenant = match scope {
                DedupeScope::Agent(agent) => agent.tenant(),
                DedupeScope::Function(function) => &function.tenant,
            };
            (
                tenant,
                of(row.outcome.as_ref().map_or(0, |bytes| bytes.len())),
            )
        }
        Change::InvocationPut { row, .. } => {
            let result = row
                .outcome
                .as_ref()
                .and_then(|outcome| outcome.as_ref().ok());
            let bytes = row.argument.len() + result.map_or(0, |bytes| bytes.len());
            (&row.tenant, of(bytes))
        }
        Change::DeadLetterPut { letter, .. } => (letter.to.tenant(), of(letter.argument.len())),
        // What is deleted makes a new count worth while.
        Change::StateDelete { agent, .. } | Change::AgentDeleted { agent } => (agent.tenant(), 0),
        _ => return None,
    })
}

/// Counts where a count matters, until the node closes.
pub(crate) async fn storage_loop(inner: Arc<Inner>) {
    let mut rest = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY.max(rest)) => {}
            () = inner.closing.cancelled() => return,
        }
        let node = inner.clone();
        let began = clock::instant();
        let counted = tasks::blocking(move || node.count_all()).await;
        rest = began.elapsed() * REST;
        match counted.and_then(|counted| counted) {
            Ok(()) => {}
            Err(_) if inner.closing.is_cancelled() => return,
            // Reading the store failed: the node stops by itself at its next write.
            Err(error) => tracing::warn!(%error, "what tenants store could not be counted"),
        }
    }
}

impl Inner {
    fn count_all(&self) -> Result<(), EddyError> {
        for account in self.access.accounts() {
            let Some(limit) = account.spec().limits.storage else {
                continue;
            };
            if account.storage.is_due(limit) && !self.closing.is_cancelled() {
                let count = || self.count_stored(&account.tenant);
                account.storage.count(count, limit)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_due_when_the_bound_passes_the_limit() {
        let storage = Storage::default();
        assert!(storage.is_due(1000), "never counted");
        storage.count(|| Ok(400), 1000).expect("counted");
        assert!(!storage.is_due(1000));
        storage.wrote(500, 1000);
        assert!(!storage.is_due(1000));
        storage.wrote(200, 1000);
        assert!(storage.is_due(1000));
        assert!(!storage.full.load(Relaxed), "nobody knows yet");
        storage.wrote(100, 1000);
        assert!(storage.full.load(Relaxed), "too much to wait for the count");
        // The same row over and over: there is less than was written.
        storage.count(|| Ok(500), 1000).expect("counted");
        assert!(!storage.full.load(Relaxed));
        assert!(!storage.is_due(1000));
        storage.wrote(600, 1000);
        storage.count(|| Ok(1000), 1000).expect("counted");
        assert!(storage.full.load(Relaxed));
        assert!(storage.is_due(1000), "something may have expired");
        storage.count(|| Ok(900), 1000).expect("counted");
        assert!(!storage.full.load(Relaxed) && !storage.is_due(1000));
    }
}
