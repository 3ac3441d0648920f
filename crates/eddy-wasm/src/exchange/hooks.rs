//! What `wasi:http` asks of its host: outbound requests, which go to [`Outbound`], and the sizes of pieces.

use super::answer::watched;
use super::{HttpBody, HttpError};
use crate::state::State;
use eddy_types::limits::{MAX_HTTP_CHUNK_BYTES, MAX_HTTP_FIELDS_BYTES};
use http::HeaderName;
use http_body_util::BodyExt as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks, WasiHttpView,
};

/// How long a guest wants to wait for an outbound request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboundOptions {
    /// For the connection.
    pub connect: Option<Duration>,
    /// For the answer to begin.
    pub first_byte: Option<Duration>,
    /// For each further piece of its body.
    pub between_bytes: Option<Duration>,
}

/// An outbound request under way. Dropping it ends the request.
pub type OutboundFuture =
    Pin<Box<dyn Future<Output = Result<http::Response<HttpBody>, HttpError>> + Send>>;

/// Makes the outbound requests of a guest that answers HTTP.
pub trait Outbound: Send {
    /// Starts one. Called from inside the guest: it may not block. The request's address has a scheme and an authority.
    fn send(
        &mut self,
        request: http::Request<HttpBody>,
        options: OutboundOptions,
    ) -> OutboundFuture;
}

/// The part of an instance's state that is for HTTP.
pub(crate) struct Http {
    ctx: WasiHttpCtx,
    hooks: Hooks,
}

impl Default for Http {
    fn default() -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(MAX_HTTP_FIELDS_BYTES);
        Self {
            ctx,
            hooks: Hooks::default(),
        }
    }
}

#[derive(Default)]
struct Hooks {
    /// None outside of an exchange: while the component starts, and when its handler has returned.
    outbound: Option<Box<dyn Outbound>>,
    /// Set when the guest broke, before its bodies end.
    broken: Arc<AtomicBool>,
}

impl State {
    pub(crate) fn begin_http(&mut self, outbound: Box<dyn Outbound>, broken: Arc<AtomicBool>) {
        let outbound = Some(outbound);
        self.http.get_or_insert_default().hooks = Hooks { outbound, broken };
    }

    /// Ends what the guest has left under way.
    pub(crate) fn end_http(&mut self) {
        self.http = None;
        self.wasi.end_resources();
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let http = self.http.get_or_insert_default();
        WasiHttpCtxView {
            hooks: &mut http.hooks,
            table: self.wasi.table(),
            ctx: &mut http.ctx,
        }
    }
}

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    /// The client that makes the request sets it, from the address.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Worker), Error>> + Send> {
        let Some(outbound) = &mut self.outbound else {
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        };
        let options = options.unwrap_or_default();
        let options = OutboundOptions {
            connect: options.connect_timeout,
            first_byte: options.first_byte_timeout,
            between_bytes: options.between_bytes_timeout,
        };
        let broken = self.broken.clone();
        let request = request.map(|body| {
            let body = body.map_err(HttpError::from).boxed_unsync();
            watched(body, broken)
        });
        let answer = outbound.send(request, options);
        Box::new(async move {
            let response = answer.await?;
            let response = response.map(|body| body.map_err(Error::from).boxed_unsync());
            let worker: Worker = Box::new(std::future::ready(Ok(())));
            Ok((response, worker))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        MAX_HTTP_CHUNK_BYTES
    }
}

/// What goes on beside an answer: nothing.
type Worker = Box<dyn Future<Output = Result<(), Error>> + Send>;
