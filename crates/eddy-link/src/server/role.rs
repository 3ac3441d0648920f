//! What a server does with what the client sends: whole requests go to the handler.

use super::{Answer, Handler, Responder, Room};
use crate::driver::head;
use crate::flow::owned;
use crate::frame::{Frame, Kind, flags, violation};
use crate::message::{RequestHead, ResponseHead};
use crate::request::Request;
use crate::settings::{Config, Settings};
use crate::shared::{Role, Shared, State};
use bytes::Bytes;
use eddy_types::limits::MAX_PAYLOAD_BYTES;
use eddy_types::{EddyError, ErrorCode};
use rustc_hash::FxHashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A body smaller than this, in one frame, needs no room: requests that are handled bound them.
const SMALL: usize = 16 << 10;

/// Called when nobody waits for the answer any more.
pub(super) type OnCancel = Box<dyn FnOnce() + Send>;

pub(crate) struct ServerRole<H> {
    handler: Arc<H>,
    /// Requests whose answer is awaited.
    pub(super) streams: FxHashMap<u64, Vec<OnCancel>>,
    /// Responders that exist: a cancelled request counts until its handler let go of it.
    pub(super) live: usize,
    last: u64,
    max: usize,
    /// Messages that may wait for credit.
    max_waiting: usize,
    max_buffered: usize,
}

/// A request whose body is not read yet, or not all of it.
pub(crate) struct Opened {
    head: RequestHead,
    /// When it began, if it did not come in one frame.
    arrived: Option<Instant>,
    room: Option<Room>,
}

/// What the driver does without the lock.
pub(crate) enum Event {
    Handle(u64, Box<Request>, Option<Room>),
    Cancelled(Vec<OnCancel>),
}

impl<H> ServerRole<H> {
    pub(super) fn new(config: &Config, handler: Arc<H>) -> Self {
        let max = config.announced().max_streams;
        // Before it read the HELLO, a client may have opened as many as the floor has.
        let most = max.max(Settings::FLOOR.max_streams) as usize;
        Self {
            handler,
            streams: FxHashMap::default(),
            live: 0,
            last: 0,
            max: max as usize,
            max_waiting: most.saturating_mul(2),
            max_buffered: config.max_buffered,
        }
    }
}

impl<H: Handler> Role for ServerRole<H> {
    type Head = Opened;
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
            Kind::Request => {
                opened(state, frame, events)?;
                let waiting = state.out.waiting();
                if waiting <= state.role.max_waiting {
                    return Ok(());
                }
                Err(violation(format!(
                    "{waiting} answers wait for credit, and the client asks for more"
                )))
            }
            Kind::Data => {
                let end = frame.has(flags::END);
                if let Some((opened, body)) = state.receiving.more(stream, &frame.body, end)? {
                    accept(state, stream, opened, body, events);
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

    fn greeted(
        state: &mut State<Self>,
        token: Option<&str>,
        _: &mut Vec<Event>,
    ) -> Result<(), EddyError> {
        state.role.handler.greet(token)
    }

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

    fn may_begin(state: &State<Self>, stream: u64) -> bool {
        state.role.streams.contains_key(&stream) || state.receiving.contains(stream)
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
            Event::Handle(stream, request, room) => {
                let responder = Responder::new(shared.clone(), stream, room);
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
    let head: RequestHead = head(&frame)?;
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
        let total = frame.body.len();
        state.receiving.whole(total)?;
        let room = (total > SMALL).then(|| state.role.handler.reserve(total));
        if matches!(room, Some(None)) {
            refuse(state, stream, &no_room_for_bodies());
            return Ok(());
        }
        let opened = Opened {
            head,
            arrived: None,
            room: room.flatten(),
        };
        accept(state, stream, opened, owned(frame.body), events);
        return Ok(());
    }
    let total = usize::try_from(head.body_bytes).unwrap_or(usize::MAX);
    if total > MAX_PAYLOAD_BYTES {
        refuse(state, stream, &too_large("argument", total));
        return Ok(());
    }
    // Until it is whole nothing else bounds it, however small.
    let Some(room) = state.role.handler.reserve(total + frame.head.len()) else {
        refuse(state, stream, &no_room_for_bodies());
        return Ok(());
    };
    let opened = Opened {
        head,
        arrived: Some(Instant::now()),
        room: Some(room),
    };
    state.receiving.begin(stream, opened, &frame.body, total)
}

/// A whole request came.
fn accept<H: Handler>(
    state: &mut State<ServerRole<H>>,
    stream: u64,
    opened: Opened,
    body: Bytes,
    events: &mut Vec<Event>,
) {
    let room = opened.room.filter(|_| body.len() > SMALL);
    let request = Request::from_wire(opened.head, body);
    match request.and_then(|request| in_time(request, opened.arrived)) {
        Ok(request) => {
            state.role.streams.insert(stream, Vec::new());
            state.role.live += 1;
            events.push(Event::Handle(stream, Box::new(request), room));
        }
        Err(error) => refuse(state, stream, &error),
    }
}

/// Takes the time since it arrived off the time that a request has.
fn in_time(mut request: Request, arrived: Option<Instant>) -> Result<Request, EddyError> {
    if let (Some(timeout), Some(arrived)) = (request.timeout, arrived) {
        let left = timeout.saturating_sub(arrived.elapsed());
        if left.is_zero() {
            let detail = format!("the argument was not all there within {timeout:?}");
            return Err(EddyError::new(ErrorCode::DeadlineExceeded, detail));
        }
        request.timeout = Some(left);
    }
    Ok(request)
}

/// Why no further request is taken now.
fn no_room<H: Handler>(state: &State<ServerRole<H>>) -> Option<EddyError> {
    let role = &state.role;
    // A request is open until the last byte of its answer went out.
    let open = role.live + state.receiving.len() + state.out.waiting();
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

/// The handler has no room for a body.
fn no_room_for_bodies() -> EddyError {
    let detail = "the node holds as many large request bodies as it may";
    EddyError::new(ErrorCode::Overloaded, detail)
        .hint("Try again shortly.")
        .retry_after(Duration::from_secs(1))
}

/// Answers a request that never reached the handler.
fn refuse<H: Handler>(state: &mut State<ServerRole<H>>, stream: u64, error: &EddyError) {
    respond(state, stream, Answer::refusal(error));
}

pub(super) fn respond<H: Handler>(
    state: &mut State<ServerRole<H>>,
    stream: u64,
    Answer {
        flag,
        invocation,
        body,
    }: Answer,
) {
    let invocation = invocation.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(&id));
    let head = |body_bytes| ResponseHead {
        invocation,
        body_bytes,
    };
    let out = &mut state.out;
    out.message(Kind::Response, flag, stream, body, head);
}

pub(super) fn too_large(what: &str, size: usize) -> EddyError {
    let detail = format!("the {what} has {size} bytes; the limit is {MAX_PAYLOAD_BYTES}");
    EddyError::new(ErrorCode::PayloadTooLarge, detail)
}
