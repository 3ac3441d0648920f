//! A running turn starts immediate effects: calls at once or when its gate opens.

use super::{Action, EffectStart, Mutation, Running, ShardCore};
use crate::gates::Gated;
use crate::message::{Message, MessageId, Operation, Origin, TurnId};
use crate::record::DedupeKey;
use bytes::Bytes;
use eddy_types::limits::MAX_EFFECTS_PER_TURN;
use eddy_types::{AgentId, EddyError, ErrorCode, MethodName, Seq, Timestamp};

impl<R> ShardCore<R> {
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

    /// Whether the turn of an effect that waited for its gate still waits for it.
    pub(super) fn is_wanted(&mut self, turn: TurnId, effect: &EffectStart<R>) -> bool {
        let Some(running) = self.running_mut(turn) else {
            return false;
        };
        match effect {
            EffectStart::Call(_, message) => running.calls.iter().any(|(id, _)| *id == message.id),
            EffectStart::Other(..) => true,
        }
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
}

fn count_effect<R>(running: &mut Running<R>) -> Result<(), EddyError> {
    if running.ordinal >= MAX_EFFECTS_PER_TURN {
        return Err(EddyError::new(
            ErrorCode::LimitExceeded,
            format!("one turn may start {MAX_EFFECTS_PER_TURN} calls, invocations and fetches"),
        ));
    }
    running.ordinal += 1;
    Ok(())
}

fn turn_over() -> EddyError {
    EddyError::new(
        ErrorCode::ContextClosed,
        "the turn has ended; its context cannot be used",
    )
    .hint("Await everything that a handler starts before it returns.")
}
