//! The native link in front of a node: what a request of eddy-link means. The same node, the same
//! limits and the same errors as HTTP; the protocol itself is eddy-link's, see docs/protocol.md.

use crate::body::check_json;
use crate::metrics::HttpStats;
use crate::options::is_traceparent;
use crate::state::AppState;
use bytes::Bytes;
use eddy_core::MessageId;
use eddy_link::{Handler, Operation, Request, Responder, Room};
use eddy_node::{CallOptions, Reply, Session, TenantPermit};
use eddy_types::limits::MAX_IN_FLIGHT;
use eddy_types::{
    AgentId, EddyError, ErrorCode, FunctionId, Key, MethodName, Name, Permission, TenantId,
};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Answers the requests of one link.
#[derive(Clone)]
pub(crate) struct LinkHandler {
    state: AppState,
    stats: Arc<HttpStats>,
    /// The room that requests over HTTP have, too.
    in_flight: Arc<Semaphore>,
    /// Who its client is, once that was said.
    session: OnceLock<Session>,
}

/// A request that was let in; its room is free again when it is answered.
struct Admitted {
    responder: Responder,
    counted: InFlight,
    _room: (OwnedSemaphorePermit, TenantPermit),
}

/// Counts a request while it is handled, as one over HTTP is counted.
struct InFlight(Arc<HttpStats>);

impl InFlight {
    fn begin(stats: &Arc<HttpStats>) -> Self {
        stats.in_flight.fetch_add(1, Relaxed);
        Self(stats.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Handler for LinkHandler {
    fn greet(&self, token: Option<&str>) -> Result<(), EddyError> {
        let session = self.state.node.session(token, None)?;
        // A link has one HELLO.
        let _ = self.session.set(session);
        Ok(())
    }

    fn batch(&self, requests: usize, run: &mut dyn FnMut()) {
        // Who came alone is worth a flush of its own on this thread. Several turns are better
        // flushed by the journal's thread, while this one takes the next ones.
        self.state.node.gather(requests == 1, run);
    }

    fn reserve(&self, bytes: usize) -> Option<Room> {
        let session = self.session.get()?;
        let held = self.state.bodies.reserve(session.tenant(), bytes);
        held.ok().map(Room::new)
    }

    fn handle(&self, request: Request, responder: Responder) {
        let checked = self.admit(&request).and_then(|(session, room)| {
            let argument = argument(request.body)?;
            Ok((session, room, argument))
        });
        let (session, room, argument) = match checked {
            Ok(checked) => checked,
            Err(error) => return refuse(&self.stats, responder, &error),
        };
        let tenant = session.tenant().clone();
        let options = CallOptions {
            suggest: session.may(Permission::Look).is_ok(),
            idempotency_key: request.idempotency_key,
            timeout: request.timeout,
            traceparent: request.traceparent.filter(|text| is_traceparent(text)),
            snapshot: matches!(request.operation, Operation::Call { snapshot: true, .. }),
            // What was let in holds its own.
            permit: None,
        };
        let admitted = Admitted {
            responder,
            counted: InFlight::begin(&self.stats),
            _room: room,
        };
        match request.operation {
            Operation::Call {
                agent_type,
                key,
                method,
                ..
            } => match self.state.node.address(&tenant, &agent_type, &key, &method) {
                Ok((agent, method)) => self.call(agent, method, argument, options, admitted),
                Err(error) => admitted.finish(Err(error)),
            },
            Operation::Delete { agent_type, key } => match address(tenant, &agent_type, &key) {
                Ok(agent) => self.delete(agent, options, admitted),
                Err(error) => admitted.finish(Err(error)),
            },
            Operation::Invoke { function } => match named(tenant, &function) {
                Ok(function) => self.invoke(function, argument, options, admitted),
                Err(error) => admitted.finish(Err(error)),
            },
            Operation::Submit { function } => match named(tenant, &function) {
                Ok(function) => self.submit(function, argument, options, admitted),
                Err(error) => admitted.finish(Err(error)),
            },
        }
    }
}

impl LinkHandler {
    pub(crate) fn new(state: AppState, stats: Arc<HttpStats>, in_flight: Arc<Semaphore>) -> Self {
        Self {
            state,
            stats,
            in_flight,
            session: OnceLock::new(),
        }
    }

    /// The session of a request whose client may ask for it, and room for the request.
    fn admit(
        &self,
        request: &Request,
    ) -> Result<(Session, (OwnedSemaphorePermit, TenantPermit)), EddyError> {
        let greeted = self.session.get();
        let greeted =
            greeted.ok_or_else(|| EddyError::internal("a request came before its link's HELLO"))?;
        let tenant = request.tenant.as_deref();
        let session = self.state.node.session_again(greeted, tenant)?;
        let needed = match request.operation {
            Operation::Delete { .. } => Permission::Change,
            Operation::Call { .. } | Operation::Invoke { .. } | Operation::Submit { .. } => {
                Permission::Call
            }
        };
        session.may(needed)?;
        let permit = session.admit()?;
        let room = self.in_flight.clone().try_acquire_owned();
        Ok((session, (room.map_err(|_| full())?, permit)))
    }

    fn call(
        &self,
        agent: AgentId,
        method: MethodName,
        argument: Bytes,
        options: CallOptions,
        admitted: Admitted,
    ) {
        let node = &self.state.node;
        // What has a key may be waited for by others, too.
        let awaited = options
            .idempotency_key
            .is_none()
            .then(|| admitted.responder.awaited());
        let then = move |answer| admitted.finish(answer);
        let id = node.call_then(agent.clone(), method, argument, options, then);
        if let (Some(id), Some(awaited)) = (id, awaited)
            && awaited.is_open()
        {
            let node = node.clone();
            awaited.on_cancel(move || node.cancel_call(&agent, id));
        }
    }

    fn invoke(
        &self,
        function: FunctionId,
        argument: Bytes,
        options: CallOptions,
        admitted: Admitted,
    ) {
        let node = self.state.node.clone();
        let tenant = function.tenant.clone();
        let work = async move {
            let answer = node.invoke(function, argument, options).await;
            admitted.finish(answer);
        };
        self.state.node.run(&tenant, Box::pin(work));
    }

    fn submit(
        &self,
        function: FunctionId,
        argument: Bytes,
        options: CallOptions,
        admitted: Admitted,
    ) {
        let node = self.state.node.clone();
        let tenant = function.tenant.clone();
        let work = async move {
            let accepted = node.invoke_async(function, argument, options).await;
            match accepted {
                Ok(id) => admitted.reply(Some(id), Ok(Bytes::from_static(b"null"))),
                Err(error) => admitted.reply(None, Err(error)),
            }
        };
        self.state.node.run(&tenant, Box::pin(work));
    }

    fn delete(&self, agent: AgentId, options: CallOptions, admitted: Admitted) {
        let node = self.state.node.clone();
        let tenant = agent.tenant().clone();
        let work = async move {
            let deleted = node.delete_agent(agent, options).await;
            admitted.reply(None, deleted.map(|()| Bytes::from_static(b"null")));
        };
        self.state.node.run(&tenant, Box::pin(work));
    }
}

impl Admitted {
    fn finish(self, answer: Result<Reply, EddyError>) {
        match answer {
            Ok(reply) => self.reply(Some(reply.invocation), reply.outcome),
            // The node answers so only before it begins.
            Err(error) => refuse(&self.counted.0, self.responder, &error),
        }
    }

    fn reply(mut self, invocation: Option<MessageId>, outcome: Result<Bytes, EddyError>) {
        self.counted.0.link_answered(outcome.is_ok());
        if let Some(id) = invocation {
            self.responder.set_invocation(id.0.to_be_bytes());
        }
        let reply = |body| eddy_link::Reply {
            invocation: None,
            body,
        };
        self.responder.finish(outcome.map(reply));
    }
}

impl HttpStats {
    fn link_answered(&self, well: bool) {
        self.link_answers[usize::from(!well)].fetch_add(1, Relaxed);
    }
}

/// Answers a request of which nothing was begun.
fn refuse(stats: &HttpStats, responder: Responder, error: &EddyError) {
    stats.link_answered(false);
    responder.refuse(error);
}

/// There is no room for one more request, over HTTP or a link.
pub(crate) fn full() -> EddyError {
    EddyError::new(
        ErrorCode::Overloaded,
        format!("the node handles {MAX_IN_FLIGHT} requests already"),
    )
    .hint("Try again shortly.")
    .retry_after(Duration::from_secs(1))
}

/// The argument of a call: JSON text, `null` for none.
fn argument(body: Bytes) -> Result<Bytes, EddyError> {
    if body.is_empty() {
        return Ok(Bytes::from_static(b"null"));
    }
    check_json(&body)?;
    Ok(body)
}

fn address(tenant: TenantId, agent_type: &str, key: &str) -> Result<AgentId, EddyError> {
    Ok(AgentId::new(tenant, Name::new(agent_type)?, Key::new(key)?))
}

fn named(tenant: TenantId, function: &str) -> Result<FunctionId, EddyError> {
    Ok(FunctionId {
        tenant,
        name: Name::new(function)?,
    })
}
