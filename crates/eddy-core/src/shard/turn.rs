//! Turns start, start immediate effects while they run, and end.

use super::{Action, EffectStart, Mutation, Running, ShardCore};
use crate::effects::Effects;
use crate::gates::Gated;
use crate::message::{CallChain, Message, MessageId, Operation, Origin, TurnId};
use crate::outbox::DeliveryResult;
use crate::record::{Change, DedupeKey, DedupeScope, Outcome, Record};
use crate::timers::TimerVerdict;
use crate::view::{StoreView, TimerRow};
use bytes::Bytes;
use eddy_types::limits::MAX_EFFECTS_PER_TURN;
use eddy_types::{
    AgentId, Durability, EddyError, ErrorCode, MethodName, RetryPolicy, Seq, Timestamp,
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
}

/// How a handler ended.
#[derive(Debug)]
pub enum TurnEnd {
    /// It returned a result, or its own error.
    Returned(Outcome, Effects),
    /// It did not return: a trap, a time-out, a limit, an abort. Nothing of it remains.
    Failed(EddyError),
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
            self.waiting -= 1;
            let message = queued.message;
            if let Some(deadline) = message.deadline {
                self.deadlines
                    .remove(&(deadline, queued.number, agent.clone()));
            }
            if self.is_stale_timer(&message) {
                continue;
            }
            match self.begin(message, out) {
                None => return,
                // Deleting runs no guest: it ends at once.
                Some(turn) => self.end_delete(turn, now, view, out),
            }
        }
    }

    fn is_stale_timer(&self, message: &Message<R>) -> bool {
        let (
            Origin::Timer { name, generation },
            Operation::Method {
                method, argument, ..
            },
        ) = (&message.origin, &message.operation)
        else {
            return false;
        };
        !self.timers.is_current(&TimerRow {
            agent: message.to.clone(),
            name: name.clone(),
            timer: crate::record::Timer {
                at: Timestamp(0),
                method: method.clone(),
                argument: argument.clone(),
                generation: *generation,
            },
        })
    }

    /// Makes the message the running turn. Answers with the turn when no guest is to run.
    fn begin(&mut self, message: Message<R>, out: &mut Vec<Action<R>>) -> Option<TurnId> {
        self.next_turn += 1;
        let turn = TurnId {
            shard: self.shard,
            number: self.next_turn,
        };
        let agent = message.to.clone();
        self.turns.insert(turn.number, agent.clone());
        let start = match &message.operation {
            Operation::Delete => None,
            Operation::Method {
                method, argument, ..
            } => Some(TurnStart {
                turn,
                id: message.id,
                agent: agent.clone(),
                method: method.clone(),
                argument: argument.clone(),
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

    fn running_mut(&mut self, turn: TurnId) -> Option<&mut Running<R>> {
        let agent = self.turns.get(&turn.number)?;
        self.cells.get_mut(agent)?.running.as_mut()
    }

    /// A running turn calls another agent. The message leaves once every earlier turn that this
    /// one saw is durable. Answers with the call's id, for `call_done`.
    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of a message, each once"
    )]
    pub fn begin_call(
        &mut self,
        turn: TurnId,
        to: AgentId,
        method: MethodName,
        argument: Bytes,
        read_only: bool,
        deadline: Option<Timestamp>,
        reply: R,
        out: &mut Vec<Action<R>>,
    ) -> Result<MessageId, (R, EddyError)> {
        let shard = self.map.shard_of_agent(&to);
        let Some(agent) = self.turns.get(&turn.number).cloned() else {
            return Err((reply, turn_over()));
        };
        let Some(running) = self.running_mut(turn) else {
            return Err((reply, turn_over()));
        };
        if let Err(error) = count_effect(running) {
            return Err((reply, error));
        }
        let id = running.message.id.effect(running.ordinal);
        running.calls.push((id, to.clone()));
        let retriable = running.message.retriable;
        let key = (retriable && !read_only).then_some(DedupeKey::Effect(id));
        let message = Box::new(Message {
            id,
            to,
            operation: Operation::Method {
                method,
                argument,
                read_only,
            },
            origin: Origin::Request { reply, key },
            deadline,
            chain: running.message.chain.under(&agent, turn),
            retriable,
        });
        let gate = running.gate;
        self.start_effect(turn, gate, EffectStart::Call(shard, message), out);
        Ok(id)
    }

    /// A running turn starts another immediate effect: an invocation or a fetch. `StartEffect`
    /// says when it may begin.
    pub fn begin_effect(
        &mut self,
        turn: TurnId,
        reply: R,
        out: &mut Vec<Action<R>>,
    ) -> Result<MessageId, (R, EddyError)> {
        let Some(running) = self.running_mut(turn) else {
            return Err((reply, turn_over()));
        };
        if let Err(error) = count_effect(running) {
            return Err((reply, error));
        }
        let id = running.message.id.effect(running.ordinal);
        let gate = running.gate;
        self.start_effect(turn, gate, EffectStart::Other(reply, id), out);
        Ok(id)
    }

    fn start_effect(
        &mut self,
        turn: TurnId,
        gate: Seq,
        effect: EffectStart<R>,
        out: &mut Vec<Action<R>>,
    ) {
        if gate <= self.durable || self.mutated(Mutation::EffectBeforeGate) {
            out.push(effect.into_action());
        } else {
            self.gates.hold(gate, Gated::Effect(turn, effect));
        }
    }

    /// Whether a turn that was to start an effect still runs.
    pub(super) fn is_running(&self, turn: TurnId) -> bool {
        self.turns.contains_key(&turn.number)
    }

    /// A function that a turn waits for calls an agent: the turn waits for that call, too.
    pub fn note_call(&mut self, turn: TurnId, call: MessageId, to: AgentId) {
        if let Some(running) = self.running_mut(turn) {
            running.calls.push((call, to));
        }
    }

    /// A call of a running turn was answered or given up.
    pub fn call_done(&mut self, turn: TurnId, call: MessageId) {
        if let Some(running) = self.running_mut(turn) {
            running.calls.retain(|(id, _)| *id != call);
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
                if !effects.writes.is_empty() && !self.mutated(Mutation::InstanceKeptAfterDiscard) {
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
                    _ => self.end_failed(running, error, policy, now, view, out),
                }
            }
            TurnEnd::Failed(error) => {
                out.push(Action::DropInstance(agent.clone()));
                self.end_failed(running, error, policy, now, view, out);
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
        if (effects.is_empty() && !keyed) || (queries && request) {
            return self.reply_to(running.message, running.gate, outcome, out);
        }
        match self.commit_turn(&running.message, &outcome, effects, policy, now, view, out) {
            Ok(until) => self.conclude(running.message, until.max(running.gate), outcome, out),
            Err(error) => {
                out.push(Action::DropInstance(running.message.to.clone()));
                self.end_failed(running, error, policy, now, view, out);
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
        match message.origin {
            // Whatever the durability: the source may forget the send only when its effect is safe.
            Origin::Send { source, seq, .. } => {
                let own = Seq(self.next.0 - 1);
                self.gates.hold(own, Gated::Settle(source, seq));
            }
            Origin::Timer { .. } => {}
            Origin::Request { .. } => self.reply_to(message, until, outcome, out),
        }
    }

    fn reply_to(
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

    fn end_failed<V: StoreView + ?Sized>(
        &mut self,
        running: Running<R>,
        error: EddyError,
        policy: TurnPolicy,
        now: Timestamp,
        _view: &V,
        out: &mut Vec<Action<R>>,
    ) {
        let message = running.message;
        match &message.origin {
            Origin::Request { .. } => self.reply_to(message, running.gate, Err(error), out),
            Origin::Send {
                source,
                seq,
                attempt,
                ..
            } => {
                let counts = counts_as_attempt(&error);
                if counts
                    && *attempt >= policy.retries.attempts
                    && self.bury_send(&message, &error, now, out)
                {
                    return;
                }
                self.inbox.dropped(*source, *seq);
                let result = if counts {
                    DeliveryResult::Failed {
                        error,
                        retries: policy.retries,
                    }
                } else {
                    DeliveryResult::Refused(error)
                };
                out.push(Action::Settle {
                    source: *source,
                    dest: self.shard,
                    seq: *seq,
                    result,
                });
            }
            Origin::Timer { name, generation } => {
                if !counts_as_attempt(&error) {
                    let soon = now.plus(std::time::Duration::from_secs(1));
                    self.timers.postpone(&message.to, name, soon);
                    return;
                }
                let verdict = self
                    .timers
                    .fail(&message.to, name, *generation, policy.retries, now);
                if let TimerVerdict::GiveUp(attempts) = verdict {
                    self.bury_timer(&message, name.clone(), error, attempts, now, out);
                }
            }
        }
    }

    fn end_delete<V: StoreView + ?Sized>(
        &mut self,
        turn: TurnId,
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
        out.push(Action::DropInstance(agent.clone()));
        let exists = self.exists(&agent, view);
        let outcome =
            exists.map(|existed| Bytes::from_static(if existed { b"true" } else { b"false" }));
        let mut changes = vec![Change::AgentDeleted {
            agent: agent.clone(),
        }];
        if let (Origin::Request { key: Some(key), .. }, Ok(_)) = (&running.message.origin, &outcome)
        {
            changes.push(self.answered_key(&running.message, key.clone(), &outcome, now));
        }
        if let Some(state) = self.volatile.remove(&agent) {
            let freed: usize = state
                .iter()
                .map(|(key, value)| key.len() + value.len())
                .sum();
            self.volatile_bytes -= freed;
        }
        self.timers.remove_agent(&agent);
        let committed = outcome.and_then(|result| {
            let seq = self.append(Record { at: now, changes }, false, out)?;
            Ok((seq, result))
        });
        match committed {
            Ok((seq, result)) => {
                self.cells.entry(agent).or_default().last = seq;
                self.reply_to(running.message, seq, Ok(result), out);
            }
            Err(error) => self.reply_to(running.message, running.gate, Err(error), out),
        }
    }
}

impl<R> EffectStart<R> {
    pub(crate) fn into_action(self) -> Action<R> {
        match self {
            Self::Call(shard, message) => Action::Message { shard, message },
            Self::Other(to, id) => Action::StartEffect { to, id },
        }
    }
}

fn count_effect<R>(running: &mut Running<R>) -> Result<(), EddyError> {
    running.ordinal += 1;
    if running.ordinal > MAX_EFFECTS_PER_TURN {
        return Err(EddyError::new(
            ErrorCode::LimitExceeded,
            format!("one turn may start {MAX_EFFECTS_PER_TURN} calls, invocations and fetches"),
        ));
    }
    Ok(())
}

/// A turn that was aborted from outside says nothing about its message.
fn counts_as_attempt(error: &EddyError) -> bool {
    !matches!(
        error.code,
        ErrorCode::TurnAborted
            | ErrorCode::ShuttingDown
            | ErrorCode::Overloaded
            | ErrorCode::JournalFailed
            | ErrorCode::StoreFailed
    )
}

fn turn_over() -> EddyError {
    EddyError::new(
        ErrorCode::ContextClosed,
        "the turn has ended; its context cannot be used",
    )
    .hint("Await everything that a handler starts before it returns.")
}
