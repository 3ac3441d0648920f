//! What the driver of a connection and its users share: the state under one lock, and the rule
//! of who writes.
//!
//! Whoever puts bytes into the buffer writes them to a TCP socket himself, outside of the lock.
//! Three cases leave the writing to another: somebody writes already (he looks again afterwards),
//! the socket is full (the driver waits for it), or the driver is at work on a batch of frames
//! (it writes once, at the end). Streams that are no bare TCP are written by the driver only.

use crate::flow::Receiving;
use crate::frame::{Frame, Kind};
use crate::message::{Goaway, Hello, Window};
use crate::out::{Out, goaway};
use crate::settings::{Config, Settings};
use bytes::Buf as _;
use eddy_types::{EddyError, ErrorCode};
use futures::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use std::io::ErrorKind;
use std::sync::Arc;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Writes that one thread does for others before it leaves the rest to the driver.
const ROUNDS: usize = 4;

/// What differs between the two sides of a connection.
pub(crate) trait Role: Send + Sized + 'static {
    /// Head of the messages that this side receives.
    type Head: Send;
    /// What is to be done after the lock was released.
    type Event: Send + Unpin;
    /// What users of this side reach without the lock.
    type Outside: Send + Sync;
    /// The other side sends the preface first.
    const AWAITS_PREFACE: bool;
    /// Who is woken by a batch of frames is likely to send at once: the driver lets them go first
    /// and writes for all.
    const GATHERS: bool;

    /// A frame that belongs to a stream.
    fn frame(
        state: &mut State<Self>,
        kind: Kind,
        frame: Frame,
        events: &mut Vec<Self::Event>,
    ) -> Result<(), EddyError>;
    /// The other side said who it is. An error refuses it.
    fn greeted(
        state: &mut State<Self>,
        token: Option<&str>,
        events: &mut Vec<Self::Event>,
    ) -> Result<(), EddyError>;
    /// The other side takes no new streams.
    fn goaway(state: &mut State<Self>, last: u64, reason: EddyError, events: &mut Vec<Self::Event>);
    /// A message under reassembly makes no progress.
    fn stalled(state: &mut State<Self>, stream: u64, events: &mut Vec<Self::Event>);
    /// The connection ended, because of `error`.
    fn ended(state: &mut State<Self>, error: &EddyError, events: &mut Vec<Self::Event>);
    /// When [`Self::expire`] is to be called.
    fn alarm(&self) -> Option<Instant>;
    /// It is time to look for what is too late. Sets the next alarm.
    fn expire(state: &mut State<Self>, now: Instant, events: &mut Vec<Self::Event>);
    /// Whether a message of this stream may still begin.
    fn may_begin(state: &State<Self>, stream: u64) -> bool;
    /// Nothing is open.
    fn is_idle(&self) -> bool;
    /// What comes next is one message that the other side sends without a pause, as far as this side
    /// can tell: it may be looked for instead of slept for.
    fn awaits_one(&self) -> bool;
    /// The last stream that was accepted.
    fn last_stream(&self) -> u64;
    /// Does what is to be done without the lock.
    fn act(shared: &Arc<Shared<Self>>, event: Self::Event);
    /// Does what one read brought.
    fn act_all(shared: &Arc<Shared<Self>>, events: &mut Vec<Self::Event>) {
        events.drain(..).for_each(|event| Self::act(shared, event));
    }
}

/// The state of one side of a connection.
pub(crate) struct State<R: Role> {
    pub(crate) out: Out,
    pub(crate) receiving: Receiving<R::Head>,
    pub(crate) role: R,
    /// Frames are only gathered; the driver writes at the end of its batch.
    pub(crate) corked: bool,
    /// Somebody writes, without the lock.
    pub(crate) writing: bool,
    /// The socket was full; the driver waits for it.
    pub(crate) blocked: bool,
    /// Writing failed; the driver ends the connection.
    pub(crate) broken: Option<EddyError>,
    /// The driver looks for answers itself instead of sleeping: it is to be woken by who asks.
    pub(crate) eager: bool,
    /// Bytes were written since the last look.
    pub(crate) progress: bool,
    /// The other side's HELLO came.
    pub(crate) hello: Option<Hello>,
    /// No new streams; the connection ends when the last one has.
    pub(crate) draining: bool,
    /// The connection is over, and why.
    pub(crate) ended: Option<EddyError>,
}

/// One side of a connection.
pub(crate) struct Shared<R: Role> {
    pub(crate) state: Mutex<State<R>>,
    /// The socket, when everybody may write to it.
    direct: Option<OwnedWriteHalf>,
    pub(crate) driver: AtomicWaker,
    /// Closed when the driver is gone.
    pub(crate) closed: Semaphore,
    pub(crate) outside: R::Outside,
    pub(crate) settings: Settings,
    pub(crate) config: Config,
}

impl<R: Role> Shared<R> {
    pub(crate) fn new(
        role: R,
        outside: R::Outside,
        direct: Option<OwnedWriteHalf>,
        config: Config,
    ) -> Arc<Self> {
        let settings = config.announced();
        let receiving = Receiving::new(
            settings.connection_window,
            settings.stream_window,
            config.max_reassembly,
        );
        let state = State {
            out: Out::new(),
            receiving,
            role,
            corked: false,
            writing: false,
            blocked: false,
            broken: None,
            progress: false,
            eager: false,
            hello: None,
            draining: false,
            ended: None,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            direct,
            driver: AtomicWaker::new(),
            closed: Semaphore::new(0),
            outside,
            settings,
            config,
        })
    }

    /// The socket that everybody may write to.
    pub(crate) fn socket(&self) -> Option<&OwnedWriteHalf> {
        self.direct.as_ref()
    }

    /// Has what is in the buffer written, by this thread if nothing speaks against it.
    pub(crate) fn flush(&self, mut state: MutexGuard<'_, State<R>>) {
        if state.corked || state.writing || state.blocked || state.broken.is_some() {
            return;
        }
        let Some(socket) = &self.direct else {
            drop(state);
            self.driver.wake();
            return;
        };
        for _ in 0..ROUNDS {
            if !state.out.has_bytes() {
                let closing = state.draining || state.ended.is_some();
                drop(state);
                if closing {
                    self.driver.wake();
                }
                return;
            }
            if !write_once(socket, &mut state) {
                break;
            }
        }
        // The driver looks when the socket has room; if there is nothing left, it soon sees that.
        state.blocked = true;
        drop(state);
        self.driver.wake();
    }
}

/// Writes what there is, without the lock; whether the socket took all of it.
fn write_once<R: Role>(socket: &OwnedWriteHalf, state: &mut MutexGuard<'_, State<R>>) -> bool {
    let mut bytes = state.out.take();
    state.writing = true;
    let written = MutexGuard::unlocked(state, || {
        let written = socket.try_write(&bytes);
        if let Ok(n) = written {
            bytes.advance(n);
        }
        written
    });
    state.writing = false;
    let whole = bytes.is_empty();
    state.out.written(bytes);
    match written {
        Ok(_) => {
            state.progress = true;
            whole
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => {
            state.out.clear();
            state.broken = Some(lost(&format!("writing failed: {error}")));
            false
        }
    }
}

impl<R: Role> State<R> {
    /// Ends the connection: nothing further is taken from either side.
    pub(crate) fn end(&mut self, error: EddyError, events: &mut Vec<R::Event>) {
        if self.ended.is_some() {
            return;
        }
        R::ended(self, &error, events);
        self.receiving.clear();
        self.ended = Some(error);
    }

    /// Puts the credit that is due into the buffer.
    pub(crate) fn send_credit(&mut self) {
        for (stream, credit) in self.receiving.credit.drain(..) {
            self.out.frame(Kind::Window, stream, &Window { credit });
        }
    }

    /// Nothing is open, half received or half sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.role.is_idle() && self.receiving.len() == 0 && self.out.buffered() == 0
    }

    /// Says why, and ends.
    pub(crate) fn refuse(&mut self, error: EddyError, events: &mut Vec<R::Event>) {
        if self.ended.is_none() {
            let message = goaway(self.role.last_stream(), &error);
            self.out.frame(Kind::Goaway, 0, &message);
        }
        self.end(error, events);
    }

    /// Says that no new streams are taken.
    pub(crate) fn drain(&mut self, reason: &EddyError) {
        if self.draining || self.ended.is_some() {
            return;
        }
        self.draining = true;
        let message: Goaway = goaway(self.role.last_stream(), reason);
        self.out.frame(Kind::Goaway, 0, &message);
    }
}

/// The connection is gone.
pub(crate) fn lost(why: &str) -> EddyError {
    EddyError::new(
        ErrorCode::ConnectionLost,
        format!("the connection to the other side was lost: {why}"),
    )
    .hint("Send the request again; with an idempotency key that is safe.")
}
