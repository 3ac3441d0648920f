//! Records are built, appended, become durable, and are applied to the store.

use super::turn::TurnPolicy;
use super::{Action, Mutation, ShardCore};
use crate::effects::{Effects, TimerRequest};
use crate::gates::Gated;
use crate::message::{Message, Origin};
use crate::outbox::DeliveryResult;
use crate::overlay::OverlayRead;
use crate::record::{
    Change, DedupeKey, DedupeRow, DedupeScope, Outcome, Record, SendRow, Sender, Timer, Value,
};
use crate::view::StoreView;
use eddy_types::limits::{IDEMPOTENCY_WINDOW, MAX_OUTBOX, MAX_OVERLAY_BYTES, MAX_TIMERS_PER_AGENT};
use eddy_types::{AgentId, Durability, EddyError, ErrorCode, Seq, ShardId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

impl<R> ShardCore<R> {
    /// Appends what a turn changed, as one record. Answers with the record its reply waits for.
    #[allow(
        clippy::too_many_arguments,
        reason = "everything that goes into a record"
    )]
    pub(super) fn commit_turn<V: StoreView + ?Sized>(
        &mut self,
        message: &Message<R>,
        outcome: &Outcome,
        effects: Effects,
        policy: TurnPolicy,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) -> Result<Seq, EddyError> {
        let agent = &message.to;
        self.check_room(effects.sends.len())?;
        self.check_timers(agent, &effects, view)?;
        let volatile = policy.durability == Durability::None;
        if volatile {
            self.check_volatile_room(&effects)?;
        }
        let mut changes = Vec::with_capacity(2 + effects.writes.len());
        let touches = !effects.is_empty();
        if touches && !(volatile && effects.sends.is_empty() && effects.timers.is_empty()) {
            changes.push(Change::AgentTouched {
                agent: agent.clone(),
            });
        }
        if !volatile {
            changes.extend(effects.writes.iter().map(|(key, value)| match value {
                Some(value) => Change::StatePut {
                    agent: agent.clone(),
                    key: key.clone(),
                    value: value.clone(),
                },
                None => Change::StateDelete {
                    agent: agent.clone(),
                    key: key.clone(),
                },
            }));
        }
        self.timer_changes(agent, &effects.timers, &message.origin, &mut changes);
        self.origin_changes(message, outcome, now, &mut changes);
        let from = Sender::Agent(agent.clone());
        let staged = self.stage_sends(&from, effects.sends, &mut changes);
        if changes.is_empty() {
            self.keep_volatile(agent, effects.writes);
            return Ok(self.cells.get(agent).map_or(Seq(0), |cell| cell.last));
        }
        let relaxed = policy.durability != Durability::Synced;
        // The source of a send waits for its record whatever the durability.
        let unhurried = relaxed && !matches!(message.origin, Origin::Send { .. });
        let appended = self.append(Record { at: now, changes }, unhurried, out);
        let seq = match appended {
            Ok(seq) => seq,
            Err(error) => {
                self.unstage(staged);
                return Err(error);
            }
        };
        if volatile {
            self.keep_volatile(agent, effects.writes);
        }
        Ok(self.after_append(agent, seq, relaxed))
    }

    fn after_append(&mut self, agent: &AgentId, seq: Seq, relaxed: bool) -> Seq {
        let cell = self.cells.entry(agent.clone()).or_default();
        if !relaxed {
            cell.last = seq;
        }
        cell.last
    }

    /// Encodes and appends a record, and makes the rest of the shard see it.
    pub(super) fn append(
        &mut self,
        mut record: Record,
        relaxed: bool,
        out: &mut Vec<Action<R>>,
    ) -> Result<Seq, EddyError> {
        if let Some(error) = self.stopped() {
            return Err(error.clone());
        }
        let settled = self.outbox.take_settled();
        let own = record.changes.len();
        record
            .changes
            .extend(settled.iter().map(|(dest, seq)| Change::OutboxDone {
                dest: *dest,
                seq: *seq,
            }));
        let bytes = match record.encode() {
            Err(error) if settled.is_empty() => return Err(error),
            Err(_) => {
                // News of settled sends can wait for a smaller record.
                record.changes.truncate(own);
                self.outbox.put_back_settled(settled);
                record.encode()?
            }
            Ok(bytes) => bytes,
        };
        let seq = self.next;
        self.next = seq.next();
        self.notice(seq, &record);
        let size = bytes.len();
        self.overlay.push(seq, Arc::new(record), size);
        out.push(Action::Append {
            seq,
            record: bytes,
            relaxed,
        });
        Ok(seq)
    }

    /// Keeps the memory of timers, the inbox and the outbox in step with a record.
    fn notice(&mut self, seq: Seq, record: &Record) {
        for change in &record.changes {
            match change {
                Change::TimerPut { agent, name, timer } => {
                    self.timers.set(agent.clone(), name.clone(), timer.clone());
                }
                Change::TimerDelete { agent, name } => self.timers.remove(agent, name),
                Change::InboxMark {
                    source,
                    seq: number,
                    floor,
                } => {
                    self.inbox.committed(*source, *number, *floor, seq);
                }
                Change::OutboxPut {
                    dest,
                    seq: number,
                    send,
                } => {
                    self.outbox.add((*dest, *number), send.clone(), seq);
                }
                _ => {}
            }
        }
    }

    /// The journal says that everything through `seq` is durable.
    pub fn durable(&mut self, seq: Seq, now: Timestamp, out: &mut Vec<Action<R>>) {
        if seq <= self.durable || self.stopped().is_some() {
            return;
        }
        let before = std::mem::replace(&mut self.durable, seq);
        let records = self.overlay.between(before, seq);
        out.extend(records.map(|(seq, record)| Action::Apply { seq, record }));
        let open: Vec<_> = self.gates.open(seq).collect();
        for gated in open {
            match gated {
                Gated::Reply(to, outcome) => out.push(Action::Reply { to, outcome }),
                Gated::Settle(source, number) => {
                    self.inbox.settled(source, number);
                    let result = DeliveryResult::Done;
                    out.push(Action::Settle {
                        source,
                        dest: self.shard,
                        seq: number,
                        result,
                    });
                }
                Gated::Function(start) => out.push(Action::RunFunction(*start)),
                Gated::Effect(turn, effect) if self.is_running(turn) => {
                    out.push(effect.into_action())
                }
                Gated::Effect(..) => {}
            }
        }
        self.release_sends(now, out);
        self.drop_quiet_cells();
    }

    /// An append failed. Nothing that depended on it may be told.
    pub fn append_failed(&mut self, error: &EddyError, now: Timestamp, out: &mut Vec<Action<R>>) {
        if self.mutated(Mutation::FailedFlushIgnored) {
            let last = Seq(self.next.0 - 1);
            return self.durable(last, now, out);
        }
        self.stop(error, out);
    }

    /// The store shows everything through `seq`.
    pub fn applied(&mut self, seq: Seq) {
        self.applied = self.applied.max(seq);
        self.overlay.applied(seq);
    }

    /// The store shows everything through here.
    #[must_use]
    pub fn applied_seq(&self) -> Seq {
        self.applied
    }

    pub(super) fn release_sends(&mut self, now: Timestamp, out: &mut Vec<Action<R>>) {
        let until = if self.mutated(Mutation::SendBeforeCommit) {
            Seq(u64::MAX)
        } else {
            self.durable
        };
        let released = self.outbox.release(until, now);
        out.extend(
            released
                .into_iter()
                .map(|delivery| Action::Deliver(Box::new(delivery))),
        );
    }

    /// A delivery of one of this shard's sends ended.
    pub fn delivery_ended(
        &mut self,
        dest: ShardId,
        seq: u64,
        result: DeliveryResult,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) {
        if self.stopped().is_some() {
            return;
        }
        let at = (dest, seq);
        match result {
            DeliveryResult::Done => self.settle(at, now, out),
            DeliveryResult::Refused(_) => self.outbox.refused(at, now),
            DeliveryResult::Failed { retries, .. } => self.outbox.fail(at, retries, now),
        }
    }

    fn settle(&mut self, at: (ShardId, u64), now: Timestamp, out: &mut Vec<Action<R>>) {
        let next = self.outbox.settle(at, self.durable, now);
        out.extend(next.map(|delivery| Action::Deliver(Box::new(delivery))));
        if self.outbox.has_settled() && self.housekeeping.is_none() {
            self.housekeeping = Some(now.plus(Duration::from_millis(200)));
        }
    }

    /// Writes down settled sends when no turn has carried the news.
    pub(super) fn keep_house(&mut self, now: Timestamp, out: &mut Vec<Action<R>>) {
        if self.housekeeping.is_none_or(|due| due > now) {
            return;
        }
        self.housekeeping = None;
        if self.outbox.has_settled() {
            // Too large only if thousands settled at once; then the next record takes them.
            let _ = self.append(
                Record {
                    at: now,
                    changes: Vec::new(),
                },
                true,
                out,
            );
        }
    }

    pub(super) fn exists<V: StoreView + ?Sized>(
        &self,
        agent: &AgentId,
        view: &V,
    ) -> Result<bool, EddyError> {
        match self.overlay.agent_exists(agent) {
            OverlayRead::Known(exists) => Ok(exists || self.volatile.contains_key(agent)),
            OverlayRead::Unknown => {
                Ok(self.volatile.contains_key(agent) || view.agent_exists(agent)?)
            }
        }
    }

    pub(super) fn answered_key(
        &self,
        message: &Message<R>,
        key: DedupeKey,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Change {
        Change::DedupePut {
            scope: DedupeScope::Agent(message.to.clone()),
            key,
            row: DedupeRow {
                digest: message.operation.digest(&message.to),
                outcome: outcome.clone(),
                expires: now.plus(IDEMPOTENCY_WINDOW),
            },
        }
    }

    /// What the origin of a message needs to be remembered by.
    pub(super) fn origin_changes(
        &self,
        message: &Message<R>,
        outcome: &Outcome,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        if self.mutated(Mutation::DedupeForgotten) {
            return;
        }
        match &message.origin {
            Origin::Request { key: Some(key), .. } => {
                changes.push(self.answered_key(message, key.clone(), outcome, now));
            }
            Origin::Send {
                source, seq, floor, ..
            } => {
                changes.push(Change::InboxMark {
                    source: *source,
                    seq: *seq,
                    floor: *floor,
                });
            }
            Origin::Request { key: None, .. } | Origin::Timer { .. } => {}
        }
    }

    fn timer_changes(
        &self,
        agent: &AgentId,
        timers: &BTreeMap<String, Option<TimerRequest>>,
        origin: &Origin<R>,
        changes: &mut Vec<Change>,
    ) {
        // The timer that fired is gone, unless its own handler set it again.
        if let Origin::Timer { name, .. } = origin
            && !timers.contains_key(name)
        {
            changes.push(Change::TimerDelete {
                agent: agent.clone(),
                name: name.clone(),
            });
        }
        changes.extend(timers.iter().map(|(name, request)| match request {
            Some(TimerRequest {
                at,
                method,
                argument,
            }) => Change::TimerPut {
                agent: agent.clone(),
                name: name.clone(),
                timer: Timer {
                    at: *at,
                    method: method.clone(),
                    argument: argument.clone(),
                    generation: self.next,
                },
            },
            None => Change::TimerDelete {
                agent: agent.clone(),
                name: name.clone(),
            },
        }));
    }

    /// Numbers the sends of a turn. Answers with what `unstage` needs.
    pub(super) fn stage_sends(
        &mut self,
        from: &Sender,
        sends: Vec<crate::effects::Outgoing>,
        changes: &mut Vec<Change>,
    ) -> Vec<ShardId> {
        let mut staged = Vec::with_capacity(sends.len());
        for outgoing in sends {
            let dest = self.map.shard_of_agent(&outgoing.to);
            let seq = self.outbox.allocate(dest);
            staged.push(dest);
            let send = SendRow {
                from: from.clone(),
                to: outgoing.to,
                method: outgoing.method,
                argument: outgoing.argument,
            };
            changes.push(Change::OutboxPut { dest, seq, send });
        }
        staged
    }

    /// Gives numbers back that no record carries, newest first.
    pub(super) fn unstage(&mut self, staged: Vec<ShardId>) {
        for dest in staged {
            self.outbox.unallocate(dest);
        }
    }

    pub(super) fn check_room(&self, sends: usize) -> Result<(), EddyError> {
        if !self.outbox.has_room_for(sends) {
            return Err(EddyError::new(
                ErrorCode::Overloaded,
                format!("{MAX_OUTBOX} sends of this shard wait for delivery"),
            )
            .hint("A target may be failing: see `eddy dead-letters` and the node's log.")
            .retry_after(Duration::from_secs(1)));
        }
        Ok(())
    }

    fn check_timers<V: StoreView + ?Sized>(
        &self,
        agent: &AgentId,
        effects: &Effects,
        view: &V,
    ) -> Result<(), EddyError> {
        if effects.timers.values().all(Option::is_none) {
            return Ok(());
        }
        let mut names: BTreeSet<String> = BTreeSet::new();
        if !self.overlay.hides_store(agent) {
            names.extend(view.timers_of(agent)?);
        }
        let newer = self
            .overlay
            .timers_of(agent)
            .map(|(name, timer)| (name, timer.is_some()));
        let own = effects
            .timers
            .iter()
            .map(|(name, timer)| (name.as_str(), timer.is_some()));
        for (name, set) in newer.chain(own) {
            if set {
                names.insert(name.to_owned());
            } else {
                names.remove(name);
            }
        }
        if names.len() > MAX_TIMERS_PER_AGENT {
            return Err(EddyError::new(
                ErrorCode::LimitExceeded,
                format!(
                    "{agent} would have {} timers; the limit is {MAX_TIMERS_PER_AGENT}",
                    names.len()
                ),
            ));
        }
        Ok(())
    }

    fn check_volatile_room(&self, effects: &Effects) -> Result<(), EddyError> {
        let size = |(key, value): (&String, &Option<Value>)| {
            key.len() + value.as_ref().map_or(0, Value::len)
        };
        let grown: usize = effects.writes.iter().map(size).sum();
        if self.volatile_bytes + grown <= MAX_OVERLAY_BYTES {
            return Ok(());
        }
        Err(EddyError::new(
            ErrorCode::Overloaded,
            "the memory for agents with durability `none` is full",
        )
        .hint("Delete state that is not needed, or use durability `relaxed`."))
    }

    /// Writes of an agent with durability `none` stay in memory.
    fn keep_volatile(&mut self, agent: &AgentId, writes: BTreeMap<String, Option<Value>>) {
        let state = self.volatile.entry(agent.clone()).or_default();
        for (key, value) in writes {
            let old = match value {
                Some(value) => {
                    self.volatile_bytes += key.len() + value.len();
                    state.insert(key.clone(), value)
                }
                None => state.remove(&key),
            };
            self.volatile_bytes -= old.map_or(0, |old| key.len() + old.len());
        }
    }
}
