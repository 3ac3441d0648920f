//! What the core may read of the materialised store. A port: eddy-store implements it over disk,
//! the simulator over a map. It shows durable, applied records only; what is newer is in the
//! [`crate::Overlay`], which is asked first.

use crate::message::MessageId;
use crate::message_ids::MessageIds;
use crate::ranges::Ranges;
use crate::record::{
    DeadLetter, DeadLetterId, DedupeKey, DedupeRow, DedupeScope, InvocationRow, SendRow, Timer,
    Value,
};
use eddy_types::{AgentId, EddyError, Seq, ShardId, Timestamp};

/// Numbers of sends received from one source shard: all below `floor` are settled, and those in
/// `above` (each at or above it) took effect. It has at most as many gaps as the source has unsettled
/// sends to here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxRow {
    /// Every number below this one is settled.
    pub floor: u64,
    /// Numbers at or above the floor that took effect.
    pub above: Ranges,
}

/// The row before the first mark: numbers start at 1.
impl Default for InboxRow {
    fn default() -> Self {
        let above = Ranges::default();
        Self { floor: 1, above }
    }
}

/// A timer without what it carries: what a shard holds of it until it fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerRow {
    /// The agent.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// When it fires.
    pub at: Timestamp,
    /// The record that set it.
    pub generation: Seq,
    /// Size of its argument, in bytes.
    pub argument_bytes: usize,
}

impl TimerRow {
    /// The row of a timer.
    #[must_use]
    pub fn of(agent: &AgentId, name: &str, timer: &Timer) -> Self {
        Self {
            agent: agent.clone(),
            name: name.to_owned(),
            at: timer.at,
            generation: timer.generation,
            argument_bytes: timer.argument.len(),
        }
    }
}

/// Read access to the applied state of one shard. Errors are `store-failed`.
pub trait StoreView {
    /// One state key of an agent.
    fn state(&self, agent: &AgentId, key: &str) -> Result<Option<Value>, EddyError>;

    /// State entries of an agent whose key starts with `prefix`, after `after`, in byte order.
    fn state_range(
        &self,
        agent: &AgentId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Value)>, EddyError>;

    /// Whether the agent has committed anything and was not deleted since.
    fn agent_exists(&self, agent: &AgentId) -> Result<bool, EddyError>;

    /// The answer remembered for a key, expired or not.
    fn dedupe(&self, scope: &DedupeScope, key: &DedupeKey) -> Result<Option<DedupeRow>, EddyError>;

    /// One timer of an agent.
    fn timer(&self, agent: &AgentId, name: &str) -> Result<Option<Timer>, EddyError>;

    /// The names of an agent's timers, and how large their arguments are, in bytes.
    fn timers_of(&self, agent: &AgentId) -> Result<Vec<(String, usize)>, EddyError>;

    /// Timers that fire at or before `until`, earliest first, strictly after `after` in that order.
    fn timers_until(
        &self,
        until: Timestamp,
        after: Option<&TimerRow>,
        limit: usize,
    ) -> Result<Vec<TimerRow>, EddyError>;

    /// Every send not yet settled, by destination and number.
    fn outbox(&self) -> Result<Vec<(ShardId, u64, SendRow)>, EddyError>;

    /// The highest number ever given to a send, by destination.
    fn outbox_last(&self) -> Result<Vec<(ShardId, u64)>, EddyError>;

    /// What was received, by source.
    fn inbox(&self) -> Result<Vec<(ShardId, InboxRow)>, EddyError>;

    /// A durable invocation.
    fn invocation(&self, id: MessageId) -> Result<Option<InvocationRow>, EddyError>;

    /// Durable invocations that have not ended.
    fn unfinished_invocations(&self) -> Result<Vec<(MessageId, InvocationRow)>, EddyError>;

    /// How the shard names its deliveries and firings: always the same.
    fn message_ids(&self) -> Result<MessageIds, EddyError>;

    /// A dead letter.
    fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, EddyError>;
}
