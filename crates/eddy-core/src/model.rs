//! A shard's applied state in plain maps: the store of the simulator, and the oracle that
//! eddy-store is tested against. Says in the fewest words what each [`Change`] means; knows
//! nothing of bytes, keys or files.

use crate::message::MessageId;
use crate::message_ids::MessageIds;
use crate::record::{
    Change, DeadLetter, DeadLetterId, DedupeKey, DedupeRow, DedupeScope, InvocationRow, Record,
    SendRow, Timer, Value,
};
use crate::view::{InboxRow, StoreView, TimerRow};
use eddy_types::{AgentId, EddyError, Seq, ShardId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// When an agent came to be and when it last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentTimes {
    /// Its first commit since it was last deleted.
    pub created: Timestamp,
    /// Its last commit that changed state or timers.
    pub updated: Timestamp,
}

/// The applied state of one shard, in memory. A clone is a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStore {
    applied: Seq,
    agents: BTreeMap<AgentId, AgentTimes>,
    state: BTreeMap<(AgentId, String), Value>,
    dedupe: BTreeMap<(DedupeScope, DedupeKey), DedupeRow>,
    outbox: BTreeMap<(ShardId, u64), SendRow>,
    outbox_last: BTreeMap<ShardId, u64>,
    /// Below which number everything is settled, and what took effect from there on.
    inbox: BTreeMap<ShardId, (u64, BTreeSet<u64>)>,
    timers: BTreeMap<(AgentId, String), Timer>,
    dead_letters: BTreeMap<DeadLetterId, DeadLetter>,
    invocations: BTreeMap<MessageId, InvocationRow>,
    message_ids: MessageIds,
}

impl MemoryStore {
    /// The sequence of the last record applied; 0 before the first.
    #[must_use]
    pub fn applied(&self) -> Seq {
        self.applied
    }

    /// Applies records in order. Those applied before are skipped; a gap is an `internal` error
    /// and nothing is applied.
    pub fn apply(&mut self, records: &[(Seq, Arc<Record>)]) -> Result<(), EddyError> {
        let mut next = self.applied;
        for (seq, _) in records.iter().filter(|(seq, _)| *seq > self.applied) {
            if *seq != next.next() {
                return Err(EddyError::internal(format!(
                    "record {} follows {} in the store",
                    seq.0, next.0
                )));
            }
            next = *seq;
        }
        for (seq, record) in records {
            if *seq > self.applied {
                record
                    .changes
                    .iter()
                    .for_each(|change| self.change(record.at, change));
                self.applied = *seq;
            }
        }
        Ok(())
    }

    /// The agents with their times, in the order of tenant, type and key.
    #[must_use]
    pub fn agents(&self) -> &BTreeMap<AgentId, AgentTimes> {
        &self.agents
    }

    /// Every dead letter, in the order of their numbers.
    #[must_use]
    pub fn dead_letters(&self) -> &BTreeMap<DeadLetterId, DeadLetter> {
        &self.dead_letters
    }

    /// Every durable invocation, by id.
    #[must_use]
    pub fn invocations(&self) -> &BTreeMap<MessageId, InvocationRow> {
        &self.invocations
    }

    /// Lets the shard name what it delivers so from now on.
    pub fn set_message_ids(&mut self, ids: MessageIds) {
        self.message_ids = ids;
    }

    /// Drops what has expired at `now`, as the store's sweep does.
    pub fn sweep_expired(&mut self, now: Timestamp) {
        self.dedupe.retain(|_, row| row.expires > now);
        self.invocations
            .retain(|_, row| row.expires.is_none_or(|at| at > now));
    }

    fn change(&mut self, at: Timestamp, change: &Change) {
        match change {
            Change::Epoch { .. } => {}
            Change::AgentTouched { agent } => {
                let new = AgentTimes {
                    created: at,
                    updated: at,
                };
                self.agents.entry(agent.clone()).or_insert(new);
                self.touch(agent, at);
            }
            Change::StatePut { agent, key, value } => {
                self.state
                    .insert((agent.clone(), key.clone()), value.clone());
                self.touch(agent, at);
            }
            Change::StateDelete { agent, key } => {
                self.state.remove(&(agent.clone(), key.clone()));
                self.touch(agent, at);
            }
            Change::AgentDeleted { agent } => {
                self.agents.remove(agent);
                self.state.retain(|(of, _), _| of != agent);
                self.timers.retain(|(of, _), _| of != agent);
            }
            Change::TimerPut { agent, name, timer } => {
                self.timers
                    .insert((agent.clone(), name.clone()), timer.clone());
                self.touch(agent, at);
            }
            Change::TimerDelete { agent, name } => {
                self.timers.remove(&(agent.clone(), name.clone()));
                self.touch(agent, at);
            }
            delivery => self.delivery_change(delivery),
        }
    }

    fn delivery_change(&mut self, change: &Change) {
        match change {
            Change::DedupePut { scope, key, row } => {
                self.dedupe
                    .insert((scope.clone(), key.clone()), row.clone());
            }
            Change::OutboxPut { dest, seq, send } => {
                self.outbox.insert((*dest, *seq), send.clone());
                let last = self.outbox_last.entry(*dest).or_default();
                *last = (*last).max(*seq);
            }
            Change::OutboxDone { dest, seq } => {
                self.outbox.remove(&(*dest, *seq));
            }
            Change::InboxMark { source, seq, floor } => {
                let (settled, above) = self.inbox.entry(*source).or_default();
                above.insert(*seq);
                *settled = (*settled).max(*floor).max(1);
                while above.contains(settled) {
                    *settled += 1;
                }
                above.retain(|number| number >= settled);
            }
            Change::DeadLetterPut { id, letter } => {
                self.dead_letters.insert(*id, letter.clone());
            }
            Change::DeadLetterDelete { id } => {
                self.dead_letters.remove(id);
            }
            Change::InvocationPut { id, row } => {
                self.invocations.insert(*id, row.clone());
            }
            // The agent's own changes are `change`'s.
            _ => {}
        }
    }

    fn touch(&mut self, agent: &AgentId, at: Timestamp) {
        if let Some(times) = self.agents.get_mut(agent) {
            times.updated = times.updated.max(at);
        }
    }
}

impl StoreView for MemoryStore {
    fn state(&self, agent: &AgentId, key: &str) -> Result<Option<Value>, EddyError> {
        Ok(self.state.get(&(agent.clone(), key.to_owned())).cloned())
    }

    fn state_range(
        &self,
        agent: &AgentId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Value)>, EddyError> {
        let rows = entries_of(&self.state, agent, prefix)
            .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
        Ok(rows
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn agent_exists(&self, agent: &AgentId) -> Result<bool, EddyError> {
        Ok(self.agents.contains_key(agent))
    }

    fn dedupe(&self, scope: &DedupeScope, key: &DedupeKey) -> Result<Option<DedupeRow>, EddyError> {
        Ok(self.dedupe.get(&(scope.clone(), key.clone())).cloned())
    }

    fn timer(&self, agent: &AgentId, name: &str) -> Result<Option<Timer>, EddyError> {
        Ok(self.timers.get(&(agent.clone(), name.to_owned())).cloned())
    }

    fn timers_of(&self, agent: &AgentId) -> Result<Vec<(String, usize)>, EddyError> {
        Ok(entries_of(&self.timers, agent, "")
            .map(|(name, timer)| (name.clone(), timer.argument.len()))
            .collect())
    }

    fn timers_until(
        &self,
        until: Timestamp,
        after: Option<&TimerRow>,
        limit: usize,
    ) -> Result<Vec<TimerRow>, EddyError> {
        let after = after.map(|row| (row.at, &row.agent, &row.name));
        let mut due: Vec<_> = self
            .timers
            .iter()
            .map(|((agent, name), timer)| (timer.at, agent, name, timer))
            .filter(|(at, agent, name, _)| {
                *at <= until && after.is_none_or(|after| (*at, *agent, *name) > after)
            })
            .collect();
        due.sort_by_key(|(at, agent, name, _)| (*at, *agent, *name));
        let row =
            |(_, agent, name, timer): (_, &AgentId, &String, _)| TimerRow::of(agent, name, timer);
        Ok(due.into_iter().take(limit).map(row).collect())
    }

    fn outbox(&self) -> Result<Vec<(ShardId, u64, SendRow)>, EddyError> {
        Ok(self
            .outbox
            .iter()
            .map(|((dest, seq), send)| (*dest, *seq, send.clone()))
            .collect())
    }

    fn outbox_last(&self) -> Result<Vec<(ShardId, u64)>, EddyError> {
        Ok(self
            .outbox_last
            .iter()
            .map(|(dest, seq)| (*dest, *seq))
            .collect())
    }

    fn inbox(&self) -> Result<Vec<(ShardId, InboxRow)>, EddyError> {
        let row = |(floor, above): &(u64, BTreeSet<u64>)| InboxRow {
            floor: *floor,
            above: above.iter().map(|number| (*number, *number)).collect(),
        };
        let rows = self.inbox.iter();
        Ok(rows.map(|(source, kept)| (*source, row(kept))).collect())
    }

    fn invocation(&self, id: MessageId) -> Result<Option<InvocationRow>, EddyError> {
        Ok(self.invocations.get(&id).cloned())
    }

    fn unfinished_invocations(&self) -> Result<Vec<(MessageId, InvocationRow)>, EddyError> {
        let unfinished = self
            .invocations
            .iter()
            .filter(|(_, row)| row.ended.is_none());
        Ok(unfinished.map(|(id, row)| (*id, row.clone())).collect())
    }

    fn message_ids(&self) -> Result<MessageIds, EddyError> {
        Ok(self.message_ids.clone())
    }

    fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, EddyError> {
        Ok(self.dead_letters.get(&id).cloned())
    }
}

/// The rows of one agent whose second part starts with `prefix`, in order.
fn entries_of<'a, V>(
    rows: &'a BTreeMap<(AgentId, String), V>,
    agent: &AgentId,
    prefix: &str,
) -> impl Iterator<Item = (&'a String, &'a V)> {
    let from = (agent.clone(), prefix.to_owned());
    let (agent, prefix) = from.clone();
    rows.range((Bound::Included(from), Bound::Unbounded))
        .take_while(move |((of, key), _)| *of == agent && key.starts_with(&prefix))
        .map(|((_, key), value)| (key, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use eddy_types::{Key, Name, TenantId};

    fn agent(key: &str) -> AgentId {
        let name = Name::new("cart").unwrap();
        AgentId::new(TenantId::default_tenant(), name, Key::new(key).unwrap())
    }

    fn record(seq: u64, changes: Vec<Change>) -> (Seq, Arc<Record>) {
        (
            Seq(seq),
            Arc::new(Record {
                at: Timestamp(seq * 10),
                changes,
            }),
        )
    }

    fn put(agent: &AgentId, key: &str) -> Change {
        let value = Value::Json("1".into());
        Change::StatePut {
            agent: agent.clone(),
            key: key.to_owned(),
            value,
        }
    }

    #[test]
    fn a_deleted_agent_leaves_nothing_and_its_neighbour_all() {
        let (a, b) = (agent("a"), agent("b"));
        let touched = |agent: &AgentId| Change::AgentTouched {
            agent: agent.clone(),
        };
        let first = vec![
            touched(&a),
            put(&a, "x"),
            touched(&b),
            put(&b, "x"),
            put(&b, "y"),
        ];
        let mut store = MemoryStore::default();
        let records = [
            record(1, first),
            record(2, vec![Change::AgentDeleted { agent: a.clone() }]),
        ];
        store.apply(&records).unwrap();
        assert!(!store.agent_exists(&a).unwrap());
        assert_eq!(store.state(&a, "x"), Ok(None));
        assert_eq!(store.state_range(&b, "", Some("x"), 9).unwrap().len(), 1);
    }

    #[test]
    fn a_gap_is_refused_whole_and_an_overlap_is_skipped() {
        let a = agent("a");
        let mut store = MemoryStore::default();
        let records = [record(1, vec![put(&a, "x")]), record(3, vec![])];
        assert!(store.apply(&records).is_err());
        assert_eq!((store.applied(), store.state(&a, "x")), (Seq(0), Ok(None)));
        store.apply(&records[..1]).unwrap();
        let again = [record(1, vec![]), record(2, vec![put(&a, "y")])];
        store.apply(&again).unwrap();
        assert_eq!(store.applied(), Seq(2));
    }

    #[test]
    fn the_inbox_floor_passes_over_what_is_contiguous() {
        let mut store = MemoryStore::default();
        let mark = |seq, floor| Change::InboxMark {
            source: ShardId(3),
            seq,
            floor,
        };
        store
            .apply(&[record(1, vec![mark(2, 0), mark(3, 0)])])
            .unwrap();
        let row = |store: &MemoryStore| store.inbox().unwrap().remove(0).1;
        assert_eq!(row(&store).floor, 1);
        store
            .apply(&[record(2, vec![mark(1, 0), mark(7, 6)])])
            .unwrap();
        let above = [(7, 7)].into_iter().collect();
        assert_eq!(row(&store), InboxRow { floor: 6, above });
        store.apply(&[record(3, vec![mark(6, 0)])]).unwrap();
        assert_eq!(row(&store).floor, 8);
        assert_eq!(row(&store).above, crate::Ranges::default());
    }
}
