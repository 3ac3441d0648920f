//! The HTTP contract of a node: the documents that go over the wire, the headers that carry
//! options, and (feature `client`) a client. Wire types only: the server translates them from and
//! to what the node speaks, so that neither side's inner types leak out.

mod access;
mod agent;
mod app;
#[cfg(feature = "client")]
mod client;
mod dead_letter;
mod deploy;
pub mod headers;
mod invocation;
pub mod log;
mod problem;
mod state;
mod time;

pub use access::{
    CreatedToken, NewToken, SetTenant, Tenant, TenantLimits, TenantList, TenantUsage, Token,
    TokenList,
};
pub use agent::{Agent, AgentPage, AgentRef};
pub use app::{AgentType, App, AppComponent, AppList, Function, Method, Retries};
#[cfg(feature = "client")]
pub use client::{
    Answer, CallOptions, Client, Credentials, LogEvent, LogQuery, LogStream, PageQuery,
};
pub use dead_letter::{DeadLetter, DeadLetterPage, DeadLetterSource};
pub use deploy::{Base64, DeployComponent, DeployRequest, Module, PythonModule};
pub use invocation::{
    Invocation, InvocationPage, InvocationStatus, InvocationTarget, LogLine, json_or_text,
};
pub use log::{LogEntry, LogMissed, LogPage};
pub use problem::{GuestProblem, PROBLEM_JSON, Problem};
pub use state::{AGENT_DOCUMENT_VERSION, AgentDocument, AgentTimer, ImportedAgent, StateValue};
pub use time::rfc3339;
