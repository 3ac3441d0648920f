//! Turns that are appended but that the store does not show yet. Turns of one agent run ahead of
//! the disk on this; when an append fails it is thrown away whole.

use crate::message::MessageId;
use crate::reads::bounded;
use crate::record::{
    Change, DedupeKey, DedupeRow, DedupeScope, InvocationRow, Record, Timer, Value,
};
use crate::share::{Amount, Held};
use eddy_types::limits::MAX_OVERLAY_BYTES;
use eddy_types::{AgentId, HashMap, Seq, TenantId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What the overlay knows of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverlayRead<T> {
    /// This is its newest value (or it has none): do not ask the store.
    Known(T),
    /// The overlay has not seen it: ask the store.
    Unknown,
}

impl<T> OverlayRead<T> {
    /// What is known, or else what the store answers.
    pub fn or_ask<E>(self, ask: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Unknown => ask(),
        }
    }
}

#[derive(Debug, Default)]
struct AgentOverlay {
    /// The record that deleted it last, if one is here: the store's state does not count.
    deleted: Option<Seq>,
    /// The last record of a touch or deletion, and whether the agent exists after it.
    exists: Option<(Seq, bool)>,
    state: BTreeMap<String, (Seq, Option<Value>)>,
}

/// Records between "appended" and "applied to the store", as one readable layer.
#[derive(Debug, Default)]
pub struct Overlay {
    agents: HashMap<AgentId, AgentOverlay>,
    timers: BTreeMap<(AgentId, String), (Seq, Option<Timer>)>,
    dedupe: HashMap<(DedupeScope, DedupeKey), (Seq, DedupeRow)>,
    invocations: HashMap<MessageId, (Seq, InvocationRow)>,
    records: VecDeque<(Seq, Arc<Record>, usize)>,
    /// What the records hold, by tenant; those of none are the shard's own news, and small.
    held: Held,
}

impl Overlay {
    /// Bytes of the records it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.held.total().bytes
    }

    /// Whether a tenant may run further ahead of the disk.
    pub(crate) fn has_room_for(&self, tenant: &TenantId) -> bool {
        const MOST: Amount = Amount {
            entries: usize::MAX,
            bytes: MAX_OVERLAY_BYTES,
        };
        self.held.has_room(tenant, Amount::default(), MOST)
    }

    /// Adds a record that was just appended.
    pub fn push(&mut self, seq: Seq, record: Arc<Record>, bytes: usize) {
        for change in &record.changes {
            self.add(seq, change);
        }
        if let Some(tenant) = record.tenant() {
            self.held.add(tenant, bytes);
        }
        self.records.push_back((seq, record, bytes));
    }

    /// Records after `after` up to `through`: what became durable.
    pub fn between(&self, after: Seq, through: Seq) -> impl Iterator<Item = (Seq, Arc<Record>)> {
        let start = self.records.partition_point(|(seq, ..)| *seq <= after);
        let wanted = self
            .records
            .range(start..)
            .take_while(move |(seq, ..)| *seq <= through);
        wanted.map(|(seq, record, _)| (*seq, record.clone()))
    }

    /// Forgets records that the store shows now.
    pub fn applied(&mut self, through: Seq) {
        while let Some((seq, record, bytes)) =
            self.records.pop_front_if(|(seq, ..)| *seq <= through)
        {
            for change in &record.changes {
                self.forget(seq, change);
            }
            if let Some(tenant) = record.tenant() {
                self.held.remove(tenant, bytes);
            }
        }
    }

    /// One state key.
    #[must_use]
    pub fn state(&self, agent: &AgentId, key: &str) -> OverlayRead<Option<Value>> {
        let Some(overlay) = self.agents.get(agent) else {
            return OverlayRead::Unknown;
        };
        match overlay.state.get(key) {
            Some((_, value)) => OverlayRead::Known(value.clone()),
            None if overlay.deleted.is_some() => OverlayRead::Known(None),
            None => OverlayRead::Unknown,
        }
    }

    /// State keys that it knows of (`None`: removed), by prefix, after `after`.
    #[must_use]
    pub fn state_range(
        &self,
        agent: &AgentId,
        prefix: &str,
        after: Option<&str>,
    ) -> BTreeMap<String, Option<Value>> {
        let Some(overlay) = self.agents.get(agent) else {
            return BTreeMap::new();
        };
        bounded(&overlay.state, prefix, after)
            .map(|(key, (_, value))| (key.clone(), value.clone()))
            .collect()
    }

    /// Whether the agent was deleted here, so that the store's state of it does not count.
    #[must_use]
    pub fn hides_store(&self, agent: &AgentId) -> bool {
        self.agents
            .get(agent)
            .is_some_and(|overlay| overlay.deleted.is_some())
    }

    /// Whether the agent exists.
    #[must_use]
    pub fn agent_exists(&self, agent: &AgentId) -> OverlayRead<bool> {
        match self.agents.get(agent).and_then(|overlay| overlay.exists) {
            Some((_, exists)) => OverlayRead::Known(exists),
            None => OverlayRead::Unknown,
        }
    }

    /// A timer.
    #[must_use]
    pub fn timer(&self, agent: &AgentId, name: &str) -> OverlayRead<Option<Timer>> {
        match self.timers.get(&(agent.clone(), name.to_owned())) {
            Some((_, timer)) => OverlayRead::Known(timer.clone()),
            None if self.hides_store(agent) => OverlayRead::Known(None),
            None => OverlayRead::Unknown,
        }
    }

    /// Every timer that it knows of (`None`: gone), in order of agent and name.
    pub fn timers(&self) -> impl Iterator<Item = (&AgentId, &str, Option<&Timer>)> {
        self.timers
            .iter()
            .map(|((agent, name), (_, timer))| (agent, name.as_str(), timer.as_ref()))
    }

    /// The timers of one agent that it knows of (`None`: gone).
    pub fn timers_of<'a>(
        &'a self,
        agent: &'a AgentId,
    ) -> impl Iterator<Item = (&'a str, Option<&'a Timer>)> {
        self.timers
            .range((agent.clone(), String::new())..)
            .take_while(move |((owner, _), _)| owner == agent)
            .map(|((_, name), (_, timer))| (name.as_str(), timer.as_ref()))
    }

    /// An answered key, with the record that holds the answer.
    #[must_use]
    pub fn dedupe(&self, scope: &DedupeScope, key: &DedupeKey) -> Option<&(Seq, DedupeRow)> {
        self.dedupe.get(&(scope.clone(), key.clone()))
    }

    /// A durable invocation, with the record that holds it.
    #[must_use]
    pub fn invocation(&self, id: MessageId) -> Option<&(Seq, InvocationRow)> {
        self.invocations.get(&id)
    }

    fn add(&mut self, seq: Seq, change: &Change) {
        match change {
            Change::AgentTouched { agent } => {
                self.agents.entry(agent.clone()).or_default().exists = Some((seq, true));
            }
            Change::StatePut { agent, key, value } => {
                self.write(seq, agent, key, Some(value.clone()));
            }
            Change::StateDelete { agent, key } => self.write(seq, agent, key, None),
            Change::AgentDeleted { agent } => self.delete_agent(seq, agent),
            Change::TimerPut { agent, name, timer } => {
                self.timers
                    .insert((agent.clone(), name.clone()), (seq, Some(timer.clone())));
            }
            Change::TimerDelete { agent, name } => {
                self.timers
                    .insert((agent.clone(), name.clone()), (seq, None));
            }
            Change::DedupePut { scope, key, row } => {
                self.dedupe
                    .insert((scope.clone(), key.clone()), (seq, row.clone()));
            }
            Change::InvocationPut { id, row } => {
                self.invocations.insert(*id, (seq, row.clone()));
            }
            // The outbox, the inbox and dead letters have their own memory.
            Change::Epoch { .. }
            | Change::OutboxPut { .. }
            | Change::OutboxDone { .. }
            | Change::InboxMark { .. }
            | Change::DeadLetterPut { .. }
            | Change::DeadLetterDelete { .. } => {}
        }
    }

    fn write(&mut self, seq: Seq, agent: &AgentId, key: &str, value: Option<Value>) {
        let overlay = self.agents.entry(agent.clone()).or_default();
        overlay.state.insert(key.to_owned(), (seq, value));
    }

    fn delete_agent(&mut self, seq: Seq, agent: &AgentId) {
        let overlay = self.agents.entry(agent.clone()).or_default();
        *overlay = AgentOverlay {
            deleted: Some(seq),
            exists: Some((seq, false)),
            ..Default::default()
        };
        let names: Vec<_> = self
            .timers_of(agent)
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in names {
            self.timers.remove(&(agent.clone(), name));
        }
    }

    fn forget(&mut self, seq: Seq, change: &Change) {
        match change {
            Change::AgentTouched { agent } => self.forget_in_agent(seq, agent, None),
            Change::StatePut { agent, key, .. } | Change::StateDelete { agent, key } => {
                self.forget_in_agent(seq, agent, Some(key));
            }
            Change::AgentDeleted { agent } => self.forget_in_agent(seq, agent, None),
            Change::TimerPut { agent, name, .. } | Change::TimerDelete { agent, name } => {
                let at = (agent.clone(), name.clone());
                if self
                    .timers
                    .get(&at)
                    .is_some_and(|(newest, _)| *newest == seq)
                {
                    self.timers.remove(&at);
                }
            }
            Change::DedupePut { scope, key, .. } => {
                let at = (scope.clone(), key.clone());
                if self
                    .dedupe
                    .get(&at)
                    .is_some_and(|(newest, _)| *newest == seq)
                {
                    self.dedupe.remove(&at);
                }
            }
            Change::InvocationPut { id, .. }
                if self
                    .invocations
                    .get(id)
                    .is_some_and(|(newest, _)| *newest == seq) =>
            {
                self.invocations.remove(id);
            }
            _ => {}
        }
    }

    fn forget_in_agent(&mut self, seq: Seq, agent: &AgentId, key: Option<&str>) {
        let Some(overlay) = self.agents.get_mut(agent) else {
            return;
        };
        if let Some(key) = key
            && overlay
                .state
                .get(key)
                .is_some_and(|(newest, _)| *newest == seq)
        {
            overlay.state.remove(key);
        }
        if overlay.deleted == Some(seq) {
            overlay.deleted = None;
        }
        if overlay.exists.is_some_and(|(newest, _)| newest == seq) {
            overlay.exists = None;
        }
        if overlay.state.is_empty() && overlay.deleted.is_none() && overlay.exists.is_none() {
            self.agents.remove(agent);
        }
    }
}
