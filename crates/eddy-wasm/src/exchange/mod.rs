//! Guests that answer HTTP: components that export `wasi:http/incoming-handler`. A request goes in, and its answer
//! comes out as soon as the guest has begun it; bodies go both ways piece by piece.
//!
//! What they may reach is not decided here: see [`Outbound`].

mod answer;
mod error;
mod hooks;

pub use answer::{Answer, Respond};
pub use error::HttpError;
pub(crate) use hooks::Http;
pub use hooks::{Outbound, OutboundFuture, OutboundOptions};

use crate::cancel::CancelToken;
use crate::fault::Fault;
use crate::host::{LogLevel, TurnHost};
use crate::instance::{Entry, Instance, guarded};
use crate::state::State;
use answer::Unbroken;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use std::future::{Future, poll_fn};
use std::pin::pin;
use wasmtime::component::Resource;
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};

/// The body of a request or of an answer.
pub type HttpBody = UnsyncBoxBody<Bytes, HttpError>;

/// Takes what the guest prints, line by line, while it runs.
pub type Printed = Box<dyn FnMut(LogLevel, &str) + Send>;

/// A request, and what the guest that answers it may do.
pub struct Exchange {
    /// The request, with the whole address that the client asked for.
    pub request: http::Request<HttpBody>,
    /// Called when the guest begins its answer; dropped when it never does.
    pub respond: Respond,
    /// What a function may do.
    pub host: Box<dyn TurnHost>,
    /// Makes its outbound requests.
    pub outbound: Box<dyn Outbound>,
    /// Takes what it prints.
    pub printed: Printed,
}

/// The components' version of the interface that is understood: every 0.2 is compatible with it.
const HANDLER: &str = "wasi:http/incoming-handler@0.2.";

/// Whether a component with an export of this name answers HTTP.
pub(crate) fn is_handler(export: &str) -> bool {
    export.starts_with(HANDLER)
}

impl Instance {
    /// Answers a request, and runs until the handler has returned, which may be long after its answer began. Serves
    /// once: the instance is to be dropped afterwards. What the handler had under way then ends, and a body that it
    /// did not end by itself ends with it: whole when the handler returned, broken when it did not.
    ///
    /// # Errors
    /// A fault.
    pub async fn serve(&mut self, exchange: Exchange, cancel: &CancelToken) -> Result<(), Fault> {
        let handler = self.begin_serving()?;
        let mut unbroken = Unbroken::default();
        let respond = unbroken.watch(exchange.respond);
        let output = {
            let state = self.store_mut().data_mut();
            state.begin_turn(exchange.host, cancel.clone());
            state.begin_http(exchange.outbound, unbroken.flag());
            state.wasi.output()
        };
        let mut printed = exchange.printed;
        let gave_way = self.gave_way();
        let called = {
            let store = self.store_mut();
            let resources = resources(store.data_mut(), exchange.request, respond);
            let call = async {
                let (request, out) = resources?;
                handler.call_handle(store, request, out).await
            };
            let call = noting(call, || output.drain(&mut printed));
            guarded(call, cancel, &gave_way).await
        };
        self.store_mut().data_mut().end_turn();
        let settled = self.settled(called);
        if settled.is_ok() {
            unbroken.keep();
        }
        drop(unbroken);
        // Only now do bodies end that the guest has left open.
        self.store_mut().data_mut().end_http();
        settled
    }

    fn begin_serving(&mut self) -> Result<incoming_handler::Guest, Fault> {
        self.take_use()?;
        match self.entry() {
            Entry::Http(handler) => Ok(handler.clone()),
            Entry::Platform(_) => Err(Fault::unusable("the component does not answer HTTP")),
        }
    }
}

/// Does `note` after each time that `work` ran.
async fn noting<T>(work: impl Future<Output = T>, mut note: impl FnMut()) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let polled = work.as_mut().poll(cx);
        note();
        polled
    })
    .await
}

fn resources(
    state: &mut State,
    request: http::Request<HttpBody>,
    respond: Respond,
) -> wasmtime::Result<(
    Resource<HostIncomingRequest>,
    Resource<HostResponseOutparam>,
)> {
    let scheme = match request.uri().scheme_str() {
        Some("https") => Scheme::Https,
        _ => Scheme::Http,
    };
    let mut http = state.http();
    let request = http.new_incoming_request(scheme, request.map(|body| body.boxed_unsync()))?;
    let out = http.new_response_outparam_from_callback(|answer| {
        respond(match answer {
            Ok(response) => Ok(response.map(|body| body.map_err(HttpError::from).boxed_unsync())),
            Err(code) => Err(error::name_of(&code)),
        });
    })?;
    Ok((request, out))
}
