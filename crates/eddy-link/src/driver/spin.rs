//! Looking for the next bytes again and again instead of sleeping until they come. When one request
//! follows the answer to another, sleep and waking take longer than the exchange itself, most of all
//! on a virtual machine. So a connection that has gone back and forth quickly for a while looks for a
//! moment before it sleeps. It gives way to other threads meanwhile, and one connection of a
//! process does this at a time.

use crate::shared::{Role, Shared};
use bytes::BytesMut;
use socket2::SockRef;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// What counts as back and forth without a pause: the time between two reads.
const QUICK: Duration = Duration::from_micros(250);
/// Quick reads in a row before the first look.
const ENOUGH: u32 = 32;
/// The same, at most, after looks that were in vain.
const MOST: u32 = 1 << 14;
/// Looks that succeed in a row before other tasks of the thread have their turn.
const IN_A_ROW: u32 = 32;
/// Bounds one look, whatever the clock does.
const TRIES: u32 = 1000;
/// Tries after which other threads may have the processor.
const YIELD_EVERY: u32 = 8;
/// Pauses of the processor between two tries: about half a microsecond.
const PAUSES: u32 = 8;
const CHUNK: usize = 4096;

/// One connection of the process looks.
static LOOKING: AtomicBool = AtomicBool::new(false);

/// Whether a connection may look, as its past says.
pub(super) struct Spin {
    longest: Duration,
    last: Option<Instant>,
    quick: u32,
    needed: u32,
    in_a_row: u32,
}

/// What came of a look.
pub(super) enum Look {
    /// So many bytes were read.
    Found(usize),
    /// Nothing to do but to wait.
    Sleep,
    /// Others have their turn; then there is more.
    GiveWay,
}

impl Spin {
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            longest,
            last: None,
            quick: 0,
            needed: ENOUGH,
            in_a_row: 0,
        }
    }

    /// Bytes came.
    pub(super) fn heard(&mut self) {
        if self.longest.is_zero() {
            return;
        }
        let now = Instant::now();
        let quick = self.last.is_some_and(|last| now - last < QUICK);
        self.quick = if quick {
            self.quick.saturating_add(1)
        } else {
            0
        };
        self.last = Some(now);
    }

    /// Several messages came together: who waits here takes the processor from those who send.
    pub(super) fn crowded(&mut self) {
        self.quick = 0;
    }

    /// Whether the next wait should be one of these.
    pub(super) fn is_eager(&self) -> bool {
        self.quick >= self.needed
    }

    /// Looks for bytes on a socket that has none now.
    pub(super) fn look<R: Role>(
        &mut self,
        shared: &Shared<R>,
        socket: &TcpStream,
        buffer: &mut BytesMut,
    ) -> Look {
        if !self.is_eager() || !shared.state.lock().role.awaits_one() {
            return Look::Sleep;
        }
        if self.in_a_row >= IN_A_ROW {
            self.in_a_row = 0;
            return Look::GiveWay;
        }
        if LOOKING.swap(true, Ordering::Acquire) {
            return Look::Sleep;
        }
        let found = self.read(socket, buffer);
        LOOKING.store(false, Ordering::Release);
        match found {
            Some(bytes) => {
                self.in_a_row += 1;
                self.needed = ENOUGH;
                Look::Found(bytes)
            }
            None => {
                self.in_a_row = 0;
                self.quick = 0;
                self.needed = (self.needed * 2).min(MOST);
                Look::Sleep
            }
        }
    }

    fn read(&self, socket: &TcpStream, buffer: &mut BytesMut) -> Option<usize> {
        let began = Instant::now();
        let socket = SockRef::from(socket);
        let mut chunk = [0; CHUNK];
        for tried in 1..=TRIES {
            // An end or an error is found by the ordinary way.
            if let Ok(bytes @ 1..) = (&*socket).read(&mut chunk) {
                buffer.extend_from_slice(&chunk[..bytes]);
                return Some(bytes);
            }
            match tried % YIELD_EVERY {
                0 => std::thread::yield_now(),
                _ => (0..PAUSES).for_each(|_| std::hint::spin_loop()),
            }
            if began.elapsed() > self.longest {
                break;
            }
        }
        None
    }
}
