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
use http::{HeaderName, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use reqwest::Url;
use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Semaphore;

type Log = Arc<dyn Fn(LogLevel, &str) + Send + Sync>;

/// What a guest may not say of the node's connection, beside what `wasi:http` forbids: an answer has these, too.
const OF_THE_CONNECTION: [HeaderName; 3] = [header::EXPECT, header::TE, header::TRAILER];

/// For connecting, when a guest limits only the time to the first byte.
const CONNECT_TIME: Duration = Duration::from_secs(5);

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
        let place = self.caller.app.account.places.request();
        let place = place.map_err(|error| denied(&error, HttpError::TooMany, &self.log))?;
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
                    let _held = (&slot, &place, &noted);
                    frame
                })
                .boxed_unsync()
            }))
        }))
    }

    fn checked(&self, mut request: http::Request<HttpBody>) -> Result<reqwest::Request, HttpError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| HttpError::InvalidAddress)?;
        if let Err(error) = self.caller.app.reach.check(&url) {
            return Err(denied(&error, HttpError::Denied, &self.log));
        }
        for name in OF_THE_CONNECTION {
            request.headers_mut().remove(name);
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
    caller
        .nested_deadline()
        .min(clock::now().plus(wait(options)))
}

/// The time for the connection and the first byte together.
fn wait(options: OutboundOptions) -> Duration {
    let asked = match (options.connect, options.first_byte) {
        (connect, Some(first_byte)) => connect.unwrap_or(CONNECT_TIME).saturating_add(first_byte),
        (_, None) => MAX_NESTED_WAIT,
    };
    asked.min(MAX_NESTED_WAIT)
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
    // An error that another one was made of is not that one's source.
    let mut causes = std::iter::successors(error.source(), |&cause| {
        let made_of = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        made_of.map_or_else(|| cause.source(), |inner| Some(inner))
    });
    let kind = causes.find_map(|cause| {
        if cause.is::<rustls::Error>() {
            return Some(HttpError::Tls);
        }
        match cause.downcast_ref::<io::Error>()?.kind() {
            io::ErrorKind::ConnectionRefused => Some(HttpError::Refused),
            io::ErrorKind::InvalidData => Some(HttpError::Tls),
            io::ErrorKind::TimedOut if error.is_connect() => Some(HttpError::ConnectTimeout),
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::AddrNotAvailable => Some(HttpError::Unreachable),
            // A name that is not found has a kind of its own.
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Some(HttpError::Closed),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_has_a_time_by_itself() {
        let seconds = |connect: Option<u64>, first_byte: Option<u64>| {
            let options = OutboundOptions {
                connect: connect.map(Duration::from_secs),
                first_byte: first_byte.map(Duration::from_secs),
                between_bytes: None,
            };
            wait(options).as_secs()
        };
        assert_eq!(seconds(None, None), 60);
        assert_eq!(seconds(Some(2), None), 60);
        assert_eq!(seconds(Some(2), Some(3)), 5);
        assert_eq!(seconds(None, Some(3)), 8);
        assert_eq!(seconds(None, Some(3600)), 60);
    }
}
