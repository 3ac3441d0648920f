//! The node as the outside sees it: start, requests, stop.

use crate::catalog::{self};
use crate::clock;
use crate::durability::{self};
use crate::facade::{
    AgentInfo, CallOptions, DeadLetterInfo, Deployment, InvocationInfo, NodeConfig, NodeStats,
    Page, PageRequest, Reply as Answer, Stopped,
};
use crate::functions;
use crate::inner::Inner;
use crate::lifecycle::{close, epoch_loop, open, passivate_loop, quiet, resume, tick_loop};
use crate::reply::{Reply, lost};
use crate::tasks::{self, Tasks};
use crate::turns::limit_of;
use bytes::Bytes;
use eddy_core::{
    CallChain, DedupeKey, DedupeScope, FunctionStart, Message, MessageId, Operation, Origin,
};
use eddy_types::limits::MAX_IDEMPOTENCY_KEY_BYTES;
use eddy_types::{
    AgentId, AppSpec, EddyError, ErrorCode, FunctionId, MethodName, Name, TenantId, Timestamp,
};
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long aborted guests get to stop after the grace.
const ABORT_GRACE: Duration = Duration::from_secs(2);

/// A running node. Cheap to share by `Arc`.
pub struct Node {
    inner: Arc<Inner>,
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
            .load(&inner.engine, &inner.config.secrets)
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
        inner.tasks.spawn(passivate_loop(inner.clone()));
        Ok(Arc::new(Self {
            inner,
            threads: Mutex::new(threads),
        }))
    }

    /// Calls a method of an agent. `Err` when it never reached the agent.
    pub async fn call(
        &self,
        agent: AgentId,
        method: MethodName,
        argument: Bytes,
        options: CallOptions,
    ) -> Result<Answer, EddyError> {
        let spec = self.inner.catalog.method(&agent, &method)?;
        if options.snapshot {
            return crate::snapshot::query(&self.inner, agent, method, argument, &options).await;
        }
        let operation = Operation::Method {
            method,
            argument,
            read_only: spec.read_only,
        };
        self.deliver(agent, operation, options).await
    }

    /// Deletes an agent with its state and timers.
    pub async fn delete_agent(
        &self,
        agent: AgentId,
        options: CallOptions,
    ) -> Result<(), EddyError> {
        let reply = self.deliver(agent, Operation::Delete, options).await?;
        reply.outcome.map(drop)
    }

    async fn deliver(
        &self,
        agent: AgentId,
        operation: Operation,
        options: CallOptions,
    ) -> Result<Answer, EddyError> {
        let inner = &self.inner;
        refuse_when_stopping(inner)?;
        let now = clock::now();
        let key = checked_key(options.idempotency_key)?;
        let id = match &key {
            Some(key) => MessageId::of_key(&DedupeScope::Agent(agent.clone()), key),
            None => clock::fresh_id(),
        };
        let app = inner.catalog.agent_type(agent.tenant(), agent.agent_type());
        let timeout = app
            .ok()
            .and_then(|app| Some(app.agent(agent.agent_type())?.0.timeout));
        let deadline = match options.timeout {
            Some(timeout) => Some(now.plus(timeout)),
            None => timeout.and_then(|timeout| limit_of(timeout, now)),
        };
        let (reply, receiver) = Reply::outcome();
        let shard = inner.map.shard_of_agent(&agent);
        let retriable = key.is_some();
        let message = Message {
            id,
            to: agent,
            operation,
            origin: Origin::Request {
                reply,
                key: key.map(DedupeKey::Client),
            },
            deadline,
            chain: CallChain::root(now),
            retriable,
        };
        inner.step(shard, |state, now, view, out| {
            state.core.deliver(message, now, view, out)
        });
        let outcome = wait(receiver, deadline).await;
        if let Some(traceparent) = options.traceparent {
            inner.recent.traced(id, traceparent);
        }
        Ok(Answer {
            invocation: id,
            outcome,
        })
    }

    /// Invokes a function and waits. `Err` when it never reached the function.
    pub async fn invoke(
        &self,
        function: FunctionId,
        argument: Bytes,
        options: CallOptions,
    ) -> Result<Answer, EddyError> {
        let inner = &self.inner;
        refuse_when_stopping(inner)?;
        let app = inner.catalog.function(&function)?;
        let now = clock::now();
        let timeout = app.function(&function.name).map(|(spec, _)| spec.timeout);
        let deadline = match options.timeout {
            Some(timeout) => Some(now.plus(timeout)),
            None => timeout.and_then(|timeout| limit_of(timeout, now)),
        };
        let chain = CallChain::root(now);
        let (id, outcome) = match checked_key(options.idempotency_key)? {
            Some(key) => {
                let id = MessageId::of_key(&DedupeScope::Function(function.clone()), &key);
                let request = (function, argument, Some(key), false);
                (
                    id,
                    functions::submit(inner, id, request, chain, deadline).await,
                )
            }
            None => {
                let id = clock::fresh_id();
                let start = FunctionStart {
                    id,
                    function,
                    argument,
                    attempt: 1,
                    deadline,
                    chain,
                };
                (id, functions::invoke_plain(inner, start).await)
            }
        };
        if let Some(traceparent) = options.traceparent {
            inner.recent.traced(id, traceparent);
        }
        Ok(Answer {
            invocation: id,
            outcome,
        })
    }

    /// Accepts an invocation durably and answers with its id; it runs later.
    pub async fn invoke_async(
        &self,
        function: FunctionId,
        argument: Bytes,
        options: CallOptions,
    ) -> Result<MessageId, EddyError> {
        let inner = &self.inner;
        refuse_when_stopping(inner)?;
        inner.catalog.function(&function)?;
        let key = checked_key(options.idempotency_key)?;
        let id = match &key {
            Some(key) => MessageId::of_key(&DedupeScope::Function(function.clone()), key),
            None => clock::fresh_id(),
        };
        let chain = CallChain::root(clock::now());
        functions::submit(inner, id, (function, argument, key, true), chain, None).await?;
        Ok(id)
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
        let prepared = catalog::prepare(&inner, &components).await?;
        let busy = inner.busy(); // a stop waits for what is being stored
        refuse_when_stopping(&inner)?;
        let tenant = tenant.clone();
        tasks::blocking(move || {
            let _busy = busy;
            let catalog = &inner.catalog;
            let spec = catalog.install(&tenant, manifest, prepared, &inner.config.secrets)?;
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
        app.map(|app| app.spec.clone())
            .ok_or_else(|| catalog::unknown_app(name))
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

/// Waits for a reply. The core ends messages that wait past their deadline and the node turns that
/// run past it; the margin is for their news to arrive.
async fn wait(
    receiver: tokio::sync::oneshot::Receiver<eddy_core::Outcome>,
    deadline: Option<Timestamp>,
) -> eddy_core::Outcome {
    const MARGIN: Duration = Duration::from_secs(1);
    match deadline {
        Some(deadline) => crate::effects::answer(receiver, deadline.plus(MARGIN)).await,
        None => receiver.await.unwrap_or_else(|_| Err(lost())),
    }
}

fn refuse_when_stopping(inner: &Inner) -> Result<(), EddyError> {
    inner.not_serving().map_or(Ok(()), Err)
}

fn checked_key(key: Option<String>) -> Result<Option<String>, EddyError> {
    match &key {
        Some(key) if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES => {
            Err(EddyError::new(
                ErrorCode::InvalidArgument,
                format!(
                    "an idempotency key has 1 to {MAX_IDEMPOTENCY_KEY_BYTES} bytes, not {}",
                    key.len()
                ),
            ))
        }
        _ => Ok(key),
    }
}
