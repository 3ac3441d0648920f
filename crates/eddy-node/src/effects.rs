//! Immediate effects: calls, invocations, fetches and sleeps that a handler starts and awaits. Each
//! is under way when its future is handed out; dropping the future gives it up.

mod caller;

use crate::clock;
use crate::fetch;
use crate::functions::{self, Nested};
use crate::inner::Inner;
use crate::reply::{Reply, lost};
use crate::simulate;
use bytes::Bytes;
pub(crate) use caller::Caller;
use eddy_core::{DedupeKey, Message, MessageId, Operation, Origin, TurnId};
use eddy_types::limits::MAX_CALL_DEPTH;
use eddy_types::{AgentId, EddyError, ErrorCode, FunctionId, MethodName, Name, Timestamp};
use eddy_wasm::{HttpRequest, Outcome, PendingFuture};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Starts a call of an agent's method.
pub(crate) fn call(
    caller: &Arc<Caller>,
    to: AgentId,
    method: MethodName,
    argument: Bytes,
) -> Result<PendingFuture, EddyError> {
    let spec = caller.inner.catalog.method(&to, &method)?;
    if caller.read_only && !spec.read_only {
        return Err(EddyError::new(
            ErrorCode::WriteInQuery,
            format!("a query may call queries only, and {method} of {to} is none"),
        )
        .hint("Make the caller an ordinary method, or the called one a query."));
    }
    let argument = caller.argument(argument, !spec.read_only)?;
    let deadline = caller.nested_deadline();
    let (reply, receiver) = Reply::outcome();
    let call = match caller.turn {
        Some(turn) => begin_in_turn(
            caller,
            turn,
            &to,
            method,
            argument,
            spec.read_only,
            deadline,
            reply,
        )?,
        None => begin_in_function(
            caller,
            &to,
            method,
            argument,
            spec.read_only,
            deadline,
            reply,
        )?,
    };
    let guard = CallGuard {
        caller: caller.clone(),
        to,
        call,
        answered: false,
    };
    Ok(Box::pin(async move {
        let mut guard = guard;
        let outcome = answer(receiver, deadline).await;
        guard.answered = true;
        drop(guard);
        outcome.map(Outcome::Json)
    }))
}

#[allow(clippy::too_many_arguments, reason = "the parts of a call, each once")]
fn begin_in_turn(
    caller: &Caller,
    turn: TurnId,
    to: &AgentId,
    method: MethodName,
    argument: Bytes,
    read_only: bool,
    deadline: Timestamp,
    reply: Reply,
) -> Result<MessageId, EddyError> {
    let to = to.clone();
    let begun = caller.inner.step(turn.shard, |state, _, _, out| {
        state.core.begin_call(
            turn,
            to,
            method,
            argument,
            read_only,
            Some(deadline),
            reply,
            out,
        )
    });
    begun.map_err(|(_, error)| error)
}

fn begin_in_function(
    caller: &Caller,
    to: &AgentId,
    method: MethodName,
    argument: Bytes,
    read_only: bool,
    deadline: Timestamp,
    reply: Reply,
) -> Result<MessageId, EddyError> {
    let id = caller.next_effect()?;
    if let Some(turn) = caller.chain.caller {
        caller
            .inner
            .shard(turn.shard)
            .lock()
            .core
            .note_call(turn, id, to.clone());
    }
    let key = (caller.retriable && !read_only).then_some(DedupeKey::Effect(id));
    let message = Message {
        id,
        to: to.clone(),
        operation: Operation::Method {
            method,
            argument,
            read_only,
        },
        origin: Origin::Request { reply, key },
        deadline: Some(deadline),
        chain: caller.chain.through_function(),
        retriable: caller.retriable,
    };
    let shard = caller.inner.map.shard_of_agent(to);
    caller.inner.step(shard, |state, now, view, out| {
        state.core.deliver(message, now, view, out)
    });
    Ok(id)
}

/// Tells the shards when a call is over, however it ends.
struct CallGuard {
    caller: Arc<Caller>,
    to: AgentId,
    call: MessageId,
    answered: bool,
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        let inner = &self.caller.inner;
        if let Some(turn) = self.caller.turn.or(self.caller.chain.caller) {
            inner
                .shard(turn.shard)
                .lock()
                .core
                .call_done(turn, self.call);
        }
        if !self.answered {
            let shard = inner.map.shard_of_agent(&self.to);
            inner.step(shard, |state, _, _, out| {
                state.core.cancel_call(&self.to, self.call, out)
            });
        }
    }
}

/// Waits for a reply, but not beyond the deadline.
pub(crate) async fn answer(
    mut receiver: oneshot::Receiver<eddy_core::Outcome>,
    deadline: Timestamp,
) -> eddy_core::Outcome {
    // Most answers are here already; then no timer is set.
    if let Ok(outcome) = receiver.try_recv() {
        return outcome;
    }
    match tokio::time::timeout_at(clock::deadline(deadline), receiver).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(lost()),
        Err(_) => Err(EddyError::new(
            ErrorCode::DeadlineExceeded,
            "no answer came before the deadline",
        )
        .hint("Allow more time, or look at why the target is busy: `eddy invocations`.")),
    }
}

/// Starts an invocation of a function.
pub(crate) fn invoke(
    caller: &Arc<Caller>,
    function: Name,
    argument: Bytes,
) -> Result<PendingFuture, EddyError> {
    if caller.read_only {
        return Err(
            EddyError::new(ErrorCode::WriteInQuery, "a query may not invoke functions")
                .hint("Make it an ordinary method."),
        );
    }
    if caller.chain.depth >= MAX_CALL_DEPTH {
        return Err(EddyError::new(
            ErrorCode::CallDepth,
            format!("calls are nested more than {MAX_CALL_DEPTH} deep"),
        ));
    }
    if caller.inner.config.simulated_time && function.as_str() == simulate::ADVANCE {
        return simulate::effect(caller, &argument);
    }
    let function = FunctionId {
        tenant: caller.tenant.clone(),
        name: function,
    };
    caller.inner.catalog.function(&function)?;
    let argument = caller.argument(argument, true)?;
    let gate = begin_effect(caller)?;
    let deadline = caller.nested_deadline();
    let chain = match (caller.turn, &caller.agent) {
        // The turn waits for it: what the function calls is called under the turn's agent.
        (Some(turn), Some(agent)) => caller.chain.under(agent, turn),
        _ => caller.chain.through_function(),
    };
    let (inner, retriable) = (caller.inner.clone(), caller.retriable);
    Ok(spawned(&caller.inner, async move {
        let id = gate.await?;
        let nested = Nested {
            id,
            chain,
            deadline,
            retriable,
        };
        functions::invoke_nested(&inner, function, argument, nested)
            .await
            .map(Outcome::Json)
    }))
}

/// Starts an outbound request.
pub(crate) fn fetch(
    caller: &Arc<Caller>,
    request: HttpRequest,
) -> Result<PendingFuture, EddyError> {
    if caller.read_only && !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Err(EddyError::new(
            ErrorCode::WriteInQuery,
            format!("a query may not make a {} request", request.method),
        )
        .hint("Use GET or HEAD, or make it an ordinary method."));
    }
    let request = fetch::check(&caller.inner, &caller.app, &caller.fetched, request)?;
    let gate = begin_effect(caller)?;
    let deadline = caller.nested_deadline();
    let (app, retriable) = (caller.app.clone(), caller.retriable);
    Ok(spawned(&caller.inner, async move {
        let _noted = simulate::UnderWay::begin();
        let id = gate.await?;
        let key = retriable.then(|| id.to_string());
        fetch::run(&app, request, key, clock::deadline(deadline))
            .await
            .map(Outcome::Http)
    }))
}

/// A pause within a turn.
pub(crate) fn sleep(milliseconds: u64) -> PendingFuture {
    let until = clock::now().plus(Duration::from_millis(milliseconds));
    Box::pin(async move {
        clock::sleep_until(until).await;
        Ok(Outcome::Elapsed)
    })
}

/// Takes an effect's id; it is known when earlier turns that this one saw are durable.
fn begin_effect(
    caller: &Arc<Caller>,
) -> Result<impl Future<Output = Result<MessageId, EddyError>> + Send + 'static, EddyError> {
    let (reply, receiver) = Reply::start();
    match caller.turn {
        Some(turn) => {
            let begun = caller.inner.step(turn.shard, |state, _, _, out| {
                state.core.begin_effect(turn, reply, out)
            });
            begun.map_err(|(_, error)| error)?;
        }
        None => reply.begin(caller.next_effect()?),
    }
    Ok(async move { receiver.await.unwrap_or_else(|_| Err(lost())) })
}

/// Runs an effect as a task of its own; dropping the future ends it.
pub(crate) fn spawned(
    inner: &Inner,
    work: impl Future<Output = Result<Outcome, EddyError>> + Send + 'static,
) -> PendingFuture {
    let task = AbortOnDrop(inner.tasks.spawn(work));
    Box::pin(async move {
        let mut task = task;
        match (&mut task.0).await {
            Ok(outcome) => outcome,
            Err(error) => Err(EddyError::internal(format!(
                "an effect's task broke: {error}"
            ))),
        }
    })
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
