//! The numbers of the protocol: what a side announces in its HELLO, what holds before that, and
//! how long things may take. Fixed limits of messages are in `frame` and `message`.

use eddy_types::{EddyError, ErrorCode};
use std::fmt;
use std::time::Duration;

/// What one side is ready to receive. Announced in its HELLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Largest payload of one frame, in bytes, without the frame's header. A connection sets memory
    /// aside for the frame that is coming in.
    pub max_frame_bytes: u32,
    /// Body bytes of one stream that may be under way without credit.
    pub stream_window: u32,
    /// Body bytes of all streams together that may be under way without credit.
    pub connection_window: u32,
    /// Requests that may be open at once. Only a server's number matters.
    pub max_streams: u32,
}

impl Settings {
    /// What holds for the other side until its HELLO was read, so that requests need not wait for
    /// it. A HELLO never announces less, but for `max_streams`.
    pub const FLOOR: Self = Self {
        max_frame_bytes: 32 << 10,
        stream_window: 32 << 10,
        connection_window: 256 << 10,
        max_streams: 128,
    };

    /// `protocol-error` when a side announces less than the floor, or more than can be meant.
    pub(crate) fn check(self) -> Result<Self, EddyError> {
        let floor = Self::FLOOR;
        let good = (floor.max_frame_bytes..=1 << 24).contains(&self.max_frame_bytes)
            && (floor.stream_window..=1 << 30).contains(&self.stream_window)
            && (floor.connection_window..=1 << 30).contains(&self.connection_window)
            && self.max_streams > 0;
        if good {
            return Ok(self);
        }
        Err(EddyError::new(
            ErrorCode::ProtocolError,
            format!("the settings of a link are out of their range: {self:?}"),
        )
        .hint("docs/protocol.md lists the ranges."))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_frame_bytes: 64 << 10,
            stream_window: 64 << 10,
            connection_window: 1 << 20,
            max_streams: 1024,
        }
    }
}

/// A token, which no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The text of a token.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// How one side of a link behaves. The defaults are what docs/protocol.md says.
#[derive(Clone, Debug)]
pub struct Config {
    /// What this side is ready to receive. Raised to [`Settings::FLOOR`] where it is lower.
    pub settings: Settings,
    /// The program behind this side, such as `eddy/0.1.0`. For logs only.
    pub software: String,
    /// What a client shows to say who it is. A server shows none.
    pub token: Option<Token>,
    /// Longest wait for the other side's HELLO.
    pub hello_timeout: Duration,
    /// A link that was silent this long is asked with a PING; after half as long again without any
    /// bytes it counts as dead. Also the longest time that the other side may take none of our
    /// bytes, the longest pause in the body of a message, and how long a side that has ended in an
    /// orderly way waits for the other one to close.
    pub keepalive: Duration,
    /// Longest time for the body of a request to come, beside a second for each 64 KiB of it that
    /// came. Looked at every half of `keepalive`.
    pub body_timeout: Duration,
    /// Bytes waiting to be written from which on new requests are refused with `overloaded`.
    pub max_buffered: usize,
    /// How long a TCP connection that goes back and forth quickly, one request at a time, looks for
    /// the next bytes before it sleeps. Spares the waking of a thread; costs its processor time
    /// meanwhile. At most one connection of a process does so at a time. 150 microseconds, the time of
    /// a durable turn on a quick disk; and zero,
    /// which is never, on a machine with one processor.
    pub spin: Duration,
    /// Bytes of messages under reassembly that get credit beyond the window of their stream; the
    /// next ones wait.
    pub max_reassembly: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            software: concat!("eddy/", env!("CARGO_PKG_VERSION")).to_owned(),
            token: None,
            hello_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            max_buffered: 16 << 20,
            spin: match std::thread::available_parallelism() {
                Ok(processors) if processors.get() > 1 => Duration::from_micros(150),
                _ => Duration::ZERO,
            },
            max_reassembly: 16 << 20,
        }
    }
}

impl Config {
    /// The settings this side announces.
    pub(crate) fn announced(&self) -> Settings {
        let (own, floor) = (self.settings, Settings::FLOOR);
        Settings {
            max_frame_bytes: own.max_frame_bytes.clamp(floor.max_frame_bytes, 1 << 24),
            stream_window: own.stream_window.clamp(floor.stream_window, 1 << 30),
            connection_window: own
                .connection_window
                .clamp(floor.connection_window, 1 << 30),
            max_streams: own.max_streams.max(1),
        }
    }
}

/// From how many buffered bytes on the other side is given up: it asks, but does not read.
pub(crate) fn hard_limit(config: &Config) -> usize {
    config.max_buffered.saturating_mul(8).max(64 << 20)
}
