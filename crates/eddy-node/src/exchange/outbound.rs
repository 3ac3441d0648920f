//! Outbound requests of guests that answer HTTP: to the same hosts as `fetch`, and with its bounds, but piece by piece
//! and as the guest made them: redirects are answers.

use super::body::Paced;
use crate::clock;
use crate::effects::Caller;
use crate::fetch::{self, Redirects};
use crate::simulate;
use bytes::Bytes;
use eddy_types::limits::{MAX_NESTED_WAIT, MAX_PENDING_PER_TURN};
use eddy_types::{EddyError, Timestamp};
use eddy_wasm::{HttpBody, HttpError, LogLevel, Outbound, OutboundFuture, OutboundOptions};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use reqwest::Url;
use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::Semaphore;

type Log = Arc<dyn Fn(LogLevel, &str) + Send + Sync>;

/// Makes the outbound requests of one invocation.
pub(super) struct AppOutbound {
    caller: Arc<Caller>,
    /// Those under way, answers included that are being read.
    slots: Arc<Semaphore>,
    log: Log,
}

impl AppOutbound {
    pub(super) fn new(caller: Arc<Caller>, log: Log) -> Self {
        Self {
            caller,
            slots: Arc::new(Semaphore::new(MAX_PENDING_PER_TURN)),
            log,
        }
    }

    fn begin(
        &self,
        request: http::Request<HttpBody>,
        options: OutboundOptions,
    ) -> Result<OutboundFuture, HttpError> {
        let slot = self.slots.clone().try_acquire_owned();
        let slot = slot.map_err(|_| HttpError::TooMany)?;
        self.caller.next_effect().map_err(|_| HttpError::TooMany)?;
        let request = self.checked(request)?;
        let client = self.caller.app.client(Redirects::Tell);
        let client = client.map_err(|error| HttpError::Internal(error.detail))?;
        let until = head_deadline(&self.caller, options);
        let between = options
            .between_bytes
            .map_or(MAX_NESTED_WAIT, |asked| asked.min(MAX_NESTED_WAIT));
        let log = self.log.clone();
        Ok(Box::pin(async move {
            let noted = simulate::UnderWay::begin();
            let answer = tokio::time::timeout_at(clock::deadline(until), client.execute(request));
            let answer = answer.await.map_err(|_| HttpError::ResponseTimeout)?;
            let response = answer.map_err(|error| failed(&error, &log))?;
            let response = http::Response::<reqwest::Body>::from(response);
            Ok(response.map(|body| {
                let body = Paced::new(body.map_err(|error| reason(&error)), between);
                body.map_frame(move |frame| {
                    let _held = (&slot, &noted);
                    frame
                })
                .boxed_unsync()
            }))
        }))
    }

    fn checked(&self, request: http::Request<HttpBody>) -> Result<reqwest::Request, HttpError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| HttpError::InvalidAddress)?;
        if let Err(error) = self.caller.app.reach.check(&url) {
            return Err(denied(&error, HttpError::Denied, &self.log));
        }
        let request = request.map(|body| match body.is_end_stream() {
            true => reqwest::Body::default(),
            false => reqwest::Body::wrap(Shareable(Mutex::new(body))),
        });
        request.try_into().map_err(|_| HttpError::InvalidAddress)
    }
}

impl Outbound for AppOutbound {
    fn send(
        &mut self,
        request: http::Request<HttpBody>,
        options: OutboundOptions,
    ) -> OutboundFuture {
        self.begin(request, options)
            .unwrap_or_else(|error| Box::pin(std::future::ready(Err(error))))
    }
}

/// When an answer has to have begun. The connection has its time of it, too: it is not told apart.
fn head_deadline(caller: &Caller, options: OutboundOptions) -> Timestamp {
    let most = MAX_NESTED_WAIT;
    let connect = options.connect.unwrap_or(most);
    let asked = connect.saturating_add(options.first_byte.unwrap_or(most));
    caller
        .nested_deadline()
        .min(clock::now().plus(asked.min(most)))
}

/// The guest is told a code only; what to do about it is in the log.
fn denied(error: &EddyError, code: HttpError, log: &Log) -> HttpError {
    let hint = error.hint.as_deref().unwrap_or_default();
    log(
        LogLevel::Warn,
        &format!("{}: {}. {hint}", error.code, error.detail),
    );
    code
}

fn failed(error: &reqwest::Error, log: &Log) -> HttpError {
    match fetch::refused(error) {
        Some(refused) => denied(&refused, HttpError::AddressDenied, log),
        None => reason(error),
    }
}

fn reason(error: &reqwest::Error) -> HttpError {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    let kind = causes.find_map(|cause| {
        if cause.is::<rustls::Error>() {
            return Some(HttpError::Tls);
        }
        match cause.downcast_ref::<io::Error>()?.kind() {
            io::ErrorKind::ConnectionRefused => Some(HttpError::Refused),
            io::ErrorKind::InvalidData => Some(HttpError::Tls),
            _ => None,
        }
    });
    match kind {
        Some(kind) => kind,
        None if error.is_connect() => HttpError::UnknownHost,
        None if error.is_body() || error.is_decode() => HttpError::Closed,
        None if error.is_request() => HttpError::Closed,
        None => HttpError::Protocol,
    }
}

/// A body that several threads could hold: the client asks for it, though only one ever polls it.
struct Shareable(Mutex<HttpBody>);

impl Body for Shareable {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        Pin::new(self.get_mut().0.get_mut()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().size_hint()
    }
}
