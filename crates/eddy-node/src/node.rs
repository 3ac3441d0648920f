//! The node as the outside sees it: start, listings, deploys, stop. Requests are in `requests.rs`.

use crate::access::storage_loop;
use crate::catalog::{self, Owner};
use crate::durability;
use crate::facade::{
    AgentInfo, DeadLetterInfo, Deployment, InvocationInfo, NodeConfig, NodeStats, Page,
    PageRequest, Stopped,
};
use crate::inner::Inner;
use crate::lifecycle::{close, epoch_loop, open, passivate_loop, quiet, resume, tick_loop};
use crate::reply::{Reply, lost};
use crate::requests::refuse_when_stopping;
use crate::tasks::{self, Tasks};
use eddy_core::MessageId;
use eddy_types::{AgentId, AppSpec, EddyError, Name, TenantId};
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long aborted guests get to stop after the grace.
const ABORT_GRACE: Duration = Duration::from_secs(2);

/// A running node. Cheap to share by `Arc`.
pub struct Node {
    pub(crate) inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Node {
    /// What the tests of its parts look at.
    #[cfg(test)]
    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Opens the data folder, replays what the store has not seen, loads what is deployed, and
    /// serves.
    ///
    /// # Errors
    /// `data-in-use`, `journal-corrupt`, `store-behind-journal`, `incompatible-data`, or what the
    /// disk says.
    pub async fn start(config: NodeConfig) -> Result<Arc<Self>, EddyError> {
        let tasks = Tasks::new();
        let (inner, events) = tasks::blocking(move || open(config, tasks)).await??;
        inner
            .catalog
            .load(&inner.engine, &inner.config.secrets, &inner.access)
            .await?;
        let mut threads = Vec::new();
        let applying = inner.clone();
        threads.push(tasks::thread("eddy-apply", move || {
            durability::apply_loop(&applying)
        })?);
        let ticking = Arc::downgrade(&inner);
        threads.push(tasks::thread("eddy-epoch", move || epoch_loop(&ticking))?);
        events.connect(&inner);
        resume(&inner).await?;
        inner
            .tasks
            .spawn(durability::checkpoint_loop(inner.clone()));
        inner.tasks.spawn(tick_loop(inner.clone()));
        inner.tasks.spawn(storage_loop(inner.clone()));
        inner.tasks.spawn(passivate_loop(inner.clone()));
        Ok(Arc::new(Self {
            inner,
            threads: Mutex::new(threads),
        }))
    }

    /// What is known of an agent, without waking it.
    pub async fn agent(&self, agent: &AgentId) -> Result<AgentInfo, EddyError> {
        self.inner.caught_up().await;
        self.inner.agent_info(agent)
    }

    /// Agents of a type whose key starts with `prefix`, in key order.
    pub async fn agents(
        &self,
        tenant: &TenantId,
        agent_type: &Name,
        prefix: &str,
        page: &PageRequest,
    ) -> Result<Page<AgentInfo>, EddyError> {
        self.inner.caught_up().await;
        self.inner.list_agents(tenant, agent_type, prefix, page)
    }

    /// The record of an invocation.
    pub fn invocation(
        &self,
        tenant: &TenantId,
        id: MessageId,
    ) -> Result<InvocationInfo, EddyError> {
        self.inner.find_invocation(tenant, id)
    }

    /// Recent and durable invocations, newest first.
    pub async fn invocations(
        &self,
        tenant: &TenantId,
        page: &PageRequest,
    ) -> Result<Page<InvocationInfo>, EddyError> {
        self.inner.caught_up().await;
        self.inner.list_invocations(tenant, page)
    }

    /// Deliveries that were given up, newest first.
    pub async fn dead_letters(
        &self,
        tenant: &TenantId,
        page: &PageRequest,
    ) -> Result<Page<DeadLetterInfo>, EddyError> {
        self.inner.caught_up().await;
        self.inner.list_dead_letters(tenant, page)
    }

    /// Sends a dead letter again as a new send. The id is its text form, as listings show it.
    pub async fn redrive(&self, tenant: &TenantId, id: &str) -> Result<(), EddyError> {
        self.settle_dead_letter(tenant, id, true).await
    }

    /// Forgets a dead letter.
    pub async fn discard(&self, tenant: &TenantId, id: &str) -> Result<(), EddyError> {
        self.settle_dead_letter(tenant, id, false).await
    }

    async fn settle_dead_letter(
        &self,
        tenant: &TenantId,
        id: &str,
        redrive: bool,
    ) -> Result<(), EddyError> {
        refuse_when_stopping(&self.inner)?;
        let (shard, id) = self.inner.find_dead_letter(tenant, id)?;
        let (reply, receiver) = Reply::outcome();
        self.inner.step(shard, |state, now, view, out| {
            state
                .core
                .settle_dead_letter(id, redrive, reply, now, view, out);
        });
        receiver.await.unwrap_or_else(|_| Err(lost())).map(drop)
    }

    /// Compiles, checks and stores an app as its next version, and switches to it.
    pub async fn deploy(
        &self,
        tenant: &TenantId,
        deployment: Deployment,
    ) -> Result<Arc<AppSpec>, EddyError> {
        let inner = self.inner.clone();
        refuse_when_stopping(&inner)?;
        let Deployment {
            manifest,
            components,
        } = deployment;
        let prepared = catalog::prepare(&inner, tenant, &components).await?;
        let busy = inner.busy(); // a stop waits for what is being stored
        refuse_when_stopping(&inner)?;
        let tenant = tenant.clone();
        tasks::blocking(move || {
            let _busy = busy;
            let catalog = &inner.catalog;
            let owner = Owner {
                account: inner.access.account(&tenant),
                secrets: &inner.config.secrets,
            };
            let spec = catalog.install(&owner, manifest, prepared)?;
            owner.account.storage.look_again();
            catalog.sweep(&inner.engine);
            Ok(spec)
        })
        .await?
    }

    /// Everything that is deployed.
    #[must_use]
    pub fn apps(&self, tenant: &TenantId) -> Vec<Arc<AppSpec>> {
        self.inner
            .catalog
            .apps(tenant)
            .iter()
            .map(|app| app.spec.clone())
            .collect()
    }

    /// One app.
    pub fn app(&self, tenant: &TenantId, name: &Name) -> Result<Arc<AppSpec>, EddyError> {
        let app = self.inner.catalog.app(tenant, name);
        app.map(|app| app.spec.clone()).ok_or_else(|| {
            let unknown = catalog::unknown_app(name);
            self.inner.catalog.suggest_app(tenant, name, unknown)
        })
    }

    /// What requests to a deployed app are answered when the node could not load it.
    #[must_use]
    pub fn app_trouble(&self, tenant: &TenantId, name: &Name) -> Option<EddyError> {
        self.inner.catalog.app(tenant, name)?.available().err()
    }

    /// Takes an app away. Its agents' state stays.
    pub async fn delete_app(&self, tenant: &TenantId, name: &Name) -> Result<(), EddyError> {
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        let busy = inner.busy(); // a stop waits for it
        refuse_when_stopping(&inner)?;
        tasks::blocking(move || {
            let _busy = busy;
            inner.catalog.remove(&tenant, &name)?;
            inner.access.account(&tenant).storage.look_again();
            inner.catalog.sweep(&inner.engine);
            Ok(())
        })
        .await?
    }

    /// `Ok` while the node serves; the reason when it does not.
    pub fn ready(&self) -> Result<(), EddyError> {
        self.inner.not_serving().map_or(Ok(()), Err)
    }

    /// Counters and gauges.
    #[must_use]
    pub fn stats(&self) -> NodeStats {
        self.inner.collect_stats()
    }

    /// Ends when the node had to stop by itself, with the reason.
    pub async fn stopped(&self) -> Stopped {
        let mut fatal = self.inner.fatal.subscribe();
        match fatal
            .wait_for(Option::is_some)
            .await
            .map(|error| error.clone())
        {
            Ok(Some(error)) => Stopped(error),
            _ => std::future::pending().await,
        }
    }

    /// Refuses new work, gives running turns the grace, flushes, and closes. What is interrupted
    /// and durable goes on at the next start.
    pub async fn shutdown(&self, grace: Duration) -> Result<(), EddyError> {
        let inner = self.inner.clone();
        inner.closing.cancel();
        for shard in &inner.shards {
            shard.lock().core.drain();
        }
        if tokio::time::timeout(grace, quiet(&inner)).await.is_err() {
            inner.abort.cancel();
            if tokio::time::timeout(ABORT_GRACE, quiet(&inner))
                .await
                .is_err()
            {
                tracing::warn!("some guests did not stop in time");
            }
        }
        let threads = std::mem::take(&mut *self.threads.lock());
        let closed = tasks::blocking(move || close(&inner, threads)).await?;
        // A task that hangs must not keep the node from closing.
        let _ = tokio::time::timeout(ABORT_GRACE, self.inner.tasks.finished()).await;
        closed
    }
}
