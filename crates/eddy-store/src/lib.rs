//! The materialised state of a node: what the journal's records add up to, readable by key.
//!
//! ```text
//! key   = shard (u16 BE) | table (1 byte) | parts of the table, see its file
//! value = version (1 byte) | postcard of the row, or what its file says
//! ```
//! All tables of all shards live in **one** fjall keyspace, and the sequence a shard is applied to
//! is a row beside the rows it speaks for. A batch is therefore in the same memtable and the same
//! files as its sequence, and whatever fjall recovers after a crash is a state the shard once had:
//! replay goes on from the sequence found. With a keyspace per table, a file of one could be
//! flushed while the journal that held another's rows is lost.
//!
//! The store is never flushed by `apply`: the journal is the truth, and [`Store::checkpoint`]
//! says up to where the journal may forget. One file per record type holds its keys, its values
//! and their lifetime; `apply` says which change writes what; nothing here decides anything.
//!
//! Tables with a second order (timers by time, dead letters and invocations by age, expiry) keep
//! index rows. An index row is a hint: readers compare it with the row it points to and pass over
//! one that is stale, so that the hot path need not read before it writes.

mod agents;
mod apply;
mod checkpoint;
mod close;
mod codec;
mod dead_letters;
mod dedupe;
mod inbox;
mod invocations;
mod keys;
mod listings;
mod message_ids;
mod meta;
mod outbox;
mod rows;
mod shard;
mod state;
mod store;
mod sweep;
mod timers;
mod usage;
mod writer;

pub use agents::AgentRow;
pub use dead_letters::DeadLetterCursor;
pub use invocations::InvocationCursor;
pub use shard::ShardStore;
pub use store::{Store, StoreConfig};
