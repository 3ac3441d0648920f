//! Runs guests: WebAssembly components for the world `eddy:platform/app`, under limits, on
//! wasmtime. The only crate that knows wasmtime.
//!
//! [`Engine`] compiles and caches, [`Code`] is a compiled component ready to instantiate,
//! [`Instance`] runs turns one at a time, [`TurnHost`] is what a turn may do. Components that export
//! `wasi:http/incoming-handler` answer requests instead: [`Exchange`]. There is no clock,
//! no task and no thread in here: the caller ticks the engine, owns time-outs through
//! [`CancelToken`], and makes the futures that a turn waits for.

mod account;
mod bindings;
mod cache;
mod cancel;
mod code;
mod describe;
mod engine;
mod exchange;
mod fault;
mod host;

mod imports;
mod instance;
mod js;
mod limiter;
mod maps;
mod native;
mod outcome;
mod pending;
mod program;
mod python;
mod state;
mod wasi;

pub use account::MemoryAccount;
pub use cache::CacheConfig;
pub use cancel::{CancelReason, CancelToken};
pub use code::Code;
pub use describe::{AgentDefinition, Definition, MethodDefinition};
pub use engine::{Engine, EngineConfig};
pub use exchange::{
    Answer, Exchange, HttpBody, HttpError, Outbound, OutboundFuture, OutboundOptions, Printed,
    Respond,
};
pub use fault::{Fault, TrapKind};
pub use host::{
    Entry, HttpRequest, HttpResponse, LogLevel, Outcome, PendingFuture, TurnHost, Value,
};
pub use instance::{Instance, InstanceLimits, Target, TurnOutcome};
pub use js::JsModule;
pub use maps::shortage as map_shortage;
pub use program::Program;
pub use python::PythonModule;
