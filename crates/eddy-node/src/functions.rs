//! Functions: a fresh instance per invocation within the function's concurrency. A plain invocation
//! runs here alone; keyed, asynchronous and sending ones go through the shard of their id.

use crate::attempt::{self, Attempt, Permit};
use crate::catalog::App;
use crate::clock;
use crate::effects::answer;
use crate::host::FunctionHost;
use crate::inner::Inner;
use crate::load::Load;
use crate::reply::{Reply, lost};
use crate::runners;
use crate::runs;
use crate::spares;
use crate::turns;
use bytes::Bytes;
use eddy_core::{
    CallChain, FunctionEnd, FunctionRequest, FunctionStart, MessageId, Outcome, Outgoing,
};
use eddy_types::limits::MAX_FUNCTION_QUEUE;
use eddy_types::{EddyError, ErrorCode, FunctionId, ShardId, Timestamp};
use eddy_wasm::{Instance, Target};
use futures::FutureExt as _;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// Admits invocations of one function.
pub(crate) struct Admission {
    running: Semaphore,
    waiting: AtomicUsize,
    pub(crate) load: Arc<Load>,
}

impl Admission {
    pub(crate) fn new(concurrency: u32) -> Self {
        Self {
            running: Semaphore::new(concurrency as usize),
            waiting: AtomicUsize::new(0),
            load: Arc::default(),
        }
    }

    pub(crate) async fn enter(
        &self,
        function: &FunctionId,
    ) -> Result<tokio::sync::SemaphorePermit<'_>, EddyError> {
        if let Ok(permit) = self.running.try_acquire() {
            return Ok(permit);
        }
        let waiting = Waiting::new(&self.waiting);
        if waiting.before >= MAX_FUNCTION_QUEUE {
            return Err(EddyError::new(
                ErrorCode::ConcurrencyLimit,
                format!(
                    "{} invocations of {:?} wait already",
                    waiting.before, function.name
                ),
            )
            .hint("Slow down, or raise its `concurrency` in eddy.toml.")
            .retry_after(Duration::from_secs(1)));
        }
        self.running.acquire().await.map_err(|_| lost())
    }
}

/// Counts somebody who waits, until dropped.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    before: usize,
}

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        Self {
            count,
            before: count.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one run of a function came to.
enum Run {
    Returned(Outcome, Vec<Outgoing>),
    Failed(EddyError),
}

/// How a nested invocation was started.
pub(crate) struct Nested {
    pub(crate) id: MessageId,
    pub(crate) chain: CallChain,
    pub(crate) deadline: Timestamp,
    pub(crate) retriable: bool,
}

pub(crate) fn shard_of(inner: &Inner, function: &FunctionId, id: MessageId) -> ShardId {
    inner.map.shard_of(&function.tenant, &id.to_string())
}

/// A plain invocation: nothing is remembered of it but its sends. Runs here and now, as turns do;
/// what does not end at once goes on as a task of its own: a client that goes away does not stop it
/// half-way.
pub(crate) async fn invoke_plain(
    inner: &Arc<Inner>,
    start: FunctionStart,
    permit: Permit,
) -> Outcome {
    let tenant = start.function.tenant.clone();
    let awaited = start.chain.depth > 0;
    let plain = plain(inner.clone(), start);
    let mut work = Box::pin(async move {
        let _permit = permit;
        plain.await
    });
    if !runs::may_begin(inner, &tenant) {
        let (sender, receiver) = oneshot::channel();
        let work = async move {
            // Somebody who went away has no use for it.
            let _ = sender.send(work.await);
        };
        runners::work(inner, &tenant, Box::pin(work), awaited);
        return receiver.await.unwrap_or_else(|_| Err(broken()));
    }
    match runs::first_slice(work.as_mut()) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => {
            let ended = inner.tasks.spawn(work).await;
            ended.unwrap_or_else(|_| Err(broken()))
        }
    }
}

fn broken() -> EddyError {
    EddyError::internal("a function broke the node's own code")
}

async fn plain(inner: Arc<Inner>, start: FunctionStart) -> Outcome {
    // From here to its last send the node does not count as quiet.
    let _busy = inner.busy();
    let id = start.id;
    let outcome = match run(&inner, &start, false).await {
        Run::Failed(error) => Err(error),
        Run::Returned(outcome, sends) => attempt::commit(&inner, &start, sends, outcome).await,
    };
    inner.recent.ended(id, clock::now(), outcome.clone());
    outcome
}

/// An invocation from inside a handler.
pub(crate) async fn invoke_nested(
    inner: &Arc<Inner>,
    function: FunctionId,
    argument: Bytes,
    nested: Nested,
) -> Outcome {
    let Nested {
        id,
        chain,
        deadline,
        retriable,
    } = nested;
    if retriable {
        let key = Some(id.to_string());
        let request = (function, argument, key, false);
        return submit(inner, id, request, chain, Some(deadline), None).await;
    }
    let start = FunctionStart {
        id,
        function,
        argument,
        attempt: 1,
        deadline: Some(deadline),
        chain,
    };
    invoke_plain(inner, start, None).await
}

/// A keyed or asynchronous invocation: function, argument, key, and whether the answer comes when
/// it is accepted. `permit` is kept until the answer.
pub(crate) async fn submit(
    inner: &Arc<Inner>,
    id: MessageId,
    (function, argument, key, background): (FunctionId, Bytes, Option<String>, bool),
    chain: CallChain,
    deadline: Option<Timestamp>,
    permit: Permit,
) -> Outcome {
    let (reply, receiver) = Reply::admitted(permit);
    let shard = shard_of(inner, &function, id);
    let run_deadline = if background { None } else { deadline };
    let request = FunctionRequest {
        id,
        function,
        argument,
        key,
        background,
        reply,
        deadline: run_deadline,
        chain,
    };
    inner.step(shard, |state, now, view, out| {
        state.core.submit_function(request, now, view, out)
    });
    match deadline {
        Some(deadline) => answer(receiver, deadline).await,
        None => receiver.await.unwrap_or_else(|_| Err(lost())),
    }
}

/// Runs an attempt of a durable invocation, as the core asked.
pub(crate) fn spawn_durable(inner: &Arc<Inner>, start: FunctionStart) {
    let inner2 = inner.clone();
    inner.tasks.spawn(async move {
        let id = start.id;
        let shard = shard_of(&inner2, &start.function, id);
        let retries = inner2
            .catalog
            .function(&start.function)
            .ok()
            .and_then(|app| Some(app.function(&start.function.name)?.0.retries))
            .unwrap_or_default();
        let end = match run(&inner2, &start, true).await {
            Run::Returned(Err(error), _) => FunctionEnd::Returned(Err(error), Vec::new()),
            Run::Returned(outcome, sends) => FunctionEnd::Returned(outcome, sends),
            // A stop is no attempt: the invocation goes on at the next start.
            Run::Failed(error) if error.code == ErrorCode::TurnAborted => FunctionEnd::Failed(
                EddyError {
                    code: ErrorCode::ShuttingDown,
                    ..error
                },
                retries,
            ),
            Run::Failed(error) => FunctionEnd::Failed(error, retries),
        };
        inner2.step(shard, |state, now, _, out| {
            state.core.function_ended(id, end, now, out)
        });
    });
}

async fn run(inner: &Arc<Inner>, start: &FunctionStart, durable: bool) -> Run {
    let work = run_admitted(inner, start, durable);
    let ran = AssertUnwindSafe(work).catch_unwind().await;
    match ran {
        Ok(Ok(ran)) => ran,
        Ok(Err(error)) => Run::Failed(error),
        Err(_) => Run::Failed(broken()),
    }
}

async fn run_admitted(
    inner: &Arc<Inner>,
    start: &FunctionStart,
    durable: bool,
) -> Result<Run, EddyError> {
    let app = inner.catalog.function(&start.function)?;
    inner.recent.queued_function(start, durable);
    let admission = app.admission(&start.function.name)?;
    let _place = attempt::enter(admission, start).await?;
    let attempt = Attempt::begin(inner, &app, start)?;
    Ok(run_instance(inner, &app, &attempt, start, durable).await)
}

async fn run_instance(
    inner: &Arc<Inner>,
    app: &Arc<App>,
    attempt: &Attempt<'_>,
    start: &FunctionStart,
    durable: bool,
) -> Run {
    let caller = attempt.caller(durable);
    let shared = attempt.shared.clone();
    let host = FunctionHost::new(caller, start.function.clone(), attempt.began, shared);
    let target = Target::Function(start.function.name.clone());
    let work = async |mut instance: Instance| {
        let argument = start.argument.clone();
        let cancel = &attempt.cancel;
        let outcome = instance
            .handle(&target, argument, Box::new(host), cancel)
            .await;
        let ended = (outcome?, instance.memory_bytes());
        spares::retire(inner, app, instance);
        Ok(ended)
    };
    let (ran, outcome, memory) = match attempt.run(pending(), work).await {
        Ok((outcome, memory)) => {
            let outcome = turns::checked(outcome).map_err(|error| attempt.remap(error));
            let sends = attempt.shared.take_effects().sends;
            (Run::Returned(outcome.clone(), sends), outcome, memory)
        }
        Err(fault) => {
            let error = attempt.told(fault);
            (Run::Failed(error.clone()), Err(error), 0)
        }
    };
    attempt.over(&outcome, matches!(ran, Run::Failed(_)), memory);
    ran
}
