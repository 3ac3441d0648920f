//! The assembly of a node: activations, mailboxes, gates, timers, functions, deploys, shutdown.
//! The only crate that spawns tasks, reads the clock and draws random numbers. What is right is
//! decided in eddy-core; this crate carries it out.
//!
//! | module | what |
//! |---|---|
//! | `facade` | the types that the outside sees |
//! | `node` | start, stop, and the requests behind [`Node`] |
//! | `inner` | shared state, and the step: lock a shard, decide, carry out |
//! | `turns`, `functions`, `attempt`, `snapshot` | running guests |
//! | `exchange` | HTTP requests that apps answer |
//! | `runs`, `runners`, `shares`, `fair` | on which thread, and whose turn it is |
//! | `host`, `effects`, `fetch`, `held` | what guests may do, and what the node holds for it |
//! | `live` | instances of agents, passivation |
//! | `catalog` | what is deployed |
//! | `access` | tenants and tokens |
//! | `listing` | look-ups for the API |
//! | `portable` | exports and imports of agents |
//! | `durability` | journal, store, checkpoints, replay |
//! | `simulate` | a clock that tests put forward |
//! | `sealed` | names that tell nothing |
//! | `machine` | what a node needs of its machine, for `eddy doctor` |
//! | `logs` | what guests log, as they write it |
//! | `recent`, `stats` | invocations and counters |
//! | `data_dir`, `clock`, `tasks`, `reply` | the ground |

mod access;
mod attempt;
mod catalog;
mod clock;
mod data_dir;
mod durability;
mod effects;
mod exchange;
mod facade;
mod fair;
mod fetch;
mod functions;
mod held;
mod host;
mod inner;
mod lifecycle;
mod listing;
mod live;
mod load;
mod logs;
mod machine;
mod node;
mod portable;
mod process;
mod recent;
mod reply;
mod requests;
mod runners;
mod runs;
mod sealed;
mod shares;
mod simulate;
mod snapshot;
mod spares;
mod stats;
mod tasks;
mod turns;

pub use access::{
    NewToken, OfflineAccess, Session, TenantInfo, TenantPermit, TokenInfo, TokenText,
};
pub use data_dir::data_in_use;
pub use eddy_wasm::{HttpBody, HttpError};
pub use exchange::Answered;
pub use facade::*;
pub use logs::{
    LogEntry, LogFilter, LogId, LogLevel, LogNews, LogReader, LogSince, LogSource, LogStart,
};
pub use machine::{FlushTimes, map_shortage, measure_flushes};
pub use node::Node;
