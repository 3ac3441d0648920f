//! Requests from outside: calls of agents and invocations of functions.

use crate::access::TenantPermit;
use crate::catalog::{App, Route};
use crate::clock;
use crate::facade::{CallOptions, Reply as Answer};
use crate::functions;
use crate::inner::Inner;
use crate::load::{Load, Pressure, UnderWay};
use crate::node::Node;
use crate::reply::{Reply, lost};
use crate::turns::limit_of;
use crate::{runners, runs, simulate};
use bytes::Bytes;
use eddy_core::{
    CallChain, DedupeKey, DedupeScope, FunctionStart, Import, Message, MessageId, Operation, Origin,
};
use eddy_types::limits::MAX_IDEMPOTENCY_KEY_BYTES;
use eddy_types::{
    AgentId, EddyError, ErrorCode, FunctionId, MethodName, Name, TenantId, TimeoutSpec, Timestamp,
};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A request that may go to its agent.
struct Admitted {
    id: MessageId,
    key: Option<String>,
    now: Timestamp,
    deadline: Option<Timestamp>,
    traceparent: Option<String>,
    under_way: Option<UnderWay>,
    permit: Option<Arc<TenantPermit>>,
}

impl Node {
    /// The address and the method that a request names.
    ///
    /// # Errors
    /// `invalid-name`. What does not exist is found out by the call.
    pub fn address(
        &self,
        tenant: &TenantId,
        agent_type: &str,
        key: &str,
        method: &str,
    ) -> Result<(AgentId, MethodName), EddyError> {
        let names = (agent_type, key, method);
        self.inner.catalog.address(tenant, names)
    }

    /// Calls a method of an agent. `Err` when it never reached the agent.
    pub async fn call(
        &self,
        agent: AgentId,
        method: MethodName,
        argument: Bytes,
        options: CallOptions,
    ) -> Result<Answer, EddyError> {
        if options.snapshot {
            return crate::snapshot::query(&self.inner, agent, method, argument, &options).await;
        }
        let route = route(&self.inner, &agent, &method, options.suggest)?;
        let operation = Operation::Method {
            method,
            argument,
            read_only: route.method.read_only,
        };
        let request = admit(&self.inner, &agent, options, route.limit, Some(&route.load))?;
        Ok(self.ask(agent, operation, request).await)
    }

    /// [`Node::call`] for who does not wait: the answer goes to `then`, once, on whatever thread
    /// has it first, often this one before the call returns. `then` must not block. Answers with
    /// the message's id once the message is on its way.
    ///
    /// A snapshot query has no id yet when this returns.
    pub fn call_then(
        &self,
        agent: AgentId,
        method: MethodName,
        argument: Bytes,
        options: CallOptions,
        then: impl FnOnce(Result<Answer, EddyError>) + Send + 'static,
    ) -> Option<MessageId> {
        let inner = &self.inner;
        if options.snapshot {
            let inner = inner.clone();
            self.inner.tasks.spawn(async move {
                then(crate::snapshot::query(&inner, agent, method, argument, &options).await);
            });
            return None;
        }
        let routed = route(inner, &agent, &method, options.suggest);
        let admitted = routed.and_then(|route| {
            let request = admit(inner, &agent, options, route.limit, Some(&route.load))?;
            Ok((route.method.read_only, request))
        });
        let (read_only, mut request) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => {
                then(Err(error));
                return None;
            }
        };
        let operation = Operation::Method {
            method,
            argument,
            read_only,
        };
        let (id, traceparent) = (request.id, request.traceparent.take());
        let traced = traceparent.map(|traceparent| (inner.clone(), traceparent));
        let under_way = request.under_way.take();
        let reply = Reply::Then(Box::new(move |outcome| {
            drop(under_way);
            if let Some((inner, traceparent)) = traced {
                inner.recent.traced(id, traceparent);
            }
            then(Ok(Answer {
                invocation: id,
                outcome,
            }));
        }));
        deliver(inner, agent, operation, request, reply);
        Some(id)
    }

    /// Gives a call up that nobody waits for any more. One that has begun goes on to its end.
    pub fn cancel_call(&self, agent: &AgentId, call: MessageId) {
        let shard = self.inner.map.shard_of_agent(agent);
        self.inner.step(shard, |state, _, _, out| {
            state.core.cancel_call(agent, call, out)
        });
    }

    /// Runs `work`, and lets what it commits go to the disk together afterwards; with `here` by this
    /// thread, when nobody else writes and the disk is quick.
    pub fn gather(&self, here: bool, work: impl FnOnce()) {
        runs::gather(work, || self.inner.journal.release(here));
    }

    /// Runs work on a request here and now as far as it goes; what does not end at once goes on as
    /// a task, which a stop waits for. When this thread is late already, or other tenants ask as well,
    /// it waits for its turn first.
    pub fn run(&self, tenant: &TenantId, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        runners::begin(&self.inner, tenant, work);
    }

    /// Deletes an agent with its state and timers.
    ///
    /// # Errors
    /// Those of a call; `storage-limit` with a key only, because what is remembered of that takes room.
    pub async fn delete_agent(
        &self,
        agent: AgentId,
        options: CallOptions,
    ) -> Result<(), EddyError> {
        let limit = self.inner.catalog.timeout_of(&agent);
        let admitted = admit(&self.inner, &agent, options, limit, None);
        let request = admitted.map_err(|error| match error.code {
            ErrorCode::StorageLimit => {
                error.hint("Delete without an idempotency key, which would be remembered.")
            }
            _ => error,
        })?;
        let reply = self.ask(agent, Operation::Delete, request).await;
        reply.outcome.map(drop)
    }

    pub(crate) async fn ask_import(
        &self,
        agent: AgentId,
        import: Import,
        options: CallOptions,
    ) -> Result<Answer, EddyError> {
        let limit = self.inner.catalog.timeout_of(&agent);
        let request = admit(&self.inner, &agent, options, limit, None)?;
        let operation = Operation::Import(Box::new(import));
        Ok(self.ask(agent, operation, request).await)
    }

    async fn ask(&self, agent: AgentId, operation: Operation, mut request: Admitted) -> Answer {
        let (id, deadline) = (request.id, request.deadline);
        let traceparent = request.traceparent.take();
        let _under_way = request.under_way.take();
        let (reply, receiver) = Reply::admitted(request.permit.take());
        deliver(&self.inner, agent, operation, request, reply);
        // An answer that is there at once lets the caller's task go on for ever otherwise.
        tokio::task::coop::consume_budget().await;
        let outcome = wait(receiver, deadline).await;
        if let Some(traceparent) = traceparent {
            self.inner.recent.traced(id, traceparent);
        }
        Answer {
            invocation: id,
            outcome,
        }
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
        if inner.config.simulated_time && function.name.as_str() == simulate::ADVANCE {
            let outcome = simulate::request(inner, &argument).await;
            let invocation = clock::fresh_id();
            return Ok(Answer {
                invocation,
                outcome,
            });
        }
        tokio::task::coop::consume_budget().await;
        let app = app_of(inner, &function, options.suggest)?;
        let now = clock::now();
        let limit = app.function(&function.name).map(|(spec, _)| spec.timeout);
        let limit = limit.unwrap_or(TimeoutSpec::None);
        let deadline = deadline_of(options.timeout, limit, now);
        let load = &app.admission(&function.name)?.load;
        let _under_way = let_in(inner, load, &function.name, now, deadline)?;
        let chain = CallChain::root(now);
        let (id, outcome) = match checked_key(options.idempotency_key)? {
            Some(key) => {
                app.account.may_store()?;
                let id = MessageId::of_key(&DedupeScope::Function(function.clone()), &key);
                let request = (function, argument, Some(key), false);
                let permit = options.permit;
                (
                    id,
                    functions::submit(inner, id, request, chain, deadline, permit).await,
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
                (
                    id,
                    functions::invoke_plain(inner, start, options.permit).await,
                )
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
        app_of(inner, &function, options.suggest)?
            .account
            .may_store()?;
        let key = checked_key(options.idempotency_key)?;
        let id = match &key {
            Some(key) => MessageId::of_key(&DedupeScope::Function(function.clone()), key),
            None => clock::fresh_id(),
        };
        let chain = CallChain::root(clock::now());
        let request = (function, argument, key, true);
        functions::submit(inner, id, request, chain, None, options.permit).await?;
        Ok(id)
    }
}

/// Where a request goes; with `suggest`, an error says what may have been meant.
pub(crate) fn route(
    inner: &Inner,
    agent: &AgentId,
    method: &MethodName,
    suggest: bool,
) -> Result<Route, EddyError> {
    let routed = inner.catalog.route(agent, method);
    routed.map_err(|error| match suggest {
        true => inner.catalog.suggest_method(agent, method.as_str(), error),
        false => error,
    })
}

/// The same for a function.
fn app_of(inner: &Inner, function: &FunctionId, suggest: bool) -> Result<Arc<App>, EddyError> {
    let found = inner.catalog.function(function);
    found.map_err(|error| match suggest {
        true => inner.catalog.suggest_function(function, error),
        false => error,
    })
}

/// What is checked, and chosen, before a request goes to its agent.
fn admit(
    inner: &Inner,
    agent: &AgentId,
    options: CallOptions,
    limit: TimeoutSpec,
    load: Option<&Arc<Load>>,
) -> Result<Admitted, EddyError> {
    refuse_when_stopping(inner)?;
    let now = clock::now();
    let key = checked_key(options.idempotency_key)?;
    // Its answer will be remembered. Deleting goes on without a key when there is no room.
    if key.is_some() && inner.access.limits_storage() {
        inner.access.account(agent.tenant()).may_store()?;
    }
    let id = match &key {
        Some(key) => MessageId::of_key(&DedupeScope::Agent(agent.clone()), key),
        None => clock::fresh_id(),
    };
    let deadline = deadline_of(options.timeout, limit, now);
    let target = agent.agent_type();
    let under_way = load.map(|load| let_in(inner, load, target, now, deadline));
    Ok(Admitted {
        id,
        key,
        now,
        deadline,
        traceparent: options.traceparent,
        under_way: under_way.transpose()?,
        permit: options.permit,
    })
}

/// Counts a request, unless its target could not answer in time.
pub(crate) fn let_in(
    inner: &Inner,
    load: &Arc<Load>,
    target: &Name,
    now: Timestamp,
    deadline: Option<Timestamp>,
) -> Result<UnderWay, EddyError> {
    let pressure = || Pressure {
        to_begin: inner.runners.waiting(),
        to_go_on: inner.shares.waiting(),
    };
    load.admit(target.as_str(), now, deadline, pressure)
}

/// Until when a request is worth working on: as its client says, or else its target's type.
pub(crate) fn deadline_of(
    asked: Option<Duration>,
    limit: TimeoutSpec,
    now: Timestamp,
) -> Option<Timestamp> {
    match asked {
        Some(asked) => Some(now.plus(asked)),
        None => limit_of(limit, now),
    }
}

fn deliver(
    inner: &Arc<Inner>,
    agent: AgentId,
    operation: Operation,
    request: Admitted,
    reply: Reply,
) {
    let shard = inner.map.shard_of_agent(&agent);
    let message = Message {
        id: request.id,
        to: agent,
        operation,
        retriable: request.key.is_some(),
        origin: Origin::Request {
            reply,
            key: request.key.map(DedupeKey::Client),
        },
        deadline: request.deadline,
        chain: CallChain::root(request.now),
    };
    inner.step(shard, |state, now, view, out| {
        state.core.deliver(message, now, view, out)
    });
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

pub(crate) fn refuse_when_stopping(inner: &Inner) -> Result<(), EddyError> {
    inner.not_serving().map_or(Ok(()), Err)
}

/// A key that HTTP can carry, too: else it could not be repeated there.
fn checked_key(key: Option<String>) -> Result<Option<String>, EddyError> {
    let Some(text) = &key else { return Ok(None) };
    let wrong = |why: String| Err(EddyError::new(ErrorCode::InvalidArgument, why));
    if text.is_empty() || text.len() > MAX_IDEMPOTENCY_KEY_BYTES {
        let bytes = text.len();
        return wrong(format!(
            "an idempotency key has 1 to {MAX_IDEMPOTENCY_KEY_BYTES} bytes, not {bytes}"
        ));
    }
    let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if !text.bytes().all(visible) || text.trim() != text {
        return wrong(format!(
            "the idempotency key {text:?} is not of visible ASCII characters"
        ));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_such_that_http_can_carry_them() {
        let key = |text: &str| checked_key(Some(text.to_owned()));
        assert_eq!(key("order 17"), Ok(Some("order 17".to_owned())));
        assert_eq!(checked_key(None), Ok(None));
        for bad in ["", " a", "a ", "a\n", "a\0b", "é", &"x".repeat(256)] {
            let error = key(bad).expect_err(bad);
            assert_eq!(error.code, ErrorCode::InvalidArgument);
        }
    }
}
