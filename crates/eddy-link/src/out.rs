//! The sending side of one connection: what waits to be written, and the credit that the other
//! side gave. Pure: who writes and when is decided in `shared`.

use crate::frame::{Header, Kind, flags, violation};
use crate::message;
use crate::settings::Settings;
use bytes::{Bytes, BytesMut};
use eddy_types::EddyError;
use prost::Message;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// Bodies wait outside of the buffer while it holds this much, so that a small message never
/// stands behind a large one.
const HIGH_WATER: usize = 64 << 10;
/// Body bytes of one large message that go out before another one has its turn.
const CHUNK: usize = 32 << 10;
/// Streams that are gone may stand in line until there are so many of them.
const STALE: usize = 64;
/// A buffer that grew beyond this is not kept.
const KEEP_BYTES: usize = 256 << 10;

/// The rest of a body that waits for credit or for its turn.
struct Waiting {
    rest: Bytes,
    credit: i64,
    /// Stands in `ready`.
    ready: bool,
}

/// What is to be written.
pub(crate) struct Out {
    /// Frames that nobody began to write.
    back: BytesMut,
    /// Taken for writing; first to go.
    front: BytesMut,
    /// Bytes that somebody is writing now.
    taken: usize,
    /// Bytes put into the buffer, and bytes written, since the beginning.
    appended: u64,
    sent: u64,
    bodies: FxHashMap<u64, Waiting>,
    /// Streams with bytes and credit, in turn. Some may be gone.
    ready: VecDeque<u64>,
    /// Credit for streams whose message did not begin yet.
    early: FxHashMap<u64, u32>,
    /// Bytes in `bodies`.
    waiting_bytes: usize,
    /// Body bytes that the other side still takes, all streams together.
    credit: i64,
    peer: Settings,
}

impl Out {
    pub(crate) fn new() -> Self {
        let peer = Settings::FLOOR;
        Self {
            back: BytesMut::new(),
            front: BytesMut::new(),
            taken: 0,
            appended: 0,
            sent: 0,
            bodies: FxHashMap::default(),
            ready: VecDeque::new(),
            early: FxHashMap::default(),
            waiting_bytes: 0,
            credit: i64::from(peer.connection_window),
            peer,
        }
    }

    /// The other side said what it takes: windows grow by the difference.
    pub(crate) fn announced(&mut self, peer: Settings) {
        let grown = |new: u32, old: u32| i64::from(new) - i64::from(old);
        self.credit += grown(peer.connection_window, self.peer.connection_window);
        let more = grown(peer.stream_window, self.peer.stream_window);
        for (stream, waiting) in &mut self.bodies {
            waiting.credit += more;
            if waiting.credit > 0 && !waiting.ready {
                waiting.ready = true;
                self.ready.push_back(*stream);
            }
        }
        self.peer = peer;
    }

    /// Bytes that wait, framed or not.
    pub(crate) fn buffered(&self) -> usize {
        self.taken + self.front.len() + self.back.len() + self.waiting_bytes
    }

    /// Messages of which a part waits for credit or for its turn.
    pub(crate) fn waiting(&self) -> usize {
        self.bodies.len()
    }

    /// Appends raw bytes: the preface.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.back.extend_from_slice(bytes);
        self.appended += bytes.len() as u64;
    }

    /// Where the next frame begins in all bytes sent.
    pub(crate) fn position(&self) -> u64 {
        self.appended
    }

    /// Whether a message that began at `position` certainly did not get out whole.
    pub(crate) fn is_unsent(&self, stream: u64, position: u64) -> bool {
        let written = self.sent + self.taken as u64;
        position >= written || self.bodies.contains_key(&stream)
    }

    /// Appends a frame without a body.
    pub(crate) fn frame(&mut self, kind: Kind, stream: u64, head: &impl Message) {
        self.put(kind, 0, stream, head, &[]);
    }

    /// Appends a message; `head` is made for the number of body bytes that it must declare, which
    /// is 0 when the first frame holds them all.
    pub(crate) fn message<H: Message>(
        &mut self,
        kind: Kind,
        flag: u8,
        stream: u64,
        mut body: Bytes,
        head: impl FnOnce(u64) -> H,
    ) {
        let early = self.early.remove(&stream).unwrap_or(0);
        // Large bodies stand in line from their first byte on.
        let line = !self.ready.is_empty() && body.len() > CHUNK;
        let room = if line || self.back.len() >= HIGH_WATER && body.len() > CHUNK {
            0
        } else {
            self.room(i64::from(self.peer.stream_window))
        };
        if body.len() <= room {
            self.put(kind, flag | flags::END, stream, &head(0), &body);
            self.credit -= length(&body);
            return;
        }
        let first = body.split_to(room);
        let total = (first.len() + body.len()) as u64;
        self.put(kind, flag, stream, &head(total), &first);
        self.credit -= length(&first);
        let credit = i64::from(self.peer.stream_window) + i64::from(early) - length(&first);
        self.waiting_bytes += body.len();
        let ready = credit > 0;
        if ready {
            self.ready.push_back(stream);
        }
        let rest = body;
        let waiting = Waiting {
            rest,
            credit,
            ready,
        };
        self.bodies.insert(stream, waiting);
    }

    /// A message, or the rest of one, is not wanted any more.
    pub(crate) fn forget(&mut self, stream: u64) {
        self.early.remove(&stream);
        let Some(waiting) = self.bodies.remove(&stream) else {
            return;
        };
        self.waiting_bytes -= waiting.rest.len();
        // Its place in the line is skipped later. Looking for it each time would let the other side
        // buy much work for little, so that is done when most of the line is gone.
        if self.ready.len() > 2 * self.bodies.len() + STALE {
            self.ready.retain(|ready| self.bodies.contains_key(ready));
        }
    }

    /// The other side gave credit. `open`: a message of this stream may still begin.
    pub(crate) fn window(&mut self, stream: u64, credit: u32, open: bool) -> Result<(), EddyError> {
        let limit = i64::from(u32::MAX);
        if stream == 0 {
            self.credit += i64::from(credit);
            return check_credit(self.credit, limit);
        }
        let Some(waiting) = self.bodies.get_mut(&stream) else {
            if !open {
                return Ok(());
            }
            let early = self.early.entry(stream).or_default();
            let sum = i64::from(*early) + i64::from(credit);
            check_credit(sum + i64::from(self.peer.stream_window), limit)?;
            *early = early.saturating_add(credit);
            return Ok(());
        };
        waiting.credit += i64::from(credit);
        if waiting.credit > 0 && !waiting.ready {
            waiting.ready = true;
            self.ready.push_back(stream);
        }
        check_credit(waiting.credit, limit)
    }

    /// Whether there are bytes that can be written now.
    pub(crate) fn has_bytes(&mut self) -> bool {
        self.pump();
        !self.front.is_empty() || !self.back.is_empty()
    }

    /// Takes the next bytes to write; [`Self::written`] must follow.
    pub(crate) fn take(&mut self) -> BytesMut {
        if self.front.is_empty() {
            std::mem::swap(&mut self.front, &mut self.back);
        }
        self.taken = self.front.len();
        std::mem::take(&mut self.front)
    }

    /// Gives back what was not written of what was taken.
    pub(crate) fn written(&mut self, mut rest: BytesMut) {
        self.sent += (self.taken - rest.len()) as u64;
        self.taken = 0;
        if !rest.is_empty() {
            self.front = rest;
            return;
        }
        if rest.capacity() <= KEEP_BYTES {
            rest.clear();
            // Whichever buffer is free gets the memory.
            if self.back.capacity() == 0 {
                self.back = rest;
            } else {
                self.front = rest;
            }
        }
    }

    /// Forgets everything: nobody reads it.
    pub(crate) fn clear(&mut self) {
        self.front = BytesMut::new();
        self.back = BytesMut::new();
        self.bodies.clear();
        self.ready.clear();
        self.early.clear();
        self.waiting_bytes = 0;
    }

    /// Gives spare memory back.
    pub(crate) fn shrink(&mut self) {
        if self.buffered() == 0 {
            self.front = BytesMut::new();
            self.back = BytesMut::new();
        }
    }

    /// Moves bodies into the buffer, a piece of each in turn, while there is room and credit.
    fn pump(&mut self) {
        while self.back.len() < HIGH_WATER && self.credit > 0 {
            let Some(stream) = self.ready.pop_front() else {
                return;
            };
            let Some(mut waiting) = self.bodies.remove(&stream) else {
                continue;
            };
            let n = self.room(waiting.credit).min(waiting.rest.len());
            let piece = waiting.rest.split_to(n);
            waiting.credit -= length(&piece);
            self.credit -= length(&piece);
            self.waiting_bytes -= n;
            let ended = waiting.rest.is_empty();
            let flag = if ended { flags::END } else { 0 };
            self.put(Kind::Data, flag, stream, &(), &piece);
            if !ended {
                waiting.ready = waiting.credit > 0;
                if waiting.ready {
                    self.ready.push_back(stream);
                }
                self.bodies.insert(stream, waiting);
            }
        }
    }

    /// How many body bytes the next frame of a stream with this credit may have.
    fn room(&self, stream_credit: i64) -> usize {
        let credit = self.credit.min(stream_credit).max(0);
        let frame = (self.peer.max_frame_bytes as usize)
            .saturating_sub(crate::frame::MAX_HEAD_BYTES)
            .clamp(1, CHUNK.max(1));
        usize::try_from(credit).unwrap_or(usize::MAX).min(frame)
    }

    fn put(&mut self, kind: Kind, flags: u8, stream: u64, head: &impl Message, body: &[u8]) {
        let head_length = head.encoded_len();
        let length = head_length + body.len();
        self.back.reserve(crate::frame::HEADER_BYTES + length);
        let header = Header {
            length: u32::try_from(length).expect("frames are cut to the limit"),
            kind: kind.number(),
            flags,
            head: u16::try_from(head_length).expect("heads are checked before"),
            stream,
        };
        self.appended += (crate::frame::HEADER_BYTES + length) as u64;
        header.put(&mut self.back);
        head.encode(&mut self.back)
            .expect("a BytesMut has room for all");
        self.back.extend_from_slice(body);
    }
}

fn length(bytes: &Bytes) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

fn check_credit(credit: i64, limit: i64) -> Result<(), EddyError> {
    if credit <= limit {
        return Ok(());
    }
    Err(violation("more credit came than there can be"))
}

/// The GOAWAY of a side that ends the connection because of `error`, or drains.
pub(crate) fn goaway(last_stream: u64, error: &EddyError) -> message::Goaway {
    let mut error = error.clone();
    // A head has a limit, and this one may quote what the other side sent.
    if error.detail.len() > 1024 {
        let cut = error.detail.floor_char_boundary(1024);
        error.detail.truncate(cut);
    }
    error.guest = None;
    message::Goaway {
        last_stream,
        reason: Some(message::ErrorBody::from(&error)),
    }
}
