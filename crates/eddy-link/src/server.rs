//! The side that answers: takes requests off a connection, hands them to a handler, and writes
//! what comes of them.

use crate::driver::{Driver, head};
use crate::flow::owned;
use crate::frame::{Frame, Kind, flags, violation};
use crate::message::{RequestHead, ResponseHead};
use crate::request::{InvocationId, MAX_RESPONSE_BYTES, Reply, Request, error_body};
use crate::settings::Config;
use crate::shared::{Role, Shared, State};
use crate::transport::Transport;
use bytes::Bytes;
use eddy_types::limits::MAX_PAYLOAD_BYTES;
use eddy_types::{EddyError, ErrorCode};
use parking_lot::MutexGuard;
use rustc_hash::FxHashMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Called once for each whole request, from the task that reads the connection: it must not
    /// block. It finishes `responder` at once, or keeps it and finishes it later from anywhere.
    /// A panic is answered with `internal`.
    fn handle(&self, request: Request, responder: Responder);

    /// Called around the whole requests that came with one read: `run` handles them, one after the
    /// other. What is answered within goes out together, after this returns.
    fn batch(&self, requests: usize, run: &mut dyn FnMut()) {
        let _ = requests;
        run();
    }
}

/// With so many requests open, an answer rarely comes alone: the driver gathers them.
const CROWD: usize = 4;

/// Serves one connection: the future is to be spawned, and ends with the connection. `Ok` when
/// either side stopped in an orderly way. Dropping it closes the connection.
///
/// The preface must not have been read yet (looking at it with `peek` is right).
pub fn serve<H: Handler>(
    transport: impl Into<Transport>,
    handler: Arc<H>,
    config: &Config,
) -> (Serving, Drain) {
    let role = ServerRole {
        handler: PhantomData,
        streams: FxHashMap::default(),
        live: 0,
        last: 0,
        max: config.announced().max_streams as usize,
        max_buffered: config.max_buffered,
    };
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

/// Called when nobody waits for the answer any more.
type OnCancel = Box<dyn FnOnce() + Send>;

pub(crate) struct ServerRole<H> {
    handler: PhantomData<fn(H)>,
    /// Requests whose answer is awaited.
    streams: FxHashMap<u64, Vec<OnCancel>>,
    /// Responders that exist: a cancelled request counts until its handler let go of it.
    live: usize,
    last: u64,
    max: usize,
    max_buffered: usize,
}

/// What the driver does without the lock.
pub(crate) enum Event {
    Handle(u64, Box<Request>),
    Cancelled(Vec<OnCancel>),
}

impl<H: Handler> Role for ServerRole<H> {
    type Head = RequestHead;
    type Event = Event;
    type Outside = Arc<H>;
    const AWAITS_PREFACE: bool = true;
    const GATHERS: bool = false;

    fn frame(
        state: &mut State<Self>,
        kind: Kind,
        frame: Frame,
        events: &mut Vec<Event>,
    ) -> Result<(), EddyError> {
        let stream = frame.stream;
        match kind {
            Kind::Request => opened(state, frame, events),
            Kind::Data => {
                let end = frame.has(flags::END);
                if let Some(whole) = state.receiving.more(stream, &frame.body, end)? {
                    accept(state, stream, whole, events);
                }
                Ok(())
            }
            Kind::Cancel => {
                state.receiving.remove(stream);
                state.out.forget(stream);
                if let Some(calls) = state.role.streams.remove(&stream) {
                    events.push(Event::Cancelled(calls));
                }
                Ok(())
            }
            _ => Err(violation("a client sends no RESPONSE")),
        }
    }

    fn greeted(_: &mut State<Self>, _: &mut Vec<Event>) {}

    fn goaway(state: &mut State<Self>, _: u64, _: EddyError, _: &mut Vec<Event>) {
        // The client opens no more streams; it gets its answers.
        state.draining = true;
    }

    fn stalled(state: &mut State<Self>, stream: u64, _: &mut Vec<Event>) {
        state.receiving.remove(stream);
        let detail = "the rest of the argument did not come in time";
        let error = EddyError::new(ErrorCode::InvalidArgument, detail);
        refuse(state, stream, &error.hint("Send arguments without pauses."));
    }

    fn ended(state: &mut State<Self>, _: &EddyError, events: &mut Vec<Event>) {
        let calls = state.role.streams.drain().flat_map(|(_, calls)| calls);
        events.push(Event::Cancelled(calls.collect()));
    }

    fn is_idle(&self) -> bool {
        self.live == 0
    }

    fn last_stream(&self) -> u64 {
        self.last
    }

    fn act_all(shared: &Arc<Shared<Self>>, events: &mut Vec<Event>) {
        let handled = |event: &&Event| matches!(event, Event::Handle(..));
        let requests = events.iter().filter(handled).count();
        let mut run = || events.drain(..).for_each(|event| Self::act(shared, event));
        match requests {
            0 => run(),
            _ => shared.outside.batch(requests, &mut run),
        }
    }

    fn act(shared: &Arc<Shared<Self>>, event: Event) {
        match event {
            Event::Handle(stream, request) => {
                let responder = Responder {
                    connection: Some(shared.clone()),
                    stream,
                    invocation: None,
                };
                let handler = &shared.outside;
                // The responder answers for a handler that panics, when it is dropped.
                let _ = catch_unwind(AssertUnwindSafe(|| handler.handle(*request, responder)));
            }
            Event::Cancelled(calls) => calls.into_iter().for_each(|call| call()),
        }
    }
}

/// A REQUEST came.
fn opened<H: Handler>(
    state: &mut State<ServerRole<H>>,
    frame: Frame,
    events: &mut Vec<Event>,
) -> Result<(), EddyError> {
    let stream = frame.stream;
    let request: RequestHead = head(&frame)?;
    if state.draining {
        // The GOAWAY said that this one was not started.
        return Ok(());
    }
    if stream <= state.role.last {
        let last = state.role.last;
        return Err(violation(format!(
            "stream {stream} was opened after {last}"
        )));
    }
    state.role.last = stream;
    if let Some(error) = no_room(state) {
        refuse(state, stream, &error);
        return Ok(());
    }
    if frame.has(flags::END) {
        state.receiving.whole(frame.body.len())?;
        accept(state, stream, (request, owned(frame.body)), events);
        return Ok(());
    }
    let total = usize::try_from(request.body_bytes).unwrap_or(usize::MAX);
    if total > MAX_PAYLOAD_BYTES {
        refuse(state, stream, &too_large("argument", total));
        return Ok(());
    }
    state.receiving.begin(stream, request, &frame.body, total)
}

/// A whole request came.
fn accept<H: Handler>(
    state: &mut State<ServerRole<H>>,
    stream: u64,
    (head, body): (RequestHead, Bytes),
    events: &mut Vec<Event>,
) {
    match Request::from_wire(head, body) {
        Ok(request) => {
            state.role.streams.insert(stream, Vec::new());
            state.role.live += 1;
            events.push(Event::Handle(stream, Box::new(request)));
        }
        Err(error) => refuse(state, stream, &error),
    }
}

/// Why no further request is taken now.
fn no_room<H: Handler>(state: &State<ServerRole<H>>) -> Option<EddyError> {
    let (role, open) = (&state.role, state.role.live + state.receiving.len());
    let detail = if open >= role.max {
        format!("the connection has {open} requests open already")
    } else if state.out.buffered() > role.max_buffered {
        "the client does not read the answers it has".to_owned()
    } else {
        return None;
    };
    Some(
        EddyError::new(ErrorCode::Overloaded, detail)
            .hint("Try again shortly, or use more connections.")
            .retry_after(Duration::from_millis(100)),
    )
}

/// Answers a request that never reached the handler.
fn refuse<H: Handler>(state: &mut State<ServerRole<H>>, stream: u64, error: &EddyError) {
    let flag = flags::ERROR | flags::NOT_STARTED;
    respond(state, stream, flag, None, error_body(error));
}

fn respond<H: Handler>(
    state: &mut State<ServerRole<H>>,
    stream: u64,
    flag: u8,
    invocation: Option<InvocationId>,
    body: Bytes,
) {
    let invocation = invocation.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(&id));
    state
        .out
        .message(Kind::Response, flag, stream, body, |body_bytes| {
            ResponseHead {
                invocation,
                body_bytes,
            }
        });
}

fn too_large(what: &str, size: usize) -> EddyError {
    let detail = format!("the {what} has {size} bytes; the limit is {MAX_PAYLOAD_BYTES}");
    EddyError::new(ErrorCode::PayloadTooLarge, detail)
}

/// What a [`Responder`] and a [`Drain`] need of their connection, whatever its handler.
trait Connection: Send + Sync {
    fn finish(
        &self,
        stream: u64,
        invocation: Option<InvocationId>,
        result: Result<Bytes, EddyError>,
    );
    fn on_cancel(&self, stream: u64, call: OnCancel) -> Option<OnCancel>;
    fn is_cancelled(&self, stream: u64) -> bool;
    fn drain(&self);
    fn closed(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<H: Handler> Connection for Shared<ServerRole<H>> {
    fn finish(
        &self,
        stream: u64,
        invocation: Option<InvocationId>,
        result: Result<Bytes, EddyError>,
    ) {
        let (flag, body) = match result {
            Ok(body) if body.len() <= MAX_RESPONSE_BYTES => (0, body),
            Ok(body) => (flags::ERROR, error_body(&too_large("result", body.len()))),
            Err(error) => (flags::ERROR, error_body(&error)),
        };
        let mut state: MutexGuard<'_, State<ServerRole<H>>> = self.state.lock();
        state.role.live -= 1;
        if state.role.streams.remove(&stream).is_some() {
            respond(&mut state, stream, flag, invocation, body);
        }
        if state.role.live >= CROWD {
            return self.flush_soon(state);
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

/// Answers one request, once, from any thread. Dropped without an answer, it answers `internal`.
pub struct Responder {
    connection: Option<Arc<dyn Connection>>,
    stream: u64,
    invocation: Option<InvocationId>,
}

impl Responder {
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
        self.send(invocation, result);
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
        let call: OnCancel = Box::new(call);
        let late = match &self.connection {
            Some(connection) => connection.on_cancel(self.stream, call),
            None => Some(call),
        };
        if let Some(call) = late {
            call();
        }
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

    fn send(&mut self, invocation: Option<InvocationId>, result: Result<Bytes, EddyError>) {
        if let Some(connection) = self.connection.take() {
            connection.finish(self.stream, invocation.or(self.invocation), result);
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

    /// As [`Responder::on_cancel`]; `call` is also called when the answer was given already.
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
            self.send(None, Err(EddyError::internal(detail)));
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
