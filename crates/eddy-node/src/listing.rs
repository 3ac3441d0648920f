//! Listings and look-ups for the API: the store's rows, with what is live on top. Cursors are
//! opaque text to clients.

use crate::facade::{
    AgentInfo, DeadLetterInfo, InvocationInfo, InvocationStatus, InvocationTarget, Page,
    PageRequest,
};
use crate::functions;
use crate::inner::{Inner, Shard};
use eddy_core::{DeadLetterId, InvocationRow, MessageId, Sender, StoreView as _};
use eddy_store::{AgentRow, DeadLetterCursor, InvocationCursor};
use eddy_types::limits::MAX_PAGE;
use eddy_types::{
    AgentId, EddyError, ErrorCode, FunctionId, Key, Name, Seq, ShardId, TenantId, Timestamp,
};
use std::collections::BTreeMap;
use std::time::Duration;

const DEFAULT_PAGE: usize = 100;

pub(crate) fn limit_of(page: &PageRequest) -> usize {
    page.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE)
}

pub(crate) fn bad_cursor() -> EddyError {
    EddyError::new(
        ErrorCode::InvalidArgument,
        "the cursor is not one that a listing gave",
    )
    .hint("Hand in `next` of the page before, unchanged.")
}

pub(crate) fn unknown_agent(agent: &AgentId) -> EddyError {
    let detail = format!("{agent} has never committed anything");
    EddyError::new(ErrorCode::UnknownAgent, detail)
        .hint("An agent comes into being with the first message that changes it.")
}

impl Inner {
    /// Waits until the store shows what is durable now, so that clients read what they were told.
    pub(crate) async fn caught_up(&self) {
        for shard in &self.shards {
            let durable = shard.lock().core.durable_seq();
            self.applied(shard, durable).await;
        }
    }

    /// Waits until the store shows all that an agent has answered, also what is flushed later.
    pub(crate) async fn caught_up_with(&self, agent: &AgentId) {
        let shard = self.shard(self.map.shard_of_agent(agent));
        let last = shard.lock().core.last_seq();
        self.applied(shard, last).await;
    }

    async fn applied(&self, shard: &Shard, seq: Seq) {
        const POLL: Duration = Duration::from_millis(1);
        while shard.lock().core.applied_seq() < seq && !self.applier.is_closed() {
            self.applier.hurry();
            tokio::time::sleep(POLL).await;
        }
    }

    pub(crate) fn agent_info(&self, agent: &AgentId) -> Result<AgentInfo, EddyError> {
        let row = self.store.agent_row(agent)?;
        let row = row.ok_or_else(|| unknown_agent(agent))?;
        Ok(self.describe_agent(agent.clone(), row))
    }

    fn describe_agent(&self, agent: AgentId, row: AgentRow) -> AgentInfo {
        let shard = self.shard(self.map.shard_of_agent(&agent));
        let state = shard.lock();
        let active = state.live.contains(&agent) || !state.core.is_idle(&agent);
        drop(state);
        AgentInfo {
            agent,
            created: row.created,
            updated: row.updated,
            active,
        }
    }

    pub(crate) fn list_agents(
        &self,
        tenant: &TenantId,
        agent_type: &Name,
        prefix: &str,
        page: &PageRequest,
    ) -> Result<Page<AgentInfo>, EddyError> {
        let owner = self.catalog.owner(tenant, agent_type);
        owner.map_err(|error| self.catalog.suggest_agent_type(tenant, agent_type, error))?;
        let limit = limit_of(page);
        let after = page
            .cursor
            .as_deref()
            .map(Key::new)
            .transpose()
            .map_err(|_| bad_cursor())?;
        let rows = self
            .store
            .list_agents(tenant, agent_type, prefix, after.as_ref(), limit + 1)?;
        let mut items: Vec<AgentInfo> = rows
            .into_iter()
            .map(|(agent, row)| self.describe_agent(agent, row))
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| last.agent.key().to_string());
        Ok(Page { items, next })
    }

    pub(crate) fn find_invocation(
        &self,
        tenant: &TenantId,
        id: MessageId,
    ) -> Result<InvocationInfo, EddyError> {
        let recent = self.recent.get(tenant, id);
        // Memory keeps no large results; the record of a durable one does.
        let lacks_result = |info: &InvocationInfo| info.ended.is_some() && info.outcome.is_none();
        match recent {
            Some(found) if !(found.durable && lacks_result(&found)) => return Ok(found),
            Some(found) => {
                let row = self.invocation_row(tenant, id)?;
                let outcome = row.and_then(|row| row.outcome);
                return Ok(InvocationInfo { outcome, ..found });
            }
            None => {}
        }
        match self.invocation_row(tenant, id)? {
            Some(row) => Ok(durable_info(id, row)),
            None => Err(EddyError::new(ErrorCode::UnknownInvocation, format!("no record of invocation {id}"))
                .hint("Records of plain invocations are kept for a while only; keyed and asynchronous ones for a day.")),
        }
    }

    /// The durable record of a function's invocation.
    fn invocation_row(
        &self,
        tenant: &TenantId,
        id: MessageId,
    ) -> Result<Option<InvocationRow>, EddyError> {
        let placeholder = FunctionId {
            tenant: tenant.clone(),
            name: Name::new("_")?,
        };
        let shard = self.shard(functions::shard_of(self, &placeholder, id));
        // What is not durable yet is not shown.
        let newer = {
            let core = &shard.lock().core;
            let durable = core.durable_seq();
            let newer = core.overlay().invocation(id);
            newer
                .filter(|(seq, _)| *seq <= durable)
                .map(|(_, row)| row.clone())
        };
        let row = match newer {
            Some(row) => Some(row),
            None => shard.view.invocation(id)?,
        };
        Ok(row.filter(|row| row.tenant == *tenant))
    }

    pub(crate) fn list_invocations(
        &self,
        tenant: &TenantId,
        page: &PageRequest,
    ) -> Result<Page<InvocationInfo>, EddyError> {
        let limit = limit_of(page);
        let before = page
            .cursor
            .as_deref()
            .map(parse_invocation_cursor)
            .transpose()?;
        let after = before.map(|(queued, id)| InvocationCursor { queued, id });
        let mut found: BTreeMap<MessageId, InvocationInfo> = BTreeMap::new();
        for info in self.recent.list(tenant, before, limit + 1) {
            found.insert(info.id, info);
        }
        for (cursor, row) in self.store.list_invocations(tenant, after, limit + 1)? {
            let known = found.remove(&cursor.id);
            let info = known.unwrap_or_else(|| durable_info(cursor.id, row));
            // The row's time is the one that cursors speak of.
            let queued = cursor.queued;
            found.insert(cursor.id, InvocationInfo { queued, ..info });
        }
        let mut items: Vec<_> = found.into_values().collect();
        items.sort_unstable_by_key(|info| std::cmp::Reverse((info.queued, info.id)));
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| format!("{}-{}", last.queued.0, last.id));
        Ok(Page { items, next })
    }

    pub(crate) fn list_dead_letters(
        &self,
        tenant: &TenantId,
        page: &PageRequest,
    ) -> Result<Page<DeadLetterInfo>, EddyError> {
        let limit = limit_of(page);
        let after = page
            .cursor
            .as_deref()
            .map(|text| self.letter_cursor(text))
            .transpose()?;
        let name = |at: &DeadLetterCursor| self.sealer.name(at.shard, at.id);
        let rows = self.store.list_dead_letters(tenant, after, limit + 1)?;
        let more = rows.len() > limit;
        let kept: Vec<_> = rows.into_iter().take(limit).collect();
        let next = kept
            .last()
            .filter(|_| more)
            .map(|(cursor, _)| format!("{}-{}", cursor.at.0, name(cursor)));
        let items = kept.into_iter().map(|(cursor, letter)| DeadLetterInfo {
            name: name(&cursor),
            letter,
        });
        Ok(Page {
            items: items.collect(),
            next,
        })
    }

    fn letter_cursor(&self, text: &str) -> Result<DeadLetterCursor, EddyError> {
        let (at, name) = text.split_once('-').ok_or_else(bad_cursor)?;
        let (shard, id) = self.sealer.place(name).ok_or_else(bad_cursor)?;
        let at = Timestamp(at.parse().map_err(|_| bad_cursor())?);
        Ok(DeadLetterCursor { at, shard, id })
    }

    /// Finds a tenant's dead letter by its name.
    pub(crate) fn find_dead_letter(
        &self,
        tenant: &TenantId,
        text: &str,
    ) -> Result<(ShardId, DeadLetterId), EddyError> {
        let unknown = || {
            EddyError::new(
                ErrorCode::UnknownDeadLetter,
                format!("there is no dead letter {text:?}"),
            )
            .hint("`eddy dead-letters` lists them.")
        };
        let (shard, id) = self.sealer.place(text).ok_or_else(unknown)?;
        if shard.0 >= self.map.count() {
            return Err(unknown());
        }
        let letter = self
            .shard(shard)
            .view
            .dead_letter(id)?
            .ok_or_else(unknown)?;
        let owner = match &letter.from {
            Sender::Agent(agent) => agent.tenant(),
            Sender::Invocation(_) => letter.to.tenant(),
        };
        if owner == tenant {
            Ok((shard, id))
        } else {
            Err(unknown())
        }
    }
}

fn durable_info(id: MessageId, row: InvocationRow) -> InvocationInfo {
    let status = match &row.outcome {
        None => InvocationStatus::Queued,
        Some(Ok(_)) => InvocationStatus::Succeeded,
        Some(Err(_)) => InvocationStatus::Failed,
    };
    InvocationInfo {
        id,
        tenant: row.tenant,
        target: InvocationTarget::Function(row.function),
        status,
        queued: row.queued,
        started: None,
        ended: row.ended,
        cold: None,
        run_micros: None,
        memory: None,
        attempts: row.attempts,
        outcome: row.outcome,
        logs: Vec::new(),
        durable: true,
        traceparent: None,
    }
}

fn parse_invocation_cursor(text: &str) -> Result<(Timestamp, MessageId), EddyError> {
    let (queued, id) = text.split_once('-').ok_or_else(bad_cursor)?;
    let queued = queued.parse().map_err(|_| bad_cursor())?;
    let id = id.parse().map_err(|_| bad_cursor())?;
    Ok((Timestamp(queued), id))
}
