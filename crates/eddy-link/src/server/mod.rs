//! The side that answers: takes requests off a connection (`role`), hands them to a handler, and
//! writes what comes of them (`responder`).

mod responder;
mod role;
mod room;

use crate::driver::Driver;
use crate::frame::flags;
use crate::request::{InvocationId, MAX_RESPONSE_BYTES, Request, error_body};
use crate::settings::{Config, hard_limit};
use crate::shared::{Shared, lost};
use crate::transport::Transport;
use bytes::Bytes;
use eddy_types::{EddyError, ErrorCode};
pub use responder::{Awaited, Responder};
use role::{OnCancel, ServerRole, respond, too_large};
pub use room::Room;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// With so many other requests under way, an answer is not written by who gives it, but by the
/// driver: that takes a moment longer, and gathers answers that are given at the same time.
const CROWD: usize = 4;

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Called once for each whole request, from the task that reads the connection: it must not
    /// block. It finishes `responder` at once, or keeps it and finishes it later from anywhere.
    /// A panic is answered with `internal`.
    fn handle(&self, request: Request, responder: Responder);

    /// Called once, before any request of the connection is handled, with the token that the client
    /// showed. An error refuses the connection: the client is told, and nothing of it has started.
    /// It must not block. Everybody is welcome when this is not said.
    fn greet(&self, token: Option<&str>) -> Result<(), EddyError> {
        let _ = token;
        Ok(())
    }

    /// Sets room aside for the body of one request, until its answer is given or it is clear that
    /// it never begins. Without room the request is refused with `overloaded`, as one that did not
    /// start. Asked for bodies over 16 KiB before they are taken, and with `bytes` of head and body
    /// together for every request that does not come in one frame, until it is whole: so this
    /// bounds what all connections hold of requests that are on their way. It must not block, nor
    /// use a responder. There is room for everything when this is not said.
    fn reserve(&self, bytes: usize) -> Option<Room> {
        let _ = bytes;
        Some(Room::new(()))
    }

    /// Called around the whole requests that came with one read: `run` handles them, one after the
    /// other. What is answered within goes out together, after this returns.
    fn batch(&self, requests: usize, run: &mut dyn FnMut()) {
        let _ = requests;
        run();
    }
}

/// Serves one connection: the future is to be spawned, and ends with the connection. `Ok` when
/// either side stopped in an orderly way. Dropping it closes the connection.
///
/// The preface must not have been read yet (looking at it with `peek` is right).
pub fn serve<H: Handler>(
    transport: impl Into<Transport>,
    handler: Arc<H>,
    config: &Config,
) -> (Serving, Drain) {
    let role = ServerRole::new(config, handler.clone());
    let driver = Driver::new(transport.into(), role, handler, config.clone());
    let drain = Drain {
        shared: driver.shared().clone(),
    };
    (Serving(Box::pin(driver)), drain)
}

/// A connection being served. See [`serve`].
#[must_use = "a connection does nothing unless its future runs"]
pub struct Serving(Pin<Box<dyn Future<Output = Result<(), EddyError>> + Send>>);

impl Future for Serving {
    type Output = Result<(), EddyError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serving")
    }
}

/// Ends a connection in an orderly way. Cheap to clone.
#[derive(Clone)]
pub struct Drain {
    shared: Arc<dyn Connection>,
}

impl Drain {
    /// Tells the client that no new requests are taken. What was accepted is answered, then the
    /// connection ends, and with it its [`Serving`].
    pub fn start(&self) {
        self.shared.clone().drain();
    }

    /// [`Self::start`], and waits until the connection has ended.
    pub async fn finish(&self) {
        self.start();
        self.shared.clone().closed().await;
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Drain")
    }
}

/// An answer as it goes out.
struct Answer {
    flag: u8,
    invocation: Option<InvocationId>,
    body: Bytes,
}

impl Answer {
    fn new(invocation: Option<InvocationId>, result: Result<Bytes, EddyError>) -> Self {
        let (flag, body) = match result {
            Ok(body) if body.len() <= MAX_RESPONSE_BYTES => (0, body),
            Ok(body) => (flags::ERROR, error_body(&too_large("result", body.len()))),
            Err(error) => (flags::ERROR, error_body(&error)),
        };
        Self {
            flag,
            invocation,
            body,
        }
    }

    /// Nothing was begun.
    fn refusal(error: &EddyError) -> Self {
        Self {
            flag: flags::ERROR | flags::NOT_STARTED,
            invocation: None,
            body: error_body(error),
        }
    }
}

/// What a [`Responder`] and a [`Drain`] need of their connection, whatever its handler.
trait Connection: Send + Sync {
    fn finish(&self, stream: u64, answer: Answer);
    fn on_cancel(&self, stream: u64, call: OnCancel) -> Option<OnCancel>;
    fn is_cancelled(&self, stream: u64) -> bool;
    fn drain(&self);
    fn closed(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<H: Handler> Connection for Shared<ServerRole<H>> {
    fn finish(&self, stream: u64, answer: Answer) {
        // What its user gave it is dropped after the lock was released.
        let calls;
        let mut state = self.state.lock();
        state.role.live -= 1;
        calls = state.role.streams.remove(&stream);
        if calls.is_some() && state.broken.is_none() {
            respond(&mut state, stream, answer);
        }
        if state.out.buffered() > hard_limit(&self.config) {
            // It may never send another frame at which this would be noticed.
            state.out.clear();
            state.broken = Some(lost("it does not read the answers it asks for"));
            drop(state);
            self.driver.wake();
            return;
        }
        if state.role.live >= CROWD && !state.corked {
            // Others are likely to answer in this moment too: one write for all of them.
            drop(state);
            self.driver.wake();
            return;
        }
        self.flush(state);
    }

    fn on_cancel(&self, stream: u64, call: OnCancel) -> Option<OnCancel> {
        match self.state.lock().role.streams.get_mut(&stream) {
            Some(calls) => {
                calls.push(call);
                None
            }
            None => Some(call),
        }
    }

    fn is_cancelled(&self, stream: u64) -> bool {
        !self.state.lock().role.streams.contains_key(&stream)
    }

    fn drain(&self) {
        let mut state = self.state.lock();
        let reason = EddyError::new(ErrorCode::ShuttingDown, "the node is stopping")
            .hint("Connect again, to this node or another one.");
        state.drain(&reason);
        self.flush(state);
        self.driver.wake();
    }

    fn closed(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            // Nothing is ever added: it ends when the driver closes it.
            let _ = self.closed.acquire().await;
        })
    }
}
