//! Records are built, appended, become durable, and are applied to the store.

use super::turn::TurnPolicy;
use super::{Action, EffectStart, Mutation, ShardCore};
use crate::effects::Effects;
use crate::gates::Gated;
use crate::message::{Message, Origin};
use crate::outbox::SendAt;
use crate::record::{Change, Outcome, Record, Sender};
use crate::view::StoreView;
use bytes::Bytes;
use eddy_types::{AgentId, Durability, EddyError, ErrorCode, Seq, ShardId, Timestamp};
use std::sync::Arc;

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
        let volatile = policy.durability == Durability::None;
        self.check_room(&effects.sends)?;
        self.check_timers(agent, &effects, &message.origin, view)?;
        if volatile {
            self.volatile.check_room(agent, &effects.writes)?;
        }
        let mut changes = Vec::with_capacity(2 + effects.writes.len());
        self.agent_changes(agent, &effects, volatile, &mut changes);
        self.timer_changes(agent, &effects.timers, &message.origin, &mut changes);
        self.origin_changes(message, outcome, now, &mut changes);
        let from = Sender::Agent(agent.clone());
        let staged = self.stage_sends(&from, effects.sends, &mut changes);
        if changes.is_empty() {
            self.volatile.write(agent, effects.writes);
            return Ok(self.cells.get(agent).map_or(Seq(0), |cell| cell.last));
        }
        let relaxed = policy.durability != Durability::Synced;
        // The source of a send waits for its record whatever the durability: only a reply may
        // run ahead of it.
        let delivery = matches!(message.origin, Origin::Send { .. });
        let record = Record { at: now, changes };
        let seq = self.append_staged(record, relaxed && !delivery, staged, out)?;
        if volatile {
            self.volatile.write(agent, effects.writes);
        }
        let until = self.after_append(agent, seq, relaxed);
        Ok(if delivery { seq } else { until })
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
        let bytes = match self.outbox.take_settled() {
            settled if settled.is_empty() => record.encode()?,
            settled => self.encode_with_news(&mut record, settled)?,
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

    /// Encodes a record that also tells of settled sends; when that makes it too large, they wait
    /// for another one.
    fn encode_with_news(
        &mut self,
        record: &mut Record,
        settled: Vec<SendAt>,
    ) -> Result<Bytes, EddyError> {
        let own = record.changes.len();
        let done = |(dest, seq): &SendAt| Change::OutboxDone {
            dest: *dest,
            seq: *seq,
        };
        record.changes.extend(settled.iter().map(done));
        record.encode().or_else(|_| {
            record.changes.truncate(own);
            self.outbox.put_back_settled(settled);
            record.encode()
        })
    }

    /// Appends a record with sends; the numbers of those are given back when that fails.
    pub(super) fn append_staged(
        &mut self,
        record: Record,
        relaxed: bool,
        staged: Vec<ShardId>,
        out: &mut Vec<Action<R>>,
    ) -> Result<Seq, EddyError> {
        let appended = self.append(record, relaxed, out);
        if appended.is_err() {
            self.unstage(staged);
        }
        appended
    }

    /// Keeps the memory of timers, the inbox and the outbox in step with a record.
    fn notice(&mut self, seq: Seq, record: &Record) {
        for change in &record.changes {
            match change {
                Change::TimerPut { agent, name, timer } => {
                    self.timers.set(agent, name, timer);
                }
                Change::TimerDelete { agent, name } => self.timers.remove(agent, name),
                Change::AgentDeleted { agent } => {
                    self.timers.remove_agent(agent);
                    self.volatile.remove(agent);
                }
                Change::InboxMark {
                    source,
                    seq: number,
                    floor,
                } => {
                    self.inbox.committed(*source, *number, *floor);
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
            self.let_out(gated, out);
        }
        self.release_sends(now, out);
        self.drop_quiet_cells();
    }

    /// What waited at the gate goes on.
    fn let_out(&mut self, gated: Gated<R>, out: &mut Vec<Action<R>>) {
        match gated {
            Gated::Reply(to, outcome) => out.push(Action::Reply { to, outcome }),
            Gated::Ended(id, outcome) => out.push(Action::Ended {
                id,
                outcome: Some(outcome),
            }),
            Gated::Settle(source, number, result) => self.report(source, number, result, out),
            Gated::Function(start) => out.push(Action::RunFunction(*start)),
            Gated::Effect(turn, effect) if self.is_wanted(turn, &effect) => {
                out.push(effect.into_action());
            }
            // Its turn has ended or has given it up.
            Gated::Effect(_, effect) => {
                let to = match effect {
                    EffectStart::Other(to, _) => Some(to),
                    EffectStart::Call(_, message) => message.waiter(),
                };
                let outcome = Err(EddyError::new(
                    ErrorCode::TurnAborted,
                    "the turn ended before this could begin",
                ));
                out.extend(to.map(|to| Action::Reply { to, outcome }));
            }
        }
    }

    /// An append failed. Nothing that depended on it may be told.
    pub fn append_failed(&mut self, error: &EddyError, now: Timestamp, out: &mut Vec<Action<R>>) {
        if self.mutated(Mutation::FailedFlushIgnored) {
            let last = self.last_seq();
            return self.durable(last, now, out);
        }
        self.stop(error, out);
    }

    /// The store shows everything through `seq`.
    pub fn applied(&mut self, seq: Seq) {
        self.applied = self.applied.max(seq);
        self.overlay.applied(seq);
        self.redriven.retain(|_, settled_in| *settled_in > seq);
    }

    /// The store shows everything through here.
    #[must_use]
    pub fn applied_seq(&self) -> Seq {
        self.applied
    }
}
