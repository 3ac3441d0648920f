//! Listings over all shards, for the API. Each shard is asked for a page and the pages are
//! merged, so a page costs the number of shards times its length.

use crate::agents::{self, AgentRow};
use crate::dead_letters::{self, DeadLetterCursor};
use crate::invocations::{self, InvocationCursor};
use crate::store::Store;
use eddy_core::{DeadLetter, InvocationRow};
use eddy_types::{AgentId, EddyError, Key, Name, ShardId, TenantId};
use std::cmp::Reverse;

impl Store {
    /// The times of an agent; none when it does not exist.
    pub fn agent_row(&self, agent: &AgentId) -> Result<Option<AgentRow>, EddyError> {
        agents::get(&self.rows, self.shard_map().shard_of_agent(agent), agent)
    }

    /// Agents of a type whose key starts with `prefix`, after the key `after`, in key order.
    pub fn list_agents(
        &self,
        tenant: &TenantId,
        agent_type: &Name,
        prefix: &str,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(AgentId, AgentRow)>, EddyError> {
        let of_type = (tenant, agent_type);
        let mut page =
            self.gather(|shard| agents::list(&self.rows, shard, of_type, prefix, after, limit))?;
        page.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        page.truncate(limit);
        Ok(page)
    }

    /// Durable invocations of a tenant, newest first, after the last one of the page before.
    pub fn list_invocations(
        &self,
        tenant: &TenantId,
        after: Option<InvocationCursor>,
        limit: usize,
    ) -> Result<Vec<(InvocationCursor, InvocationRow)>, EddyError> {
        let mut page =
            self.gather(|shard| invocations::list(&self.rows, shard, tenant, after, limit))?;
        page.sort_unstable_by_key(|(at, _)| Reverse(*at));
        page.truncate(limit);
        Ok(page)
    }

    /// Dead letters of a tenant's agents, newest first, after the last one of the page before.
    pub fn list_dead_letters(
        &self,
        tenant: &TenantId,
        after: Option<DeadLetterCursor>,
        limit: usize,
    ) -> Result<Vec<(DeadLetterCursor, DeadLetter)>, EddyError> {
        let mut page =
            self.gather(|shard| dead_letters::list(&self.rows, shard, tenant, after, limit))?;
        page.sort_unstable_by_key(|(at, _)| Reverse(*at));
        page.truncate(limit);
        Ok(page)
    }

    fn gather<T>(
        &self,
        list: impl Fn(ShardId) -> Result<Vec<T>, EddyError>,
    ) -> Result<Vec<T>, EddyError> {
        let mut all = Vec::new();
        for shard in self.shard_map().shards() {
            all.extend(list(shard)?);
        }
        Ok(all)
    }
}
