//! The side that asks: many callers on one connection.

use crate::driver::{Driver, head};
use crate::flow::owned;
use crate::frame::{Frame, Kind, flags, violation};
use crate::message::{RequestHead, ResponseHead, Window};
use crate::request::{Failure, Fate, MAX_RESPONSE_BYTES, Reply, Request, outcome};
use crate::settings::{Config, Settings};
use crate::shared::{Role, Shared, State, lost};
use crate::transport::Transport;
use bytes::Bytes;
use eddy_types::limits::MAX_PAYLOAD_BYTES;
use eddy_types::{EddyError, ErrorCode};
use rustc_hash::FxHashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Asks over one connection. Cheap to clone; the connection ends, after its last answer, when the
/// last clone is dropped.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    shared: Arc<Shared<ClientRole>>,
    /// Requests that may be opened.
    permits: Arc<Semaphore>,
}

/// Opens a link over `transport`. The future keeps it going and is to be spawned; it ends with
/// the connection. Requests need not wait for anything.
pub fn open(transport: impl Into<Transport>, config: &Config) -> (Link, Linking) {
    let floor = Settings::FLOOR.max_streams as usize;
    let permits = Arc::new(Semaphore::new(floor));
    let role = ClientRole {
        slots: FxHashMap::default(),
        next: 1,
        permits: permits.clone(),
        refused: None,
        greeting: Vec::new(),
    };
    let driver = Driver::new(transport.into(), role, (), config.clone());
    let shared = driver.shared().clone();
    let link = Link(Arc::new(Inner { shared, permits }));
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
    /// Sends a request and waits for its answer, at most for its time-out. Waits before that when
    /// too many requests are open. Dropping the future cancels the request.
    ///
    /// # Errors
    /// What the node answers; `connection-lost`, `deadline-exceeded`, `payload-too-large`. The
    /// [`Fate`] says whether the request may have taken effect.
    pub async fn request(&self, request: Request) -> Result<Reply, Failure> {
        check(&request)?;
        let Some(timeout) = request.timeout else {
            return self.exchange(request).await;
        };
        match tokio::time::timeout(timeout, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(late(timeout), Fate::Unknown)),
        }
    }

    async fn exchange(&self, request: Request) -> Result<Reply, Failure> {
        let permit = match self.0.permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => match self.0.permits.acquire().await {
                Ok(permit) => permit,
                Err(_) => return Err(self.gone()),
            },
        };
        let exchange = Exchange {
            shared: &self.0.shared,
            request: Some(request),
            stream: 0,
        };
        let result = exchange.await;
        drop(permit);
        result
    }

    /// Waits until the other side has said who it is; the name of its program.
    ///
    /// # Errors
    /// Why the connection ended: `unsupported-version`, `connection-lost`.
    pub async fn greeted(&self) -> Result<String, EddyError> {
        std::future::poll_fn(|cx| {
            let mut state = self.0.shared.state.lock();
            if let Some(hello) = &state.hello {
                return Poll::Ready(Ok(hello.software.clone()));
            }
            if let Some(error) = &state.ended {
                return Poll::Ready(Err(error.clone()));
            }
            state.role.greeting.push(cx.waker().clone());
            Poll::Pending
        })
        .await
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

fn late(timeout: Duration) -> EddyError {
    let detail = format!("no answer came within {timeout:?}");
    EddyError::new(ErrorCode::DeadlineExceeded, detail)
        .hint("The request may still have taken effect. With an idempotency key a repeat is safe.")
}

fn not_started(state: &State<ClientRole>) -> Failure {
    let error = match (&state.ended, &state.role.refused) {
        (Some(error), _) | (None, Some(error)) => error.clone(),
        (None, None) => lost("it is closing"),
    };
    Failure::new(error, Fate::NotStarted)
}

/// Where an answer is awaited.
enum Slot {
    /// The position of the request in the bytes sent, and who waits.
    Waiting(u64, Waker),
    Done(Box<Result<Reply, Failure>>),
}

pub(crate) struct ClientRole {
    slots: FxHashMap<u64, Slot>,
    next: u64,
    permits: Arc<Semaphore>,
    /// The other side takes no new streams, and why.
    refused: Option<EddyError>,
    greeting: Vec<Waker>,
}

impl ClientRole {
    /// The answer to a stream is there, if anybody waits for it.
    fn complete(&mut self, stream: u64, result: Result<Reply, Failure>, events: &mut Vec<Waker>) {
        if let Some(slot) = self.slots.get_mut(&stream)
            && let Slot::Waiting(..) = slot
        {
            let slot = std::mem::replace(slot, Slot::Done(Box::new(result)));
            if let Slot::Waiting(_, waker) = slot {
                events.push(waker);
            }
        }
    }
}

impl Role for ClientRole {
    type Head = (ResponseHead, u8);
    type Event = Waker;
    type Outside = ();
    const AWAITS_PREFACE: bool = false;
    const GATHERS: bool = true;

    fn frame(
        state: &mut State<Self>,
        kind: Kind,
        frame: Frame,
        events: &mut Vec<Waker>,
    ) -> Result<(), EddyError> {
        let stream = frame.stream;
        match kind {
            Kind::Response => answered(state, frame, events),
            Kind::Data => {
                let end = frame.has(flags::END);
                if let Some(((head, flag), body)) =
                    state.receiving.more(stream, &frame.body, end)?
                {
                    finish(state, stream, head, body, flag, events)?;
                }
                Ok(())
            }
            _ => Err(violation("a server sends neither REQUEST nor CANCEL")),
        }
    }

    fn greeted(state: &mut State<Self>, events: &mut Vec<Waker>) {
        let floor = Settings::FLOOR.max_streams as usize;
        let most = state.hello.as_ref().map_or(0, |hello| hello.max_streams) as usize;
        if most > floor {
            state.role.permits.add_permits(most.min(1 << 20) - floor);
        } else if most > 0 {
            state.role.permits.forget_permits(floor - most);
        }
        events.append(&mut state.role.greeting);
    }

    fn goaway(state: &mut State<Self>, last: u64, reason: EddyError, events: &mut Vec<Waker>) {
        state.role.refused = Some(reason.clone());
        state.draining = true;
        state.role.permits.close();
        let refused: Vec<u64> = state
            .role
            .slots
            .keys()
            .copied()
            .filter(|id| *id > last)
            .collect();
        for stream in refused {
            state.out.forget(stream);
            let failure = Failure::new(reason.clone(), Fate::NotStarted);
            state.role.complete(stream, Err(failure), events);
        }
        if reason.code != ErrorCode::ShuttingDown {
            state.end(reason, events);
        }
    }

    fn stalled(_: &mut State<Self>, _: u64, _: &mut Vec<Waker>) {
        // Whoever waits has a time-out of his own.
    }

    fn ended(state: &mut State<Self>, error: &EddyError, events: &mut Vec<Waker>) {
        let streams: Vec<u64> = state.role.slots.keys().copied().collect();
        for stream in streams {
            let Some(Slot::Waiting(position, _)) = state.role.slots.get(&stream) else {
                continue;
            };
            let fate = if state.out.is_unsent(stream, *position) {
                Fate::NotStarted
            } else {
                Fate::Unknown
            };
            let failure = Failure::new(error.clone(), fate);
            state.role.complete(stream, Err(failure), events);
        }
        state.role.permits.close();
        events.append(&mut state.role.greeting);
    }

    fn is_idle(&self) -> bool {
        self.slots.is_empty()
    }

    fn last_stream(&self) -> u64 {
        0
    }

    fn act(_: &Arc<Shared<Self>>, waker: Waker) {
        waker.wake();
    }
}

/// A RESPONSE came.
fn answered(
    state: &mut State<ClientRole>,
    frame: Frame,
    events: &mut Vec<Waker>,
) -> Result<(), EddyError> {
    let stream = frame.stream;
    if stream == 0 || stream >= state.role.next {
        return Err(violation(format!(
            "an answer to stream {stream}, which was not opened"
        )));
    }
    let answer: ResponseHead = head(&frame)?;
    if !matches!(state.role.slots.get(&stream), Some(Slot::Waiting(..))) {
        // Cancelled before the answer came.
        return Ok(());
    }
    state.out.forget(stream);
    if frame.has(flags::END) {
        state.receiving.whole(frame.body.len())?;
        return finish(
            state,
            stream,
            answer,
            owned(frame.body),
            frame.flags,
            events,
        );
    }
    let total = usize::try_from(answer.body_bytes).unwrap_or(usize::MAX);
    if total > MAX_RESPONSE_BYTES {
        return Err(violation(format!("an answer of {total} bytes")));
    }
    let head = (answer, frame.flags);
    state.receiving.begin(stream, head, &frame.body, total)
}

fn finish(
    state: &mut State<ClientRole>,
    stream: u64,
    head: ResponseHead,
    body: Bytes,
    flag: u8,
    events: &mut Vec<Waker>,
) -> Result<(), EddyError> {
    let result = outcome(head, body, flag)
        .map_err(|error| violation(format!("an error does not decode: {error}")))?;
    state.role.complete(stream, result, events);
    Ok(())
}

/// One request under way.
struct Exchange<'a> {
    shared: &'a Arc<Shared<ClientRole>>,
    request: Option<Request>,
    /// 0 before it was sent and after it was answered.
    stream: u64,
}

impl Exchange<'_> {
    fn send(&mut self, request: Request, waker: Waker) -> Result<(), Failure> {
        let (mut head, body) = request.into_wire();
        check_head(&head)?;
        let mut state = self.shared.state.lock();
        if state.ended.is_some() || state.role.refused.is_some() {
            return Err(not_started(&state));
        }
        let stream = state.role.next;
        state.role.next += 1;
        self.stream = stream;
        let slot = Slot::Waiting(state.out.position(), waker);
        state.role.slots.insert(stream, slot);
        let head = |body_bytes| {
            head.body_bytes = body_bytes;
            head
        };
        state.out.message(Kind::Request, 0, stream, body, head);
        self.shared.flush(state);
        Ok(())
    }
}

impl Future for Exchange<'_> {
    type Output = Result<Reply, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(request) = self.request.take() {
            return match self.send(request, cx.waker().clone()) {
                Ok(()) => Poll::Pending,
                Err(failure) => Poll::Ready(Err(failure)),
            };
        }
        let stream = self.stream;
        let mut state = self.shared.state.lock();
        if let Some(Slot::Waiting(_, waker)) = state.role.slots.get_mut(&stream) {
            waker.clone_from(cx.waker());
            return Poll::Pending;
        }
        let slot = state.role.slots.remove(&stream);
        let last = state.draining && state.role.is_idle();
        drop(state);
        self.stream = 0;
        if last {
            self.shared.driver.wake();
        }
        Poll::Ready(match slot {
            Some(Slot::Done(result)) => *result,
            _ => Err(Failure::new(lost("the request is gone"), Fate::Unknown)),
        })
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if self.stream == 0 {
            return;
        }
        let stream = self.stream;
        let mut state = self.shared.state.lock();
        let slot = state.role.slots.remove(&stream);
        if matches!(slot, Some(Slot::Waiting(..))) && state.ended.is_none() {
            state.receiving.remove(stream);
            state.out.forget(stream);
            state.out.frame(Kind::Cancel, stream, &());
            let credit = std::mem::take(&mut state.receiving.credit);
            for (stream, credit) in credit {
                state.out.frame(Kind::Window, stream, &Window { credit });
            }
            self.shared.flush(state);
        }
    }
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
