//! The words every other crate speaks: ids and addresses, limits, error codes, the description
//! of an app. No I/O, no async, no clock. Stays small: a type lives here only when two crates
//! that do not depend on each other need it.

mod access;
mod address;
mod app;
mod collections;
mod digest;
mod error;
pub mod limits;
pub mod manifest;
mod similar;
mod time;

pub use access::{Permission, Role, TenantLimits, TenantSpec};
pub use address::{AgentId, FunctionId, Key, MethodName, Name, Seq, ShardId, ShardMap, TenantId};
pub use app::{
    AgentSpec, AppSpec, Capabilities, Component, ComponentKind, Durability, Env, FunctionSpec,
    MethodSpec, RetryPolicy, TimeoutSpec,
};
pub use collections::{HashMap, RandomState};
pub use digest::Digest;
pub use error::{EddyError, ErrorCode, GuestFailure};
pub use manifest::{Definition, Manifest};
pub use similar::most_similar;
pub use time::Timestamp;
