//! HTTP requests to apps: a function that is a `wasi:http/incoming-handler` answers one. It is let in, run, measured
//! and noted as any invocation is; but its answer goes out as soon as it has begun.
//!
//! A client that goes away before it has the whole answer stops the handler, as it does with HTTP servers: nobody
//! would tell a handler that streams for ever. When the answer is complete the handler goes on to its end.

mod body;
mod delivered;
mod outbound;

use crate::attempt::{self, Attempt, Permit, commit};
use crate::catalog::App;
use crate::clock;
use crate::facade::CallOptions;
use crate::host::{FunctionHost, who_invokes};
use crate::inner::Inner;
use crate::load::UnderWay;
use crate::node::Node;
use crate::requests::{deadline_of, let_in, refuse_when_stopping};
use crate::runners;
use crate::spares;
use body::{Client, Paced, drain, is_without_body, served_by};
use bytes::Bytes;
use delivered::{Held, deliver};
use eddy_core::{CallChain, FunctionStart, MessageId, Outcome};
use eddy_types::limits::{ANSWER_READ_TIMEOUT, BODY_READ_TIMEOUT};
use eddy_types::{EddyError, ErrorCode, FunctionId, GuestFailure, Name, TenantId};
use eddy_wasm::{Answer, Exchange, HttpBody, Instance, Printed};
use futures::FutureExt as _;
use http_body_util::BodyExt as _;
use outbound::AppOutbound;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// What an app answered, or why it did not.
#[derive(Debug)]
pub struct Answered {
    /// The invocation that made it.
    pub invocation: MessageId,
    /// The answer, of which the body may still be made; or the error, in place of it.
    pub outcome: Result<http::Response<HttpBody>, EddyError>,
}

/// One request under way.
struct Request {
    admitted: Admitted,
    request: http::Request<HttpBody>,
    head: oneshot::Sender<Answer>,
    end: oneshot::Sender<Outcome>,
    gone: CancellationToken,
}

/// The invocation that a request is, and what lets it in until its handler has ended.
struct Admitted {
    start: FunctionStart,
    _under_way: UnderWay,
    _permit: Permit,
}

impl Node {
    /// Lets an app answer a request. The request's address is whole, and its path is the one within the app. Dropping
    /// the future, or the answer's body before its end, says that the client is gone; so does not reading it. `held` is
    /// dropped when the answer has gone out.
    ///
    /// # Errors
    /// When the request reached no function: `unknown-app`, `unknown-route`, `overloaded`, ...
    pub async fn answer(
        &self,
        tenant: &TenantId,
        app: &Name,
        request: http::Request<HttpBody>,
        options: CallOptions,
        held: impl Send + 'static,
    ) -> Result<Answered, EddyError> {
        let inner = &self.inner;
        refuse_when_stopping(inner)?;
        let app = inner.catalog.answering(tenant, app)?;
        let name = app.route(request.uri().path())?;
        let without_body = request.method() == http::Method::HEAD;
        let gone = CancellationToken::new();
        let client = Client::new(gone.clone());
        let (head, answer) = oneshot::channel();
        let (end, mut ended) = oneshot::channel();
        let admitted = admit(inner, &app, tenant, name, &options)?;
        let id = admitted.start.id;
        let work = Request {
            admitted,
            request: request.map(|body| Paced::new(body, BODY_READ_TIMEOUT).boxed_unsync()),
            head,
            end,
            gone,
        };
        runners::begin(
            inner,
            tenant,
            Box::pin(work.run(inner.clone(), app.clone())),
        );
        let outcome = first_of(answer, &mut ended).await;
        if let Some(traceparent) = options.traceparent {
            inner.recent.traced(id, traceparent);
        }
        let outcome = match outcome {
            Ok(response) if without_body || is_without_body(&response) => {
                Ok(self.bodiless(response, client))
            }
            Ok(response) => {
                let held = Box::new((held, options.permit));
                Ok(self.watched(response, Some(client), held))
            }
            Err(error) if ended.is_terminated() => {
                client.served();
                Err(error)
            }
            Err(error) => {
                // The handler may go on after it has set an error.
                let end = served_by(ended, client, ANSWER_READ_TIMEOUT);
                inner.tasks.spawn(end);
                Err(error)
            }
        };
        Ok(Answered {
            invocation: id,
            outcome,
        })
    }

    /// An answer that no app made, on its way to its client: one that leaves a piece of it unread for
    /// [`ANSWER_READ_TIMEOUT`] counts as gone, and what is left of the answer is dropped. `held` is dropped when all has gone
    /// out, or then.
    #[must_use]
    pub fn deliver(
        &self,
        response: http::Response<HttpBody>,
        held: impl Send + 'static,
    ) -> http::Response<HttpBody> {
        self.watched(response, None, Box::new(held))
    }

    /// An answer that its client reads in time.
    fn watched(
        &self,
        response: http::Response<HttpBody>,
        client: Option<Client>,
        held: Held,
    ) -> http::Response<HttpBody> {
        let (response, watching) = deliver(response, client, held, ANSWER_READ_TIMEOUT);
        self.inner.tasks.spawn(watching);
        response
    }

    /// The head of an answer that has no body. Whatever the guest writes goes nowhere, as it does with other servers.
    fn bodiless(
        &self,
        response: http::Response<HttpBody>,
        client: Client,
    ) -> http::Response<HttpBody> {
        let (head, body) = response.into_parts();
        let drained = drain(body, client, ANSWER_READ_TIMEOUT);
        self.inner.tasks.spawn(drained);
        http::Response::from_parts(head, body::none())
    }
}

/// Counts a request, and makes an invocation of it.
fn admit(
    inner: &Inner,
    app: &App,
    tenant: &TenantId,
    name: &Name,
    options: &CallOptions,
) -> Result<Admitted, EddyError> {
    let limit = app.function(name).map(|(spec, _)| spec.timeout);
    let now = clock::now();
    let deadline = deadline_of(options.timeout, limit.unwrap_or_default(), now);
    let load = &app.admission(name)?.load;
    let function = FunctionId {
        tenant: tenant.clone(),
        name: name.clone(),
    };
    Ok(Admitted {
        _under_way: let_in(inner, load, name, now, deadline)?,
        _permit: options.permit.clone(),
        start: FunctionStart {
            id: clock::fresh_id(),
            function,
            argument: Bytes::new(),
            attempt: 1,
            deadline,
            chain: CallChain::root(now),
        },
    })
}

/// The answer, or the error that the handler ended with before there was one.
async fn first_of(
    answer: oneshot::Receiver<Answer>,
    ended: &mut oneshot::Receiver<Outcome>,
) -> Result<http::Response<HttpBody>, EddyError> {
    match answer.await {
        Ok(Ok(response)) if !response.status().is_informational() => Ok(response),
        Ok(answer) => Err(unusable(answer.map(|response| response.status().as_u16()))),
        Err(_) => Err(match ended.await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) => no_answer(),
            Err(_) => EddyError::internal("a request was lost"),
        }),
    }
}

impl Request {
    async fn run(self, inner: Arc<Inner>, app: Arc<App>) {
        // The node does not count as quiet until its last send.
        let _busy = inner.busy();
        let start = &self.admitted.start;
        inner.recent.queued_function(start, false);
        let work = run(&inner, &app, start, self.request, self.head, &self.gone);
        let ran = AssertUnwindSafe(work).catch_unwind().await;
        let outcome =
            ran.unwrap_or_else(|_| Err(EddyError::internal("a request broke the node's own code")));
        inner.recent.ended(start.id, clock::now(), outcome.clone());
        let _ = self.end.send(outcome);
    }
}

async fn run(
    inner: &Arc<Inner>,
    app: &Arc<App>,
    start: &FunctionStart,
    request: http::Request<HttpBody>,
    head: oneshot::Sender<Answer>,
    gone: &CancellationToken,
) -> Outcome {
    let admission = app.admission(&start.function.name)?;
    let _place = tokio::select! {
        place = attempt::enter(admission, start) => place?,
        () = gone.cancelled() => return Err(client_gone()),
    };
    let attempt = Attempt::begin(inner, app, start)?;
    let said = Arc::<OnceLock<_>>::default();
    let exchange = exchange(inner, app, start, &attempt, request, head, said.clone());
    let work = async |mut instance: Instance| {
        instance.serve(exchange, &attempt.cancel).await?;
        let memory = instance.memory_bytes();
        spares::retire(inner, app, instance);
        Ok(memory)
    };
    let ran = attempt.run(gone.cancelled(), work).await;
    let (outcome, fault, memory) = match ran {
        Ok(memory) => (said_of(&said), false, memory),
        Err(_) if gone.is_cancelled() => (Err(client_gone()), true, 0),
        Err(fault) => (Err(attempt.told(fault)), true, 0),
    };
    let sends = attempt.shared.take_effects().sends;
    let outcome = commit(inner, start, sends, outcome).await;
    attempt.over(&outcome, fault, memory);
    outcome
}

/// What the handler said when it answered: a status, or an error of its own.
type Said = Arc<OnceLock<Result<u16, String>>>;

fn exchange(
    inner: &Arc<Inner>,
    app: &Arc<App>,
    start: &FunctionStart,
    attempt: &Attempt<'_>,
    request: http::Request<HttpBody>,
    head: oneshot::Sender<Answer>,
    said: Said,
) -> Exchange {
    let function = start.function.clone();
    let caller = attempt.caller(false);
    let shared = attempt.shared.clone();
    let host = FunctionHost::new(caller.clone(), function, attempt.began, shared.clone());
    let (node, app, who) = (
        inner.clone(),
        app.clone(),
        (start.function.clone(), start.id),
    );
    let log = Arc::new(move |level, message: &str| {
        shared.log(&node, level, message, || who_invokes(&app, &who.0, who.1));
    });
    let outbound = AppOutbound::new(caller, log.clone());
    let printed: Printed = Box::new(move |level, line| log(level, line));
    let respond = Box::new(move |answer: Answer| {
        let status = answer.as_ref().map(|response| response.status().as_u16());
        let _ = said.set(status.map_err(Clone::clone));
        let _ = head.send(answer);
    });
    Exchange {
        request,
        respond,
        host: Box::new(host),
        outbound: Box::new(outbound),
        printed,
    }
}

/// How the record of a handler that returned reads.
fn said_of(said: &OnceLock<Result<u16, String>>) -> Outcome {
    match said.get() {
        Some(Ok(status)) if *status >= 200 => Ok(format!("{{\"status\":{status}}}").into()),
        Some(said) => Err(unusable(said.clone())),
        None => Err(no_answer()),
    }
}

/// The handler set something in place of an answer.
fn unusable(said: Result<u16, String>) -> EddyError {
    let name = match said {
        Ok(status) => {
            return EddyError::new(
                ErrorCode::InvalidResult,
                format!("the handler answered with the status {status}, which begins no answer"),
            )
            .hint("Answer with a status from 200 to 599.");
        }
        Err(name) => name,
    };
    EddyError::new(
        ErrorCode::GuestError,
        format!("the handler answered with the error {name} in place of a response"),
    )
    .guest(GuestFailure {
        name,
        stack: None,
        status: None,
        details: None,
    })
}

fn no_answer() -> EddyError {
    EddyError::new(
        ErrorCode::InvalidResult,
        "the handler ended without an answer: it set no `response-outparam`",
    )
    .hint("Call `response-outparam.set` on every path of the handler.")
}

fn client_gone() -> EddyError {
    EddyError::new(
        ErrorCode::ConnectionLost,
        "the client went away before it had the whole answer, and the handler was stopped",
    )
}
