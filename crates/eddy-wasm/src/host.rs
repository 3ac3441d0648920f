//! What a turn may do: the trait that the node implements, and the values that cross it. All of
//! wit/platform.wit's imports end here.

use bytes::Bytes;
use eddy_types::EddyError;
use std::future::Future;
use std::pin::Pin;

/// An effect under way. It must be started already when it is handed out: it is only polled while
/// the guest waits for it. Dropping it cancels the effect.
pub type PendingFuture = Pin<Box<dyn Future<Output = Result<Outcome, EddyError>> + Send>>;

/// A state value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// JSON text, checked.
    Json(Bytes),
    /// Any bytes.
    Bytes(Bytes),
}

/// A state entry: key and value.
pub type Entry = (String, Value);

/// What an immediate effect came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply of a call or an invocation: JSON text.
    Json(Bytes),
    /// The response to a fetch.
    Http(HttpResponse),
    /// The end of a sleep.
    Elapsed,
}

/// An outbound request. Not checked against the app's capabilities: that is the host's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST` and so on, as the guest wrote it.
    pub method: String,
    /// As the guest wrote it.
    pub url: String,
    /// Names and values, in the guest's order.
    pub headers: Vec<(String, String)>,
    /// The body, if any.
    pub body: Option<Bytes>,
}

/// The response to an outbound request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
}

/// How important a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Step by step.
    Trace,
    /// For the one who debugs. Also what a guest writes to standard output.
    Debug,
    /// Worth knowing.
    Info,
    /// Looks wrong. Also what a guest writes to standard error.
    Warn,
    /// Is wrong.
    Error,
}

impl LogLevel {
    /// All levels, the least important first.
    pub const ALL: [Self; 5] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
    ];

    /// `trace`, `debug`, `info`, `warn` or `error`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// What one turn may do. Made for one [`crate::Instance::handle`] and dropped at its end; called
/// from inside the guest, so no method may block for long. JSON arguments are checked before they
/// get here.
pub trait TurnHost: Send {
    /// The value under `key`, as this turn sees it.
    fn state_get(&mut self, key: &str) -> Result<Option<Value>, EddyError>;
    /// Writes `key`.
    fn state_set(&mut self, key: String, value: Value) -> Result<(), EddyError>;
    /// Removes `key`; whether it was there.
    fn state_delete(&mut self, key: &str) -> Result<bool, EddyError>;
    /// At most `limit` entries whose keys start with `prefix`, after `after`, in byte order.
    fn state_list(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, EddyError>;

    /// A one-way message that leaves when the turn commits.
    fn send(
        &mut self,
        agent_type: &str,
        key: &str,
        method: &str,
        argument: Bytes,
    ) -> Result<(), EddyError>;
    /// Sets a durable timer.
    fn set_timer(
        &mut self,
        name: &str,
        milliseconds: u64,
        method: &str,
        argument: Bytes,
    ) -> Result<(), EddyError>;
    /// Cancels a durable timer; whether it was set.
    fn cancel_timer(&mut self, name: &str) -> Result<bool, EddyError>;

    /// Starts a call of an agent's method.
    fn start_call(
        &mut self,
        agent_type: &str,
        key: &str,
        method: &str,
        argument: Bytes,
    ) -> Result<PendingFuture, EddyError>;
    /// Starts an invocation of a function.
    fn start_invoke(&mut self, function: &str, argument: Bytes)
    -> Result<PendingFuture, EddyError>;
    /// Starts an outbound request.
    fn start_fetch(&mut self, request: HttpRequest) -> Result<PendingFuture, EddyError>;
    /// Starts a sleep.
    fn start_sleep(&mut self, milliseconds: u64) -> Result<PendingFuture, EddyError>;

    /// The invocation's id.
    fn invocation(&self) -> String;
    /// When the turn began, in milliseconds since the Unix epoch.
    fn now(&self) -> u64;
    /// 64 random bits.
    fn random(&mut self) -> u64;
    /// A variable of the app's environment.
    fn env(&self, name: &str) -> Option<String>;
    /// Takes one line of the log. Not bounded here, except what a guest prints.
    fn log(&mut self, level: LogLevel, message: &str);
}
