//! Runs guests: one instruction after another, until they wait or end. A guest trusts its globals
//! as long as its instance lives, and checks itself that nothing happens to it twice.

use crate::carry::Actions;
use crate::cast::{Op, Script, Who, encode};
use crate::ended::Ended;
use crate::node::{CallSlot, Parcel, ReplyTo, Run, RunKind, Waiter};
use crate::world::{Broken, World};
use eddy_core::{DedupeKey, Message, MessageId, Operation, Origin, Outgoing};
use eddy_types::limits::MAX_NESTED_WAIT;
use eddy_types::{AgentId, EddyError, ErrorCode};

/// What a guest does after an instruction.
pub(crate) enum Flow {
    On,
    /// It gives way; then these are carried out, for this shard.
    Pause(usize, Actions),
    Throw(&'static str),
}

impl World {
    /// A guest starts.
    pub(crate) fn begin(&mut self, mut run: Run) -> Result<(), Broken> {
        if let RunKind::Turn { who, .. } = run.kind {
            let agent = self.cast.id(who).clone();
            self.node.instances.entry(agent).or_default();
            run.began_at = self.get(&run, who, "ver")?.unwrap_or(0);
        }
        self.next_run += 1;
        self.node.runs.insert(self.next_run, run);
        Ok(())
    }

    /// A guest goes on.
    pub(crate) fn advance(&mut self, id: u64) -> Result<(), Broken> {
        let Some(mut run) = self.node.runs.remove(&id) else {
            return Ok(());
        };
        if !self.settling && self.dice.chance(self.pace.chaos) {
            let code = *self.dice.pick(&[
                ErrorCode::GuestTrap,
                ErrorCode::DeadlineExceeded,
                ErrorCode::TurnAborted,
                ErrorCode::MemoryLimit,
            ]);
            self.count("guest failed");
            let error = EddyError::new(code, "the simulated guest failed");
            return self.end_run(id, run, Ended::Failed(error));
        }
        loop {
            if run.has_failed_call() {
                return self.throw(id, run, "a call failed");
            }
            let Some(op) = run.script.get(run.place).cloned() else {
                return self.return_result(id, run);
            };
            run.place += 1;
            match self.execute(id, &mut run, op)? {
                Flow::On => {}
                Flow::Throw(why) => return self.throw(id, run, why),
                Flow::Pause(shard, actions) => {
                    self.node.runs.insert(id, run);
                    return self.carry(shard, actions);
                }
            }
        }
    }

    fn execute(&mut self, id: u64, run: &mut Run, op: Op) -> Result<Flow, Broken> {
        let calls = match op {
            Op::Yield => return Ok(Flow::Pause(0, Vec::new())),
            Op::Throw => return Ok(Flow::Throw("on purpose")),
            Op::Send { to, script } => {
                self.send(run, to, &script)?;
                return Ok(Flow::On);
            }
            Op::Invoke { to, script } => return Ok(self.invoke(id, run, to, script)),
            Op::Call { calls, catch } => (calls, catch, false),
            Op::Start { to, script } => (vec![(to, script)], true, true),
            own => return self.execute_own(run, own),
        };
        let (calls, catch, detached) = calls;
        let (shard, mut out) = (self.home(run), Vec::new());
        for (to, script) in calls {
            self.call(id, run, to, &script, (catch, detached), &mut out);
        }
        Ok(Flow::Pause(shard, out))
    }

    pub(crate) fn send(&mut self, run: &mut Run, to: Who, script: &[Op]) -> Result<(), Broken> {
        let outgoing = Outgoing {
            to: self.cast.id(to).clone(),
            method: self.cast.run.clone(),
            argument: encode(script),
        };
        run.effects
            .send(outgoing)
            .map_err(|error| format!("a send was refused: {error:?}"))
    }

    fn call(
        &mut self,
        id: u64,
        run: &mut Run,
        to: Who,
        script: &[Op],
        (catch, detached): (bool, bool),
        out: &mut Actions,
    ) {
        let slot = run.calls.len();
        let reply = self.expect_reply(Waiter::Call { run: id, slot });
        let read_only = script.is_empty();
        let method = if read_only {
            &self.cast.value
        } else {
            &self.cast.run
        };
        let (method, agent) = (method.clone(), self.cast.id(to).clone());
        let deadline = Some(self.now.plus(MAX_NESTED_WAIT));
        let argument = encode(script);
        let started = match run.kind {
            RunKind::Turn { turn, who, .. } => {
                let core = &mut self.node.cores[self.cast.shard(who)];
                core.begin_call(
                    turn, agent, method, argument, read_only, deadline, reply, out,
                )
            }
            _ => {
                let operation = Operation::Method {
                    method,
                    argument,
                    read_only,
                };
                Ok(self.call_from_function(run, agent, operation, reply))
            }
        };
        let (call, outcome) = match started {
            Ok(call) => (call, None),
            Err((reply, error)) => {
                self.node.waiting.remove(&reply);
                (MessageId(0), Some(Err(error)))
            }
        };
        self.count("call");
        run.calls.push(CallSlot {
            id: call,
            to: Some(to),
            reply,
            outcome,
            detached,
            catch,
        });
    }

    /// Functions have no turn in a shard: their calls go straight to their targets.
    fn call_from_function(
        &mut self,
        run: &Run,
        to: AgentId,
        operation: Operation,
        reply: ReplyTo,
    ) -> MessageId {
        let id = run.id.effect(run.calls.len() as u32 + 1);
        let remembered = run.retriable && !operation.is_read_only();
        if let RunKind::Inner { turn, shard, .. } = run.kind {
            self.node.cores[shard].note_call(turn, id, to.clone());
        }
        let shard = self.cast.map.shard_of_agent(&to);
        let message = Message {
            id,
            to,
            operation,
            origin: Origin::Request {
                reply,
                key: remembered.then_some(DedupeKey::Effect(id)),
            },
            deadline: Some(self.now.plus(MAX_NESTED_WAIT)),
            chain: run.chain.clone(),
            retriable: run.retriable,
        };
        self.node
            .net
            .push(Parcel::Message(shard, Box::new(message)));
        id
    }

    fn invoke(&mut self, id: u64, run: &mut Run, to: Who, script: Script) -> Flow {
        let (slot, mut out) = (run.calls.len(), Vec::new());
        let shard = self.home(run);
        let reply = self.expect_reply(Waiter::Call { run: id, slot });
        let RunKind::Turn { turn, .. } = run.kind else {
            return Flow::Throw("a function does not invoke");
        };
        let (call, outcome) = match self.node.cores[shard].begin_effect(turn, reply, &mut out) {
            Ok(call) => (call, None),
            Err((reply, error)) => {
                self.node.waiting.remove(&reply);
                (MessageId(0), Some(Err(error)))
            }
        };
        self.count("invoke");
        run.inner.insert(slot, (to, script));
        run.calls.push(CallSlot {
            id: call,
            to: None,
            reply,
            outcome,
            detached: false,
            catch: false,
        });
        Flow::Pause(shard, out)
    }

    /// The shard that a run belongs to.
    pub(crate) fn home(&self, run: &Run) -> usize {
        match run.kind {
            RunKind::Turn { who, .. } => self.cast.shard(who),
            RunKind::Inner { shard, .. } => shard,
            RunKind::Function | RunKind::Plain { .. } => {
                let id = run.id.to_string();
                let tenant = &self.cast.function.tenant;
                usize::from(self.cast.map.shard_of(tenant, &id).0)
            }
        }
    }
}

impl Run {
    fn has_failed_call(&self) -> bool {
        self.calls
            .iter()
            .any(|call| !call.detached && !call.catch && matches!(call.outcome, Some(Err(_))))
    }
}
