//! The journal: the ordered durable record of every shard, and the truth of the node.
//!
//! Here live the [`Journal`] trait, its local provider ([`LocalJournal`]), the file system under
//! it ([`fs`]) with the one that loses what was not flushed ([`fs::FaultFs`]), and the suite that
//! every provider must pass (`conformance`, behind the feature of that name). What a record
//! *means* is not known here: a record is bytes.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod fs;
mod journal;
mod local;

pub use error::JournalError;
pub use journal::{Bounds, Entry, Journal, JournalEvents, Urgency};
pub use local::{LocalConfig, LocalJournal, Stats};
