//! Turns start and end.

use super::deliver::deadline_passed;
use super::tick::NO_ROOM;
use super::{Action, Mutation, Running, ShardCore};
use crate::effects::Effects;
use crate::gates::Gated;
use crate::message::{CallChain, Message, MessageId, Operation, Origin, TurnId};
use crate::outbox::DeliveryResult;
use crate::record::{DedupeScope, Outcome};
use crate::timers::TimerVerdict;
use crate::view::StoreView;
use bytes::Bytes;
use eddy_types::{
    AgentId, Durability, EddyError, ErrorCode, MethodName, RetryPolicy, Seq, ShardId, Timestamp,
};

/// A turn to run.
#[derive(Clone, Debug)]
pub struct TurnStart {
    /// The turn.
    pub turn: TurnId,
    /// The message it handles, which names the invocation.
    pub id: MessageId,
    /// The agent.
    pub agent: AgentId,
    /// The method.
    pub method: MethodName,
    /// The argument, JSON text.
    pub argument: Bytes,
    /// The message's own deadline.
    pub deadline: Option<Timestamp>,
    /// The calls above it.
    pub chain: CallChain,
    /// Whether the message may be delivered again.
    pub retriable: bool,
    /// The method was a query when the message was accepted, so this turn must not write, even when
    /// a redeploy has made it an ordinary method since.
    pub read_only: bool,
}

/// How a handler ended.
#[derive(Debug)]
pub enum TurnEnd {
    /// It returned a result, or its own error.
    Returned(Outcome, Effects),
    /// It did not return: a trap, a time-out, a limit, an abort. Nothing of it remains.
    Failed(EddyError),
}

impl TurnEnd {
    /// The error it ended with.
    #[must_use]
    pub fn error(&self) -> Option<&EddyError> {
        match self {
            Self::Returned(Ok(_), _) => None,
            Self::Returned(Err(error), _) | Self::Failed(error) => Some(error),
        }
    }
}

/// What the agent's type says.
#[derive(Clone, Copy, Debug, Default)]
pub struct TurnPolicy {
    /// When a turn counts as committed.
    pub durability: Durability,
    /// How sends and timers are tried again.
    pub retries: RetryPolicy,
    /// The method turned out to be a query: it commits nothing.
    pub read_only: bool,
}

impl<R> ShardCore<R> {
    /// Starts the next waiting turn of an agent that has none running.
    pub(super) fn start_next<V: StoreView + ?Sized>(
        &mut self,
        agent: &AgentId,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) {
        loop {
            let Some(cell) = self.cells.get_mut(agent) else {
                return;
            };
            if cell.running.is_some() {
                return;
            }
            let Some(queued) = cell.queue.pop_front() else {
                self.drop_cell_if_idle(agent);
                return;
            };
            let message = queued.message;
            let weight = message.operation.weight();
            self.waiting.remove(agent.tenant(), weight);
            if let Some(deadline) = message.deadline {
                self.deadlines
                    .remove(&(deadline, queued.number, agent.clone()));
            }
            self.start(message, now, view, out);
        }
    }

    /// Starts the turn of a message, unless it is not wanted any more. The agent has none running.
    pub(super) fn start<V: StoreView + ?Sized>(
        &mut self,
        message: Message<R>,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) {
        if self.is_stale_timer(&message) {
            return;
        }
        if message.deadline.is_some_and(|deadline| deadline <= now) {
            let passed = deadline_passed(&message.to);
            return self.answer(message, passed, out);
        }
        // Deleting and importing run no guest: they end at once.
        if let Some(turn) = self.begin(message, out) {
            self.end_without_guest(turn, now, view, out);
        }
    }

    fn is_stale_timer(&self, message: &Message<R>) -> bool {
        let Origin::Timer { name, generation } = &message.origin else {
            return false;
        };
        !self.timers.is_current(&message.to, name, *generation)
    }

    /// Makes the message the running turn. Answers with the turn when no guest is to run.
    fn begin(&mut self, mut message: Message<R>, out: &mut Vec<Action<R>>) -> Option<TurnId> {
        self.next_turn += 1;
        let turn = TurnId {
            shard: self.shard,
            number: self.next_turn,
        };
        let agent = message.to.clone();
        self.turns.insert(turn.number, agent.clone());
        // What has a key, or may be tried again, is needed whole when it ends.
        let once = matches!(message.origin, Origin::Request { key: None, .. });
        let start = match &mut message.operation {
            Operation::Delete | Operation::Import(_) => None,
            Operation::Method {
                method,
                argument,
                read_only,
            } => Some(TurnStart {
                read_only: *read_only,
                turn,
                id: message.id,
                agent: agent.clone(),
                method: method.clone(),
                argument: match once {
                    true => std::mem::take(argument),
                    false => argument.clone(),
                },
                deadline: message.deadline,
                chain: message.chain.clone(),
                retriable: message.retriable,
            }),
        };
        let cell = self.cells.entry(agent).or_default();
        // A timer's effects are known by the record that set it: they wait for that one, too.
        let gate = match &message.origin {
            Origin::Timer { generation, .. } => cell.last.max(*generation),
            _ => cell.last,
        };
        cell.running = Some(Running {
            turn,
            message,
            gate,
            ordinal: 0,
            calls: Vec::new(),
        });
        match start {
            Some(start) => {
                out.push(Action::Run(start));
                None
            }
            None => Some(turn),
        }
    }

    /// A turn's handler has ended.
    pub fn turn_ended<V: StoreView + ?Sized>(
        &mut self,
        turn: TurnId,
        end: TurnEnd,
        policy: TurnPolicy,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) {
        let Some(agent) = self.turns.remove(&turn.number) else {
            return;
        };
        let Some(running) = self
            .cells
            .get_mut(&agent)
            .and_then(|cell| cell.running.take())
        else {
            return;
        };
        match end {
            TurnEnd::Returned(Ok(result), effects) => {
                self.end_returned(running, Ok(result), effects, policy, now, view, out);
            }
            TurnEnd::Returned(Err(error), effects) => {
                if !effects.is_empty() && !self.mutated(Mutation::InstanceKeptAfterDiscard) {
                    out.push(Action::DropInstance(agent.clone()));
                }
                match running.message.origin {
                    // The throw is the recorded reply, unless it only passes on that something
                    // could not be done just now: then the message may be tried again.
                    Origin::Request { .. } if !error.code.is_retryable() => {
                        let none = Effects::default();
                        self.end_returned(running, Err(error), none, policy, now, view, out);
                    }
                    // Or nobody waits for a reply: it counts as a failed attempt.
                    _ => self.end_failed(running, error, policy, now, out),
                }
            }
            TurnEnd::Failed(error) => {
                out.push(Action::DropInstance(agent.clone()));
                self.end_failed(running, error, policy, now, out);
            }
        }
        self.start_next(&agent, now, view, out);
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the end of a turn has this many sides"
    )]
    fn end_returned<V: StoreView + ?Sized>(
        &mut self,
        running: Running<R>,
        outcome: Outcome,
        effects: Effects,
        policy: TurnPolicy,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) {
        let keyed = !matches!(running.message.origin, Origin::Request { key: None, .. });
        let queries = policy.read_only || running.message.operation.is_read_only();
        let request = matches!(running.message.origin, Origin::Request { .. });
        if queries && !effects.is_empty() {
            // The node lets no query write; one that did must not be answered as if it had.
            out.push(Action::DropInstance(running.message.to.clone()));
            let what = "a query made effects, which are discarded";
            let error = EddyError::new(ErrorCode::WriteInQuery, what);
            return self.end_failed(running, error, policy, now, out);
        }
        if (effects.is_empty() && !keyed) || (queries && request) {
            return self.conclude(running.message, running.gate, outcome, out);
        }
        match self.commit_turn(&running.message, &outcome, effects, policy, now, view, out) {
            Ok(until) => self.conclude(running.message, until.max(running.gate), outcome, out),
            Err(error) => {
                out.push(Action::DropInstance(running.message.to.clone()));
                self.end_failed(running, error, policy, now, out);
            }
        }
    }

    /// A committed turn is answered: by its reply, or to the outbox it came from.
    fn conclude(
        &mut self,
        message: Message<R>,
        until: Seq,
        outcome: Outcome,
        out: &mut Vec<Action<R>>,
    ) {
        self.ended_after(until, message.id, outcome.clone(), out);
        match message.origin {
            Origin::Send { source, seq, .. } => {
                self.report_after(until, source, seq, DeliveryResult::Done, out);
            }
            Origin::Timer { .. } => {}
            Origin::Request { .. } => self.reply_to(message, until, outcome, out),
        }
    }

    pub(super) fn reply_to(
        &mut self,
        message: Message<R>,
        until: Seq,
        outcome: Outcome,
        out: &mut Vec<Action<R>>,
    ) {
        let Origin::Request { reply, key } = message.origin else {
            return;
        };
        if let Some(key) = key {
            let scope = DedupeScope::Agent(message.to);
            for joined in self.joins.finish(&scope, &key) {
                self.reply_after(until, joined, outcome.clone(), out);
            }
        }
        self.reply_after(until, reply, outcome, out);
    }

    /// Tells the source of a send how its delivery ended, once what it depends on is durable.
    fn report_after(
        &mut self,
        until: Seq,
        source: ShardId,
        seq: u64,
        result: DeliveryResult,
        out: &mut Vec<Action<R>>,
    ) {
        if until <= self.durable {
            self.report(source, seq, result, out);
        } else {
            self.gates.hold(until, Gated::Settle(source, seq, result));
        }
    }

    pub(super) fn report(
        &mut self,
        source: ShardId,
        seq: u64,
        result: DeliveryResult,
        out: &mut Vec<Action<R>>,
    ) {
        self.inbox.ended(source, seq);
        out.push(Action::Settle {
            source,
            dest: self.shard,
            seq,
            result,
        });
    }

    fn end_failed(
        &mut self,
        running: Running<R>,
        error: EddyError,
        policy: TurnPolicy,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) {
        let (message, gate) = (running.message, running.gate);
        match &message.origin {
            Origin::Request { .. } => self.conclude(message, gate, Err(error), out),
            Origin::Send {
                source,
                seq,
                attempt,
                ..
            } => {
                let retries = policy.retries;
                let counts = counts_as_attempt(&error);
                let last = counts && *attempt >= retries.attempts;
                if last && self.bury_send(&message, &error, now, out) {
                    return self.ended_after(self.last_seq(), message.id, Err(error), out);
                }
                out.push(Action::Ended {
                    id: message.id,
                    outcome: None,
                });
                let result = if counts {
                    DeliveryResult::Failed { error, retries }
                } else {
                    DeliveryResult::Refused(error)
                };
                self.report_after(gate, *source, *seq, result, out);
            }
            Origin::Timer { name, generation } => {
                out.push(Action::Ended {
                    id: message.id,
                    outcome: None,
                });
                if !counts_as_attempt(&error) {
                    self.timers.postpone(&message.to, name, now.plus(NO_ROOM));
                    return;
                }
                let verdict = self
                    .timers
                    .fail(&message.to, name, *generation, policy.retries, now);
                if let TimerVerdict::GiveUp(attempts) = verdict {
                    let (id, name) = (message.id, name.clone());
                    self.bury_timer(&message, name, error.clone(), attempts, now, out);
                    self.ended_after(self.last_seq(), id, Err(error), out);
                }
            }
        }
    }
}

/// A turn that was aborted from outside says nothing about its message.
pub(super) fn counts_as_attempt(error: &EddyError) -> bool {
    !matches!(
        error.code,
        ErrorCode::TurnAborted
            | ErrorCode::ShuttingDown
            | ErrorCode::Overloaded
            | ErrorCode::AppUnavailable
            | ErrorCode::JournalFailed
            | ErrorCode::StoreFailed
    )
}
