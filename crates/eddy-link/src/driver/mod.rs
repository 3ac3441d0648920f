//! The future that keeps a connection going: reads, decodes, hands over, keeps time, and writes
//! what its users could not. One per connection; it spawns nothing.

mod io;
mod spin;
mod time;

use self::io::Io;
use crate::frame::{Decoder, Frame, Kind, PREFACE, violation};
use crate::message::{Goaway, Hello, Ping, Window};
use crate::settings::Config;
use crate::shared::{Role, Shared, State, lost};
use crate::transport::{Inner, Transport};
use bytes::{Buf as _, BytesMut};
use eddy_types::{EddyError, ErrorCode};
use parking_lot::MutexGuard;
use prost::Message;
use socket2::SockRef;
use spin::Spin;
use std::future::Future;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// First size of the read buffer; it doubles while reads fill it.
const READ_BYTES: usize = 8 << 10;
/// Largest size of the read buffer, but for a frame that is larger.
const MAX_READ_BYTES: usize = 64 << 10;
/// How long a side that ended the connection because of an error still takes bytes, so that its last
/// word arrives.
const LINGER: Duration = Duration::from_secs(1);

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Over; the last bytes go out.
    Closing,
    /// Our side is shut; the other one may still read what we said.
    Lingering,
}

pub(crate) struct Driver<R: Role> {
    shared: Arc<Shared<R>>,
    io: Io,
    buffer: BytesMut,
    read_bytes: usize,
    decoder: Decoder,
    events: Vec<R::Event>,
    timer: Pin<Box<Sleep>>,
    /// Set for the alarm of the role.
    alarm: Pin<Box<Sleep>>,
    alarm_at: Option<Instant>,
    phase: Phase,
    preface: bool,
    /// The last batch woke several users; what they send is gathered.
    gathering: bool,
    heard: bool,
    silent: u32,
    stuck: u32,
    spin: Spin,
}

impl<R: Role> Driver<R> {
    /// A side over `transport`. `greet` puts the first frames into the buffer.
    pub(crate) fn new(transport: Transport, role: R, outside: R::Outside, config: Config) -> Self {
        let (io, direct) = match transport.0 {
            Inner::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (Io::Tcp(read), Some(write))
            }
            Inner::Other(stream) => (Io::Other(stream), None),
        };
        let hello_timeout = config.hello_timeout;
        let spin = Spin::new(config.spin);
        let shared = Shared::new(role, outside, direct, config);
        let settings = shared.settings;
        {
            let mut state = shared.state.lock();
            if !R::AWAITS_PREFACE {
                state.out.raw(PREFACE);
            }
            let mut hello = Hello::new(&shared.config.software, settings);
            let token = shared.config.token.as_ref();
            hello.token = token.map(|token| token.reveal().to_owned());
            state.out.frame(Kind::Hello, 0, &hello);
            // The driver writes this when it is first polled.
            state.corked = true;
        }
        Self {
            shared,
            io,
            buffer: BytesMut::new(),
            read_bytes: READ_BYTES,
            decoder: Decoder::new(settings.max_frame_bytes),
            events: Vec::new(),
            timer: Box::pin(tokio::time::sleep(hello_timeout)),
            alarm: Box::pin(tokio::time::sleep(hello_timeout)),
            alarm_at: None,
            phase: Phase::Open,
            preface: R::AWAITS_PREFACE,
            gathering: true,
            heard: false,
            silent: 0,
            stuck: 0,
            spin,
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<R>> {
        &self.shared
    }

    fn poll_reading(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let read = match ready!(self.poll_read(cx)) {
                Ok(0) => Err("the other side closed it".to_owned()),
                Ok(n) => Ok(n),
                Err(error) => Err(format!("reading failed: {error}")),
            };
            if self.phase != Phase::Open {
                self.buffer.clear();
                if read.is_err() {
                    return Poll::Ready(());
                }
                continue;
            }
            match read {
                Ok(_) => {
                    self.heard = true;
                    self.spin.heard();
                }
                Err(why) => {
                    let whole = self.buffer.is_empty() && !self.preface;
                    self.end_with(|state, events| {
                        let orderly = whole && state.is_idle();
                        let end = if orderly { stopping() } else { lost(&why) };
                        state.out.clear();
                        state.end(end, events);
                    });
                    return Poll::Ready(());
                }
            }
            if self.batch() {
                // Who was woken runs before this task does again.
                self.gathering = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let state = self.shared.state.lock();
            if state.ended.is_some() || state.broken.is_some() {
                return Poll::Ready(());
            }
        }
    }

    /// Handles all whole frames in the buffer; true when the writing should wait for others.
    fn batch(&mut self) -> bool {
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        state.corked = true;
        if let Err(error) = self.frames(&mut state) {
            state.refuse(error, &mut self.events);
        }
        state.send_credit();
        if self.events.len() > 1 {
            self.spin.crowded();
        }
        state.eager = self.spin.is_eager();
        let gather = R::GATHERS && self.events.len() > 1 && state.ended.is_none();
        if self.events.is_empty() {
            self.uncork(state);
            return false;
        }
        drop(state);
        R::act_all(&shared, &mut self.events);
        if !gather {
            self.uncork(shared.state.lock());
        }
        gather
    }

    fn uncork(&self, mut state: MutexGuard<'_, State<R>>) {
        state.corked = false;
        if matches!(self.io, Io::Tcp(_)) {
            self.shared.flush(state);
        }
    }

    fn frames(&mut self, state: &mut State<R>) -> Result<(), EddyError> {
        if self.preface {
            if self.buffer.len() < PREFACE.len() {
                return Ok(());
            }
            if self.buffer[..PREFACE.len()] != PREFACE[..] {
                return Err(violation("the first bytes are not those of a link"));
            }
            self.buffer.advance(PREFACE.len());
            self.preface = false;
        }
        while state.ended.is_none() {
            let Some(frame) = self.decoder.decode(&mut self.buffer)? else {
                break;
            };
            state.receiving.count(frame.body.len())?;
            if let Some(kind) = frame.kind {
                self.frame(state, kind, frame)?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, state: &mut State<R>, kind: Kind, frame: Frame) -> Result<(), EddyError> {
        if (kind == Kind::Hello) == state.hello.is_some() {
            return Err(violation("a link begins with one HELLO from each side"));
        }
        match kind {
            Kind::Hello => {
                let mut hello: Hello = head(&frame)?;
                hello.version()?;
                state.out.announced(hello.settings()?);
                let token = hello.token.take();
                state.hello = Some(hello);
                R::greeted(state, token.as_deref(), &mut self.events)?;
            }
            Kind::Window => {
                let window: Window = head(&frame)?;
                let open = R::may_begin(state, frame.stream);
                state.out.window(frame.stream, window.credit, open)?;
            }
            Kind::Ping => {
                let ping: Ping = head(&frame)?;
                state.out.frame(Kind::Pong, 0, &ping);
            }
            Kind::Pong => {}
            Kind::Goaway => {
                let goaway: Goaway = head(&frame)?;
                let reason = goaway.reason.map_or_else(stopping, EddyError::from);
                R::goaway(state, goaway.last_stream, reason, &mut self.events);
            }
            Kind::Request | Kind::Response | Kind::Data | Kind::Cancel => {
                R::frame(state, kind, frame, &mut self.events)?;
            }
        }
        if state.out.buffered() > crate::settings::hard_limit(&self.shared.config) {
            return Err(violation("the other side asks for more than it reads"));
        }
        Ok(())
    }

    /// Changes the state, then does what follows without the lock.
    fn end_with(&mut self, change: impl FnOnce(&mut State<R>, &mut Vec<R::Event>)) {
        change(&mut self.shared.state.lock(), &mut self.events);
        for event in self.events.drain(..) {
            R::act(&self.shared, event);
        }
    }

    /// Looks whether the connection is over; if so, begins to close it.
    fn check_end(&mut self) {
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        if let Some(error) = state.broken.clone() {
            state.end(error, &mut self.events);
        }
        if state.draining && state.is_idle() {
            state.end(stopping(), &mut self.events);
        }
        let linger = state.ended.as_ref().map(|error| self.linger(error));
        drop(state);
        for event in self.events.drain(..) {
            R::act(&shared, event);
        }
        if let Some(linger) = linger
            && self.phase == Phase::Open
        {
            self.phase = Phase::Closing;
            self.timer.set(tokio::time::sleep(linger));
        }
    }

    /// How long to wait for the other side to close. Closing before it does would discard what is
    /// on its way to it, as soon as it says one word more: after an orderly end those are answers.
    fn linger(&self, error: &EddyError) -> Duration {
        match error.code {
            ErrorCode::ShuttingDown => self.shared.config.keepalive,
            _ => LINGER,
        }
    }
}

impl<R: Role> Future for Driver<R> {
    type Output = Result<(), EddyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.shared.driver.register(cx.waker());
        if std::mem::take(&mut this.gathering) {
            this.uncork(this.shared.state.lock());
        }
        if this.phase == Phase::Open {
            let timer = this.poll_timer(cx);
            this.poll_alarm(cx);
            let _ = this.poll_reading(cx);
            let _ = this.poll_writing(cx);
            this.check_end();
            if this.phase == Phase::Open {
                return Poll::Pending;
            }
            let _: Poll<()> = timer;
        }
        let timer = this.poll_timer(cx);
        if this.poll_closing(cx).is_pending() && timer.is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(match this.shared.state.lock().ended.clone() {
            Some(error) if error.code != ErrorCode::ShuttingDown => Err(error),
            _ => Ok(()),
        })
    }
}

impl<R: Role> Drop for Driver<R> {
    fn drop(&mut self) {
        self.end_with(|state, events| {
            state.out.clear();
            state.end(lost("this side stopped"), events);
        });
        self.shared.closed.close();
        // Users may hold the socket for longer than this.
        if let Some(socket) = self.shared.socket() {
            let _ = SockRef::from(socket.as_ref()).shutdown(Shutdown::Both);
        }
    }
}

/// The head of a frame as a message.
pub(crate) fn head<M: Message + Default>(frame: &Frame) -> Result<M, EddyError> {
    M::decode(frame.head.clone())
        .map_err(|error| violation(format!("the head of a frame does not decode: {error}")))
}

/// The reason of a side that just stops.
pub(crate) fn stopping() -> EddyError {
    EddyError::new(ErrorCode::ShuttingDown, "the other side is stopping")
        .hint("Connect again, to this node or another one.")
}
