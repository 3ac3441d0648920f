//! What a server does with what the client sends: whole requests go to the handler.

use super::{Handler, Responder};
use crate::driver::head;
use crate::flow::owned;
use crate::frame::{Frame, Kind, flags, violation};
use crate::message::{RequestHead, ResponseHead};
use crate::request::{InvocationId, Request, error_body};
use crate::settings::Config;
use crate::shared::{Role, Shared, State};
use bytes::Bytes;
use eddy_types::limits::MAX_PAYLOAD_BYTES;
use eddy_types::{EddyError, ErrorCode};
use rustc_hash::FxHashMap;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Called when nobody waits for the answer any more.
pub(super) type OnCancel = Box<dyn FnOnce() + Send>;

pub(crate) struct ServerRole<H> {
    handler: PhantomData<fn(H)>,
    /// Requests whose answer is awaited.
    pub(super) streams: FxHashMap<u64, Vec<OnCancel>>,
    /// Responders that exist: a cancelled request counts until its handler let go of it.
    pub(super) live: usize,
    last: u64,
    max: usize,
    max_buffered: usize,
}

/// What the driver does without the lock.
pub(crate) enum Event {
    Handle(u64, Box<Request>),
    Cancelled(Vec<OnCancel>),
}

impl<H> ServerRole<H> {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            handler: PhantomData,
            streams: FxHashMap::default(),
            live: 0,
            last: 0,
            max: config.announced().max_streams as usize,
            max_buffered: config.max_buffered,
        }
    }
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

    fn alarm(&self) -> Option<Instant> {
        None
    }

    fn expire(_: &mut State<Self>, _: Instant, _: &mut Vec<Event>) {}

    fn awaits_one(&self) -> bool {
        self.live == 0
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
                let responder = Responder::new(shared.clone(), stream);
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

pub(super) fn respond<H: Handler>(
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

pub(super) fn too_large(what: &str, size: usize) -> EddyError {
    let detail = format!("the {what} has {size} bytes; the limit is {MAX_PAYLOAD_BYTES}");
    EddyError::new(ErrorCode::PayloadTooLarge, detail)
}
