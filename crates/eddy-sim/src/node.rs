//! One incarnation of the node: its shards, what is in its memory, and its journal's pipeline.
//! A crash drops it whole.

use crate::cast::{Script, Who};
use bytes::Bytes;
use eddy_core::model::MemoryStore;
use eddy_core::{
    CallChain, Delivery, DeliveryResult, Effects, Message, MessageId, Outcome, Probe, Record,
    ShardCore, TurnId,
};
use eddy_types::{AgentId, Seq, ShardId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The number of a request: where its reply goes.
pub(crate) type ReplyTo = u64;

/// Who waits for a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waiter {
    /// A client, for the answer to one of its operations.
    Client {
        op: usize,
        /// It was sent with another body under the same key: it must be refused.
        other_body: bool,
    },
    /// A guest, for a call.
    Call { run: u64, slot: usize },
    /// Nobody any more: the client went away, or the turn has ended.
    Nobody,
    /// The operator, for a redrive.
    Operator,
}

/// Something on its way inside the node. Arrives in any order.
#[derive(Debug)]
pub(crate) enum Parcel {
    Message(ShardId, Box<Message<ReplyTo>>),
    Deliver(Box<Delivery>),
    Settle {
        source: ShardId,
        dest: ShardId,
        seq: u64,
        result: DeliveryResult,
    },
    Probe(ShardId, Probe),
    Abort(ShardId, AgentId, MessageId),
    Cancel(ShardId, AgentId, MessageId),
    Return {
        run: u64,
        slot: usize,
        outcome: Outcome,
    },
}

/// An instance's globals: a cache of the state it has seen.
#[derive(Debug, Default)]
pub(crate) struct Instance {
    pub(crate) cache: BTreeMap<String, Option<i64>>,
}

/// What runs.
#[derive(Clone, Debug)]
pub(crate) enum RunKind {
    Turn {
        turn: TurnId,
        who: Who,
        read_only: bool,
    },
    /// A durable invocation.
    Function,
    /// An invocation that is not remembered.
    Plain { reply: ReplyTo },
    /// A function that a turn waits for.
    Inner {
        parent: u64,
        slot: usize,
        turn: TurnId,
        shard: usize,
    },
}

/// A call that a run has started.
#[derive(Debug)]
pub(crate) struct CallSlot {
    pub(crate) id: MessageId,
    pub(crate) to: Option<Who>,
    pub(crate) reply: ReplyTo,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) detached: bool,
    pub(crate) catch: bool,
}

/// A guest at work.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) kind: RunKind,
    pub(crate) id: MessageId,
    pub(crate) chain: CallChain,
    pub(crate) retriable: bool,
    pub(crate) script: Script,
    pub(crate) place: usize,
    pub(crate) effects: Effects,
    pub(crate) calls: Vec<CallSlot>,
    /// The agent's version when the turn began: what its immediate effects depend on.
    pub(crate) began_at: i64,
    /// Scripts of functions that wait at the gate, by slot.
    pub(crate) inner: BTreeMap<usize, (Who, Script)>,
}

impl Run {
    pub(crate) fn is_ready(&self) -> bool {
        self.calls
            .iter()
            .all(|call| call.detached || call.outcome.is_some())
    }
}

/// An append on its way.
#[derive(Clone, Debug)]
pub(crate) struct Append {
    pub(crate) shard: usize,
    pub(crate) seq: Seq,
    pub(crate) record: Bytes,
}

/// The journal's writer: appends wait, are flushed in batches, and acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    pub(crate) pending: VecDeque<Append>,
    pub(crate) in_flight: Vec<Append>,
    /// Durable and not yet told, by shard.
    pub(crate) acks: BTreeMap<usize, Seq>,
    pub(crate) failed: bool,
}

/// An incarnation.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) incarnation: u64,
    pub(crate) cores: Vec<ShardCore<ReplyTo>>,
    pub(crate) stores: Vec<MemoryStore>,
    pub(crate) instances: BTreeMap<AgentId, Instance>,
    pub(crate) runs: BTreeMap<u64, Run>,
    pub(crate) net: Vec<Parcel>,
    pub(crate) journal: Pipeline,
    /// Records to apply to the store, by shard.
    pub(crate) apply: Vec<VecDeque<(Seq, Arc<Record>)>>,
    /// Applied and not yet told, by shard.
    pub(crate) applied: BTreeMap<usize, Seq>,
    pub(crate) waiting: BTreeMap<ReplyTo, Waiter>,
    /// It has failed or drains: steps until it is started again.
    pub(crate) restart_in: Option<u32>,
    /// It stops in good order: what it appended is flushed before it ends.
    pub(crate) graceful: bool,
}

impl Node {
    pub(crate) fn new(incarnation: u64, shards: usize) -> Self {
        Self {
            incarnation,
            cores: Vec::new(),
            stores: Vec::new(),
            instances: BTreeMap::new(),
            runs: BTreeMap::new(),
            net: Vec::new(),
            journal: Pipeline::default(),
            apply: vec![VecDeque::new(); shards],
            applied: BTreeMap::new(),
            waiting: BTreeMap::new(),
            restart_in: None,
            graceful: false,
        }
    }

    /// Runs that may go on.
    pub(crate) fn ready(&self) -> Vec<u64> {
        self.runs
            .iter()
            .filter(|(_, run)| run.is_ready())
            .map(|(id, _)| *id)
            .collect()
    }

    /// Whether nothing can happen but by time.
    pub(crate) fn is_still(&self) -> bool {
        self.net.is_empty()
            && self.journal.pending.is_empty()
            && self.journal.in_flight.is_empty()
            && self.journal.acks.is_empty()
            && self.applied.is_empty()
            && self.apply.iter().all(VecDeque::is_empty)
            && self.runs.values().all(|run| !run.is_ready())
    }
}
