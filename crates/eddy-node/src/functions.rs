//! Functions: a fresh instance per invocation within the function's concurrency. A plain invocation
//! runs here alone; keyed, asynchronous and sending ones go through the shard of their id.

use crate::access::TenantPermit;
use crate::catalog::{App, Loaded};
use crate::clock;
use crate::effects::{Caller, answer};
use crate::host::{FunctionHost, TurnShared, who_invokes};
use crate::inner::Inner;
use crate::load::{Load, Running};
use crate::recent::Ran;
use crate::reply::{Reply, lost};
use crate::runs;
use crate::spares;
use crate::turns::{self, earliest, guarded, instantiate, limit_of};
use bytes::Bytes;
use eddy_core::{
    CallChain, FunctionEnd, FunctionRequest, FunctionStart, MessageId, Outcome, Outgoing,
    PlainSends,
};
use eddy_types::limits::MAX_FUNCTION_QUEUE;
use eddy_types::{EddyError, ErrorCode, FunctionId, FunctionSpec, ShardId, Timestamp};
use eddy_wasm::{CancelToken, Target};
use futures::FutureExt as _;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Semaphore;

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

    async fn enter(
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
    permit: Option<Arc<TenantPermit>>,
) -> Outcome {
    let plain = plain(inner.clone(), start);
    let mut work = Box::pin(async move {
        let _permit = permit;
        plain.await
    });
    if runs::may_begin()
        && let Poll::Ready(outcome) = runs::first_slice(work.as_mut())
    {
        return outcome;
    }
    let task = inner.tasks.spawn(work);
    task.await
        .unwrap_or_else(|_| Err(EddyError::internal("a function broke the node's own code")))
}

async fn plain(inner: Arc<Inner>, start: FunctionStart) -> Outcome {
    // From here to its last send the node does not count as quiet.
    let _busy = inner.busy();
    let id = start.id;
    let shard = shard_of(&inner, &start.function, id);
    let outcome = match run(&inner, start, false).await {
        Run::Failed(error) => Err(error),
        Run::Returned(outcome, sends) if sends.is_empty() || outcome.is_err() => outcome,
        Run::Returned(outcome, sends) => {
            let (reply, receiver) = Reply::outcome();
            let plain = PlainSends {
                id,
                sends,
                outcome,
                reply,
            };
            inner.step(shard, |state, now, _, out| {
                state.core.commit_sends(plain, now, out)
            });
            receiver.await.unwrap_or_else(|_| Err(lost()))
        }
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
        return submit(inner, id, request, chain, Some(deadline)).await;
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
/// it is accepted.
pub(crate) async fn submit(
    inner: &Arc<Inner>,
    id: MessageId,
    (function, argument, key, background): (FunctionId, Bytes, Option<String>, bool),
    chain: CallChain,
    deadline: Option<Timestamp>,
) -> Outcome {
    let (reply, receiver) = Reply::outcome();
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
        let end = match run(&inner2, start, true).await {
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

async fn run(inner: &Arc<Inner>, start: FunctionStart, durable: bool) -> Run {
    let work = run_admitted(inner, start, durable);
    let ran = AssertUnwindSafe(work).catch_unwind().await;
    match ran {
        Ok(Ok(ran)) => ran,
        Ok(Err(error)) => Run::Failed(error),
        Err(_) => Run::Failed(EddyError::internal("a function broke the node's own code")),
    }
}

async fn run_admitted(
    inner: &Arc<Inner>,
    start: FunctionStart,
    durable: bool,
) -> Result<Run, EddyError> {
    let app = inner.catalog.function(&start.function)?;
    let (spec, loaded) = app
        .function(&start.function.name)
        .ok_or_else(|| EddyError::internal("a function lost its component"))?;
    inner.recent.queued_function(&start, durable);
    let admission = app.admission(&start.function.name)?;
    let _permit = match start.deadline {
        Some(deadline) => {
            tokio::time::timeout_at(clock::deadline(deadline), admission.enter(&start.function))
                .await
                .map_err(|_| {
                    EddyError::new(
                        ErrorCode::DeadlineExceeded,
                        "no instance was free before the deadline",
                    )
                    .hint("Allow more time, or raise the function's `concurrency` in eddy.toml.")
                })??
        }
        None => admission.enter(&start.function).await?,
    };
    let _running = Running::begin(&admission.load);
    Ok(run_instance(inner, &app, spec, loaded, start, durable).await)
}

async fn run_instance(
    inner: &Arc<Inner>,
    app: &Arc<App>,
    spec: &FunctionSpec,
    loaded: &Arc<Loaded>,
    start: FunctionStart,
    durable: bool,
) -> Run {
    let began = clock::now();
    let watch = clock::instant();
    let deadline = earliest(limit_of(spec.timeout, began), start.deadline);
    let cancel = CancelToken::new();
    let shared = Arc::new(TurnShared::default());
    inner.recent.running(start.id, began);
    let caller = Caller::of_function(inner, app, &start, deadline, durable);
    let host = FunctionHost::new(caller, start.function.clone(), began, shared.clone());
    let target = Target::Function(start.function.name.clone());
    // On whatever version it began, it ends.
    let tenant = &start.function.tenant;
    let ran = guarded(inner, tenant, deadline, pending(), &cancel, async {
        let mut instance = instantiate(inner, app, loaded, spec.memory, &cancel).await?;
        let outcome = instance
            .handle(&target, start.argument.clone(), Box::new(host), &cancel)
            .await;
        let ended = (outcome?, instance.memory_bytes());
        spares::retire(inner, app, instance);
        Ok(ended)
    })
    .await;
    let (ran, memory) = match ran {
        Ok((outcome, memory)) => {
            let outcome = turns::checked(outcome).map_err(|error| loaded.remap(error));
            (Run::Returned(outcome, shared.take_effects().sends), memory)
        }
        Err(fault) => {
            turns::make_room_after(inner, app, &fault);
            (Run::Failed(turns::told(fault, loaded)), 0)
        }
    };
    let outcome = match &ran {
        Run::Returned(outcome, _) => outcome.clone(),
        Run::Failed(error) => Err(error.clone()),
    };
    let run = watch.elapsed();
    inner
        .stats
        .function(&outcome, matches!(ran, Run::Failed(_)), run);
    let logs = shared.end_log(inner, outcome.as_ref().err(), || {
        who_invokes(app, &start.function, start.id)
    });
    let measured = Ran {
        cold: true,
        run,
        memory,
        logs,
    };
    inner.recent.ran(start.id, measured);
    ran
}
