//! What is deployed together: an app with its components, functions and agent types, each with
//! its limits resolved. Parsing `eddy.toml` is eddy-bundle's; this is the result.

use crate::address::{MethodName, Name};
use crate::digest::Digest;
use crate::limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Environment variables of an app.
pub type Env = BTreeMap<String, String>;

/// A deployed version of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSpec {
    /// The app's name, unique in its tenant.
    pub name: Name,
    /// 1 for the first deploy of this name, then counting up.
    pub version: u64,
    /// The code, in the order of the manifest.
    pub components: Vec<Component>,
    /// Functions by name.
    pub functions: BTreeMap<Name, FunctionSpec>,
    /// Agent types by name.
    pub agents: BTreeMap<Name, AgentSpec>,
    /// Environment variables that guests see, but for secrets: their values are looked up when the
    /// app is loaded and never stored.
    pub env: Env,
    /// What guests may reach.
    pub capabilities: Capabilities,
}

/// One piece of code of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name in the manifest.
    pub name: Name,
    /// The digest of its bytes: of the WebAssembly binary, or of the bundle of modules.
    pub digest: Digest,
    /// What the bytes are.
    pub kind: ComponentKind,
}

/// What the bytes of a component are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentKind {
    /// A WebAssembly component for the world `eddy:platform/app`, or one that exports
    /// `wasi:http/incoming-handler`.
    Wasm,
    /// A JavaScript bundle (JSON), run on the node's shared QuickJS runtime component.
    Js,
    /// A Python bundle (JSON), run on a Python runtime that was deployed with it and is shared by all
    /// apps that have the same.
    Python {
        /// The digest of the runtime, a WebAssembly component.
        runtime: Digest,
    },
}

/// Settings of one function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionSpec {
    /// Index into [`AppSpec::components`].
    pub component: usize,
    /// Longest time one invocation may take.
    pub timeout: TimeoutSpec,
    /// Memory of one instance, in bytes.
    pub memory: usize,
    /// Invocations that may run at once.
    pub concurrency: u32,
    /// How a durable invocation is tried again.
    pub retries: RetryPolicy,
    /// Of a function that answers HTTP requests: the paths under `/apps/APP` that are its own, each with
    /// all below it. Empty for every other function.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
}

impl FunctionSpec {
    /// Whether it answers HTTP requests, and takes no argument.
    #[must_use]
    pub fn serves_http(&self) -> bool {
        !self.routes.is_empty()
    }
}

/// Settings of one agent type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSpec {
    /// Index into [`AppSpec::components`].
    pub component: usize,
    /// Its methods, as the component describes them.
    pub methods: BTreeMap<MethodName, MethodSpec>,
    /// Longest time one turn may take.
    pub timeout: TimeoutSpec,
    /// Memory of one instance, in bytes.
    pub memory: usize,
    /// Time after which an idle agent is passivated.
    pub idle: Duration,
    /// How sends to it and its timers are tried again.
    pub retries: RetryPolicy,
    /// When a turn counts as committed.
    pub durability: Durability,
}

/// What a component says of one method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodSpec {
    /// A query: it may read state, never write it.
    pub read_only: bool,
}

/// A time limit, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeoutSpec {
    /// Ends after this time.
    After(Duration),
    /// No limit of its own. Nested waits still end.
    None,
}

impl Default for TimeoutSpec {
    fn default() -> Self {
        Self::After(limits::DEFAULT_TIMEOUT)
    }
}

/// When a turn counts as committed. Chosen per agent type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// After its record is flushed to disk.
    #[default]
    Synced,
    /// At once; flushed within [`limits::RELAXED_FLUSH_WITHIN`]. A crash can lose that much.
    Relaxed,
    /// Never: state lives in memory only and is gone when the node stops.
    None,
}

/// How a failing delivery is tried again: exponential backoff with a cap, then a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Pause after the first attempt; doubles each time.
    pub backoff: Duration,
    /// Longest pause.
    pub max_backoff: Duration,
}

impl RetryPolicy {
    /// The pause after attempt number `attempt` (the first is 1).
    #[must_use]
    pub fn pause_after(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(30);
        self.backoff
            .saturating_mul(1 << doublings)
            .min(self.max_backoff)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: limits::DEFAULT_DELIVERY_ATTEMPTS,
            backoff: limits::DEFAULT_BACKOFF,
            max_backoff: limits::MAX_BACKOFF,
        }
    }
}

/// What an app's guests may reach. Empty means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Hosts that `fetch` may reach: `host`, `host:port`, or `*.domain`.
    pub hosts: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap() {
        let policy = RetryPolicy {
            attempts: 10,
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(1),
        };
        let pauses: Vec<_> = (1..=6).map(|n| policy.pause_after(n).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(policy.pause_after(u32::MAX), Duration::from_secs(1));
    }
}
