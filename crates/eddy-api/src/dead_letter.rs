//! Deliveries that were given up.

use crate::agent::AgentRef;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Who sent it: exactly one field is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterSource {
    /// An agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentRef>,
    /// An invocation of a function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
}

/// A send or a timer that failed until its attempts were used up.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// Its id, for redriving and discarding.
    pub id: String,
    /// Who sent it; the agent itself for a timer.
    pub from: DeadLetterSource,
    /// The agent it was for.
    pub to: AgentRef,
    /// The method.
    pub method: String,
    /// The argument.
    #[schema(value_type = serde_json::Value)]
    pub argument: Box<RawValue>,
    /// The timer's name when it was a timer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timer: Option<String>,
    /// The last error.
    pub error: Problem,
    /// Attempts made.
    pub attempts: u32,
    /// When it was given up.
    #[schema(format = DateTime)]
    pub at: String,
}

/// A page of dead letters.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterPage {
    /// The dead letters.
    pub items: Vec<DeadLetter>,
    /// `cursor` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
