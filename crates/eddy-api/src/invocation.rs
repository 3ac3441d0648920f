//! The record of one function call or agent turn.

use crate::agent::AgentRef;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

/// Where an invocation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InvocationStatus {
    /// Accepted, not started.
    Queued,
    /// Running.
    Running,
    /// Ended with a result.
    Succeeded,
    /// Ended with an error.
    Failed,
}

impl InvocationStatus {
    /// The text that the wire carries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// What an invocation ran: `function`, or `agent` and `method`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InvocationTarget {
    /// The function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentRef>,
    /// The agent's method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// One line that a guest logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The text.
    pub message: String,
}

/// An invocation.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Invocation {
    /// Its id: 32 hex digits.
    pub id: String,
    /// Where it stands.
    pub status: InvocationStatus,
    /// What it ran.
    pub target: InvocationTarget,
    /// When it was accepted.
    #[schema(format = DateTime)]
    pub queued: String,
    /// When it (last) started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ended: Option<String>,
    /// Whether an instance had to be made for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold: Option<bool>,
    /// Time the guest held an instance, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_us: Option<u64>,
    /// Memory of the instance at the end, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Attempts made.
    pub attempts: u32,
    /// Whether the record survives a restart.
    pub durable: bool,
    /// The result, when it succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<Box<RawValue>>,
    /// The error, when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    /// What it logged, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogLine>,
    /// The caller's trace context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// A page of invocations, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct InvocationPage {
    /// The invocations.
    pub items: Vec<Invocation>,
    /// `cursor` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `bytes` as they are when they are JSON, else as a JSON string of their text.
#[must_use]
pub fn json_or_text(bytes: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8_lossy(bytes);
    serde_json::from_str::<Box<RawValue>>(&text)
        .or_else(|_| to_raw_value(&text))
        .expect("a string is always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_bytes() {
        assert_eq!(
            json_or_text(b"{\"b\":1.0,  \"a\":1e400}").get(),
            "{\"b\":1.0,  \"a\":1e400}"
        );
        assert_eq!(json_or_text(b"not json").get(), "\"not json\"");
        assert_eq!(json_or_text(b"").get(), "\"\"");
    }
}
