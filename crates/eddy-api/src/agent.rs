//! Agents as listings show them.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// An agent's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentRef {
    /// The agent type.
    #[serde(rename = "type")]
    pub agent_type: String,
    /// The key within the type.
    pub key: String,
}

impl fmt::Display for AgentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.agent_type, self.key)
    }
}

/// What is known of an agent without waking it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    /// The agent type.
    #[serde(rename = "type")]
    pub agent_type: String,
    /// The key within the type.
    pub key: String,
    /// When it first committed.
    #[schema(format = DateTime)]
    pub created: String,
    /// When it last committed.
    #[schema(format = DateTime)]
    pub updated: String,
    /// Whether it has a live instance now.
    pub active: bool,
}

/// A page of agents, in order of their keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentPage {
    /// The agents.
    pub items: Vec<Agent>,
    /// `cursor` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
