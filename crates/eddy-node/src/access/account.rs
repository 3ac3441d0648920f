//! What a tenant uses now, and what it may use. One for each tenant; whoever acts for the tenant
//! shares it, so that a change of its limits counts at once.

use super::meter::Meter;
use super::storage::Storage;
use crate::clock;
use crate::fetch::Places;
use crate::portable;
use eddy_types::limits::{MAX_DEPLOYS_AT_ONCE, MAX_WAITING_DEPLOYS};
use eddy_types::{EddyError, ErrorCode, TenantId, TenantSpec};
use eddy_wasm::MemoryAccount;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// How long a client is told to wait when its tenant has too much under way.
const RETRY_BUSY: Duration = Duration::from_millis(100);
/// The same when too many of its deploys wait.
const RETRY_DEPLOY: Duration = Duration::from_secs(5);
/// How long a tenant that had no idle instances is not asked for any, in nanoseconds.
const ROOM_EVERY: u64 = 20_000_000;

/// A tenant as it is now.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) tenant: TenantId,
    spec: RwLock<Arc<TenantSpec>>,
    in_flight: AtomicU32,
    /// What its live instances count for, and what its effects under way hold.
    pub(crate) memory: Arc<MemoryAccount>,
    /// When it had no idle instance that could go, in nanoseconds since `since`; 0 when it had some.
    fruitless: AtomicU64,
    waiting_deploys: AtomicU32,
    /// What its rows and its code take on disk.
    pub(crate) storage: Storage,
    /// Its deploys that are compiled at once: never all that a node does.
    deploys: Arc<Semaphore>,
    /// Its agents that are exported or imported at once: the same.
    documents: Semaphore,
    /// Of its requests to the outside.
    pub(crate) places: Places,
    meter: Mutex<Meter>,
    /// What the meter's times count from.
    since: Instant,
}

impl Account {
    pub(crate) fn new(tenant: TenantId, spec: TenantSpec) -> Arc<Self> {
        let memory = Arc::new(MemoryAccount::new(spec.limits.memory));
        let default = tenant.as_str() == TenantId::DEFAULT;
        let at_once = |all| Semaphore::new(if default { all } else { 1 });
        Arc::new(Self {
            tenant,
            memory,
            fruitless: AtomicU64::new(0),
            waiting_deploys: AtomicU32::new(0),
            deploys: Arc::new(at_once(MAX_DEPLOYS_AT_ONCE)),
            documents: at_once(portable::AT_ONCE),
            places: Places::new(default),
            storage: Storage::default(),
            spec: RwLock::new(Arc::new(spec)),
            in_flight: AtomicU32::new(0),
            meter: Mutex::default(),
            since: clock::instant(),
        })
    }

    /// Whether it is the tenant that every node has.
    pub(crate) fn is_default(&self) -> bool {
        self.tenant.as_str() == TenantId::DEFAULT
    }

    /// Whether its apps may refer to a secret of the node: the default tenant's to all, others' to
    /// what is listed.
    pub(crate) fn may_use_secret(&self, name: &str) -> bool {
        let listed = |spec: &TenantSpec| spec.secrets.iter().any(|listed| listed.as_str() == name);
        self.is_default() || listed(&self.spec())
    }

    pub(crate) fn spec(&self) -> Arc<TenantSpec> {
        self.spec.read().clone()
    }

    pub(crate) fn set_spec(&self, spec: TenantSpec) {
        self.memory.set_limit(spec.limits.memory);
        *self.spec.write() = Arc::new(spec);
        self.storage.look_again();
    }

    /// Requests under way.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Whether to look for its idle instances: not right after a look that found none, because a look
    /// takes the locks of all shards.
    pub(crate) fn may_make_room(&self) -> bool {
        let fruitless = self.fruitless.load(Relaxed);
        fruitless == 0 || self.nanos().saturating_sub(fruitless) >= ROOM_EVERY
    }

    /// A look for its idle instances found some, or none.
    pub(crate) fn room_made(&self, some: bool) {
        let at = if some { 0 } else { self.nanos().max(1) };
        self.fruitless.store(at, Relaxed);
    }

    /// Waits until the tenant may deploy.
    ///
    /// # Errors
    /// `tenant-limit` when too many of its deploys wait already.
    pub(super) async fn deploy(&self) -> Result<OwnedSemaphorePermit, EddyError> {
        let waiting = Waiting::new(&self.waiting_deploys);
        if waiting.before >= MAX_WAITING_DEPLOYS {
            let detail = format!("{} deploys of the tenant wait already", waiting.before);
            return Err(EddyError::new(ErrorCode::TenantLimit, detail)
                .hint("Wait for the answer of one deploy before you send another.")
                .retry_after(RETRY_DEPLOY));
        }
        let turn = self.deploys.clone().acquire_owned().await;
        turn.map_err(|_| EddyError::internal("the places of deploys were closed"))
    }

    /// Waits until the tenant may have another agent exported or imported.
    pub(crate) async fn document(&self) -> Result<SemaphorePermit<'_>, EddyError> {
        let turn = self.documents.acquire().await;
        turn.map_err(|_| EddyError::internal("the places of documents were closed"))
    }

    fn nanos(&self) -> u64 {
        let since = clock::instant().duration_since(self.since).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    /// Lets a request in.
    pub(super) fn admit(self: &Arc<Self>) -> Result<TenantPermit, EddyError> {
        let limits = self.spec.read().limits;
        let before = self.in_flight.fetch_add(1, Relaxed);
        let permit = TenantPermit(self.clone());
        if let Some(most) = limits.concurrency
            && before >= most
        {
            let detail = format!("the tenant has {before} requests under way, as many as it may");
            return Err(EddyError::new(ErrorCode::TenantLimit, detail)
                .hint("Wait for answers before you ask for more, or have its `concurrency` raised.")
                .retry_after(RETRY_BUSY));
        }
        if let Some(rate) = limits.rate {
            let taken = self.meter.lock().take(self.nanos(), rate);
            taken.map_err(|wait| {
                let detail = format!("the tenant may make {rate} requests a second");
                EddyError::new(ErrorCode::TenantLimit, detail)
                    .hint("Ask less often, or have its `rate` raised.")
                    .retry_after(wait.max(Duration::from_millis(1)))
            })?;
        }
        Ok(permit)
    }
}

/// Counts a deploy that waits, until dropped.
struct Waiting<'a> {
    count: &'a AtomicU32,
    before: u32,
}

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        let before = count.fetch_add(1, Relaxed);
        Self { count, before }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Relaxed);
    }
}

/// A request of a tenant is under way while this lives.
#[derive(Debug)]
pub struct TenantPermit(Arc<Account>);

impl Drop for TenantPermit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eddy_types::TenantLimits;

    fn account(limits: TenantLimits) -> Arc<Account> {
        let spec = TenantSpec {
            limits,
            ..TenantSpec::default()
        };
        Account::new(TenantId::default_tenant(), spec)
    }

    #[test]
    fn so_many_at_once_and_no_more() {
        let account = account(TenantLimits {
            concurrency: Some(2),
            ..TenantLimits::default()
        });
        let first = account.admit().expect("room");
        let _second = account.admit().expect("room");
        let error = account.admit().expect_err("full");
        assert_eq!(error.code, ErrorCode::TenantLimit);
        assert!(error.retry_after.is_some());
        drop(first);
        let third = account.admit();
        assert!(third.is_ok(), "a refused one left no trace");
        assert_eq!(account.in_flight(), 2);
    }

    #[test]
    fn a_change_counts_at_once() {
        let account = account(TenantLimits {
            rate: Some(1),
            ..TenantLimits::default()
        });
        drop(account.admit().expect("the burst"));
        assert!(account.admit().is_err());
        account.set_spec(TenantSpec::default());
        assert!(account.admit().is_ok());
    }
}
