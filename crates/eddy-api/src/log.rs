//! The log of a tenant's guests: a page of recent lines, and the events of a stream of them.

use crate::invocation::InvocationTarget;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One line that a guest logged, or that says how an attempt at an invocation failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Names the line: a stream goes on after it with `Last-Event-ID`.
    pub id: String,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The app whose code ran.
    pub app: String,
    /// What ran.
    pub target: InvocationTarget,
    /// The invocation.
    pub invocation: String,
    /// The text; it may have several lines.
    pub message: String,
    /// The code of the error, when the attempt is known to have failed: what it buffered took no
    /// effect. A line that is read before its attempt ends does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// A page of log lines, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// The lines.
    pub items: Vec<LogEntry>,
    /// `cursor` of the next page, of older lines; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The data of the event [`MISSED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogMissed {
    /// How many lines of the tenant, wanted or not; `null` when the node was started anew meanwhile.
    pub lines: Option<u64>,
}

/// The event of a stream that says that lines were dropped before they were read.
pub const MISSED: &str = "missed";
/// The last event of a stream: a problem document with the reason.
pub const END: &str = "end";
