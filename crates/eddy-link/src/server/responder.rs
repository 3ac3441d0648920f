//! The handle by which a handler answers one request.

use super::role::OnCancel;
use super::{Answer, Connection, Room};
use crate::request::{InvocationId, Reply};
use eddy_types::EddyError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

/// Answers one request, once, from any thread. Dropped without an answer, it answers `internal`.
pub struct Responder {
    connection: Option<Arc<dyn Connection>>,
    stream: u64,
    invocation: Option<InvocationId>,
    /// What the request's body takes up.
    room: Option<Room>,
}

impl Responder {
    pub(super) fn new(connection: Arc<dyn Connection>, stream: u64, room: Option<Room>) -> Self {
        Self {
            connection: Some(connection),
            stream,
            invocation: None,
            room,
        }
    }

    /// The invocation that works on the request: goes out with a result and with an error.
    pub fn set_invocation(&mut self, invocation: InvocationId) {
        self.invocation = Some(invocation);
    }

    /// Answers. Does not block; the answer is dropped when nobody waits for it any more. A result
    /// that is too large becomes `payload-too-large`.
    pub fn finish(mut self, result: Result<Reply, EddyError>) {
        let (invocation, result) = match result {
            Ok(reply) => (reply.invocation, Ok(reply.body)),
            Err(error) => (None, Err(error)),
        };
        self.send(Answer::new(invocation.or(self.invocation), result));
    }

    /// Answers that nothing was begun, and why: the client may send the request again as it is, and
    /// does so by itself when the error is one that passes (`overloaded`, `shutting-down`).
    pub fn refuse(mut self, error: &EddyError) {
        self.send(Answer::refusal(error));
    }

    /// Whether nobody waits for the answer any more.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_none_or(|connection| connection.is_cancelled(self.stream))
    }

    /// Has `call` called when nobody waits for the answer any more, because the client cancelled
    /// or its connection ended; at once when that is so already. It must not block, and is never
    /// called after the answer was given.
    pub fn on_cancel(&self, call: impl FnOnce() + Send + 'static) {
        self.awaited().on_cancel(call);
    }

    /// Tells of the end of the wait even when the responder itself was given to somebody else.
    #[must_use]
    pub fn awaited(&self) -> Awaited {
        Awaited {
            connection: self.connection.clone(),
            stream: self.stream,
        }
    }

    /// Waits until nobody waits for the answer any more. Does not borrow the responder; never ends
    /// once the answer was given.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.on_cancel(move || {
            let _ = sender.send(());
        });
        async move {
            if receiver.await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn send(&mut self, answer: Answer) {
        if let Some(connection) = self.connection.take() {
            // Before the answer, so that who reads it finds the room free.
            self.room = None;
            connection.finish(self.stream, answer);
        }
    }
}

/// Whether an answer is still awaited. See [`Responder::awaited`].
pub struct Awaited {
    connection: Option<Arc<dyn Connection>>,
    stream: u64,
}

impl Awaited {
    /// Whether there is no answer yet and somebody waits for it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| !connection.is_cancelled(self.stream))
    }

    /// As [`Responder::on_cancel`]; `call` is called, too, when the answer was given already.
    pub fn on_cancel(&self, call: impl FnOnce() + Send + 'static) {
        let call: OnCancel = Box::new(call);
        let late = match &self.connection {
            Some(connection) => connection.on_cancel(self.stream, call),
            None => Some(call),
        };
        if let Some(call) = late {
            call();
        }
    }
}

impl fmt::Debug for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Awaited")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if self.connection.is_some() {
            let detail = "the request was dropped without an answer";
            let error = EddyError::internal(detail);
            self.send(Answer::new(self.invocation, Err(error)));
        }
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
