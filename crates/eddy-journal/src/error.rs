//! What can go wrong with a journal, for programs (variants) and for people (the texts).

use eddy_types::{EddyError, ErrorCode, Seq, ShardId};
use std::io;
use std::time::Duration;

/// An error of a journal. Cheap enough to clone: a failure is told to every later caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The record would not get the expected sequence, or a trim is ahead of what is durable.
    #[error("record {expected} of shard {} is out of order: the next one is {next}", shard.0, expected = expected.0, next = next.0)]
    OutOfOrder {
        /// The shard.
        shard: ShardId,
        /// What the caller expected.
        expected: Seq,
        /// What comes next.
        next: Seq,
    },
    /// The record asked for was trimmed away.
    #[error("record {from} of shard {} was trimmed; the first one left is {first}", shard.0, from = from.0, first = first.0)]
    Trimmed {
        /// The shard.
        shard: ShardId,
        /// What the caller asked for.
        from: Seq,
        /// The oldest that is left.
        first: Seq,
    },
    /// The record is larger than a journal takes.
    #[error("a record of {bytes} bytes is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Too many bytes wait for the disk.
    #[error("{queued} bytes wait for the disk already")]
    Busy {
        /// How many bytes wait.
        queued: usize,
    },
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// Writing or flushing failed. What was not acknowledged may or may not be durable.
    #[error("{what}")]
    Failed {
        /// What failed, on which file, and why.
        what: String,
        /// Whether the disk is full.
        disk_full: bool,
        /// The shards concerned; `None` means all of them.
        shards: Option<Vec<ShardId>>,
    },
    /// Bytes that had been flushed are not what was written. Nothing was changed.
    #[error("{file} is damaged at byte {offset}: {what}")]
    Corrupt {
        /// The file's name within the journal's folder.
        file: String,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A newer version of Eddy wrote this.
    #[error("{file} has journal format {found}; this version reads up to {supported}")]
    Incompatible {
        /// The file's name within the journal's folder.
        file: String,
        /// Its format.
        found: u32,
        /// The newest format this version reads.
        supported: u32,
    },
    /// A setting that cannot work.
    #[error("{what}")]
    Config {
        /// Which one, and why.
        what: String,
    },
}

impl JournalError {
    /// A failure of the whole journal while doing `what`.
    pub(crate) fn io(what: &str, error: &io::Error) -> Self {
        Self::Failed {
            what: format!("{what} failed: {error}"),
            disk_full: is_disk_full(error),
            shards: None,
        }
    }

    /// The shards a failure concerns; `None` means all of them.
    #[must_use]
    pub fn shards(&self) -> Option<&[ShardId]> {
        match self {
            Self::Failed { shards, .. } => shards.as_deref(),
            Self::OutOfOrder { shard, .. } | Self::Trimmed { shard, .. } => {
                Some(std::slice::from_ref(shard))
            }
            _ => None,
        }
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::OutOfOrder { .. } | Self::Trimmed { .. } | Self::Config { .. } => {
                ErrorCode::Internal
            }
            Self::TooLarge { .. } => ErrorCode::RecordTooLarge,
            Self::Busy { .. } => ErrorCode::Overloaded,
            Self::Closed => ErrorCode::ShuttingDown,
            Self::Failed { .. } => ErrorCode::JournalFailed,
            Self::Corrupt { .. } => ErrorCode::JournalCorrupt,
            Self::Incompatible { .. } => ErrorCode::IncompatibleData,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::OutOfOrder { .. } | Self::Trimmed { .. } | Self::Config { .. } => {
                "This is a bug in Eddy. Please report it with the node's log."
            }
            Self::TooLarge { .. } => "Change less in one turn, or keep large values in blobs.",
            Self::Busy { .. } | Self::Closed => "Try again.",
            Self::Failed {
                disk_full: true, ..
            } => {
                "The disk is full. Free some space and start the node again; nothing that was \
                 acknowledged is lost."
            }
            Self::Failed { .. } => {
                "Check the disk and the system's log, then start the node again; nothing that was \
                 acknowledged is lost if the disk is sound."
            }
            Self::Corrupt { .. } => {
                "These bytes changed after they had been flushed, so starting would lose \
                 acknowledged data. Nothing was touched. Check the disk and restore the data \
                 folder from a copy."
            }
            Self::Incompatible { .. } => "Start the version of Eddy that wrote this data folder.",
        }
    }
}

impl From<JournalError> for EddyError {
    fn from(error: JournalError) -> Self {
        let eddy = Self::new(error.code(), error.to_string()).hint(error.hint());
        match error {
            JournalError::Busy { .. } => eddy.retry_after(Duration::from_secs(1)),
            _ => eddy,
        }
    }
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_its_own_hint() {
        let full = JournalError::io("writing", &io::Error::from(io::ErrorKind::StorageFull));
        let broken = JournalError::io("writing", &io::Error::other("EIO"));
        assert!(
            EddyError::from(full)
                .hint
                .is_some_and(|hint| hint.contains("disk is full"))
        );
        assert!(
            EddyError::from(broken)
                .hint
                .is_some_and(|hint| hint.contains("Check the disk"))
        );
    }
}
