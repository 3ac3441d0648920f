//! The side that asks: many callers on one connection. What comes back is read in `role`, one
//! request from its sending to its answer is in `exchange`.

mod exchange;
mod permits;
mod role;

use crate::driver::Driver;
use crate::message::RequestHead;
use crate::request::{Failure, Fate, Reply, Request};
use crate::settings::Config;
use crate::shared::{Shared, lost};
use crate::transport::Transport;
use eddy_types::limits::MAX_PAYLOAD_BYTES;
use eddy_types::{EddyError, ErrorCode};
use exchange::Exchange;
use permits::{Permit, Permits};
use role::{ClientRole, Deadline, not_started};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Semaphore, TryAcquireError};
use tokio::time::Instant;

/// Asks over one connection. Cheap to clone; the connection ends, after its last answer, when the
/// last clone is dropped.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    shared: Arc<Shared<ClientRole>>,
    /// Requests that may be opened.
    permits: Arc<Permits>,
    /// Closed once the other side said who it is, or will not.
    greeting: Arc<Semaphore>,
}

/// Opens a link over `transport`. The future keeps it going and is to be spawned; it ends with
/// the connection. Requests need not wait for anything.
pub fn open(transport: impl Into<Transport>, config: &Config) -> (Link, Linking) {
    let permits = Arc::new(Permits::new());
    let role = ClientRole::new(permits.clone());
    let greeting = role.greeting.clone();
    let driver = Driver::new(transport.into(), role, (), config.clone());
    let shared = driver.shared().clone();
    let link = Link(Arc::new(Inner {
        shared,
        permits,
        greeting,
    }));
    (link, Linking(Box::pin(driver)))
}

/// A link being kept going. See [`open`].
#[must_use = "a connection does nothing unless its future runs"]
pub struct Linking(Pin<Box<dyn Future<Output = Result<(), EddyError>> + Send>>);

impl Future for Linking {
    type Output = Result<(), EddyError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Linking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Linking")
    }
}

impl Link {
    /// Sends a request and waits for its answer, at most for its time-out and patience. Waits before that when
    /// too many requests are open. Dropping the future cancels the request.
    ///
    /// # Errors
    /// What the node answers; `connection-lost`, `deadline-exceeded`, `payload-too-large`. The
    /// [`Fate`] says whether the request may have taken effect.
    pub async fn request(&self, mut request: Request) -> Result<Reply, Failure> {
        check(&request)?;
        let longest = |timeout: Duration| timeout.saturating_add(request.patience);
        let deadline = request.timeout.map(longest).and_then(Deadline::after);
        let permit = match self.0.permits.try_acquire() {
            Ok(permit) => permit,
            Err(TryAcquireError::NoPermits) => self.turn(&mut request).await?,
            Err(TryAcquireError::Closed) => return Err(self.gone()),
        };
        let exchange = Exchange::new(&self.0.shared, request, deadline);
        let result = exchange.await;
        drop(permit);
        result
    }

    /// Waits until one of the open requests has ended. The request has less time then.
    async fn turn(&self, request: &mut Request) -> Result<Permit<'_>, Failure> {
        let turn = self.0.permits.acquire();
        let turn = match request.timeout.and_then(Deadline::after) {
            None => turn.await,
            Some(deadline) => {
                let turn = tokio::time::timeout_at(deadline.at, turn).await;
                let left = deadline.at.saturating_duration_since(Instant::now());
                request.timeout = Some(left);
                match turn {
                    Ok(turn) if !left.is_zero() => turn,
                    _ => return Err(Failure::new(deadline.exceeded(), Fate::NotStarted)),
                }
            }
        };
        turn.map_err(|_| self.gone())
    }

    /// Waits until the other side has said who it is; the name of its program.
    ///
    /// # Errors
    /// Why the connection ended: `unsupported-version`, `connection-lost`.
    pub async fn greeted(&self) -> Result<String, EddyError> {
        // Nothing is ever added: it ends when the semaphore is closed.
        let _ = self.0.greeting.acquire().await;
        let state = self.0.shared.state.lock();
        match (&state.hello, &state.ended) {
            (Some(hello), _) => Ok(hello.software.clone()),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Err(lost("it is closing")),
        }
    }

    /// Whether new requests can go out on this link; once false, it stays so.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let state = self.0.shared.state.lock();
        state.ended.is_none() && state.role.refused.is_none()
    }

    fn gone(&self) -> Failure {
        let state = self.0.shared.state.lock();
        not_started(&state)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("is_open", &self.is_open())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.state.lock().draining = true;
        self.shared.driver.wake();
    }
}

/// Refuses what cannot be sent.
fn check(request: &Request) -> Result<(), Failure> {
    let size = request.body.len();
    if size <= MAX_PAYLOAD_BYTES {
        return Ok(());
    }
    let detail = format!("the argument has {size} bytes; the limit is {MAX_PAYLOAD_BYTES}");
    let error = EddyError::new(ErrorCode::PayloadTooLarge, detail);
    Err(Failure::new(error, Fate::NotStarted))
}

/// The head must fit, whatever the names in it.
fn check_head(head: &RequestHead) -> Result<(), Failure> {
    let size = prost::Message::encoded_len(head);
    // Leaves room for the length of the body.
    if size + 16 <= crate::frame::MAX_HEAD_BYTES {
        return Ok(());
    }
    let detail = format!("the names and options of the request have {size} bytes in all");
    let error = EddyError::new(ErrorCode::InvalidArgument, detail);
    Err(Failure::new(error, Fate::NotStarted))
}
