//! The protobuf messages in the heads of frames and in the bodies of errors, and how they become
//! the crate's own types. The same as `proto/link.proto`, which a test holds beside this file.

use crate::settings::Settings;
use bytes::Bytes;
use eddy_types::{EddyError, ErrorCode, GuestFailure};
use std::time::Duration;

/// Versions of the protocol that this code speaks: lowest and highest.
pub const VERSIONS: (u32, u32) = (1, 1);

/// Head of HELLO.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Hello {
    /// Lowest version spoken.
    #[prost(uint32, tag = "1")]
    pub lowest: u32,
    /// Highest version spoken.
    #[prost(uint32, tag = "2")]
    pub highest: u32,
    /// Name and version of the program, for logs.
    #[prost(string, tag = "3")]
    pub software: String,
    /// [`Settings::max_frame_bytes`].
    #[prost(uint32, tag = "4")]
    pub max_frame_bytes: u32,
    /// [`Settings::stream_window`].
    #[prost(uint32, tag = "5")]
    pub stream_window: u32,
    /// [`Settings::connection_window`].
    #[prost(uint32, tag = "6")]
    pub connection_window: u32,
    /// [`Settings::max_streams`].
    #[prost(uint32, tag = "7")]
    pub max_streams: u32,
    /// Who the client is, where the node asks for that. Only a client's counts.
    #[prost(string, optional, tag = "8")]
    pub token: Option<String>,
}

impl Hello {
    /// The HELLO of a side with these settings.
    #[must_use]
    pub fn new(software: &str, settings: Settings) -> Self {
        Self {
            lowest: VERSIONS.0,
            highest: VERSIONS.1,
            software: software.to_owned(),
            max_frame_bytes: settings.max_frame_bytes,
            stream_window: settings.stream_window,
            connection_window: settings.connection_window,
            max_streams: settings.max_streams,
            token: None,
        }
    }

    /// The highest version both sides speak.
    ///
    /// # Errors
    /// `unsupported-version` when there is none.
    pub fn version(&self) -> Result<u32, EddyError> {
        let common = self.highest.min(VERSIONS.1);
        if self.lowest <= self.highest && common >= self.lowest.max(VERSIONS.0) {
            return Ok(common);
        }
        let (lowest, highest) = VERSIONS;
        Err(EddyError::new(
            ErrorCode::UnsupportedVersion,
            format!(
                "the other side ({:?}) speaks versions {} to {} of the link, this side {lowest} to {highest}",
                self.software, self.lowest, self.highest
            ),
        )
        .hint("Use versions of Eddy on both sides that are nearer to each other."))
    }

    /// What the side announces; a field left out is at the floor.
    pub(crate) fn settings(&self) -> Result<Settings, EddyError> {
        let or = |value, floor| if value == 0 { floor } else { value };
        let floor = Settings::FLOOR;
        Settings {
            max_frame_bytes: or(self.max_frame_bytes, floor.max_frame_bytes),
            stream_window: or(self.stream_window, floor.stream_window),
            connection_window: or(self.connection_window, floor.connection_window),
            max_streams: or(self.max_streams, floor.max_streams),
        }
        .check()
    }
}

/// What a request asks for, as a number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum OperationKind {
    /// Not said: refused.
    Unspecified = 0,
    /// Call a method of an agent.
    CallAgent = 1,
    /// Invoke a function and wait.
    InvokeFunction = 2,
    /// Accept an invocation of a function durably, and answer with its id.
    SubmitFunction = 3,
    /// Delete an agent.
    DeleteAgent = 4,
}

/// Head of REQUEST.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RequestHead {
    /// An [`OperationKind`].
    #[prost(enumeration = "OperationKind", tag = "1")]
    pub operation: i32,
    /// The agent's type.
    #[prost(string, tag = "2")]
    pub agent_type: String,
    /// The agent's key.
    #[prost(string, tag = "3")]
    pub key: String,
    /// The method, or the function.
    #[prost(string, tag = "4")]
    pub name: String,
    /// Bytes of the whole argument, when it does not end in this frame.
    #[prost(uint64, tag = "5")]
    pub body_bytes: u64,
    /// How long the client waits, in milliseconds from now; 0 is no limit.
    #[prost(uint64, tag = "6")]
    pub timeout_ms: u64,
    /// Makes a repeat answer as the first one did.
    #[prost(string, optional, tag = "7")]
    pub idempotency_key: Option<String>,
    /// W3C trace context.
    #[prost(string, optional, tag = "8")]
    pub traceparent: Option<String>,
    /// A query on committed state.
    #[prost(bool, tag = "9")]
    pub snapshot: bool,
    /// The tenant; the node's own when absent.
    #[prost(string, optional, tag = "10")]
    pub tenant: Option<String>,
}

/// Head of RESPONSE.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ResponseHead {
    /// The invocation that answered: 16 bytes, or none.
    #[prost(bytes = "bytes", tag = "1")]
    pub invocation: Bytes,
    /// Bytes of the whole body, when it does not end in this frame.
    #[prost(uint64, tag = "2")]
    pub body_bytes: u64,
}

/// Head of WINDOW.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Window {
    /// Bytes that may be sent in addition.
    #[prost(uint32, tag = "1")]
    pub credit: u32,
}

/// Head of PING and PONG.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Ping {
    /// Comes back as it is.
    #[prost(uint64, tag = "1")]
    pub id: u64,
}

/// Head of GOAWAY.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Goaway {
    /// The last stream that was or will be answered; later ones were not started.
    #[prost(uint64, tag = "1")]
    pub last_stream: u64,
    /// Why; its code is `shutting-down` for a drain.
    #[prost(message, optional, tag = "2")]
    pub reason: Option<ErrorBody>,
}

/// What a guest said of its own error.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GuestBody {
    /// The error's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Where it was thrown.
    #[prost(string, optional, tag = "2")]
    pub stack: Option<String>,
    /// The HTTP status the guest asks for.
    #[prost(uint32, optional, tag = "3")]
    pub status: Option<u32>,
    /// More about it, JSON text.
    #[prost(string, optional, tag = "4")]
    pub details: Option<String>,
}

/// Body of RESPONSE with the ERROR flag.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ErrorBody {
    /// The stable code.
    #[prost(string, tag = "1")]
    pub code: String,
    /// What happened and why.
    #[prost(string, tag = "2")]
    pub detail: String,
    /// What to do next.
    #[prost(string, optional, tag = "3")]
    pub hint: Option<String>,
    /// The HTTP status that belongs to it.
    #[prost(uint32, tag = "4")]
    pub status: u32,
    /// How long to wait before trying again, in milliseconds.
    #[prost(uint64, optional, tag = "5")]
    pub retry_after_ms: Option<u64>,
    /// What the guest said.
    #[prost(message, optional, tag = "6")]
    pub guest: Option<GuestBody>,
    /// Whether the same request may succeed later.
    #[prost(bool, tag = "7")]
    pub retryable: bool,
}

impl From<&EddyError> for ErrorBody {
    fn from(error: &EddyError) -> Self {
        Self {
            code: error.code.as_str().to_owned(),
            detail: error.detail.clone(),
            hint: error.hint.clone(),
            status: u32::from(error.http_status()),
            retry_after_ms: error.retry_after.map(millis),
            guest: error.guest.as_deref().map(|guest| GuestBody {
                name: guest.name.clone(),
                stack: guest.stack.clone(),
                status: guest.status.map(u32::from),
                details: guest.details.clone(),
            }),
            retryable: error.code.is_retryable(),
        }
    }
}

impl From<ErrorBody> for EddyError {
    fn from(body: ErrorBody) -> Self {
        let mut codes = ErrorCode::ALL.iter().copied();
        let known = codes.find(|code| code.as_str() == body.code);
        let code = known.unwrap_or_else(|| nearest(body.status, body.retryable));
        let detail = match known {
            Some(_) => body.detail,
            None => format!("{} (code {:?})", body.detail, body.code),
        };
        Self {
            code,
            detail,
            hint: body.hint,
            retry_after: body.retry_after_ms.map(Duration::from_millis),
            guest: body.guest.map(|guest| {
                Box::new(GuestFailure {
                    name: guest.name,
                    stack: guest.stack,
                    status: guest.status.and_then(|status| u16::try_from(status).ok()),
                    details: guest.details,
                })
            }),
        }
    }
}

/// A code of this version that a program handles as it would handle the unknown one.
fn nearest(status: u32, retryable: bool) -> ErrorCode {
    match (status, retryable) {
        (504, true) => ErrorCode::DeadlineExceeded,
        (_, true) => ErrorCode::Overloaded,
        (404, false) => ErrorCode::UnknownRoute,
        (403, false) => ErrorCode::CapabilityDenied,
        (405, false) => ErrorCode::MethodNotAllowed,
        (413, false) => ErrorCode::PayloadTooLarge,
        (400..=499, false) => ErrorCode::InvalidArgument,
        _ => ErrorCode::Internal,
    }
}

/// Whole milliseconds, at least one unless it is nothing at all.
pub(crate) fn millis(duration: Duration) -> u64 {
    let whole = u64::try_from(duration.as_nanos().div_ceil(1_000_000));
    whole.unwrap_or(u64::MAX)
}
