//! What a step answers with, and the rules that the simulator may break.

use super::{FunctionStart, Probe, TurnStart};
use crate::message::{Message, MessageId};
use crate::outbox::{Delivery, DeliveryResult};
use crate::record::{Outcome, Record};
use bytes::Bytes;
use eddy_types::{AgentId, Seq, ShardId};
use std::sync::Arc;

/// Something for the node to do. Actions of one step are carried out in order.
#[derive(Debug)]
pub enum Action<R> {
    /// Run a turn on the agent's instance; `turn_ended` afterwards.
    Run(TurnStart),
    /// Run a function on a fresh instance; `function_ended` afterwards.
    RunFunction(FunctionStart),
    /// Drop the agent's instance: what it remembers in globals is not true any more.
    DropInstance(AgentId),
    /// Append a record to the journal; `durable` afterwards.
    Append {
        /// The sequence it must get.
        seq: Seq,
        /// The record.
        record: Bytes,
        /// Nobody waits for its flush: it may wait a while for company.
        relaxed: bool,
    },
    /// Apply a durable record to the store; `applied` afterwards. In order, without gaps.
    Apply {
        /// Its sequence.
        seq: Seq,
        /// The record.
        record: Arc<Record>,
    },
    /// Answer whoever waits.
    Reply {
        /// Where.
        to: R,
        /// With what.
        outcome: Outcome,
    },
    /// An invocation has ended, and whoever asks may know it; or its attempt has failed and it will
    /// be tried again (`None`). Turns and durable functions; not what a stop interrupts.
    Ended {
        /// The invocation.
        id: MessageId,
        /// As its caller is told.
        outcome: Option<Outcome>,
    },
    /// Start an immediate effect that is not a call to an agent: nothing holds it back any more.
    StartEffect {
        /// Who waits for it.
        to: R,
        /// Its id.
        id: MessageId,
    },
    /// Give a message to the shard of its target (`deliver`).
    Message {
        /// That shard.
        shard: ShardId,
        /// The message.
        message: Box<Message<R>>,
    },
    /// Give a send to the shard of its target (`deliver_send`).
    Deliver(Box<Delivery>),
    /// Tell the source shard how a delivery ended (`delivery_ended`).
    Settle {
        /// The source.
        source: ShardId,
        /// This shard.
        dest: ShardId,
        /// The send's number.
        seq: u64,
        /// How it ended.
        result: DeliveryResult,
    },
    /// Pass a deadlock probe on (`probe`).
    Probe {
        /// The shard it goes to.
        shard: ShardId,
        /// The probe.
        probe: Probe,
    },
    /// Give up a call that waits in a deadlock (`abort_call`).
    AbortCall {
        /// The shard in which it waits.
        shard: ShardId,
        /// The agent for which it waits.
        agent: AgentId,
        /// The call.
        call: MessageId,
    },
}

/// An immediate effect that waits for its gate.
#[derive(Debug)]
pub(crate) enum EffectStart<R> {
    Call(ShardId, Box<Message<R>>),
    Other(R, MessageId),
}

/// A rule that the simulator can break on purpose, to show that it would notice.
#[cfg_attr(
    not(feature = "mutations"),
    allow(dead_code, reason = "only the simulator breaks rules")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Replies leave when the turn ends.
    ReplyBeforeCommit,
    /// Answered keys and delivered sends are not remembered.
    DedupeForgotten,
    /// An instance outlives the turn whose writes were discarded.
    InstanceKeptAfterDiscard,
    /// Sends in the store are not taken up after a restart.
    OutboxNotReplayed,
    /// A failed flush counts as durable.
    FailedFlushIgnored,
    /// The epoch record of a take-over is not appended.
    FenceSkipped,
    /// Immediate effects do not wait for earlier turns.
    EffectBeforeGate,
    /// A send leaves before its record is durable.
    SendBeforeCommit,
}

impl<R> EffectStart<R> {
    pub(crate) fn into_action(self) -> Action<R> {
        match self {
            Self::Call(shard, message) => Action::Message { shard, message },
            Self::Other(to, id) => Action::StartEffect { to, id },
        }
    }
}
