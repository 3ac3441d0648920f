//! What a client does with what the server sends: answers find those who wait for them.

use super::permits::Permits;
use crate::driver::head;
use crate::flow::owned;
use crate::frame::{Frame, Kind, flags, violation};
use crate::message::ResponseHead;
use crate::request::{Failure, Fate, MAX_RESPONSE_BYTES, Reply, outcome};
use crate::shared::{Role, Shared, State, lost};
use bytes::Bytes;
use eddy_types::{EddyError, ErrorCode};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// When a request is given up, and how long that was from its beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// None when it is further away than the clock goes.
    pub(super) fn after(timeout: Duration) -> Option<Self> {
        let at = Instant::now().checked_add(timeout)?;
        Some(Self { at, timeout })
    }

    pub(super) fn exceeded(self) -> EddyError {
        let detail = format!("no answer came within {:?}", self.timeout);
        EddyError::new(ErrorCode::DeadlineExceeded, detail).hint(
            "The request may still have taken effect. With an idempotency key a repeat is safe.",
        )
    }
}

pub(super) fn not_started(state: &State<ClientRole>) -> Failure {
    let error = match (&state.ended, &state.role.refused) {
        (Some(error), _) | (None, Some(error)) => error.clone(),
        (None, None) => lost("it is closing"),
    };
    Failure::new(error, Fate::NotStarted)
}

/// Where an answer is awaited.
pub(super) enum Slot {
    Waiting(Waiting),
    Done(Box<Result<Reply, Failure>>),
}

/// Who waits for an answer.
pub(super) struct Waiting {
    /// Where the request begins in the bytes sent.
    pub(super) position: u64,
    pub(super) deadline: Option<Deadline>,
    pub(super) waker: Waker,
}

pub(crate) struct ClientRole {
    pub(super) slots: FxHashMap<u64, Slot>,
    pub(super) next: u64,
    permits: Arc<Permits>,
    /// The other side takes no new streams, and why.
    pub(super) refused: Option<EddyError>,
    /// Closed once the other side said who it is, or will not.
    pub(super) greeting: Arc<Semaphore>,
    /// When the driver looks for requests that are too late: one timer for all of them, because
    /// setting one for each costs more than the rest of the request.
    pub(super) alarm: Option<Instant>,
}

impl ClientRole {
    pub(super) fn new(permits: Arc<Permits>) -> Self {
        Self {
            slots: FxHashMap::default(),
            next: 1,
            permits,
            refused: None,
            greeting: Arc::new(Semaphore::new(0)),
            alarm: None,
        }
    }

    /// The answer to a stream is there, if anybody waits for it.
    fn complete(&mut self, stream: u64, result: Result<Reply, Failure>, events: &mut Vec<Waker>) {
        if let Some(slot) = self.slots.get_mut(&stream)
            && let Slot::Waiting(_) = slot
        {
            let slot = std::mem::replace(slot, Slot::Done(Box::new(result)));
            if let Slot::Waiting(waiting) = slot {
                events.push(waiting.waker);
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

    fn greeted(
        state: &mut State<Self>,
        _: Option<&str>,
        _: &mut Vec<Waker>,
    ) -> Result<(), EddyError> {
        let most = state.hello.as_ref().map_or(0, |hello| hello.max_streams);
        if most > 0 {
            state.role.permits.set(most as usize);
        }
        state.role.greeting.close();
        Ok(())
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
            let Some(Slot::Waiting(waiting)) = state.role.slots.get(&stream) else {
                continue;
            };
            let fate = if state.out.is_unsent(stream, waiting.position) {
                Fate::NotStarted
            } else {
                Fate::Unknown
            };
            let failure = Failure::new(error.clone(), fate);
            state.role.complete(stream, Err(failure), events);
        }
        state.role.permits.close();
        state.role.greeting.close();
    }

    fn alarm(&self) -> Option<Instant> {
        self.alarm
    }

    fn expire(state: &mut State<Self>, now: Instant, events: &mut Vec<Waker>) {
        let (mut late, mut next): (Vec<_>, Option<Instant>) = (Vec::new(), None);
        for (stream, slot) in &state.role.slots {
            match slot {
                Slot::Waiting(waiting) => match waiting.deadline {
                    Some(deadline) if deadline.at <= now => late.push((*stream, deadline)),
                    Some(deadline) => {
                        next = Some(next.map_or(deadline.at, |at| at.min(deadline.at)))
                    }
                    None => {}
                },
                Slot::Done(_) => {}
            }
        }
        state.role.alarm = next;
        for (stream, deadline) in late {
            give_up(state, stream);
            let failure = Failure::new(deadline.exceeded(), Fate::Unknown);
            state.role.complete(stream, Err(failure), events);
        }
    }

    fn awaits_one(&self) -> bool {
        let waits = |slot: &Slot| matches!(slot, Slot::Waiting(..));
        self.slots.len() == 1 && self.slots.values().all(waits)
    }

    fn may_begin(_: &State<Self>, _: u64) -> bool {
        // Requests begin with their stream.
        false
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
    if !matches!(state.role.slots.get(&stream), Some(Slot::Waiting(_))) {
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

/// Tells the server that nobody waits for an answer, and forgets what there is of both sides.
pub(super) fn give_up(state: &mut State<ClientRole>, stream: u64) {
    state.receiving.remove(stream);
    state.out.forget(stream);
    state.out.frame(Kind::Cancel, stream, &());
    state.send_credit();
}
