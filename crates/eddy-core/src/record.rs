//! The record: what one turn (or one housekeeping step) changed, as it stands in the journal.
//!
//! Results, not decisions: every change is absolute, so applying a record twice, or a suffix of
//! the journal again, ends in the same state. No guest and no rule runs at replay.
//!
//! ```text
//! +---------+------------------------------+
//! | version | postcard of `Record`         |
//! | 1 byte  | <= 999,999 bytes             |
//! +---------+------------------------------+
//! ```
//! Enum variants and fields are only ever appended; anything else is a new version.

use crate::message::MessageId;
use bytes::Bytes;
use eddy_types::limits::MAX_RECORD_BYTES;
use eddy_types::{
    AgentId, Digest, EddyError, ErrorCode, FunctionId, MethodName, Name, Seq, ShardId, TenantId,
    Timestamp,
};
use serde::{Deserialize, Serialize};

/// The version this build writes. It reads every version up to this one.
pub const RECORD_VERSION: u8 = 1;

/// What a message led to: the JSON result, or the error that is the reply.
pub type Outcome = Result<Bytes, EddyError>;

/// A state value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// UTF-8 JSON text.
    Json(Bytes),
    /// Bytes.
    Bytes(Bytes),
}

impl Value {
    /// Size of the content, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Json(bytes) | Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether the content is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One entry of a shard's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it was made, by the clock of the node that made it.
    pub at: Timestamp,
    /// The changes, in order. They may belong to several agents of the shard.
    pub changes: Vec<Change>,
}

/// One change of a shard's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A node took the shard over. Carries no state; it fences what an earlier owner had not committed.
    Epoch {
        /// Counts up with every take-over of the shard.
        epoch: u64,
    },
    /// The agent exists from now on. First change of every turn that touches a new agent.
    AgentTouched {
        /// The agent.
        agent: AgentId,
    },
    /// A state key has this value.
    StatePut {
        /// The agent.
        agent: AgentId,
        /// The state key.
        key: String,
        /// Its value.
        value: Value,
    },
    /// A state key has no value.
    StateDelete {
        /// The agent.
        agent: AgentId,
        /// The state key.
        key: String,
    },
    /// The agent is gone with all its state and timers. What it received and answered stays
    /// remembered, so that a late duplicate does not bring it back.
    AgentDeleted {
        /// The agent.
        agent: AgentId,
    },
    /// An idempotency key has been answered.
    DedupePut {
        /// Whose key.
        scope: DedupeScope,
        /// The key.
        key: DedupeKey,
        /// The answer.
        row: DedupeRow,
    },
    /// A send waits for delivery.
    OutboxPut {
        /// The shard it goes to.
        dest: ShardId,
        /// Its number among the sends from this shard to that one, from 1.
        seq: u64,
        /// The send.
        send: SendRow,
    },
    /// A send is settled: delivered, or a dead letter.
    OutboxDone {
        /// The shard it went to.
        dest: ShardId,
        /// Its number.
        seq: u64,
    },
    /// A send from another shard took effect here.
    InboxMark {
        /// The shard it came from.
        source: ShardId,
        /// Its number.
        seq: u64,
        /// Every number below this one is settled at the source and will not come again.
        floor: u64,
    },
    /// A timer is set, replacing one of that name.
    TimerPut {
        /// The agent.
        agent: AgentId,
        /// Its name, unique in the agent.
        name: String,
        /// The timer.
        timer: Timer,
    },
    /// A timer is gone: cancelled, fired, or a dead letter.
    TimerDelete {
        /// The agent.
        agent: AgentId,
        /// Its name.
        name: String,
    },
    /// A delivery was given up.
    DeadLetterPut {
        /// Its number in the shard: the sequence of this record and its place in it.
        id: DeadLetterId,
        /// What was to be delivered and why it failed.
        letter: DeadLetter,
    },
    /// A dead letter was redriven or discarded.
    DeadLetterDelete {
        /// Its number.
        id: DeadLetterId,
    },
    /// The state of a durable invocation.
    InvocationPut {
        /// Its id.
        id: MessageId,
        /// Its state.
        row: InvocationRow,
    },
}

/// Whose idempotency keys: an agent's or a function's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DedupeScope {
    /// Keys sent to this agent.
    Agent(AgentId),
    /// Keys sent to this function.
    Function(FunctionId),
}

/// What a repeated message is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DedupeKey {
    /// The client's `Idempotency-Key`.
    Client(String),
    /// An immediate effect of a turn that may run again.
    Effect(MessageId),
}

/// What is remembered of an answered key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupeRow {
    /// Digest of target, method and argument.
    pub digest: Digest,
    /// The answer, given again to duplicates.
    pub outcome: Outcome,
    /// Forgotten from then on.
    pub expires: Timestamp,
}

/// Who sent something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sender {
    /// An agent.
    Agent(AgentId),
    /// An invocation of a function.
    Invocation(MessageId),
}

/// A one-way message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendRow {
    /// Who sent it. Order holds per sender and target.
    pub from: Sender,
    /// The target.
    pub to: AgentId,
    /// The method.
    pub method: MethodName,
    /// The argument, JSON text.
    pub argument: Bytes,
}

/// A durable timer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// When it fires.
    pub at: Timestamp,
    /// The method it calls on its own agent.
    pub method: MethodName,
    /// The argument, JSON text.
    pub argument: Bytes,
    /// The record that set it: tells a timer from the one it replaced.
    pub generation: Seq,
}

/// The number of a dead letter within its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeadLetterId {
    /// The record that gave up.
    pub seq: Seq,
    /// The place in that record.
    pub index: u32,
}

/// A delivery that was given up, kept for people to see and redrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Who sent it; the agent itself for a timer.
    pub from: Sender,
    /// The target.
    pub to: AgentId,
    /// The method.
    pub method: MethodName,
    /// The argument, JSON text.
    pub argument: Bytes,
    /// The timer's name when it was a timer.
    pub timer: Option<String>,
    /// The last error.
    pub error: EddyError,
    /// Attempts made.
    pub attempts: u32,
    /// When it was given up.
    pub at: Timestamp,
}

/// Where a durable invocation stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvocationRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The function.
    pub function: Name,
    /// The argument, JSON text; empty once it has ended.
    pub argument: Bytes,
    /// When it was accepted.
    pub queued: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The result, once it has ended.
    pub outcome: Option<Outcome>,
    /// Attempts made so far.
    pub attempts: u32,
    /// The idempotency key it came with, and the digest it was first used with.
    pub key: Option<(String, Digest)>,
    /// The row may be dropped from then on; never while it runs.
    pub expires: Option<Timestamp>,
}

impl Change {
    /// Whose change it is; none when it does not say, as in the shard's own housekeeping.
    fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::AgentTouched { agent }
            | Self::StatePut { agent, .. }
            | Self::StateDelete { agent, .. }
            | Self::AgentDeleted { agent }
            | Self::TimerPut { agent, .. }
            | Self::TimerDelete { agent, .. } => Some(agent.tenant()),
            Self::DedupePut { scope, .. } => Some(match scope {
                DedupeScope::Agent(agent) => agent.tenant(),
                DedupeScope::Function(function) => &function.tenant,
            }),
            Self::OutboxPut { send, .. } => Some(send.to.tenant()),
            Self::DeadLetterPut { letter, .. } => Some(letter.to.tenant()),
            Self::InvocationPut { row, .. } => Some(&row.tenant),
            Self::Epoch { .. }
            | Self::OutboxDone { .. }
            | Self::InboxMark { .. }
            | Self::DeadLetterDelete { .. } => None,
        }
    }
}

impl Record {
    /// Whose record it is: a turn changes what belongs to one tenant.
    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        self.changes.iter().find_map(Change::tenant)
    }

    /// The bytes for the journal; `record-too-large` when they would exceed the limit.
    pub fn encode(&self) -> Result<Bytes, EddyError> {
        let bytes = postcard::to_extend(self, vec![RECORD_VERSION])
            .map_err(|error| EddyError::internal(format!("a record does not encode: {error}")))?;
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(EddyError::new(
                ErrorCode::RecordTooLarge,
                format!(
                    "the turn's changes take {} bytes; one turn may commit {MAX_RECORD_BYTES}",
                    bytes.len()
                ),
            )
            .hint("Write less per turn, or keep large data outside and store a reference to it."));
        }
        Ok(Bytes::from(bytes))
    }

    /// Reads a record of this or an earlier version.
    pub fn decode(bytes: &[u8]) -> Result<Self, EddyError> {
        let (version, body) = bytes.split_first().ok_or_else(|| corrupt("it is empty"))?;
        if *version == 0 || *version > RECORD_VERSION {
            return Err(EddyError::new(
                ErrorCode::IncompatibleData,
                format!("a journal record has version {version}; this build reads up to {RECORD_VERSION}"),
            )
            .hint("Start the version of Eddy that wrote this data, or a newer one."));
        }
        match postcard::take_from_bytes(body) {
            Ok((record, [])) => Ok(record),
            Ok((_, rest)) => Err(corrupt(&format!("{} bytes follow it", rest.len()))),
            Err(error) => Err(corrupt(&error.to_string())),
        }
    }
}

fn corrupt(why: &str) -> EddyError {
    EddyError::new(
        ErrorCode::JournalCorrupt,
        format!("a journal record cannot be read: {why}"),
    )
    .hint("Restore the data folder from a copy; see docs/errors/journal-corrupt.md.")
}
