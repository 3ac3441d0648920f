//! Frames: the header, the kinds, and the decoder that finds frames in bytes. Pure: bytes in,
//! frames out. What a frame means is in `server` and `client`, what its head says in `message`.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use eddy_types::{EddyError, ErrorCode};

/// What a client sends first. No HTTP request and no TLS handshake begins with a zero byte.
pub const PREFACE: &[u8; 8] = b"\0eddy1\r\n";

/// Whether a connection whose first bytes are `peeked` speaks this protocol. One byte is enough.
#[must_use]
pub fn is_preface(peeked: &[u8]) -> bool {
    let length = peeked.len().min(PREFACE.len());
    length > 0 && peeked[..length] == PREFACE[..length]
}

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 16;
/// Largest head of a frame, in bytes.
pub const MAX_HEAD_BYTES: usize = 16 << 10;

/// What a frame is. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Versions and settings; the first frame of each side.
    Hello,
    /// Opens a stream: what is asked for, and the first bytes of the argument.
    Request,
    /// Answers a stream: the first bytes of the result, or of an error.
    Response,
    /// More bytes of an argument or a result.
    Data,
    /// Credit for a stream, or with stream 0 for the connection.
    Window,
    /// The client no longer waits for an answer.
    Cancel,
    /// Asks for a PONG with the same head.
    Ping,
    /// Answers a PING.
    Pong,
    /// No further streams: the last one accepted, and why.
    Goaway,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Hello,
        Self::Request,
        Self::Response,
        Self::Data,
        Self::Window,
        Self::Cancel,
        Self::Ping,
        Self::Pong,
        Self::Goaway,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The kind with this number.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        let index = usize::from(number).checked_sub(1)?;
        Self::ALL.get(index).copied()
    }
}

/// Flags of a frame. Unknown ones mean nothing.
pub mod flags {
    /// The last frame of its message.
    pub const END: u8 = 0x01;
    /// RESPONSE: the body is an error.
    pub const ERROR: u8 = 0x02;
    /// RESPONSE with an error: nothing was started, so the request may be sent again as it is.
    pub const NOT_STARTED: u8 = 0x04;
    /// A side that does not know the kind of this frame skips it.
    pub const MAY_IGNORE: u8 = 0x80;
}

/// The header of a frame. All numbers are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes after the header: head and body.
    pub length: u32,
    /// The kind's number.
    pub kind: u8,
    /// See [`flags`].
    pub flags: u8,
    /// How many of the bytes after the header are the head.
    pub head: u16,
    /// The stream; 0 is the connection.
    pub stream: u64,
}

impl Header {
    /// Appends the header to `out`.
    pub fn put(&self, out: &mut BytesMut) {
        out.put_u32_le(self.length);
        out.put_u8(self.kind);
        out.put_u8(self.flags);
        out.put_u16_le(self.head);
        out.put_u64_le(self.stream);
    }

    /// Reads a header from the front of `bytes`, when there are enough of them.
    #[must_use]
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= HEADER_BYTES).then(|| Self {
            length: bytes.get_u32_le(),
            kind: bytes.get_u8(),
            flags: bytes.get_u8(),
            head: bytes.get_u16_le(),
            stream: bytes.get_u64_le(),
        })
    }
}

/// One frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is; none for a kind that this version does not know and may skip.
    pub kind: Option<Kind>,
    /// See [`flags`].
    pub flags: u8,
    /// The stream; 0 is the connection.
    pub stream: u64,
    /// A protobuf message, see `link.proto`.
    pub head: Bytes,
    /// The bytes that flow control counts.
    pub body: Bytes,
}

impl Frame {
    /// Whether the frame has all bits of `flag`.
    #[must_use]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag == flag
    }
}

/// Finds frames in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    max_frame: usize,
}

impl Decoder {
    /// A decoder that refuses frames with more than `max_frame` bytes after the header.
    #[must_use]
    pub fn new(max_frame: u32) -> Self {
        Self {
            max_frame: max_frame as usize,
        }
    }

    /// Takes the next whole frame off the front of `bytes`; none when it is not all there. Head
    /// and body share memory with `bytes`, nothing is copied.
    ///
    /// # Errors
    /// `protocol-error` as soon as a header shows that the frame cannot be good.
    pub fn decode(&self, bytes: &mut BytesMut) -> Result<Option<Frame>, EddyError> {
        let Some(header) = Header::read(bytes) else {
            return Ok(None);
        };
        let kind = self.check(&header)?;
        let length = header.length as usize;
        if bytes.len() < HEADER_BYTES + length {
            return Ok(None);
        }
        bytes.advance(HEADER_BYTES);
        let mut head = if length == 0 {
            Bytes::new()
        } else {
            bytes.split_to(length).freeze()
        };
        let body = head.split_off(usize::from(header.head));
        Ok(Some(Frame {
            kind,
            flags: header.flags,
            stream: header.stream,
            head,
            body,
        }))
    }

    /// How many bytes the frame at the front of `bytes` lacks; none when its header does.
    #[must_use]
    pub fn missing(&self, bytes: &[u8]) -> Option<usize> {
        let header = Header::read(bytes)?;
        Some((HEADER_BYTES + header.length as usize).saturating_sub(bytes.len()))
    }

    fn check(&self, header: &Header) -> Result<Option<Kind>, EddyError> {
        let (length, head) = (header.length as usize, usize::from(header.head));
        if length > self.max_frame {
            let max = self.max_frame;
            return Err(violation(format!(
                "a frame of {length} bytes came; the limit is {max}"
            )));
        }
        if head > length || head > MAX_HEAD_BYTES {
            return Err(violation(format!(
                "a frame of {length} bytes claims a head of {head}"
            )));
        }
        match Kind::of(header.kind) {
            None if header.flags & flags::MAY_IGNORE == 0 => Err(violation(format!(
                "a frame of the unknown kind {} came",
                header.kind
            ))),
            kind => Ok(kind),
        }
    }
}

/// The other side broke the rules: the connection ends.
pub(crate) fn violation(detail: impl Into<String>) -> EddyError {
    EddyError::new(ErrorCode::ProtocolError, detail).hint(
        "One side has a bug, or something between the two changed the bytes. \
         docs/protocol.md has the rules.",
    )
}
