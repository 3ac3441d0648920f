//! What the outside of a node sees: requests, answers and listings. The HTTP server is written
//! against these; nothing here knows HTTP.

use crate::access::TenantPermit;
use bytes::Bytes;
use eddy_core::{DeadLetter, MessageId, Outcome, Timer, Value};
use eddy_types::{AgentId, Digest, EddyError, MethodName, Name, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How a node is set up. It is not to be printed: it holds secrets.
#[derive(Clone)]
pub struct NodeConfig {
    /// The data folder; made when it is missing.
    pub data: PathBuf,
    /// Shards of a new data folder; an existing one keeps its number.
    pub shards: u16,
    /// Memory all idle agents may take together, in bytes: see [`eddy_wasm::Instance::charged_bytes`].
    pub guest_memory: usize,
    /// Live guest instances at once, agents and functions together. The default stays below the
    /// usual limit of the kernel (`vm.max_map_count`): see [`eddy_wasm::Engine::shortage`].
    pub max_instances: u32,
    /// A file system for crash tests under the journal: see `EDDY_FAULT_FS` in CONTRIBUTING.md.
    pub fault_fs: Option<String>,
    /// Longest time the code of an app's components may take to start at a deploy, all together.
    pub deploy_guest_timeout: Duration,
    /// How long a turn that runs at a redeploy of its app may go on with the old code.
    pub redeploy_grace: Duration,
    /// Whether the clock can be put forward, for tests: see [`crate::Node::advance`]. The clock is the
    /// process's, so at most one node of a process may have this.
    pub simulated_time: bool,
    /// Where compiled code is kept instead of the data folder: a folder of the user's that nodes share, so that those whose
    /// data is thrown away need not compile again what others have. It has a key of its own, for nobody but the user.
    pub code_cache: Option<PathBuf>,
    /// Where `secret` references are looked up: the node's own environment, by name.
    pub secrets: std::collections::BTreeMap<String, String>,
}

/// How one request wants to be handled.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// The client's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The longest the caller waits; the manifest's time-out when absent.
    pub timeout: Option<Duration>,
    /// W3C `traceparent`, noted in the invocation.
    pub traceparent: Option<String>,
    /// A query on committed state, beside the live instance.
    pub snapshot: bool,
    /// Whether the caller may list the tenant's names, so that an error for a wrong one may suggest the right one.
    pub suggest: bool,
    /// What lets the request in; held until what it began has ended, though its client may go away before.
    pub permit: Option<Arc<TenantPermit>>,
}

impl NodeConfig {
    /// The defaults, over this data folder.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            shards: eddy_types::limits::DEFAULT_SHARDS,
            guest_memory: 8 << 30,
            max_instances: 10_500,
            fault_fs: None,
            redeploy_grace: eddy_types::limits::DEFAULT_GRACE,
            deploy_guest_timeout: eddy_types::limits::DEPLOY_GUEST_TIMEOUT,
            simulated_time: false,
            code_cache: None,
            secrets: std::collections::BTreeMap::new(),
        }
    }
}

/// The answer to a request that reached its target.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The invocation that made it.
    pub invocation: MessageId,
    /// The JSON result or the error.
    pub outcome: Outcome,
}

/// What an invocation ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvocationTarget {
    /// A function.
    Function(Name),
    /// A method of an agent.
    Method(AgentId, MethodName),
}

/// Where an invocation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The record of one function call or agent turn.
#[derive(Clone, Debug)]
pub struct InvocationInfo {
    /// Its id.
    pub id: MessageId,
    /// Its tenant.
    pub tenant: TenantId,
    /// What it ran.
    pub target: InvocationTarget,
    /// Where it stands.
    pub status: InvocationStatus,
    /// When it was accepted.
    pub queued: Timestamp,
    /// When it (last) started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Whether an instance had to be made for it.
    pub cold: Option<bool>,
    /// Time the guest held an instance, in microseconds.
    pub run_micros: Option<u64>,
    /// Memory of the instance at the end, in bytes.
    pub memory: Option<usize>,
    /// Attempts made.
    pub attempts: u32,
    /// The result or error, once it has ended.
    pub outcome: Option<Outcome>,
    /// What it logged, oldest first.
    pub logs: Vec<LogLine>,
    /// Whether the record survives a restart.
    pub durable: bool,
    /// The caller's `traceparent`.
    pub traceparent: Option<String>,
}

/// One line that a guest logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// The text.
    pub message: String,
}

/// What is known of an agent without waking it.
#[derive(Clone, Debug)]
pub struct AgentInfo {
    /// Its address.
    pub agent: AgentId,
    /// When it first committed.
    pub created: Timestamp,
    /// When it last committed.
    pub updated: Timestamp,
    /// Whether it has a live instance now.
    pub active: bool,
}

/// Everything durable that belongs to an agent, besides what it answered to idempotency keys.
#[derive(Clone, Debug, Default)]
pub struct AgentExport {
    /// Its state, in byte order of the keys.
    pub state: Vec<(String, Value)>,
    /// Its timers still to fire, by name.
    pub timers: Vec<(String, Timer)>,
}

/// A delivery that was given up.
#[derive(Clone, Debug)]
pub struct DeadLetterInfo {
    /// Its name, for redriving and discarding it.
    pub name: String,
    /// What it was.
    pub letter: DeadLetter,
}

/// One page of a listing.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Hand this in to get the next page; none after the last.
    pub next: Option<String>,
}

/// Where a page begins and how long it is.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Entries wanted; at most [`eddy_types::limits::MAX_PAGE`].
    pub limit: Option<usize>,
}

/// Code to deploy.
#[derive(Clone, Debug)]
pub enum Code {
    /// A WebAssembly component.
    Wasm(Bytes),
    /// JavaScript modules, types stripped; the first is the entry.
    Js(Vec<Module>),
    /// Python modules; the first is the entry.
    Python {
        /// The modules.
        modules: Vec<PythonModule>,
        /// What runs them.
        runtime: Runtime,
    },
}

/// A shared runtime: a component that programs are loaded into.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// The digest of its bytes.
    pub digest: Digest,
    /// The component. Without it the node must have it already: `unknown-runtime`.
    pub bytes: Option<Bytes>,
}

/// One Python module of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonModule {
    /// What it is imported as: `shop.cart`.
    pub name: String,
    /// The path that tracebacks name, relative to the project: `shop/cart.py`.
    pub path: String,
    /// Python.
    pub source: String,
}

/// One JavaScript module of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// The path that stack traces name, relative to the project.
    pub name: String,
    /// JavaScript.
    pub source: String,
    /// Source map (version 3, JSON) back to what the user wrote.
    pub source_map: Option<String>,
}

/// An app to deploy.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// What eddy.toml says.
    pub manifest: eddy_types::Manifest,
    /// The components, named as in the manifest.
    pub components: Vec<(Name, Code)>,
}

/// Counters and gauges for `/metrics`.
#[derive(Clone, Debug, Default)]
pub struct NodeStats {
    /// Turns that ended, by outcome: ok, guest error, fault.
    pub turns: [u64; 3],
    /// Function invocations that ended, by outcome: ok, guest error, fault.
    pub functions: [u64; 3],
    /// Records committed.
    pub records: u64,
    /// Bytes of records committed.
    pub record_bytes: u64,
    /// Flushes of the journal.
    pub flushes: u64,
    /// Agents activated since the start.
    pub activations: u64,
    /// Agents passivated since the start.
    pub passivations: u64,
    /// Agents with a live instance.
    pub active_agents: u64,
    /// Memory of live agent instances, in bytes, as it counts against their limit.
    pub active_memory: u64,
    /// Messages waiting in mailboxes.
    pub waiting: u64,
    /// Sends not yet settled.
    pub outbox: u64,
    /// Dead letters made since the start.
    pub dead_letters: u64,
    /// Turn times in seconds: upper bounds and cumulative counts, for a histogram.
    pub turn_seconds: Vec<(f64, u64)>,
    /// Sum of turn times, in seconds.
    pub turn_seconds_sum: f64,
}

/// Why a node no longer serves.
#[derive(Clone, Debug)]
pub struct Stopped(pub EddyError);
