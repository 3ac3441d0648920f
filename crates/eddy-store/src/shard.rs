//! The store as the core sees it: one shard, to read from.

use crate::rows::Rows;
use crate::{agents, dead_letters, dedupe, inbox, invocations, message_ids, outbox, state, timers};
use eddy_core::{
    DeadLetter, DeadLetterId, DedupeKey, DedupeRow, DedupeScope, InboxRow, InvocationRow,
    MessageId, MessageIds, SendRow, StoreView, Timer, TimerRow, Value,
};
use eddy_types::{AgentId, EddyError, ShardId, Timestamp};

/// One shard's applied rows: the latest ([`crate::Store::shard`]), or those of one moment
/// ([`ShardStore::snapshot`]). Cheap to clone.
///
/// On the latest rows, one call sees one state except that [`StoreView::unfinished_invocations`] leaves
/// out what is deleted while it runs.
#[derive(Clone)]
pub struct ShardStore {
    pub(crate) shard: ShardId,
    pub(crate) rows: Rows,
}

impl ShardStore {
    /// The shard.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// The rows as they are now, whatever is applied later. It holds old rows back on disk while
    /// it lives, so let go of it soon.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self {
            shard: self.shard,
            rows: self.rows.snapshot(),
        }
    }
}

impl StoreView for ShardStore {
    fn state(&self, agent: &AgentId, key: &str) -> Result<Option<Value>, EddyError> {
        state::get(&self.rows, self.shard, agent, key)
    }

    fn state_range(
        &self,
        agent: &AgentId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Value)>, EddyError> {
        state::range(&self.rows, self.shard, agent, prefix, after, limit)
    }

    fn agent_exists(&self, agent: &AgentId) -> Result<bool, EddyError> {
        agents::exists(&self.rows, self.shard, agent)
    }

    fn dedupe(&self, scope: &DedupeScope, key: &DedupeKey) -> Result<Option<DedupeRow>, EddyError> {
        dedupe::get(&self.rows, self.shard, scope, key)
    }

    fn timer(&self, agent: &AgentId, name: &str) -> Result<Option<Timer>, EddyError> {
        timers::get(&self.rows, self.shard, agent, name)
    }

    fn timers_of(&self, agent: &AgentId) -> Result<Vec<(String, usize)>, EddyError> {
        timers::of_agent(&self.rows, self.shard, agent)
    }

    fn timers_until(
        &self,
        until: Timestamp,
        after: Option<&TimerRow>,
        limit: usize,
    ) -> Result<Vec<TimerRow>, EddyError> {
        timers::until(&self.rows, self.shard, until, after, limit)
    }

    fn outbox(&self) -> Result<Vec<(ShardId, u64, SendRow)>, EddyError> {
        outbox::all(&self.rows, self.shard)
    }

    fn outbox_last(&self) -> Result<Vec<(ShardId, u64)>, EddyError> {
        outbox::last(&self.rows, self.shard)
    }

    fn inbox(&self) -> Result<Vec<(ShardId, InboxRow)>, EddyError> {
        inbox::all(&self.rows, self.shard)
    }

    fn invocation(&self, id: MessageId) -> Result<Option<InvocationRow>, EddyError> {
        invocations::get(&self.rows, self.shard, id)
    }

    fn unfinished_invocations(&self) -> Result<Vec<(MessageId, InvocationRow)>, EddyError> {
        invocations::unfinished(&self.rows, self.shard)
    }

    fn message_ids(&self) -> Result<MessageIds, EddyError> {
        message_ids::get(&self.rows, self.shard)
    }

    fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, EddyError> {
        dead_letters::get(&self.rows, self.shard, id)
    }
}
